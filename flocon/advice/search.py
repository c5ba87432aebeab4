"""Who has it: the machines that hold a package, or each file with a part in its name.

Looks through inventories in slices, and lets others run meanwhile. Whom this node would ask, and
why, is ``why``'s to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import task

from flocon.files import parse_file_name
from flocon.pacman.versions import version_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flocon.files import Content
    from flocon.holdings.offering import Held, Offering
    from flocon.neighbours.neighbourhood import Neighbourhood
    from flocon.pacman.entries import Entry
    from flocon.pacman.watch import PacmanWatch
    from flocon.presence.presence import Presence

#: Files in one answer.
MOST_FILES = 500
#: Names of this node's own inventory that a search looks at in one go.
SLICE = 20_000


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
        found = await self.holders(f"{name}-" if name else part, name)
        listing = self._pacman.listing
        listed = listing.named(name, further=True) if name else []
        rows = [self._row(file, content, nodes) for (file, content), nodes in found.items()]
        rows.sort(key=lambda row: row["file"])
        rows.sort(key=lambda row: version_key(row["version"]), reverse=True)
        rows.sort(key=lambda row: row["name"])
        return {
            "node": self._node(),
            "listed": [entry_values(entry) for entry in listed[:MOST_FILES]],
            "files": rows[:MOST_FILES],
            "truncated": len(rows) > MOST_FILES,
        }

    async def holders(self, part: str, name: str = "") -> dict[tuple[str, Content], list[str]]:
        """Return the nodes that hold each file with ``part`` in its name; let others run meanwhile.

        One more than may be answered is enough.
        """
        found: dict[tuple[str, Content], list[str]] = {}
        for rows in self._neighbourhood.holders.search(part):
            for file, content, nodes in rows:
                if _is_called(file, name):
                    found.setdefault((file, content), []).extend(nodes)
            if len(found) > MOST_FILES:
                break
            await task.deferLater(self._reactor, 0)
        inventory = self._offering.inventory
        own = list(inventory.names())
        for start in range(0, len(own), SLICE):
            for file in own[start : start + SLICE]:
                held = inventory.get(file) if part in file else None
                if held is not None and _is_called(file, name):
                    found.setdefault((file, held), []).insert(0, self._node())
            if len(found) > 2 * MOST_FILES:
                break
            await task.deferLater(self._reactor, 0)
        return found

    def _row(self, file_name: str, content: Content, nodes: Sequence[str]) -> dict[str, Any]:
        file = parse_file_name(file_name)
        entries = self._pacman.listing.find(file_name)
        own = self._node()
        here = held_with(self._offering, file_name, content) if own in nodes else None
        return {
            "file": file_name,
            "name": file.name if file else file_name,
            "version": file.version if file else "",
            "architecture": file.architecture if file else "",
            "size": content.size,
            "sha256": content.sha256.hex(),
            "listed": [one.repository for one in entries if one.content == content],
            "here": here.origin if here else None,
            "holders": [self._who(node) for node in nodes if node != own],
        }

    def _who(self, node: str) -> dict[str, Any]:
        peer = self._presence.peer(node)
        if peer is None:
            return {"node": node, "name": "", "address": ""}
        return {"node": node, "name": peer.name, "address": peer.address}


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
