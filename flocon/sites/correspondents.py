"""Nodes that are told and tell by unicast: where they are, when they are greeted. No I/O.

Those that the operator names are greeted until they answer: at once, then after 1, 2, 4, ... 15
seconds; so are those that mDNS told of, once they have answered a question. Others are met: they
wrote from a network that the operator names, and have proved to be there. All of them are told what
the group is once they are known to be there, and not before: an address that somebody else has made
up is sent nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flocon.sites.addresses import asks_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

#: Seconds from one greeting to the next, doubled each time; and greetings per second of all.
FIRST_GREETING, LONGEST_GREETING = 1.0, 15.0
GREETINGS_RATE = 20.0
#: Seconds between two times that one who was met writes from another port and is told there.
MOVES_APART = 60.0
#: Those that are named, with all their addresses; those that are met; and those found by mDNS.
MOST_NAMED, MOST_MET, MOST_FOUND = 256, 64, 64

#: Ports remembered of those who wrote.
MOST_WRITERS = 256

Place = tuple[str, int]


@dataclass(slots=True)
class Correspondent:
    """One address and UDP port: who is there, where that is known, and when it is greeted next.

    ``names`` are what the operator calls it; those that are met have none. ``found``: by mDNS.
    """

    place: Place
    names: set[str] = field(default_factory=set)
    found: bool = False
    node: str = ""
    greet_at: float | None = None
    pause: float = FIRST_GREETING
    greeted: int = 0
    moved_at: float = float("-inf")

    @property
    def is_there(self) -> bool:
        return bool(self.node)

    @property
    def is_greeted(self) -> bool:
        """Whether it is looked for while it is not there."""
        return bool(self.names) or self.found


class Correspondents:
    """Those that there are, by address and port."""

    def __init__(self) -> None:
        self._at: OrderedDict[Place, Correspondent] = OrderedDict()

    def __iter__(self) -> Iterator[Correspondent]:
        return iter(self._at.values())

    def __len__(self) -> int:
        return len(self._at)

    def __contains__(self, address: str) -> bool:
        return any(place[0] == address for place in self._at)

    def has_beside(self, address: str) -> bool:
        """Whether one is at an address or, by IPv6, on its link: who asks has passing ones."""
        asks = asks_from(address)
        return any(asks_from(place[0]) == asks for place in self._at)

    def there(self) -> list[Correspondent]:
        """Return those that are known to be there."""
        return [one for one in self._at.values() if one.is_there]

    def nodes(self) -> set[str]:
        """Return the ids of those that are there."""
        return {one.node for one in self._at.values() if one.node}

    def named(self, name: str) -> list[Correspondent]:
        """Return the places that the operator calls ``name``."""
        return [one for one in self._at.values() if name in one.names]

    def at(self, address: str) -> list[Correspondent]:
        """Return those at an address, whatever their port."""
        return [one for one in self._at.values() if one.place[0] == address]

    # Who they are

    def resolved(self, now: float, places: Mapping[str, Iterable[Place]]) -> None:
        """Take where each name leads to now; those whom none leads to any more are forgotten."""
        wanted: dict[Place, set[str]] = {}
        for name, ones in places.items():
            for place in ones:
                if place in wanted or len(wanted) < MOST_NAMED:
                    wanted.setdefault(place, set()).add(name)
        for place, one in list(self._at.items()):
            if one.names and place not in wanted:
                one.names = set()
                if not one.found:
                    del self._at[place]
        for place, names in wanted.items():
            known = self._at.get(place)
            if known is None:
                self._at[place] = Correspondent(place, names, greet_at=now)
            else:
                known.names = names

    def find(self, now: float, place: Place) -> None:
        """Greet one that was found by mDNS, and has answered."""
        found = sum(one.found for one in self._at.values())
        one = self._at.get(place)
        if one is not None:
            one.found = True
        elif found < MOST_FOUND:
            self._at[place] = Correspondent(place, found=True, greet_at=now)

    def keep_found(self, addresses: set[str]) -> None:
        """Look no more for those that mDNS does not tell of any more."""
        for one in list(self._at.values()):
            if one.found and one.place[0] not in addresses:
                one.found = False
                # One that is there is forgotten once it is gone.
                if not one.names and not one.is_there:
                    del self._at[one.place]

    def meet(self, now: float, place: Place, node: str) -> Place | None:
        """Take up a node that wrote from a place and has proved to be at that address.

        One that is looked for is where it is looked for; behind one address there may be several.
        One that was met is where it writes from now: return where it was before.
        """
        for one in self.at(place[0]):
            if one.is_greeted and one.node in {"", node}:
                return None
            if one.node == node:
                return self._move(now, one, place)
        met = [one.place for one in self._at.values() if not one.is_greeted]
        if place not in self._at and len(met) < MOST_MET:
            self._at[place] = Correspondent(place)
        return None

    def moved(self, node: str, address: str, is_silent: Callable[[str], bool]) -> list[Place]:
        """Learn that a node that was met writes from an address: forget it where it is silent."""
        places = [
            one.place
            for one in self._at.values()
            if one.node == node and not one.is_greeted and one.place[0] != address
        ]
        left = [place for place in places if is_silent(place[0])]
        for place in left:
            del self._at[place]
        return left

    def _move(self, now: float, one: Correspondent, place: Place) -> Place | None:
        """Have one at another port: seldom, for anybody can make a port up, and is told to none."""
        if place in self._at or now < one.moved_at + MOVES_APART:
            return None
        before = one.place
        self._at[place] = self._at.pop(before)
        one.place, one.node, one.moved_at = place, "", now
        return before

    # Whether they are there

    def proved(self, address: str, node: str, port: int | None = None) -> list[Correspondent]:
        """Learn which node is at an address; return those of whom that was not known.

        ``port`` is the one from which it wrote: behind one address there may be several nodes.
        """
        ones = self.at(address)
        if len(ones) > 1 and port is not None:
            ones = [one for one in ones if one.place[1] == port] or [
                one for one in ones if not one.node or one.node == node
            ]
        news = [one for one in ones if one.node != node]
        for one in news:
            one.node, one.greet_at, one.pause = node, None, FIRST_GREETING
        return news

    def gone(self, now: float, node: str) -> None:
        """Learn that a node is not there any more: who is named is greeted again."""
        for place, one in list(self._at.items()):
            if one.node != node:
                continue
            one.node = ""
            if one.is_greeted:
                one.greet_at = now + one.pause
            else:
                del self._at[place]

    # Greetings

    def due(self, now: float) -> list[Place]:
        """Return who is to be greeted now."""
        places = []
        for one in self._at.values():
            if one.greet_at is not None and one.greet_at <= now:
                places.append(one.place)
                one.greeted += 1
                one.greet_at = now + max(one.pause, len(self._at) / GREETINGS_RATE)
                one.pause = min(2 * one.pause, LONGEST_GREETING)
        return places

    def greet(self, now: float) -> None:
        """Greet at once who is not there: this node is on another network now, or was asleep."""
        for one in self._at.values():
            if one.is_greeted and not one.is_there:
                one.greet_at, one.pause = now, FIRST_GREETING

    def deadline(self) -> float | None:
        """Return when the next greeting is due."""
        times = (one.greet_at for one in self._at.values() if one.greet_at is not None)
        return min(times, default=None)


class Ports:
    """From which port of an address each node writes; anybody can make one up.

    Once it was the ``usual`` one, at which nodes hear, no other counts. A router may change ports.
    """

    def __init__(self, usual: int) -> None:
        self._usual = usual
        self._ports: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._ports)

    def note(self, now: float, place: Place, node: str) -> None:
        """Learn that a node has written from a place."""
        key = place[0], node
        before, _ = self._ports.get(key, (0, 0.0))
        self._ports[key] = before if before == self._usual else place[1], now
        self._ports.move_to_end(key)
        if len(self._ports) > MOST_WRITERS:
            self._ports.popitem(last=False)

    def of(self, address: str, node: str) -> int | None:
        """Return the port of a node at an address, None where it has not written from there."""
        known = self._ports.get((address, node))
        return None if known is None else known[0]

    def silence(self, now: float, address: str, node: str) -> float:
        """Return for how many seconds a node has not written from an address."""
        _, at = self._ports.get((address, node), (0, float("-inf")))
        return now - at
