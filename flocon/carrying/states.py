"""A state of the LAN's databases as a command sees it: what it lists, and what of it is where.

All of it comes from this machine's node, by content, and is verified once more here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flocon.errors import SyncDatabaseError
from flocon.files import is_repository
from flocon.pacman.database_files import load_sent
from flocon.snapshots.importing import named_pieces
from flocon.snapshots.whereabouts import MOST_ASKED, written
from flocon.states.generation import DatabaseFiles, Generation, Where, load
from flocon.states.policies import NOW
from flocon.terminal.asking import LONG_PATIENCE, Node, NodeError
from flocon.terminal.downloading import download

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from flocon.pacman.entries import Entry
    from flocon.pacman.listing import Database
    from flocon.states.generation import Piece

_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class State:
    """A state under its name; ``taken`` is since when, ``repositories`` are in pacman's order."""

    name: str
    taken: int
    generation: Generation
    repositories: tuple[str, ...]

    @property
    def architectures(self) -> list[str]:
        return list(dict.fromkeys(where.architecture for where in self.generation.databases))

    def of(self, architecture: str) -> dict[Where, DatabaseFiles]:
        """Return the databases for one kind of machines, in pacman's order."""
        wheres = (Where(architecture, one) for one in self.repositories)
        databases = self.generation.databases
        return {where: databases[where] for where in wheres if where in databases}


async def find_state(node: Node, name: str) -> State:
    """Return a snapshot, or what NOW or LATEST means; raises NodeError."""
    told = await node.ask("/generation.json", {"name": name or NOW})
    if isinstance(told, dict) and told.get("problem"):
        raise NodeError(str(told["problem"]))
    match told:
        case {"name": str(named), "taken": int(taken), "repositories": list(order)}:
            generation = load(told.get("generation"))
            repositories = tuple(one for one in order if isinstance(one, str))
            if generation is not None and all(map(is_repository, repositories)):
                return State(named, taken, generation, repositories)
    raise NodeError(
        "the node tells of no state that this command can read; are both the same version?"
    )


async def fetch_piece(node: Node, piece: Piece, name: str, path: Path) -> None:
    """Write a content of a state to a new file; raises NodeError where it is not the right one."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    except OSError as error:
        raise NodeError(f"{path}: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:

        def write(data: bytes) -> None:
            file.write(data)

        received = await download(node, f"/mirror/content/{piece.sha256}", name, write)
    if received is None:
        raise NodeError(f"{name}: the node has it no more; try again")
    if (received.sha256, received.bytes) != (piece.sha256, piece.size):
        raise NodeError(f"{name}: another file came than belongs to this state; try again")


async def fetch_databases(
    node: Node, databases: Mapping[Where, DatabaseFiles], folder: Path
) -> dict[Where, Database]:
    """Put databases and their signatures into a folder as pacman has them; return what they list.

    They are of one architecture.
    """
    read = {}
    for where, files in databases.items():
        for suffix, piece in named_pieces(files):
            if suffix.startswith(".db"):
                name = f"{where.repository}{suffix}"
                await fetch_piece(node, piece, name, folder / name)
        read[where] = read_database(folder / f"{where.repository}.db", where)
    return read


def read_database(path: Path, where: Where) -> Database:
    """Return what a database in a folder lists; raises NodeError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return load_sent(where.repository, descriptor, "")
    except SyncDatabaseError as error:
        raise NodeError(f"the database of {where} cannot be read: {error}") from None
    finally:
        os.close(descriptor)


async def whereabouts(node: Node, entries: Sequence[Entry]) -> dict[Entry, str]:
    """Return where on the LAN each package is, "" for nowhere."""
    found: dict[Entry, str] = {}
    for start in range(0, len(entries), MOST_ASKED):
        some = entries[start : start + MOST_ASKED]
        # Two of one name, for different machines, are two questions.
        while some:
            asked = {entry.file_name: entry for entry in reversed(some)}
            told: Any = await node.ask(
                "/whereabouts.json",
                {name: written(entry.content) for name, entry in asked.items()},
                LONG_PATIENCE,
            )
            found.update({entry: str(told.get(name, "")) for name, entry in asked.items()})
            some = [entry for entry in some if entry not in found]
    return found


async def held_names(node: Node, architecture: str) -> list[str]:
    """Return the packages that machines of the LAN hold for one kind of machines."""
    told = await node.ask("/names.json", patience=LONG_PATIENCE)
    names: Any = told["names"]
    return sorted({*names.get(architecture, []), *names.get("any", [])})


def total(entries: Iterable[Entry]) -> int:
    """Return how many bytes packages have together."""
    return sum(entry.size for entry in entries)
