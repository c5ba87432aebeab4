"""How long a source is waited for before the next one helps: pure rules, in seconds and bytes.

pacman gives up after 10 s without a byte, so all sources together have less than that, whatever
their number. A source that is slower than it should be is not given more time but company: the
next source works beside it, on other parts, and whoever is slow loses its parts. That is no
punishment, and the last source that nobody can better is left running.

What is slow is told from the size of what lacks and from the WAN: ``Pace`` remembers what a mirror
gave lately. A holder is slow when a mirror would have been done by now, or when it gives so little
that waiting for that moment is pointless. An owner passes on what its own mirror sends to it, over
a WAN that the whole LAN shares at that moment, so it is judged more kindly. A caching proxy mostly
has the file, so a mirror is asked sooner, and leaves again where it is no better.
"""

from __future__ import annotations

from dataclasses import dataclass

from flocon.asking.source import Kind

#: Seconds within which pacman's request is answered; pacman itself gives up after 10.
PACMAN = 9.0
#: Seconds that peers together have without a byte that counts, before the mirrors come first.
PEERS = 2.5
#: Bytes of a peer's that count as a sign of life when they come together: less is a drip.
COUNTING = 64 << 10
#: Contradictions after which peers are asked last for a file.
MOST_CONTRADICTIONS = 2
#: Peers asked for one file, one after the other or together.
MOST_PEERS = 8
#: Bytes per second that a mirror is taken to give while nothing was measured.
USUAL_RATE = float(1 << 20)
#: Seconds for which a measurement tells of the WAN.
MEASURED_FOR = 120.0
#: Weight of the newest measurement in the moving average.
WEIGHT = 0.3
#: Bytes that must have come to tell a rate from the time of one round trip.
LEAST_MEASURED = 64 << 10
#: How many times as fast as an owner a mirror must be to be asked for more beside it.
WORTH = 2.0
#: Seconds that a caching proxy may cost beside a mirror that is that much faster.
LOSS = 1.5
#: Seconds that a first look at a mirror's speed may take, while others wait for its outcome.
PROBE_SECONDS = 1.0
#: Seconds between two mirrors that are asked for the same, and in which all of them are asked.
STAGGER = 2.0
ALL_ASKED = 6.0


@dataclass(frozen=True, slots=True)
class Terms:
    """``first`` and ``further`` are seconds before the first company and each further one.

    ``floor`` is the share of a mirror's rate below which it is slow at once, ``due`` how many times
    the mirror's time it may take altogether.
    """

    first: float
    further: float
    floor: float
    due: float


TERMS = {
    Kind.HOLDER: Terms(first=1.0, further=0.5, floor=1 / 2, due=1.0),
    Kind.OWNER: Terms(first=1.5, further=1.0, floor=1 / 16, due=4.0),
    Kind.PARENT: Terms(first=1.5, further=1.0, floor=1 / 2, due=2.0),
    Kind.MIRROR: Terms(first=STAGGER, further=1.0, floor=1 / 16, due=4.0),
}


@dataclass(frozen=True, slots=True)
class Course:
    """How a file comes: ``kind`` is the most patient one's of those that bring it.

    ``elapsed`` is seconds since the newest of them was asked, ``members`` how many they are,
    ``taken`` seconds since the first was; ``recent`` is bytes per second of all over the last
    second or so, ``size`` what lacked when it began and ``left`` what lacks now.
    """

    kind: Kind
    members: int
    elapsed: float
    taken: float
    recent: float
    size: int
    left: int


def is_slow(course: Course, reference: float, stagger: float = STAGGER) -> bool:
    """Return whether the next source is to help; ``reference`` is a mirror's bytes per second."""
    terms = TERMS[course.kind]
    patience = terms.first if course.members == 1 else terms.further
    if course.kind is Kind.MIRROR:
        patience = min(patience, stagger)
    if course.elapsed < patience:
        return False
    if course.recent < floor(course.kind, reference) or _loses_much(course, reference):
        return True
    return course.taken >= patience + terms.due * course.size / reference


def _loses_much(course: Course, reference: float) -> bool:
    """Whether a caching proxy takes far longer than a mirror: its way may be another."""
    if course.kind is not Kind.PARENT or not is_worth_it(reference, course.recent):
        return False
    return course.left / course.recent - course.left / reference > LOSS


def floor(kind: Kind, reference: float) -> float:
    """Return the bytes per second below which a source of this kind is no help."""
    return min(reference, USUAL_RATE) * TERMS[kind].floor


def stagger(mirrors: int) -> float:
    """Return the seconds between two mirrors, so that all are asked while pacman waits."""
    return min(STAGGER, ALL_ASKED / max(1, mirrors))


def is_worth_it(mirror: float, owner: float) -> bool:
    """Return whether a mirror beside an owner goes on, by their bytes per second.

    Both cross the WAN: where it is only busy, asking twice makes it busier.
    """
    return mirror >= WORTH * owner


def peers_come_last(waited: float, contradictions: int, taken: float) -> bool:
    """Return whether the mirrors are asked before any further peer.

    ``waited`` is seconds without a byte that counts, ``taken`` seconds since the file was begun.
    """
    return (
        waited >= PEERS
        or contradictions >= MOST_CONTRADICTIONS
        or (contradictions > 0 and taken >= PEERS)
    )


class Pace:
    """What a mirror gave lately, in bytes per second for one file; ``now`` is in seconds."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._at = float("-inf")
        self._probing_since = float("-inf")

    def measured(self, size: int, seconds: float, now: float) -> None:
        """Take note of ``size`` bytes of a mirror's that came in ``seconds``."""
        if size < LEAST_MEASURED or seconds <= 0:
            return
        rate = size / seconds
        fresh = now - self._at < MEASURED_FOR
        self._rate = self._rate + WEIGHT * (rate - self._rate) if fresh else rate
        self._at = now

    def is_known(self, now: float) -> bool:
        """Whether something was measured lately."""
        return now - self._at < MEASURED_FOR

    def reference(self, now: float) -> float:
        """Return the bytes per second to expect of a mirror."""
        return self._rate if self.is_known(now) else USUAL_RATE

    def probe(self, now: float) -> bool:
        """Whether a mirror may be asked beside an owner that may only seem to be slow.

        As long as nothing is known of the WAN one file finds out for all: on a LAN that has just
        begun to download, each file of each machine would have a mirror asked beside its owner.
        """
        if self.is_known(now):
            return True
        if now - self._probing_since < PROBE_SECONDS:
            return False
        self._probing_since = now
        return True
