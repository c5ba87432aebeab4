"""What is to be fetched ahead: in which order, how often, and within which bounds.

What pacman would upgrade, and what a package needs that pacman has just begun to install. The
largest comes first, as pacman will ask. No I/O; ``now`` is in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Protocol

from flocon.files import LONGEST_NAME, is_package

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from flocon.holdings.inventory import Change
    from flocon.pacman.entries import Entry

#: Packages that are wanted at a time; a whole Arch machine has fewer.
MOST_WISHES = 5_000
#: Packages that one needs, and that come ahead with it.
MOST_COMPANIONS = 1_000
#: Tries of a package that peers hold, and seconds after the first one; each further pause doubles.
MOST_TRIES = 7
RETRY = 30.0
#: Packages of which owners are asked whether they have them on their way.
MOST_LOOKS = 256
#: Wishes that are looked through between two turns of the reactor.
SLICE = 50
#: Versions remembered as fetched, the last ones: some months of a whole machine's upgrades.
MOST_ONCE = 4_096
#: Hex digits of a SHA-256 that tell two builds of one version apart.
_DIGITS = 16

Key = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Readiness:
    """How much of the next upgrade is here: packages, and bytes.

    Of ``wanted`` packages, ``ready`` lie on this machine, ``coming`` are on their way or about to
    be, ``left_out`` found no room or have been fetched before, and nobody on the LAN has those
    ``only_at_mirrors``; the rest waits. ``arrived_bytes`` are here of those that are coming.
    """

    wanted: int = 0
    ready: int = 0
    coming: int = 0
    only_at_mirrors: int = 0
    left_out: int = 0
    wanted_bytes: int = 0
    ready_bytes: int = 0
    arrived_bytes: int = 0


if TYPE_CHECKING:

    class Around(Protocol):
        """What is known of a package beside that it is wanted."""

        def holds(self, entry: Entry) -> bool:
            """Whether this machine has it."""

        def is_at_peers(self, entry: Entry) -> bool: ...

        def has_owners(self, repository: str) -> bool:
            """Whether anybody fetches files of a repository for others."""

        def has_room(self, entry: Entry, *, asked: bool) -> bool:
            """Whether it can be kept; ``asked`` if a person wants it."""

        def arrived_of(self, entry: Entry) -> int | None:
            """Return how many of its bytes are here while it is on its way, else None."""


@dataclass(slots=True, eq=False)
class Wish:
    """A package that is wanted, and what came of it so far.

    ``here`` if pacman needs no download for it, ``beyond`` if all before it fill the room that
    there is, ``looked`` once owners were asked for it. ``asked`` while a person waits for it.
    """

    entry: Entry
    here: bool = False
    beyond: bool = False
    looked: bool = False
    asked: bool = False
    crowded: bool = False
    tries: int = 0
    not_before: float = 0.0

    @property
    def key(self) -> Key:
        return key_of(self.entry)


def key_of(entry: Entry) -> Key:
    return entry.file_name, entry.sha256


class Once:
    """The versions that have been fetched ahead: none is so a second time, wherever it went."""

    def __init__(self, remembered: object = None) -> None:
        """Take what ``dump`` gave; it may be damaged."""
        rows = remembered if isinstance(remembered, list) else []
        self._names = dict.fromkeys(filter(_is_sound, rows[-MOST_ONCE:]))

    def __contains__(self, entry: Entry) -> bool:
        return _told(entry) in self._names

    def __len__(self) -> int:
        return len(self._names)

    def add(self, entry: Entry) -> None:
        self._names.pop(_told(entry), None)
        self._names[_told(entry)] = None
        while len(self._names) > MOST_ONCE:
            del self._names[next(iter(self._names))]

    def dump(self) -> list[str]:
        return list(self._names)


def _told(entry: Entry) -> str:
    return f"{entry.file_name} {entry.sha256.hex()[:_DIGITS]}"


def _is_sound(row: object) -> bool:
    longest = LONGEST_NAME + 1 + _DIGITS
    return isinstance(row, str) and len(row) <= longest and is_package(row.partition(" ")[0])


class _Memo(dict[str, bool]):
    """What a question was answered, each asked once."""

    def __init__(self, ask: Callable[[str], bool]) -> None:
        super().__init__()
        self._ask = ask

    def __missing__(self, key: str) -> bool:
        self[key] = self._ask(key)
        return self[key]


class Wishes:
    """The packages that are wanted; ``most`` is how many bytes of them may be fetched."""

    def __init__(self, most: int, once: Once) -> None:
        self._most = most
        self.once = once
        self._upgrades: dict[Key, Wish] = {}
        self._companions: dict[Key, Wish] = {}
        self._looks = 0
        #: When those that failed are tried again, the first one first; many may fail in one turn.
        self._later: list[tuple[float, int, Wish]] = []
        self._failures = 0

    def __contains__(self, entry: Entry) -> bool:
        return key_of(entry) in self._upgrades or key_of(entry) in self._companions

    def names(self, change: Change) -> bool:
        """Return whether a change of what somebody holds is about a package that is wanted."""
        key = change.file_name, change.content.sha256
        return key in self._upgrades or key in self._companions

    def want(self, entries: Iterable[tuple[Entry, bool]]) -> None:
        """Want these from now on, as upgrades; with each, whether pacman needs no download."""
        before, self._upgrades, self._looks = self._upgrades, {}, 0
        left = self._most
        for entry, here in sorted(entries, key=lambda one: -one[0].size)[:MOST_WISHES]:
            wish = before.get(key_of(entry)) or Wish(entry)
            wish.here, wish.beyond = here, not here and entry.size > left
            if not wish.here and not wish.beyond:
                left -= entry.size
            self._upgrades[wish.key] = wish

    def want_beside(self, entries: Iterable[Entry]) -> None:
        """Want these before all others: pacman will ask for them now."""
        before, self._companions = self._companions, {}
        left = self._most
        for entry in sorted(entries, key=lambda one: -one.size)[:MOST_COMPANIONS]:
            key = key_of(entry)
            wish = self._upgrades.get(key) or before.get(key) or Wish(entry)
            wish.beyond = entry.size > left
            if not wish.beyond:
                left -= entry.size
            self._companions[wish.key] = wish

    def _all(self) -> list[Wish]:
        """Return each wish once: an upgrade that pacman needs beside is the same one."""
        return list({**self._companions, **self._upgrades}.values())

    def ask(self, around: Around) -> list[Wish]:
        """Have all upgrades fetched that are not here, whatever came of them before."""
        asked = [
            wish
            for wish in self._upgrades.values()
            if not (wish.here or wish.beyond or around.holds(wish.entry))
        ]
        for wish in asked:
            wish.asked, wish.tries, wish.not_before = True, 0, 0.0
        return asked

    def look(
        self, now: float, around: Around, *, unasked: bool, mirrors: bool
    ) -> Iterator[tuple[Wish, bool] | None]:
        """Yield what is to be fetched now, the first one first, and whether mirrors may be asked.

        ``unasked``: also what no person waits for, ``mirrors`` if these may be asked for it. None
        wherever others should have their turn.
        """
        looks, owned = self._looks, _Memo(around.has_owners)
        for at, wish in enumerate(self._all()):
            if at and at % SLICE == 0:
                yield None
            entry = wish.entry
            if wish.here or wish.beyond or around.holds(entry):
                continue
            if not wish.asked and not (unasked and self._may_come(wish, around, now)):
                continue
            from_mirrors = wish.asked or (mirrors and wish.key in self._upgrades)
            if not from_mirrors and not around.is_at_peers(entry):
                # Owners are asked whether they have it on its way, once.
                if wish.looked or looks >= MOST_LOOKS or not owned[entry.repository]:
                    continue
                looks += 1
            wish.crowded = not around.has_room(entry, asked=wish.asked)
            if not wish.crowded:
                yield wish, from_mirrors

    def _may_come(self, wish: Wish, around: Around, now: float) -> bool:
        may_try = wish.tries < MOST_TRIES and now >= wish.not_before
        # Who brings it now does so for somebody else.
        return may_try and wish.entry not in self.once and around.arrived_of(wish.entry) is None

    def looked(self, wish: Wish) -> None:
        """Take note that owners are asked for one that nobody holds."""
        self._looks += not wish.looked
        wish.looked = True

    def came(self, wish: Wish) -> None:
        wish.asked = False
        self.once.add(wish.entry)

    def failed(self, wish: Wish, now: float) -> None:
        wish.asked = False
        wish.not_before = now + RETRY * 2**wish.tries
        wish.tries += 1
        self._failures += 1
        heappush(self._later, (wish.not_before, self._failures, wish))

    def next_try(self, now: float) -> float | None:
        """Return when one that failed is tried again; None where none is."""
        while self._later:
            at, _, wish = self._later[0]
            if at > now and at == wish.not_before and wish.entry in self:
                return at
            heappop(self._later)
        return None

    @staticmethod
    def is_still_due(wish: Wish, now: float, around: Around) -> bool:
        """Return whether one is due that was so when the look began."""
        return wish.not_before <= now and not around.holds(wish.entry)

    def count(self, around: Around, about: Collection[Key]) -> Iterator[Readiness | None]:
        """Yield how much is here at last, and None wherever others should have their turn.

        ``about`` to come are those that are queued or being fetched.
        """
        counts = dict.fromkeys(("ready", "coming", "left_out", "only_at_mirrors", "waiting"), 0)
        wanted = ready = arrived = 0
        upgrades = list(self._upgrades.values())
        for at, wish in enumerate(upgrades):
            if at and at % SLICE == 0:
                yield None
            wanted += wish.entry.size
            came = None
            if wish.here or around.holds(wish.entry):
                state = "ready"
                ready += wish.entry.size
            elif (came := around.arrived_of(wish.entry)) is not None or wish.key in about:
                state = "coming"
                arrived += came or 0
            else:
                state = self._state_of_lacking(wish, around)
            counts[state] += 1
        del counts["waiting"]
        yield Readiness(
            wanted=len(upgrades),
            wanted_bytes=wanted,
            ready_bytes=ready,
            arrived_bytes=arrived,
            **counts,
        )

    def _state_of_lacking(self, wish: Wish, around: Around) -> str:
        if wish.beyond or wish.crowded or wish.entry in self.once:
            return "left_out"
        return "waiting" if around.is_at_peers(wish.entry) else "only_at_mirrors"

    def is_left_out(self, entry: Entry) -> bool:
        """Whether there is no room for an upgrade, by the last look."""
        wish = self._upgrades.get(key_of(entry))
        return wish is not None and (wish.beyond or wish.crowded)

    def forgive(self) -> None:
        """Try all upgrades again that were given up."""
        for wish in self._upgrades.values():
            wish.tries, wish.not_before = 0, 0.0

    @property
    def left_out(self) -> int:
        """How many upgrades are more than there is room for."""
        return sum(wish.beyond or wish.crowded for wish in self._upgrades.values())
