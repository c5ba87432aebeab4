"""Who is known of other tools' machines, who of them has proved itself, and who is left alone.

A place is a hint until it has answered: what is heard by datagrams or mDNS anybody may have said.
Who has not answered is looked at beside what is asked, and nobody waits for it; who failed is left
alone for longer each time, has to answer again, and so costs a question at most once. No I/O;
``now`` is in seconds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from flocon.foreign.place import Place

#: Places known, and of one address: it may run each of the tools.
MOST_PLACES = 64
MOST_OF_ADDRESS = 4
#: Packages known by listings altogether, some 150 bytes each.
MOST_LISTED = 40_000
#: Seconds for which one is left alone after a failure, times the number of failures in a row.
BAD_FOR = 30.0
LONGEST_BAD = 600.0
#: Failures in a row after which one is forgotten that was only heard, and is not heard any more.
FORGOTTEN_AFTER = 5
#: Files in a row that one said it had and did not give, after which it is left alone.
MOST_IN_VAIN = 3
#: Seconds for which a listing stands in for a question.
LISTING_AGE = 300.0
#: Seconds after its last answer for which nobody else is asked for what one lists.
THERE_FOR = 30.0
#: Seconds after which one that gave nothing lets another have its place, however well it answers.
USELESS_AFTER = 600.0
#: Ways by which one is known. Nobody takes back what the operator named, and mDNS says goodbye.
SETTING, MDNS, MULTICAST = "setting", "mdns", "multicast"


@dataclass(slots=True)
class Record:
    """What is known of a place; ``ways`` has by which it is known, and the name it has there.

    ``files`` are the packages of its listing by name, with their sizes; None where it gave none.
    ``whole``: all of its listing is kept. ``identity`` is what it said that it would show.
    """

    place: Place
    ways: dict[str, str] = field(default_factory=dict)
    identity: str = ""
    proved: bool = False
    errors: int = 0
    failed_at: float = 0.0
    heard_at: float | None = None
    #: Whether it is being looked at now.
    looking: bool = False
    files: Mapping[str, int] | None = None
    whole: bool = False
    listed_at: float = float("-inf")
    looked_at: float = float("-inf")
    #: When it was asked for a file last.
    asked_at: float = float("-inf")
    in_vain: int = 0
    bytes: int = 0
    why: str = ""
    #: When it was taken in.
    since: float = 0.0

    def is_bad(self, now: float) -> bool:
        """Whether it is left alone now."""
        term = min(BAD_FOR * self.errors, LONGEST_BAD)
        return self.errors > 0 and now - self.failed_at < term

    def lists(self, now: float) -> bool:
        """Whether its listing is new, and whole, so that it need not be asked for a file."""
        return self.files is not None and self.whole and self.is_listed(now)

    def is_listed(self, now: float) -> bool:
        """Whether its listing is not to be read again yet."""
        return now - self.listed_at < LISTING_AGE


class Places:
    """The places, bounded.

    ``may`` tells whether an address may be asked at all now; it is told whether the operator named
    it.
    """

    def __init__(self, may: Callable[[str, bool], bool]) -> None:
        self._may = may
        self._records: dict[Place, Record] = {}
        self.refused = 0

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(list(self._records.values()))

    def get(self, place: Place) -> Record | None:
        return self._records.get(place)

    # Who is there

    def heard(self, place: Place, way: str, name: str, now: float, identity: str = "") -> bool:
        """Learn that a place is there; return whether it is new and was taken in."""
        record = self._records.get(place)
        if record is not None:
            record.ways[way] = name
            if not record.proved:
                # Whoever has shown it needs to show no other one, whatever is said in its name.
                record.identity = identity or record.identity
            return False
        if way != SETTING and not self._has_room(place, now):
            self.refused += 1
            return False
        self._records[place] = Record(place, {way: name}, identity, since=now)
        return True

    def _has_room(self, place: Place, now: float) -> bool:
        of_address = [one for one in self._records.values() if one.place.address == place.address]
        if len(of_address) >= MOST_OF_ADDRESS:
            return self._drop_one(of_address, now)
        if len(self._records) >= MOST_PLACES:
            known = list(self._records.values())
            return (
                self._drop_one(known, now)
                or self._drop_of_many(place)
                or self._drop_useless(known, now)
            )
        return True

    def _drop_one(self, records: list[Record], now: float) -> bool:
        """Let one go that has proved nothing, the oldest; return whether there was one."""
        for record in records:
            if SETTING not in record.ways and (not record.proved or record.is_bad(now)):
                del self._records[record.place]
                return True
        return False

    def _drop_of_many(self, place: Place) -> bool:
        """Let the last go of the address that has the most, for one at an address that has none."""
        at = Counter(one.place.address for one in self._records.values())
        address, count = max(at.items(), key=itemgetter(1))
        heard = [
            one
            for one in self._records.values()
            if one.place.address == address and SETTING not in one.ways
        ]
        if place.address in at or count < 2 or not heard:  # noqa: PLR2004 - more than its own place
            return False
        del self._records[heard[-1].place]
        return True

    def _drop_useless(self, records: list[Record], now: float) -> bool:
        """Let one go that has given nothing for long, the oldest; return whether there was one.

        A machine with many addresses would keep all others out by answering.
        """
        for record in records:
            useless = not record.bytes and now - record.since >= USELESS_AFTER
            if useless and SETTING not in record.ways:
                del self._records[record.place]
                return True
        return False

    def gone(self, way: str, name: str) -> list[Place]:
        """Learn that ``name`` is there no more by this way; return who is forgotten for it."""
        places = [one.place for one in self._records.values() if one.ways.get(way) == name]
        return [place for place in places if self.forget(place, way)]

    def forget(self, place: Place, way: str) -> bool:
        """Learn that a place is known by this way no more; return whether by none any more."""
        record = self._records[place]
        del record.ways[way]
        if not record.ways:
            del self._records[place]
        return not record.ways

    # How they did

    def proved(self, place: Place, now: float) -> None:
        """Learn that a place is what it was said to be; it may be asked, whatever it did before."""
        record = self._records.get(place)
        if record is not None:
            record.why, record.heard_at, record.proved = "", now, True

    def answered(self, place: Place, now: float) -> None:
        """Learn that a place answered what it was asked, whatever it said: that clears it."""
        record = self._records.get(place)
        if record is not None:
            record.errors, record.why, record.heard_at, record.proved = 0, "", now, True

    def gave(self, record: Record, size: int, now: float) -> bool:
        """Learn how much one gave of a file that it said it had; False if 0 is too often."""
        record.bytes += size
        record.in_vain = 0 if size else record.in_vain + 1
        if size:
            self.answered(record.place, now)
        if record.in_vain < MOST_IN_VAIN:
            return True
        record.in_vain = 0
        return False

    def failed(self, place: Place, now: float, why: str) -> None:
        """Learn that a place could not be asked, or was silent."""
        record = self._records.get(place)
        if record is None:
            return
        if not record.is_bad(now):
            # What fails while it is left alone was asked before.
            record.errors, record.failed_at = record.errors + 1, now
        record.why, record.proved = why, False
        if set(record.ways) == {MULTICAST} and record.errors >= FORGOTTEN_AFTER:
            del self._records[place]

    def listed(
        self, place: Place, files: Mapping[str, int] | None, now: float, *, whole: bool = True
    ) -> None:
        """Take a listing, as much of it as there is room for; None where it gives none.

        ``whole``: it has all that there is. One of which not all is kept tells of what it has, and
        not of what it has not: whoever fills the room keeps nobody else from being asked.
        """
        record = self._records.get(place)
        if record is None:
            return
        record.listed_at = now
        if files is not None:
            others = sum(
                len(one.files)
                for one in self._records.values()
                if one.files is not None and one is not record
            )
            room = max(0, MOST_LISTED - others)
            whole = whole and len(files) <= room
            files = dict(list(files.items())[:room]) if len(files) > room else files
        record.whole = whole
        record.files = files

    def of(self, node: str) -> list[Record]:
        """Return those that stand under what ``Place.node`` says."""
        return [one for one in self._records.values() if one.place.node == node]

    def pardon(self) -> None:
        """Let all be asked anew: they may have failed for what is over, as a link that was down."""
        for record in self._records.values():
            record.errors = 0

    # Whom to ask

    def may_be_asked(self, record: Record, now: float) -> bool:
        return record.proved and not record.is_bad(now) and self.may_be_reached(record)

    def may_be_reached(self, record: Record) -> bool:
        """Whether nothing speaks against asking there, however it did."""
        return self._may(record.place.address, SETTING in record.ways)

    def askable(self, now: float) -> list[Record]:
        """Return those that may be asked for a file now."""
        return [one for one in self._records.values() if self.may_be_asked(one, now)]

    def due(self, now: float) -> list[Record]:
        """Return those to be looked at: who has proved nothing yet, or whose listing is old.

        One of an address at a time, and first who was looked at the longest ago: who is slow keeps
        nobody else waiting.
        """
        busy = {one.place.address for one in self._records.values() if one.looking}
        looked_at: dict[str, float] = {}
        for one in self._records.values():
            at = looked_at.get(one.place.address, one.looked_at)
            looked_at[one.place.address] = max(at, one.looked_at)
        found: dict[str, Record] = {}
        # Of one address, too, first who was looked at the longest ago.
        for one in sorted(
            self._records.values(), key=lambda one: (looked_at[one.place.address], one.looked_at)
        ):
            if (
                one.place.address not in busy
                and not one.is_bad(now)
                and (not one.proved or (one.files is not None and not one.is_listed(now)))
                and self.may_be_reached(one)
            ):
                found.setdefault(one.place.address, one)
        return list(found.values())

    @staticmethod
    def in_turn(records: Iterable[Record]) -> list[Record]:
        """Return the order in which some are asked where not all can be.

        Whom the operator named comes first, then one of each address, then a second; of equals who
        was asked the longest ago. So nobody keeps others from being asked by being many.
        """
        seen: Counter[str] = Counter()
        turns: list[tuple[bool, int, Record]] = []
        for one in sorted(records, key=lambda one: one.asked_at):
            turns.append((SETTING not in one.ways, seen[one.place.address], one))
            seen[one.place.address] += 1
        return [one for *_, one in sorted(turns, key=itemgetter(0, 1))]

    def is_there(self, places: Sequence[Place], now: float) -> bool:
        """Whether one of these was heard of lately: it may be gone, whatever it listed."""
        heard = (self._records[place].heard_at for place in places)
        return any(one is not None and now - one < THERE_FOR for one in heard)

    def listing(self, file_name: str, size: int, now: float) -> list[Place]:
        """Return who lists this very file."""
        return [
            one.place
            for one in self._records.values()
            if one.files is not None
            and one.files.get(file_name) == size
            and self.may_be_asked(one, now)
        ]
