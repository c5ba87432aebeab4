"""Which nodes keep a copy of which own package, beside the one that makes it. No I/O.

All that know of each other come to the same answer without a word, as owners of a file do: by
rendezvous hash. A node counts that has the repository, fetches for others, and does not make it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.sources.ranking import rank_owners

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from flocon.pacman.entries import Entry


def keepers(nodes: Collection[str], file_name: str, copies: int) -> list[str]:
    """Return who keeps a package, of those that may: the first ones by its name."""
    return rank_owners(nodes, file_name)[:copies]


def is_ours(own: str, others: Collection[str], file_name: str, copies: int) -> bool:
    """Whether the node ``own`` keeps a package, beside ``others`` that may keep it too."""
    return own in keepers({own, *others}, file_name, copies)


def to_keep(
    own: str,
    entries: Mapping[str, Entry],
    others: Collection[str],
    copies: int,
    most: int,
) -> list[Entry]:
    """Return the packages that ``own`` keeps, at most so many bytes of them, small ones first."""
    chosen: Iterable[Entry] = (
        entry for name, entry in entries.items() if is_ours(own, others, name, copies)
    )
    kept, left = [], most
    for entry in sorted(chosen, key=lambda one: (one.size, one.file_name)):
        if entry.size > left:
            break
        left -= entry.size
        kept.append(entry)
    return kept
