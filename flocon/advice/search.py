"""Who has it: the machines that hold a package, or each file with a part in its name.

Looks through inventories in slices and lets others run meanwhile, for one question at a time. Whom
this node would ask, and why, is ``why``'s to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.internet import task
from twisted.internet.defer import DeferredLock

from flocon.files import package_of, parse_file_name
from flocon.pacman.versions import version_key
from flocon.presence.presence import MOST_HOLDERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flocon.files import Content
    from flocon.holdings.offering import Held, Offering
    from flocon.neighbours.neighbourhood import Neighbourhood
    from flocon.pacman.entries import Entry
    from flocon.pacman.watch import PacmanWatch
    from flocon.presence.presence import Presence

#: Files in one answer, and how many of them are described in one go.
MOST_FILES = 500
ROWS = 25
#: Holders that are named of one file, and in one answer; the others are counted.
MOST_NAMED, MOST_NAMED_IN_ALL = 20, 2_000
#: Names of this node's own inventory that a search looks at in one go.
SLICE = 5_000


class _Holders(NamedTuple):
    """Some of the peers that hold a file, and how many do."""

    nodes: Sequence[str]
    number: int


NOBODY = _Holders((), 0)


class Search:
    """Answers ``/search.json``; ``node`` gives this node's id, which may change."""

    def __init__(
        self,
        reactor: Any,
        *,
        node: Callable[[], str],
        offering: Offering,
        pacman: PacmanWatch,
        neighbourhood: Neighbourhood,
        presence: Presence,
    ) -> None:
        self._reactor = reactor
        #: One at a time looks through everything.
        self._turn = DeferredLock()
        self._node = node
        self._offering = offering
        self._pacman = pacman
        self._neighbourhood = neighbourhood
        self._presence = presence

    async def search(self, fields: Mapping[str, str]) -> dict[str, Any] | None:
        """Tell who holds the package ``name``, or every file with ``part`` in its name."""
        name, part = fields.get("name", ""), fields.get("part", "")
        if bool(name) == bool(part):
            return None
        await self._turn.acquire()
        try:
            return await self._search(name, part)
        finally:
            self._turn.release()

    async def _search(self, name: str, part: str) -> dict[str, Any]:
        found = await self._find(f"{name}-" if name else part, name)
        listed = self._pacman.listing.named(name, further=True) if name else []
        told = sorted(found, key=lambda file: file[0])
        told.sort(key=lambda file: _version_key(file[0]), reverse=True)
        told.sort(key=lambda file: package_of(file[0]))
        del told[MOST_FILES:]
        named = min(MOST_NAMED, MOST_NAMED_IN_ALL // max(1, len(told)))
        rows: list[dict[str, Any]] = []
        for start in range(0, len(told), ROWS):
            rows += [self._row(*file, found[file], named) for file in told[start : start + ROWS]]
            await task.deferLater(self._reactor, 0)
        return {
            "node": self._node(),
            "listed": [entry_values(entry) for entry in listed[:MOST_FILES]],
            "files": rows,
            "truncated": len(found) > MOST_FILES,
        }

    async def contents(self, file_name: str) -> dict[str, Content]:
        """Return what each peer holds under a name, one of several; let others run meanwhile."""
        await self._turn.acquire()
        try:
            holding: dict[str, Content] = {}
            contents = 0
            for batch in self._neighbourhood.holders.search(file_name, named=MOST_HOLDERS):
                for file, content, nodes, _ in batch:
                    if file == file_name:
                        contents += 1
                        holding.update(dict.fromkeys(nodes, content))
                if contents > MOST_FILES:
                    break
                await task.deferLater(self._reactor, 0)
            return holding
        finally:
            self._turn.release()

    async def _find(self, part: str, name: str) -> dict[tuple[str, Content], _Holders]:
        """Return who holds each file with ``part`` in its name; let others run meanwhile.

        One more than may be answered is enough.
        """
        found: dict[tuple[str, Content], _Holders] = {}
        for batch in self._neighbourhood.holders.search(part, named=MOST_NAMED):
            for file, content, nodes, count in batch:
                if _is_called(file, name):
                    found[file, content] = _Holders(nodes, count)
            if len(found) > MOST_FILES:
                break
            await task.deferLater(self._reactor, 0)
        inventory = self._offering.inventory
        own = list(inventory.names())
        most = len(found) + MOST_FILES
        for start in range(0, len(own), SLICE):
            for file in own[start : start + SLICE]:
                held = inventory.get(file) if part in file else None
                if held is not None and _is_called(file, name):
                    found.setdefault((file, held), NOBODY)
                    if len(found) > most:
                        return found
            await task.deferLater(self._reactor, 0)
        return found

    def _row(
        self, file_name: str, content: Content, holders: _Holders, named: int
    ) -> dict[str, Any]:
        file = parse_file_name(file_name)
        entries = self._pacman.listing.find(file_name)
        here = held_with(self._offering, file_name, content)
        nodes = holders.nodes[:named]
        return {
            "file": file_name,
            "name": package_of(file_name),
            "version": file.version if file else "",
            "architecture": file.architecture if file else "",
            "size": content.size,
            "sha256": content.sha256.hex(),
            "listed": [one.repository for one in entries if one.content == content],
            "here": here.origin if here else None,
            "holders": [self._who(node) for node in nodes],
            "more_holders": holders.number - len(nodes),
        }

    def _who(self, node: str) -> dict[str, Any]:
        peer = self._presence.peer(node)
        if peer is None:
            return {"node": node, "name": "", "address": ""}
        return {"node": node, "name": peer.name, "address": peer.address}


def _version_key(file_name: str) -> Any:
    file = parse_file_name(file_name)
    return version_key(file.version if file else "")


def held_with(offering: Offering, file_name: str, content: Content | None) -> Held | None:
    """Return the file if it is held here, with this content where given."""
    found = offering.find(file_name)
    return found if found and content in {None, found.content} else None


def _is_called(file_name: str, name: str) -> bool:
    """Whether a file is of the package ``name``, or any name will do."""
    file = parse_file_name(file_name) if name else None
    return not name or (file is not None and file.name == name)


def entry_values(entry: Entry) -> dict[str, Any]:
    """Return what a sync database says of a package, as JSON's values."""
    return {
        "repository": entry.repository,
        "file": entry.file_name,
        "version": entry.version,
        "size": entry.size,
        "sha256": entry.sha256.hex(),
    }
