"""Who has it: the machines that hold a package, in all versions or the newest, or a part of a name.

Looks through inventories in slices and lets others run meanwhile, for one question at a time. Whom
this node would ask, and why, is ``why``'s to say.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from twisted.internet import task
from twisted.internet.defer import DeferredLock

from flocon.files import is_package, package_of, parse_file_name
from flocon.pacman.versions import version_key
from flocon.presence.presence import MOST_HOLDERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from flocon.files import Content
    from flocon.foreign.place import Place
    from flocon.holdings.inventory import Inventory
    from flocon.holdings.offering import Held, Offering
    from flocon.neighbours.neighbourhood import Neighbourhood
    from flocon.neighbours.searching import Found, Table
    from flocon.pacman.entries import Entry
    from flocon.pacman.watch import PacmanWatch
    from flocon.presence.presence import Presence

#: Files in one answer, and how many of them are described in one go.
MOST_FILES = 500
ROWS = 25
#: Holders that are named of one file, and in one answer; the others are counted.
MOST_NAMED, MOST_NAMED_IN_ALL = 20, 2_000
#: Names of this node's own inventory that a search looks at in one go, and files of peers with
#: their holders.
SLICE = 5_000
BATCH = 1_000
#: And files that other tools' machines list.
FOREIGN_SLICE = 2_000
#: Files that are told where the newest is asked for: for who tries one after the other. And those
#: that are kept for it, and looked at in one go with their holders: versions take long to compare.
MOST_NEWEST = 20
MOST_CROWD = 10_000
FEW = 200
#: Where another tool's machine is, and how large it says a file is.
Listing: TypeAlias = "tuple[Place, int | None]"


class _Holders(NamedTuple):
    """Some of the peers that hold a file, and how many do."""

    nodes: Sequence[str]
    number: int


NOBODY = _Holders((), 0)


class Search:
    """Answers ``/search.json`` and ``/list.json``; ``node`` gives this node's id, which may change.

    ``foreign`` gives what other tools' machines list: where, the file, and its size.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        node: Callable[[], str],
        offering: Offering,
        pacman: PacmanWatch,
        neighbourhood: Neighbourhood,
        presence: Presence,
        foreign: Callable[[], Iterable[tuple[Place, str, int | None]]] = tuple,
    ) -> None:
        self._reactor = reactor
        #: One at a time looks through everything.
        self.turn = DeferredLock()
        self.node = node
        self._foreign = foreign
        self._offering = offering
        self._pacman = pacman
        self._neighbourhood = neighbourhood
        self._presence = presence

    @property
    def inventory(self) -> Inventory:
        """What this node itself holds."""
        return self._offering.inventory

    def table(self) -> Table:
        """Return what peers hold, as ``searching`` looks through it."""
        return self._neighbourhood.holders.table()

    async def search(self, fields: Mapping[str, str]) -> dict[str, Any] | None:
        """Tell who holds the package ``name``, or every file with ``part`` in its name.

        With ``newest`` only the newest files of the package that are for this machine.
        """
        name, part, newest = (fields.get(one, "") for one in ("name", "part", "newest"))
        if bool(name) == bool(part) or (newest and not name):
            return None
        await self.turn.acquire()
        try:
            return await (self._newest(name) if newest else self._search(name, part))
        finally:
            self.turn.release()

    async def page(self, fields: Mapping[str, str]) -> dict[str, Any] | None:
        """Tell a page of all that is held, as ``all_held`` does."""
        from flocon.advice.all_held import AllHeld  # noqa: PLC0415 - only a person ever asks

        return await AllHeld(self._reactor, self).page(fields)

    async def _newest(self, name: str) -> dict[str, Any]:
        from flocon.advice.newest import Newest, Row  # noqa: PLC0415 - as above

        newest = Newest(name, self._pacman.configuration.architectures)
        holders: dict[Row, _Holders] = {}
        for parts in (self._at_peers(f"{name}-", name, FEW), self._own(f"{name}-", name)):
            for part in parts:
                for file, content, nodes, count in part:
                    row = Row(file, content)
                    newest.add(row, self._places(nodes))
                    holders.setdefault(row, _Holders(nodes, count))
                if len(holders) > MOST_CROWD:
                    holders = {row: holders[row] for row in newest.kept()}
                await task.deferLater(self._reactor, 0)
        listings = await self._listings(name, name)
        for file in listings:
            newest.add(Row(file, None), [str(place) for place, _ in listings[file]])
        rows = [
            self.foreign_row(row.file_name, listings[row.file_name])
            if row.content is None
            else self.row(row.file_name, row.content, *holders[row])
            for row in newest.rows(MOST_NEWEST)
        ]
        listed = self._pacman.listing.named(name, further=True)
        return self._answer(listed, rows, truncated=False)

    def _answer(
        self, listed: Sequence[Entry], rows: list[dict[str, Any]], *, truncated: bool
    ) -> dict[str, Any]:
        return {
            "node": self.node(),
            "listed": [entry_values(entry) for entry in listed[:MOST_FILES]],
            "files": rows,
            "truncated": truncated,
        }

    async def _search(self, name: str, part: str) -> dict[str, Any]:
        found = await self._find(f"{name}-" if name else part, name)
        listed = self._pacman.listing.named(name, further=True) if name else []
        listings = await self._listings(part, name)
        told: list[tuple[str, Content | None]] = sorted(found, key=lambda file: file[0])
        told += [(file, None) for file in sorted(listings)]
        told.sort(key=lambda file: _version_key(file[0]), reverse=True)
        told.sort(key=lambda file: package_of(file[0]))
        truncated = len(told) > MOST_FILES
        del told[MOST_FILES:]
        named = min(MOST_NAMED, MOST_NAMED_IN_ALL // max(1, len(told)))
        rows: list[dict[str, Any]] = []
        for start in range(0, len(told), ROWS):
            for file, content in told[start : start + ROWS]:
                if content is None:
                    rows.append(self.foreign_row(file, listings[file]))
                else:
                    nodes, number = found[file, content]
                    rows.append(self.row(file, content, nodes[:named], number))
            await task.deferLater(self._reactor, 0)
        return self._answer(listed, rows, truncated=truncated)

    async def _listings(self, part: str, name: str) -> dict[str, list[Listing]]:
        """Return what other tools' machines list of it, by file; no more than may be answered."""
        found: dict[str, list[Listing]] = {}
        for rows in self.foreign_slices():
            for place, file, size in rows:
                if part in file and is_package(file) and _is_called(file, name):
                    if file not in found and len(found) > MOST_FILES:
                        return await self.told_once(found)
                    found.setdefault(file, []).append((place, size))
            await task.deferLater(self._reactor, 0)
        return await self.told_once(found)

    async def told_once(self, listings: dict[str, list[Listing]]) -> dict[str, list[Listing]]:
        """Return what is listed without what a node on the very same machine tells as well."""
        from flocon.advice.beside import Beside  # noqa: PLC0415 - only a person ever asks

        if listings:
            await Beside(self.table(), self._presence.nodes_at).drop(self._reactor, listings)
        return listings

    def foreign_slices(self) -> Iterator[list[tuple[Place, str, int | None]]]:
        """Yield what other tools' machines list, so much of it as is looked at in one go."""
        every = iter(self._foreign())
        while rows := list(islice(every, FOREIGN_SLICE)):
            yield rows

    async def contents(self, file_name: str) -> dict[str, Content]:
        """Return what each peer holds under a name, one of several; let others run meanwhile."""
        await self.turn.acquire()
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
            self.turn.release()

    async def _find(self, part: str, name: str) -> dict[tuple[str, Content], _Holders]:
        """Return who holds each file with ``part`` in its name; let others run meanwhile.

        One more than may be answered is enough, of peers and of this node.
        """
        found: dict[tuple[str, Content], _Holders] = {}
        for parts in (self._at_peers(part, name), self._own(part, name)):
            most = len(found) + MOST_FILES
            for batch in parts:
                for file, content, nodes, count in batch:
                    found.setdefault((file, content), _Holders(nodes, count))
                if len(found) > most:
                    break
                await task.deferLater(self._reactor, 0)
        return found

    def _at_peers(self, part: str, name: str, size: int = BATCH) -> Iterator[list[Found]]:
        """Yield, in slices, each file of peers with ``part`` in its name."""
        for batch in self._neighbourhood.holders.search(part, named=MOST_NAMED, batch=size):
            yield [one for one in batch if _is_called(one.file_name, name)]

    def _own(self, part: str, name: str) -> Iterator[list[Found]]:
        """Yield the same of this node's own; no holder of them is told."""
        from flocon.neighbours.searching import Found  # noqa: PLC0415 - only a person ever searches

        inventory = self.inventory
        own = list(inventory.names())
        for start in range(0, len(own), SLICE):
            fitting = ((file, inventory.get(file)) for file in own[start : start + SLICE])
            yield [
                Found(file, held, [], 0)
                for file, held in fitting
                if held is not None and part in file and _is_called(file, name)
            ]

    def row(
        self, file_name: str, content: Content, nodes: Sequence[str], number: int
    ) -> dict[str, Any]:
        """Return a file as JSON's values: of its ``number`` holders these are named."""
        entries = self._pacman.listing.find(file_name)
        here = held_with(self._offering, file_name, content)
        return _named(file_name) | {
            "size": content.size,
            "sha256": content.sha256.hex(),
            "listed": [one.repository for one in entries if one.content == content],
            "here": here.origin if here else None,
            "holders": [self._who(node) for node in nodes],
            "more_holders": number - len(nodes),
        }

    def foreign_row(self, file_name: str, listings: Sequence[Listing]) -> dict[str, Any]:
        """Return a file that other tools' machines list, who tell no SHA-256, perhaps no size."""
        named = [str(place) for place, _ in listings[:MOST_NAMED]]
        told = [{"node": "", "name": name, "address": ""} for name in named]
        size = next((size for _, size in listings if size is not None), None)
        entries = self._pacman.listing.find(file_name)
        return _named(file_name) | {
            "size": size,
            "sha256": None,
            "listed": [one.repository for one in entries if size in {None, one.content.size}],
            "here": None,
            "holders": told,
            "more_holders": len(listings) - len(told),
        }

    def _places(self, nodes: Iterable[str]) -> list[str]:
        """Return the addresses of some nodes; this machine is "" where there are none."""
        return [self._who(node)["address"] or node for node in nodes] or [""]

    def _who(self, node: str) -> dict[str, Any]:
        peer = self._presence.peer(node)
        if peer is None:
            return {"node": node, "name": "", "address": ""}
        return {"node": node, "name": peer.name, "address": peer.address}


def _named(file_name: str) -> dict[str, Any]:
    """Return what a package's file name says."""
    file = parse_file_name(file_name)
    return {
        "file": file_name,
        "name": package_of(file_name),
        "version": file.version if file else "",
        "architecture": file.architecture if file else "",
    }


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
