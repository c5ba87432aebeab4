"""All that this machine holds, or the whole LAN, in pages by name.

The command asks for one page after the other, each from where the one before ended: nothing is
kept for it here, and what changes meanwhile is seen or not. What other tools' machines list stands
among the files, without a SHA-256, since they tell none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from twisted.internet import task

from flocon.files import DIGEST_SIZE, is_package
from flocon.neighbours import searching

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flocon.advice.search import Listing, Search

#: Files of a page, the holders that are named of each, and how many files are described in one go.
PAGE = 500
MOST_NAMED = 20
ROWS = 25
#: Names that are looked at in one go: of a page in the middle all may be sorted.
SLICE = 4_000
#: Whose files are told.
HERE, LAN = "here", "lan"
_FIELDS = frozenset({"of", "after", "sha256", "most"})
#: Stands for a SHA-256 that nobody tells.
UNKNOWN = bytes(DIGEST_SIZE)


class _Lowest:
    """The lowest keys above one, as they are found in any order: ``most``, and whether more are."""

    def __init__(self, after: bytes, most: int) -> None:
        self._after = after
        self._most = most
        self._found: set[bytes] = set()
        self._bound: bytes | None = None
        self.more = False

    def add(self, keys: Iterable[bytes]) -> None:
        """Take a slice of keys."""
        after, bound = self._after, self._bound
        fitting = {key for key in keys if key > after and (bound is None or key < bound)}
        self._found |= fitting
        if len(self._found) > self._most:
            self.more = True
            kept = sorted(self._found)[: self._most]
            self._found, self._bound = set(kept), kept[-1]

    def keys(self) -> list[bytes]:
        return sorted(self._found)


class AllHeld:
    """Answers ``/list.json`` for a ``search``, whose turn it takes."""

    def __init__(self, reactor: Any, search: Search) -> None:
        self._reactor = reactor
        self._search = search

    async def page(self, fields: Mapping[str, str]) -> dict[str, Any] | None:
        """Tell one page of what is held ``of`` this machine ("here") or the whole "lan".

        ``after`` and ``sha256`` are those of the last file of the page before, ``most`` is how many
        files it may have.
        """
        of, most = fields.get("of", HERE), _number(fields.get("most", f"{PAGE}"))
        after = _key_of(fields.get("after", ""), fields.get("sha256", ""))
        if of not in {HERE, LAN} or after is None or most is None or set(fields) - _FIELDS:
            return None
        await self._search.turn.acquire()
        try:
            return await self._page(of, after, most)
        finally:
            self._search.turn.release()

    async def _page(self, of: str, after: bytes, most: int) -> dict[str, Any]:
        on_lan = of == LAN
        foreign = await self._listed_elsewhere() if on_lan else {}
        found = _Found(self._search, foreign, on_lan=on_lan)
        lowest = _Lowest(after, most)
        for keys in found.slices():
            lowest.add(keys)
            await task.deferLater(self._reactor, 0)
        told = lowest.keys()
        rows: list[dict[str, Any]] = []
        for start in range(0, len(told), ROWS):
            described = map(found.row, told[start : start + ROWS])
            rows += [row for row in described if row is not None]
            await task.deferLater(self._reactor, 0)
        return {
            "node": self._search.node(),
            "of": of,
            "files": rows,
            "next": _next(told[-1]) if lowest.more else None,
        }

    async def _listed_elsewhere(self) -> dict[bytes, list[Listing]]:
        """Return what other tools' machines list, by key."""
        found: dict[str, list[Listing]] = {}
        for rows in self._search.foreign_slices():
            for place, name, size in rows:
                if is_package(name):
                    found.setdefault(name, []).append((place, size))
            await task.deferLater(self._reactor, 0)
        found = await self._search.told_once(found)
        return {name.encode("ascii") + UNKNOWN: listings for name, listings in found.items()}


class _Found:
    """What there is now: this machine's files, those of peers ``on_lan``, and what others list."""

    def __init__(
        self, search: Search, foreign: Mapping[bytes, list[Listing]], *, on_lan: bool
    ) -> None:
        self._search = search
        self._inventory = search.inventory
        self._table = search.table() if on_lan else None
        self._doubts = searching.doubts(self._table) if self._table else {}
        self._foreign = foreign

    def slices(self) -> Iterator[Iterable[bytes]]:
        """Yield the keys of all files, in slices."""
        names = list(self._inventory.names())
        for start in range(0, len(names), SLICE):
            part = ((name, self._inventory.get(name)) for name in names[start : start + SLICE])
            yield [name.encode("ascii") + one.sha256 for name, one in part if one is not None]
        if self._table:
            yield from searching.keys(self._table, SLICE)
        elsewhere = list(self._foreign)
        for start in range(0, len(elsewhere), SLICE):
            yield elsewhere[start : start + SLICE]

    def row(self, key: bytes) -> dict[str, Any] | None:
        """Return a file as JSON's values; None where nobody has it any more."""
        name = key[:-DIGEST_SIZE].decode("ascii")
        if places := self._foreign.get(key):
            return self._search.foreign_row(name, places)
        at_peers = None
        if self._table:
            at_peers = searching.found(self._table, key, self._doubts.get(key, 0), MOST_NAMED)
        if at_peers is not None:
            return self._search.row(name, at_peers.content, at_peers.holders, at_peers.number)
        own = self._inventory.get(name)
        if own is None or own.sha256 != key[-DIGEST_SIZE:]:
            return None
        return self._search.row(name, own, (), 0)


def _number(text: str) -> int | None:
    """Return how many files a page may have; None where that makes no sense."""
    number = int(text) if re.fullmatch("[0-9]{1,4}", text) else 0
    return min(number, PAGE) or None


def _key_of(file_name: str, sha256: str) -> bytes | None:
    """Return the key of the last file that was told, b"" for none; None where it is none."""
    try:
        digest = bytes.fromhex(sha256)
        key = file_name.encode("ascii")
    except ValueError:
        return None
    if not file_name and not sha256:
        return b""
    return key + digest if is_package(file_name) and len(digest) == DIGEST_SIZE else None


def _next(key: bytes) -> dict[str, str]:
    """Return what is asked for to have the page after the one that ends with this."""
    return {"after": key[:-DIGEST_SIZE].decode("ascii"), "sha256": key[-DIGEST_SIZE:].hex()}
