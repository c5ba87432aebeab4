"""The store's accounts: what its packages take, who has them open, and which of them goes first.

The bound is for packages and signatures together; what comes in, and what is still read of the
deleted, counts against it too. Nothing is written or deleted here. What is protected never goes,
whatever the bound says: who protects it sees to it that somebody hears of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from flocon.store.room import SLACK, Room, Share
from flocon.store.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from flocon.store.room import Lessee

#: Left free on the store's file system: a twentieth of it, at most this many bytes.
MOST_RESERVE = 1 << 30
#: Room beyond a file's own size before it is begun on disk.
MARGIN = 4 << 20
#: Left free beside what nobody waits for: a tenth of the file system, at most so many bytes.
MOST_RESERVE_AHEAD = 2 << 30
#: Bytes of packages that may be deleted while somebody reads them, beyond the bound.
MOST_NAMELESS = SLACK // 2
#: What passes through to pacman here and cannot be kept: files, and their bytes together where the
#: store is smaller than that. A single one may have any size.
MOST_PASSING = 32
LEAST_FOR_PASSING = 1 << 30


class Space(NamedTuple):
    """A file system's size and what is free of it, in bytes."""

    whole: int
    free: int


class Loan(NamedTuple):
    """A package of the store that somebody has open."""

    share: Share
    lessee: Lessee


if TYPE_CHECKING:

    class Arrival(Protocol):
        """A file that comes in; ``incoming`` makes it."""

        @property
        def share(self) -> Share: ...

        @property
        def keep(self) -> bool:
            """Whether it can become a package."""

        @property
        def spares(self) -> bool:
            """Whether packages that were used lately stay when room is made for it."""

        @property
        def is_passing(self) -> bool:
            """Whether it only passes through on its way to this machine's pacman."""

        @property
        def unwritten(self) -> int:
            """How many bytes of the disk it has yet to take."""


