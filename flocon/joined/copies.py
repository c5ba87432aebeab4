"""Copies of own packages on further nodes, so that the one that makes them may be off.

Which of them this node keeps is decided in ``sharing``; they come from who has them, as nobody
waits for it, and never while the link costs by the byte. What no generation lists any more goes.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from flocon.ahead.coming import Coming
from flocon.ahead.prefetch import Prefetch
from flocon.ahead.wishes import Once, Wishes
from flocon.errors import Broken
from flocon.files import Asked, is_package, parse_file_name
from flocon.joined.sharing import to_keep
from flocon.log import logger
from flocon.machine.remember import Notebook, recall
from flocon.machine.threads import Delay
from flocon.neighbours.neighbourhood import ORIGIN, RELAY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import Protocol

    from flocon.ahead.coming import Means
    from flocon.holdings.inventory import Change
    from flocon.joined.repositories import OwnRepositories
    from flocon.pacman.entries import Entry
    from flocon.presence.peer import Peer
    from flocon.sources.ranking import OwnNode

    class Shelf(Protocol):
        """The store, as far as copies are dropped there."""

        def sha256(self, name: str) -> bytes | None:
            """Return what lies there under a name, None where nobody knows."""

        async def remove(self, names: Iterable[str]) -> list[str]:
            """Remove packages that may go; return which those were."""


#: What was kept is remembered below the store's folder.
COPIES_FILE = "copies.json"
#: Seconds from news of peers to looking who keeps what, and between two such looks.
NEWS_PAUSE = 5.0
#: Copies that are remembered: an own repository has hundreds.
MOST_REMEMBERED = 20_000


class Copies(Coming):
    """Keeps this node's share of what ``repositories`` list.

    ``copies`` tells on how many nodes each package is kept, ``most`` how many bytes of them may be
    here; ``shelf`` removes what is not wanted any more.
    """

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        means: Means,
        repositories: OwnRepositories,
        *,
        own: OwnNode,
        copies: Callable[[], int],
        most: int,
        shelf: Shelf,
        file: Path,
    ) -> None:
        super().__init__(means)
        self._reactor = reactor
        self._repositories = repositories
        self._own = own
        self._copies = copies
        self._most = most
        self._shelf = shelf
        self._notes = Notebook(reactor, file)
        #: File names that are, or were, kept here as copies.
        self._kept: set[str] = {name for name in _names(recall(file)) if is_package(name)}
        #: Of those what is to be kept now, by name.
        self._wanted: dict[str, Entry] = {}
        self._wishes = Wishes(most, Once())
        self.prefetch = Prefetch(
            reactor,
            self,
            self._wishes,
            random.Random().uniform,  # noqa: S311 - spreads looks, guards nothing
            delay=0.0,
            purpose="copies of own packages",
        )
        self._news = Delay(reactor, self._look_again)
        #: The nodes that are known to have own repositories.
        self._having: set[str] = set()

    def start(self, *, free: bool) -> None:
        """Begin; ``free`` if the link costs nothing."""
        before = self._means.neighbourhood.news

        def news(changes: Iterable[Change] | None) -> None:
            before(changes)
            self.prefetch.news(changes)
            if changes is None:
                self._news.begin(NEWS_PAUSE)

        self._means.neighbourhood.news = news
        self.prefetch.startService()
        self.allow(free=free)

    def allow(self, *, free: bool) -> None:
        """Fetch what others hold, or rest while each byte costs."""
        self.prefetch.allow("lan" if free else "off")

    def stop(self) -> None:
        self._news.stop()
        self.prefetch.stopService()

    def changed(self) -> None:
        """Learn that a repository is another one."""
        self._look_again()

    def _look_again(self) -> None:
        """Look anew who keeps what; what failed to come, or got lost, is tried again."""
        self._wishes.once = Once()
        self._wishes.forgive()
        self.prefetch.wake()

    def heard(self, peer: Peer) -> None:
        """Learn of a node that has own repositories: it may keep some of theirs from now on."""
        if peer.node not in self._having:
            self._having.add(peer.node)
            self._news.begin(NEWS_PAUSE)

    # What is kept

    def protects(self, file_name: str) -> bool:
        """Whether a package of the store stays whatever its bound: it is one of the copies."""
        entry = self._wanted.get(file_name)
        return entry is not None and self._shelf.sha256(file_name) == entry.sha256

    def held(self, changes: Iterable[Change]) -> None:
        """Learn what came to be held here, or is no more."""
        if any(not one.held and one.file_name in self._wanted for one in changes):
            self._news.begin(NEWS_PAUSE)

    async def find(self) -> list[tuple[Entry, bool]]:
        """Return what is to be kept here and is not; what no generation lists any more goes."""
        await self._means.neighbourhood.acquainted()
        self._having = {peer.node for peer in self._means.neighbourhood.proved() if peer.own}
        self._wanted = wanted = self._find_wanted()
        self._means.arrivals.accounts.want_ahead(set(wanted), by="copies")
        await self._drop()
        self._remember(self._kept.union(wanted))
        return [(entry, False) for entry in wanted.values()]

    def _find_wanted(self) -> dict[str, Entry]:
        wanted: dict[str, Entry] = {}
        left = self._most
        for name, known in sorted(self._repositories.known.items()):
            if known.database is None or known.trusted.publishes or not self._may_keep(name):
                continue
            entries, others = known.database.entries, self._others(name)
            for entry in to_keep(self._own.node, entries, others, self._copies(), left):
                wanted[entry.file_name] = entry
                left -= entry.size
        return wanted

    def _may_keep(self, name: str) -> bool:
        """Whether this node is one of those that may keep packages of a repository."""
        return self._own.relays and not self._means.neighbourhood.is_private(name)

    def _others(self, name: str) -> set[str]:
        """Return the other nodes that may keep packages of a repository, one of each address.

        One machine that is many nodes would else be all that keep a package, and give none.
        """
        of: dict[str, str] = {}
        for peer in self._means.neighbourhood.proved():
            is_one = RELAY in peer.abilities and ORIGIN not in peer.abilities
            if is_one and any(called == name for called, _ in peer.own):
                of[peer.address] = min(peer.node, of.get(peer.address, peer.node))
        return set(of.values())

    async def _drop(self) -> None:
        """Remove copies that no generation lists; others are used as whatever the store has."""
        listed = {
            name
            for known in self._repositories.known.values()
            if known.database is not None
            for name in known.database.entries
        }
        going = [name for name in self._kept if name not in listed]
        if going:
            removed = await self._shelf.remove(going)
            self._log.debug("{count} copies were dropped", count=len(removed))
        self._kept &= listed

    def _remember(self, kept: set[str]) -> None:
        remembered = sorted(kept)[:MOST_REMEMBERED]
        self._kept = set(remembered)
        self._notes.write(remembered)

    def describe(self, name: str) -> dict[str, int]:
        """Return how many packages of a repository are to be kept here, and how many are."""
        own = [entry for entry in self._wanted.values() if entry.repository == name]
        return {"wanted": len(own), "here": sum(map(self.holds, own))}

    # How it comes

    def has_owners(self, repository: str) -> bool:
        """Nobody is asked to fetch for it: no mirror has what an own repository has."""
        return False

    async def needs(self, entry: Entry) -> list[Entry]:
        """Return nothing: each is kept for itself."""
        return []

    async def fetch(self, entry: Entry, *, mirrors: bool, asked: bool) -> None:
        """Have a package brought here, as nobody waits for it; raises FloconError."""
        file = parse_file_name(entry.file_name)
        if file is None:
            raise Broken(entry.file_name, "is no package of an own repository")
        wanted = Asked(entry.repository, file.architecture, file)
        await self.bring(wanted, entry, mirrors=mirrors, asked=asked)


def _names(remembered: object) -> list[str]:
    rows = remembered if isinstance(remembered, list) else []
    return [row for row in rows if isinstance(row, str)]
