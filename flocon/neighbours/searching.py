"""Looks through what all peers hold for a part of a name, in slices: others run in between.

Decides nothing, and changes nothing of the table of ``replicas``.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from flocon.files import DIGEST_SIZE, Content
from flocon.neighbours.replicas import bits

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

#: Rows looked at in one go, about 3 ms, and what is given at once: files and their holders
#: together, another millisecond.
SLICE = 20_000
BATCH = 1_000
#: The same of rows of which each name is taken.
NAMES_SLICE = 4_000
#: What follows the name in a package's file name: version, release, and the rest.
_PARTS = 3
#: Holders of a file that are named; the others are counted.
MOST_NAMED = 20


class Table(NamedTuple):
    """What is looked through: masks of peers and sizes by key, and whose each bit is.

    ``live`` tells which bits count; ``doubts`` are keys that count no more, by the peer's bit.
    """

    masks: Mapping[bytes, int]
    sizes: Mapping[bytes, int]
    by_bit: Mapping[int, str]
    live: Callable[[], int]
    doubts: Iterable[tuple[int, Iterable[bytes]]]


class Found(NamedTuple):
    """A file, with some of its ``holders`` and how many there are."""

    file_name: str
    content: Content
    holders: list[str]
    number: int


def search(
    table: Table,
    fragment: str,
    *,
    entries: int = SLICE,
    batch: int = BATCH,
    named: int = MOST_NAMED,
) -> Iterator[list[Found]]:
    """Yield each file whose name contains ``fragment``, with up to ``named`` of its holders.

    In lists: one for every ``entries`` rows looked at, empty where nothing fits, and one as soon as
    ``batch`` files and holders are found, so that a caller may let others run in between. What
    changes meanwhile is seen or not.
    """
    wanted = fragment.encode("ascii", "replace")
    doubted = doubts(table)
    for keys_of_slice in keys(table, entries):
        part: list[Found] = []
        size = 0
        for key in [key for key in keys_of_slice if wanted in key[:-DIGEST_SIZE]]:
            one = found(table, key, doubted.get(key, 0), named)
            if one is not None:
                part.append(one)
                size += 1 + len(one.holders)
            if size >= batch:
                yield part
                part, size = [], 0
        yield part


def packages(
    table: Table, peers: Collection[str], most: int, entries: int = NAMES_SLICE
) -> Iterator[dict[str, set[str]]]:
    """Yield the names of packages of which some peers hold files, by peer; ``most`` of each.

    One piece for every ``entries`` rows, so that a caller may let others run in between; a name may
    come again. What changes meanwhile is seen or not.
    """
    by_bit = {bit: node for bit, node in table.by_bit.items() if node in peers}
    wanted = sum(1 << bit for bit in by_bit)
    left = dict.fromkeys(by_bit.values(), most)
    for keys_of_slice in keys(table, entries):
        part: dict[str, set[str]] = {}
        for key in keys_of_slice:
            mask = table.masks.get(key, 0) & wanted & table.live()
            if mask:
                name = key[:-DIGEST_SIZE].decode("ascii").rsplit("-", _PARTS)[0]
                for bit in bits(mask):
                    part.setdefault(by_bit[bit], set()).add(name)
        for node, names in part.items():
            part[node] = set(islice(names, left[node]))
            left[node] -= len(part[node])
        yield part


def keys(table: Table, entries: int = SLICE) -> Iterator[list[bytes]]:
    """Yield the keys of all rows, in slices of ``entries``; some may have no holder any more."""
    every = list(table.masks)
    for start in range(0, len(every), entries):
        yield every[start : start + entries]


def doubts(table: Table) -> dict[bytes, int]:
    """Return which peers, as a mask, have a file no more by what a datagram says."""
    doubted: dict[bytes, int] = {}
    for bit, gone in table.doubts:
        for key in gone:
            doubted[key] = doubted.get(key, 0) | 1 << bit
    return doubted


def found(table: Table, key: bytes, doubted: int, named: int = MOST_NAMED) -> Found | None:
    """Return the file of a key, with up to ``named`` of its holders; None where there is none.

    Those of the mask ``doubted`` do not count.
    """
    mask = table.masks.get(key, 0) & table.live() & ~doubted
    if not mask:
        return None
    holders = [table.by_bit[bit] for bit in islice(bits(mask), named)]
    content = Content(table.sizes[key], key[-DIGEST_SIZE:])
    return Found(key[:-DIGEST_SIZE].decode("ascii"), content, holders, mask.bit_count())
