"""Packages that are wanted, and a LAN around them that is as a test says."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from flocon.pacman.entries import Entry


def entry(name: str, size: int = 10, repository: str = "core") -> Entry:
    return Entry(
        repository, f"{name}-1-1-any.pkg.tar.zst", name, "1-1", size, name.encode().ljust(32)
    )


class FakeAround:
    """What is known of packages, by their names; what was fetched, and how."""

    def __init__(self) -> None:
        self.here: set[str] = set()
        self.at_peers: set[str] = set()
        self.owners = False
        self.full: set[str] = set()
        self.coming: dict[str, int] = {}
        self.busy = True
        #: What pacman would install, of each whether it needs no download; what it needs.
        self.wanted: list[tuple[Entry, bool]] | None = []
        self.needed: list[Entry] = []
        self.failure: Exception | None = None
        self.found: Deferred[None] | None = None
        self.looks = 0
        self.asked_beside: list[str] = []
        self.fetches: dict[str, Deferred[None]] = {}
        #: Name, whether mirrors may be asked, whether a person asked.
        self.fetched: list[tuple[str, bool, bool]] = []

    def holds(self, entry: Entry) -> bool:
        return entry.name in self.here

    def is_at_peers(self, entry: Entry) -> bool:
        return entry.name in self.at_peers

    def has_owners(self, repository: str) -> bool:
        return self.owners

    def has_room(self, entry: Entry, *, asked: bool) -> bool:
        return asked or entry.name not in self.full

    def arrived_of(self, entry: Entry) -> int | None:
        return self.coming.get(entry.name)

    def is_busy(self) -> bool:
        return self.busy

    async def find(self) -> list[tuple[Entry, bool]] | None:
        self.looks += 1
        if self.found is not None:
            await self.found
        if self.failure is not None:
            raise self.failure
        return self.wanted

    async def needs(self, entry: Entry) -> list[Entry]:
        self.asked_beside.append(entry.name)
        if self.failure is not None:
            raise self.failure
        return self.needed

    async def fetch(self, entry: Entry, *, mirrors: bool, asked: bool) -> None:
        self.fetched.append((entry.name, mirrors, asked))
        self.fetches[entry.name] = Deferred()
        await self.fetches[entry.name]
        self.here.add(entry.name)

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.fetched]

    def end(self, *names: str) -> None:
        for name in names:
            self.fetches.pop(name).callback(None)

    def fail(self, name: str, failure: Exception) -> None:
        self.fetches.pop(name).errback(failure)
