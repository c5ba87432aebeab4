"""``flocon snapshot import``: a folder that was exported, or is laid out so, as a snapshot.

The node's user may not read the folder: it is served to it while this runs (``serving``). What the
node takes of it, it verifies by itself.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.threads import deferToThreadPool

from flocon.carrying.exporting import NOTE, sha256_of
from flocon.carrying.serving import Serving
from flocon.files import is_architecture, is_package, is_repository
from flocon.machine.beneath import open_regular, read_small
from flocon.snapshots.importing import MANIFEST, named_pieces, place
from flocon.states.generation import (
    LARGEST_DATABASE,
    MOST_DATABASES,
    DatabaseFiles,
    Generation,
    Piece,
    Where,
    dump,
    load,
)
from flocon.states.policies import is_snapshot_name
from flocon.terminal.asking import Node, NodeError
from flocon.terminal.printing import progress, say, say_json

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping
    from pathlib import Path

LARGEST_NOTE = 4 << 20
#: Seconds that an import may take.
LONGEST = 2 * 86_400.0
#: Wrong files that a sentence names.
MOST_TOLD = 8
#: What a state is said to be from that was not exported by a node.
SOURCE = "a folder"


@dataclass(frozen=True, slots=True)
class Found:
    """What a folder has: a state, and files by their paths below it.

    ``name`` is what the state was called where it was exported, "" where nothing tells.
    """

    name: str
    generation: Generation
    files: Mapping[str, Path]

    @property
    def packages(self) -> list[str]:
        """The paths of the packages."""
        return [path for path in self.files if is_package(path.rpartition("/")[2])]

    def manifest(self) -> bytes:
        """Return what the node is told of it."""
        packages: dict[str, list[str]] = {}
        for path in self.packages:
            below, _, name = path.rpartition("/")
            packages.setdefault(below, []).append(name)
        value = {"generation": dump(self.generation), "packages": packages}
        return json.dumps(value).encode()


async def take_in(reactor: Any, options: argparse.Namespace) -> None:
    """Have the node take in a folder as a snapshot; exits 1 where something was wrong."""
    node = Node(reactor, options.port)
    found: Found = await deferToThreadPool(
        reactor, reactor.getThreadPool(), look_through, options.directory
    )
    name = options.name or found.name or _named(found.generation)
    if not is_snapshot_name(name):
        raise NodeError(f"{name!r} can be no snapshot's name; give it another with --name")
    packages = set(found.packages)
    bar = progress("importing", len(packages), in_bytes=False)
    asked: set[str] = set()

    def count(path: str) -> None:
        if path in packages:
            asked.add(path)
            bar.move(len(asked))

    serving = Serving(reactor, {**found.files, MANIFEST: found.manifest()}, count)
    port = await serving.start()
    try:
        words = ("snapshot", "import", name, str(port), serving.word)
        said = await node.tell(*words, patience=LONGEST)
    finally:
        bar.end()
        await serving.stop()
    if options.json:
        say_json({"snapshot": name, "generation": found.generation.identity, "said": said})
    else:
        say(said)


def _named(generation: Generation) -> str:
    return time.strftime("import-%Y-%m-%d", time.localtime(generation.age_from))


def look_through(folder: Path) -> Found:
    """Find a state's databases and packages in a folder; raises NodeError.

    Links count that stay in the folder: ``REPO.db`` is one where repo-add made it.
    """
    try:
        root = folder.resolve(strict=True)
        files = dict(_files(root))
        databases = dict(_databases(files))
        made = [
            files[f"{place(where)}/{where.repository}.db"].stat().st_mtime for where in databases
        ]
    except OSError as error:
        raise NodeError(f"{folder}: {error.strerror}") from None
    if not databases:
        problem = f"{folder}: there is no REPO/os/ARCH/REPO.db in it"
        raise NodeError(f"{problem}; 'flocon snapshot export DIR' makes such folders")
    if len(databases) > MOST_DATABASES:
        raise NodeError(f"{folder}: it has more than {MOST_DATABASES} databases")
    name, exported = _note(root)
    if exported is None:
        generation = Generation(int(max(made)), SOURCE, databases)
        return Found("", generation, files)
    if wrong := _different(exported, databases):
        told = ", ".join(wrong[:MOST_TOLD])
        raise NodeError(f"{folder}: not as it was exported: {told}; nothing is imported")
    return Found(name, exported, files)


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of repositories that are in the folder, by their paths below it.

    Each is where its link leads, which may lead elsewhere by the time it is read.
    """
    for below in sorted(root.glob("*/os/*/")):
        repository, architecture = below.parent.parent.name, below.name
        if not is_repository(repository) or not is_architecture(architecture):
            continue
        named = {f"{repository}{suffix}" for suffix in (".db", ".db.sig", ".files", ".files.sig")}
        for path in sorted(below.iterdir()):
            fits = path.name in named or is_package(path.name.removesuffix(".sig"))
            if not fits:
                continue
            file = path.resolve()
            if file.is_relative_to(root) and file.is_file():
                yield f"{repository}/os/{architecture}/{path.name}", file


def _databases(files: Mapping[str, Path]) -> Iterator[tuple[Where, DatabaseFiles]]:
    for path in files:
        repository, _, architecture, name = path.split("/")
        if name != f"{repository}.db":
            continue
        before = path.removesuffix(".db")
        found = [
            _piece(files[before + suffix]) if before + suffix in files else None
            for suffix in (".db", ".db.sig", ".files", ".files.sig")
        ]
        if found[0] is not None:
            yield Where(architecture, repository), DatabaseFiles(found[0], *found[1:])


def _piece(path: Path) -> Piece:
    with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not 0 < size <= LARGEST_DATABASE:
            raise NodeError(f"{path}: no database has {size} bytes")
        return Piece(sha256_of(file, size), size)


def _note(root: Path) -> tuple[str, Generation | None]:
    """Return the name of an exported state, and what it is."""
    try:
        value = json.loads(read_small(root / NOTE, LARGEST_NOTE))
    except (OSError, ValueError, RecursionError):
        return "", None
    match value:
        case {"name": str(name), "generation": generation}:
            return name if is_snapshot_name(name) else "", load(generation)
    return "", None


def _different(exported: Generation, databases: Mapping[Where, DatabaseFiles]) -> list[str]:
    """Return which files of a state are not what they were when it was exported."""
    wrong = []
    for where, files in exported.databases.items():
        found = databases.get(where)
        present = dict(named_pieces(found)) if found is not None else {}
        wrong += [
            f"{place(where)}/{where.repository}{suffix}"
            for suffix, piece in named_pieces(files)
            if present.get(suffix) != piece
        ]
    return wrong
