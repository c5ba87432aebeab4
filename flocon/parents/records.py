"""How each caching proxy did since this node started, by its ``HOST:PORT``. No I/O; seconds."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Seconds for which one that sent what is wrong is not asked; as long as it takes to be seen to.
LEFT_ALONE = 600.0
#: Seconds for which one that sent what is wrong is taken for who did it again.
LIED_FOR = 3_600.0
#: Seconds of all together in which one may say that it lacks a file: at once, and more for each
#: second that passes; less than so many each time do not count. Then it is left alone for a while.
BORNE, BORNE_AGAIN = 8.0, 0.05
AT_ONCE = 0.1
RESTS = 60.0
#: What is wrong with one that is no caching proxy.
LEADS_BACK = "leads back to this node, or to another one that only nodes ask"
#: Parents of which is remembered how they did: as many as can be named, and some of pacman.conf's.
MOST = 64


@dataclass(slots=True)
class Record:
    """``files`` and ``bytes`` are what it gave, ``missing`` how often it had nothing to give.

    ``sent_elsewhere`` is how often it sent this node on, to a mirror mostly. ``problem`` is what
    went wrong last, "" where it has answered since.
    """

    files: int = 0
    bytes: int = 0
    missing: int = 0
    failures: int = 0
    wrong: int = 0
    sent_elsewhere: int = 0
    problem: str = ""
    left_alone_until: float = field(default=float("-inf"))


class Records:
    """The record of each."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        #: Seconds that each may take yet for what it lacks, and when that was so.
        self._left: dict[str, tuple[float, float]] = {}
        #: When each sent what is wrong, and nobody else had a part in it.
        self._lied: dict[str, float] = {}

    def of(self, place: str) -> Record:
        record = self._records.pop(place, None)
        if record is None:
            record = Record()
            if len(self._records) >= MOST:
                del self._records[next(iter(self._records))]
        self._records[place] = record
        return record

    def gave(self, place: str, size: int) -> None:
        """Note what came of one that was asked."""
        if size:
            record = self.of(place)
            record.files += 1
            record.bytes += size
            record.problem = ""

    def lacked(self, place: str, seconds: float, now: float) -> None:
        """Note one that has not what it was asked for, and took so long to say it.

        Nobody else is asked meanwhile, and pacman waits.
        """
        record = self.of(place)
        record.missing += 1
        if now >= record.left_alone_until:
            record.problem = ""
        if seconds >= AT_ONCE and not self._bears(place, seconds, now):
            record.problem = "takes long to say what it lacks"
            record.left_alone_until = max(record.left_alone_until, now + RESTS)

    def _bears(self, place: str, seconds: float, now: float) -> bool:
        """Whether one may take so many seconds more for what it lacks; they are spent."""
        left, at = self._left.pop(place, (BORNE, now))
        if len(self._left) >= MOST:
            del self._left[next(iter(self._left))]
        left = min(BORNE, left + max(0.0, now - at) * BORNE_AGAIN) - seconds
        self._left[place] = max(0.0, left), now
        return left >= 0

    def led_back(self, place: str, now: float) -> None:
        """Note one behind which a node of this LAN was met: nobody there has a file of its own."""
        record = self.of(place)
        record.problem = LEADS_BACK
        record.left_alone_until = now + LEFT_ALONE

    def failed(self, place: str, problem: str) -> None:
        record = self.of(place)
        record.failures += 1
        record.problem = problem

    def was_wrong(self, place: str, file_name: str, now: float, *, alone: bool = False) -> None:
        """Note one that sent other bytes than it should have; it is left alone for a while.

        ``alone``: nobody else had a part in it.
        """
        if alone:
            self._lied.pop(place, None)
            if len(self._lied) >= MOST:
                del self._lied[next(iter(self._lied))]
            self._lied[place] = now
        record = self.of(place)
        record.wrong += 1
        record.problem = f"sent wrong bytes for {file_name}"
        record.left_alone_until = now + LEFT_ALONE

    def has_lied(self, place: str, now: float) -> bool:
        """Whether it was beyond doubt lately that one sent what is wrong."""
        return now - self._lied.get(place, float("-inf")) < LIED_FOR

    def is_left_alone(self, place: str, now: float) -> bool:
        record = self._records.get(place)
        return record is not None and now < record.left_alone_until
