"""How well each source did lately: failures that push it back for a while, speed, way, and load.

A source is a peer's address or a mirror's ``HOST:PORT``, which it cannot choose. What a peer did
wrong on purpose is not kept here but in ``quarantine``; being slow or gone is no offence. Nor is
asking for a pause, as a mirror does by ``Retry-After``: it rests, and is asked last and seldom
meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Seconds a source is tried last after its first failure; doubles with each further one.
FIRST_TERM = 15.0
LONGEST_TERM = 600.0
#: Seconds a mirror rests at most, whatever it asked for; it can ask again.
LONGEST_REST = 600.0
#: Seconds between two questions to one that rests: where it is the only one, it may have recovered.
RESTING_PACE = 1.0
#: Weight of the newest measurement in the moving average of throughput.
WEIGHT = 0.3
#: Sources remembered; the longest unused goes first.
MOST_SOURCES = 2_048


@dataclass(slots=True)
class _Record:
    failures: int = 0
    demoted_until: float = 0.0
    throughput: float = 0.0
    round_trip: float = 0.0
    active: int = 0
    rests_until: float = 0.0
    asked: float = 0.0


class Standing:
    """The record of every source, bounded."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}

    def _record(self, source: str) -> _Record:
        record = self._records.pop(source, None)
        if record is None:
            record = _Record()
            if len(self._records) >= MOST_SOURCES:
                self._drop_one()
        self._records[source] = record
        return record

    def _drop_one(self) -> None:
        for source, record in self._records.items():
            if not record.active:
                del self._records[source]
                return

    def began(self, source: str, now: float = 0.0) -> None:
        """Count a transfer from ``source`` as running."""
        record = self._record(source)
        record.active += 1
        record.asked = now

    def ended(self, source: str) -> None:
        """Count a transfer from ``source`` as over, however it went."""
        record = self._record(source)
        record.active = max(0, record.active - 1)

    def succeeded(self, source: str, size: int, seconds: float) -> None:
        """Take note of ``size`` bytes that came in ``seconds``."""
        record = self._record(source)
        record.failures = 0
        record.demoted_until = 0.0
        record.rests_until = 0.0
        if seconds > 0 and size > 0:
            rate = size / seconds
            old = record.throughput
            record.throughput = rate if old == 0 else old + WEIGHT * (rate - old)

    def met(self, source: str, seconds: float) -> None:
        """Take note that it takes ``seconds`` to ``source`` and back, as its kernel answers."""
        record = self._record(source)
        old = record.round_trip
        nearer = old == 0 or seconds < old
        # A longer one may be a queue on the way, or another way from now on.
        record.round_trip = seconds if nearer else old + WEIGHT * (seconds - old)

    def failed(self, source: str, now: float) -> None:
        """Push ``source`` back for a term that doubles with each failure in a row."""
        record = self._record(source)
        term = min(FIRST_TERM * 2 ** min(record.failures, 16), LONGEST_TERM)
        record.failures += 1
        record.demoted_until = now + term

    def rest(self, source: str, seconds: float, now: float) -> None:
        """Leave ``source`` alone for as long as it asked, within reason."""
        record = self._record(source)
        until = now + min(max(0.0, seconds), LONGEST_REST)
        record.rests_until = max(record.rests_until, until)

    def resting(self, source: str, now: float) -> bool:
        record = self._records.get(source)
        return record is not None and now < record.rests_until

    def may_be_asked(self, source: str, now: float) -> bool:
        """Whether ``source`` does not rest, or was not asked for a moment."""
        if not self.resting(source, now):
            return True
        return now - self._records[source].asked >= RESTING_PACE

    def pardon(self, source: str) -> None:
        """Forget the failures of ``source``, since a person says so.

        Nothing that is heard does: whoever failed could have itself heard as often as it likes.
        """
        if source in self._records:
            record = self._records[source]
            record.failures = 0
            record.demoted_until = 0.0

    def demoted(self, source: str, now: float) -> bool:
        record = self._records.get(source)
        return record is not None and now < record.demoted_until

    def throughput(self, source: str) -> float:
        """Return bytes per second, 0 where nothing was measured."""
        record = self._records.get(source)
        return record.throughput if record else 0.0

    def round_trip(self, source: str) -> float:
        """Return the seconds there and back, 0 where nothing was measured."""
        record = self._records.get(source)
        return record.round_trip if record else 0.0

    def active(self, source: str) -> int:
        """Return how many transfers from ``source`` are running."""
        record = self._records.get(source)
        return record.active if record else 0