class Accounts:
    """The packages' sizes and the order of their last use, within ``max_size`` bytes.

    ``space`` tells how much room their disk had when it was last looked at, ``wall`` the time in
    seconds since 1970.
    """

    def __init__(
        self, max_size: int, space: Callable[[], Space], wall: Callable[[], float] = float
    ) -> None:
        self.max_size = max_size
        self._wall = wall
        #: What the packages take.
        self.size = 0
        self.room = Room()
        self._space = space
        #: Files on their way in that lie on disk; how many lie in memory is no matter here.
        self._arrivals: set[Arrival] = set()
        #: What each package takes with its signature, and who has it open.
        self._kept: dict[str, Share] = {}
        #: Those that somebody has open.
        self._lent: set[Share] = set()
        self.turns = Turns(wall)
        #: Which packages never go, nor while somebody has them open; None where any may.
        self._protects: Callable[[str], bool] | None = None
        #: What may go for what nobody waits for, and the second for which that was worked out; it
        #: is asked for each package that is wanted.
        self._spare: tuple[int, int] | None = None

    # Files on their way in

    def can_keep(self, size: int) -> bool:
        """Return whether there is room for a file without anybody being cut off."""
        free = self._space().free - self._arriving
        return size + MARGIN <= free and self._immovable + size <= self.max_size

    def has_room_ahead(self, size: int) -> bool:
        """Return whether there is room for a file that nobody waits for.

        The disk stays free for others, and nothing goes for it that was used lately.
        """
        whole, free = self._space()
        if free - self._arriving - size < min(MOST_RESERVE_AHEAD, whole // 10):
            return False
        over = self.size + self._beside + size - self.max_size
        return over <= 0 or over <= self._spare_bytes()

    def _spare_bytes(self) -> int:
        """Return how many bytes were not used lately and are open to nobody."""
        second = int(self._wall())
        if self._spare is None or self._spare[0] != second:
            spare = sum(
                share.size
                for name, share in self._kept.items()
                if not share.lessees
                and not self.turns.is_lately(name)
                and not self._is_protected(name)
            )
            self._spare = second, spare
        return self._spare[1]

    def has_room(self, size: int, lessee: Lessee) -> bool:
        """Return whether a file of this size can be kept: the disk has room, and the bound."""
        if size > self.max_size or not self.fits(size, lessee):
            return False
        promised = sum(one.share.size for one in self._arrivals if one.keep)
        return self._space().free >= promised + size + MARGIN

    def fits(self, size: int, lessee: Lessee) -> bool:
        """Return whether the bound has room on disk for so much, once packages made way for it."""
        over = self._immovable + size - self.max_size
        if over > 0:
            self.room.clear_disk(over, own=lessee.own)
        if lessee.own:
            self._cut_readers(self._immovable + size - self.max_size)
        return self._immovable + size <= self.max_size

    def admit(self, arrival: Arrival) -> None:
        """Count a file that comes in, until ``release``."""
        self.room.take(arrival.share)
        if not arrival.share.memory:
            self._arrivals.add(arrival)

    def elsewhere(self) -> Iterator[Arrival]:
        """Yield the files that come in and do not lie in the store."""
        return (one for one in self._arrivals if not one.keep)

    def may_pass(self, size: int, growing: Share | None = None) -> bool:
        """Return whether so much more may pass through to pacman, of a new file or a growing one.

        The next server is asked by pacman for what may not.
        """
        passing = [one.share for one in self._arrivals if one.is_passing]
        others = [one for one in passing if one is not growing]
        if not others:
            return True
        most = max(self.max_size, LEAST_FOR_PASSING)
        fits = sum(share.size for share in passing) + size <= most
        return fits and len(others) < MOST_PASSING

    def grow(self, arrival: Arrival, size: int) -> bool:
        """Count a file that becomes larger than it was begun with; return whether it may."""
        share = arrival.share
        more = size - share.size
        if more <= 0:
            return True
        if share.memory:
            fits = self.room.has_memory(more, own=share.own)
        elif arrival.is_passing:
            fits = self.may_pass(more, share)
        else:
            fits = self.fits(more, share.lessees[0])
        if fits:
            self.room.resize(share, size)
        return fits

    def release(self, arrival: Arrival) -> None:
        """Count a file no longer that nobody has open."""
        self._arrivals.discard(arrival)
        self.room.give(arrival.share)

    def placed(self, arrival: Arrival, file_name: str) -> Loan | None:
        """Count a received file as the package it has become, open as any other of those."""
        if arrival.share.memory:
            return None
        self.room.give(arrival.share)
        return self.lend(file_name, arrival.share.lessees[0])

    @property
    def _immovable(self) -> int:
        """How many bytes of disk are taken by what is open, and cannot just be deleted."""
        return self._arriving + max(0, self.room.nameless + self._lent_bytes - MOST_NAMELESS)

    @property
    def _beside(self) -> int:
        """How many bytes of disk are taken beside the packages, and leave them less."""
        return self._arriving + max(0, self.room.nameless - MOST_NAMELESS)

    @property
    def _arriving(self) -> int:
        """How many bytes come in, save what only passes through on its way to pacman."""
        passing = sum(one.share.size for one in self._arrivals if one.is_passing)
        return self.room.disk - self.room.nameless - passing

    @property
    def _lent_bytes(self) -> int:
        return sum(share.size for share in self._lent)

    def _cut_readers(self, over: int) -> None:
        """Have strangers close packages of the store, until so many bytes can be deleted."""
        for share in sorted(self._lent, key=lambda share: share.size, reverse=True):
            if over <= 0:
                return
            if not share.own:
                over -= share.size
                for lessee in list(share.lessees):
                    lessee.cut()

    # Packages

    def account(self, file_name: str, size: int | None) -> None:
        """Count ``size`` bytes for a package with its signature, or (None) no longer."""
        self._spare = None
        share = self._kept.get(file_name)
        if share is not None and share.size != size:
            del self._kept[file_name]
            self.size -= share.size
            if share.lessees:
                # The disk has it until they close it.
                self._lent.discard(share)
                share.nameless = True
                self.room.take(share)
        if size is None:
            self.turns.forget(file_name)
        elif file_name not in self._kept:
            self._kept[file_name] = Share(size)
            self.size += size

    def lend(self, file_name: str, lessee: Lessee) -> Loan | None:
        """Note that somebody has a package open, until ``end``; None where it is not accounted."""
        share = self._kept.get(file_name)
        if share is None:
            return None
        share.lessees.append(lessee)
        self._spare = None
        self._lent.add(share)
        return Loan(share, lessee)

    def is_open(self, file_name: str) -> bool:
        """Whether somebody has a package open."""
        share = self._kept.get(file_name)
        return share is not None and bool(share.lessees)

    def end(self, loan: Loan) -> None:
        """Note that it was closed; again is no error."""
        share, lessee = loan
        if lessee in share.lessees:
            share.lessees.remove(lessee)
            self._spare = None
            if not share.lessees:
                self._lent.discard(share)
                self.room.give(share)

    def recall(self, turns: Mapping[str, int]) -> None:
        """Take the order of last use from what was remembered; unknown files are the oldest."""
        self._spare = None
        self.turns.recall(turns)

    def use(self, file_name: str) -> int:
        """Note that a package was used just now; return its turn, to be remembered."""
        self._spare = None
        return self.turns.use(file_name)

    def came_ahead(self, file_name: str) -> int:
        """Note that a package is here now that nobody has asked for; return its turn."""
        self._spare = None
        return self.turns.came_ahead(file_name)

    def want_ahead(self, file_names: Collection[str], by: str = "pacman") -> None:
        """Take these as what somebody wants before anybody asks.

        What was so before, and is not any more by anybody, goes first now.
        """
        self._spare = None
        self.turns.want_ahead(file_names, by)

    def protect(self, protects: Callable[[str], bool] | None) -> None:
        """Have packages stay that ``protects`` says of, and those that somebody has open."""
        self._spare = None
        self._protects = protects

    # What has to go

    @property
    def is_crowded(self) -> bool:
        """Whether packages have to make way for what is coming in."""
        return self.size + self._beside > self.max_size

    def bound(self, arriving: int = 0, counted: int = 0) -> int:
        """Return how many bytes the packages may take: less than ``max_size`` on a full disk.

        ``arriving`` are the bytes of a received file, on this disk already, of which ``counted``
        have a share.
        """
        whole, free = self._space()
        room = self.size + free + arriving - min(MOST_RESERVE, whole // 20)
        return max(0, min(self.max_size - self._beside + counted, room))

    def victims(
        self, needed: int, replacing: str = "", arriving: Arrival | None = None
    ) -> list[str] | None:
        """Return what has to go before ``needed`` more bytes come in, the longest unused first.

        ``replacing`` goes in any case; what somebody has open last, and only little of it, since
        the disk has it until it is closed; what was used lately not for what spares it, and what is
        protected never. None where ``needed`` cannot fit.
        """
        on_disk = arriving is not None and not arriving.share.memory
        bound = self.bound(needed, arriving.share.size if arriving and on_disk else 0)
        left = self.size
        going = []
        if replacing in self._kept:
            going.append(replacing)
            left -= self._kept[replacing].size
        nameless = self.room.nameless
        # Mostly there is room: the order of all packages is worked out only where there is none.
        for name in self._by_turn() if left + needed > bound else ():
            if left + needed <= bound:
                break
            if arriving is not None and arriving.spares and self.turns.is_lately(name):
                continue
            if self._is_protected(name):
                continue
            share = self._kept[name]
            if share.lessees:
                nameless += share.size
            if name != replacing and (not share.lessees or nameless <= MOST_NAMELESS):
                going.append(name)
                left -= share.size
        return going if left + needed <= bound or not needed else None

    def in_order(self) -> Iterable[tuple[str, Share]]:
        """Return all packages and their shares in the order in which they may go."""
        return ((name, self._kept[name]) for name in self.turns.in_order(self._kept))

    def _by_turn(self) -> Iterator[str]:
        """Yield packages in the order in which they may go: what somebody has open last."""
        order = self.turns.in_order(self._kept)
        yield from (name for name in order if not self._kept[name].lessees)
        yield from (name for name in order if self._kept[name].lessees)

    def _is_protected(self, file_name: str) -> bool:
        protects = self._protects
        return protects is not None and (self.is_open(file_name) or protects(file_name))
