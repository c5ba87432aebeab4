"""How one file has come so far: moments, in seconds, and bytes. No I/O, and no clock of its own."""

from __future__ import annotations

from flocon.asking.patience import TERMS, Course
from flocon.asking.source import Kind

#: Seconds over which it is seen how fast it comes.
WINDOW = 0.75
#: Bytes per second of holders, and seconds that they would still need, for a look at a mirror's.
PROBED_BELOW = float(12 << 20)
PROBED_ABOVE = 2.0


class Progress:
    """Begins at ``now`` with so many bytes, while ``lacked`` are still to come."""

    def __init__(self, now: float, have: int, lacked: int) -> None:
        #: When it began, when the last source was added, and when bytes came last.
        self.began = self.joined = self.heard = now
        #: When a mirror's bytes came last, or as much from others as a mirror would have given.
        self.counted = now
        self.lacked = lacked
        self._size = have + lacked
        #: Moments and bytes, over the last seconds.
        self._samples: list[tuple[float, int]] = [(now, have)]

    def begin_anew(self, now: float, have: int) -> None:
        """Judge by what comes from now on alone."""
        self.began = self.joined = self.heard = self.counted = now
        self.see_anew(now, have)

    def see_anew(self, now: float, have: int) -> None:
        """Forget how fast it came."""
        self._samples = [(now, have)]

    def recent(self, now: float, have: int) -> float:
        """Return bytes per second over the last moments."""
        samples = self._samples
        samples.append((now, have))
        while len(samples) > 2 and now - samples[1][0] >= WINDOW:  # noqa: PLR2004 - a first and a last
            samples.pop(0)
        then, had = samples[0]
        return (have - had) / max(now - then, 1e-3)

    def left(self, have: int) -> int:
        """Return how many bytes lack, of which so many are there."""
        return self._size - have

    def course(self, now: float, recent: float, have: int, kinds: list[Kind]) -> Course | None:
        """Return what is judged, as those judge it who are judged most kindly."""
        for kind in (Kind.MIRROR, Kind.OWNER, Kind.PARENT, Kind.HOLDER):
            if kind in kinds:
                since, began = now - self.joined, now - self.began
                return Course(kind, len(kinds), since, began, recent, self.lacked, self.left(have))
        return None


def is_worth_probing(course: Course) -> bool:
    """Return whether a mirror's speed is to be found out, since who has it may be slower.

    Only where nothing is known of the WAN.
    """
    if course.kind in {Kind.OWNER, Kind.MIRROR} or course.elapsed < TERMS[course.kind].first:
        return False
    return course.recent < PROBED_BELOW and course.left > course.recent * PROBED_ABOVE
