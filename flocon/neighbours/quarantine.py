"""Peers that sent wrong bytes: how long they are not asked, and how they are let off again.

An offence is bytes that contradict what the sender itself announced; being slow, gone or short is
none (see ``standing``). A peer is known by its node id and its address: a new id does not let it
off. Times are wall-clock seconds, since terms outlive a restart.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flocon.books.units import time_text

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Seconds of the first, second, ... offence; the last for every further one.
TERMS = (600.0, 3_600.0, 86_400.0, 604_800.0)
#: An offence this long ago no longer makes the next term longer.
FORGOTTEN_AFTER = 30 * 86_400.0
#: Peers remembered; the one that is free the soonest goes first. Bans are never dropped.
MOST_RECORDS = 1_024
LONGEST_WHY = 200
#: No date of ours is later, in seconds: calendars end at the year 9999.
_LATEST = 32_503_680_000.0
#: More tell nothing more.
_MOST_STRIKES = 1_000_000


@dataclass(frozen=True, slots=True)
class Record:
    """One peer's offences: how many, since when, until when, why; ``banned`` is the operator's."""

    node: str
    address: str
    strikes: int
    since: float
    until: float
    why: str
    banned: bool = False

    def holds(self, now: float) -> bool:
        return self.banned or now < self.until

    def described(self, now: float) -> str:
        """Return for how long it still holds, and why, as a person reads it."""
        term = "for good" if self.banned else f"for another {time_text(self.until - now)}"
        return f"{term}: {self.why}"


class Quarantine:
    """Who is not asked, bounded."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._records: dict[str, Record] = {}
        #: How many records there are of each address.
        self._addresses: Counter[str] = Counter()
        for record in records:
            self._keep(record)

    def offence(self, node: str, address: str, now: float, why: str) -> Record:
        """Note wrong bytes of a peer; return its record with its term.

        What comes from an address while its term runs was asked for before: one bad disk spoils
        several files at a time, and all of them are one offence.
        """
        known = self._known(node, address)
        banned = any(one.banned for one in known)
        running = [one for one in known if one.address == address and now < one.until]
        if running:
            same = max(running, key=lambda one: one.until)
            return self._keep(replace(same, node=node, banned=banned))
        recent = [one.strikes for one in known if now - one.since < FORGOTTEN_AFTER]
        strikes = max(recent, default=0) + 1
        term = TERMS[min(strikes, len(TERMS)) - 1]
        record = Record(node, address, strikes, now, now + term, why[:LONGEST_WHY], banned)
        return self._keep(record)

    def ban(self, node: str, address: str, now: float, why: str) -> Record:
        """Never ask this peer again, until it is pardoned."""
        old = self._records.get(node) or Record(node, address, 0, now, now, "")
        record = replace(old, address=address, since=now, why=why[:LONGEST_WHY], banned=True)
        return self._keep(record)

    def pardon(self, peer: str) -> bool:
        """Let a peer off, by node id or address; return whether it was held."""
        nodes = [one.node for one in self._records.values() if peer in {one.node, one.address}]
        for node in nodes:
            self._forget(node)
        return bool(nodes)

    def record(self, node: str, address: str, now: float) -> Record | None:
        """Return why a peer is not to be asked now, None if it may be."""
        holding = [one for one in self._known(node, address) if one.holds(now)]
        return max(holding, key=lambda one: (one.banned, one.until), default=None)

    def all(self, now: float) -> list[Record]:
        """Return those that are held now."""
        return [record for record in self._records.values() if record.holds(now)]

    def _known(self, node: str, address: str) -> list[Record]:
        """Return the records of a peer: its own, and those of other ids at its address."""
        if node not in self._records and not self._addresses[address]:
            return []
        return [one for one in self._records.values() if one.node == node or one.address == address]

    def _keep(self, record: Record) -> Record:
        if record.node in self._records:
            self._forget(record.node)
        self._records[record.node] = record
        self._addresses[record.address] += 1
        while len(self._records) > MOST_RECORDS:
            loose = [one for one in self._records.values() if not one.banned]
            if not loose:
                break
            self._forget(min(loose, key=lambda one: one.until).node)
        return record

    def _forget(self, node: str) -> None:
        address = self._records.pop(node).address
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]

    def dump(self) -> list[dict[str, Any]]:
        """Return all records as plain values, for a file."""
        names = ("node", "address", "strikes", "since", "until", "why", "banned")
        return [{name: getattr(one, name) for name in names} for one in self._records.values()]


def is_sound(values: object) -> bool:
    """Whether all of a file's values are what ``dump`` gives."""
    return isinstance(values, list) and all(
        isinstance(row, dict) and _record(row) is not None for row in values
    )


def load(values: object, now: float) -> list[Record]:
    """Read what ``dump`` gave, from a file that may be damaged: what is no record is left out.

    A term that began after ``now``, by a clock that was wrong, begins now.
    """
    rows = values[:MOST_RECORDS] if isinstance(values, list) else []
    records = (_record(row) for row in rows if isinstance(row, dict))
    return [_begun(record, now) for record in records if record is not None]


def _begun(record: Record, now: float) -> Record:
    ahead = max(0.0, record.since - now)
    return replace(record, since=record.since - ahead, until=record.until - ahead)


def _record(value: dict[str, Any]) -> Record | None:
    texts = [value.get(name) for name in ("node", "address", "why")]
    numbers = [value.get(name) for name in ("strikes", "since", "until")]
    if not all(isinstance(text, str) and len(text) <= LONGEST_WHY for text in texts):
        return None
    if not all(map(_is_date, numbers)):
        return None
    since, until = float(value["since"]), float(value["until"])
    if until - since > TERMS[-1]:
        return None
    return Record(
        value["node"],
        value["address"],
        min(int(value["strikes"]), _MOST_STRIKES),
        since,
        until,
        value["why"],
        value.get("banned") is True,
    )


def _is_date(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return 0 <= value <= _LATEST
