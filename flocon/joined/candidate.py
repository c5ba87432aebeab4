"""A generation that may be taken: its files, open, and whether they are what they should be.

First come the sums that were told, then the signature by the keys that are trusted, and only then
is anything read of what they say: so no stranger's archive is ever taken apart.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Any

from flocon.errors import SyncDatabaseError
from flocon.joined.offers import Wrong
from flocon.joined.told import LARGEST_SIGNATURE, file_names
from flocon.machine.beneath import open_regular
from flocon.machine.reactor_threads import in_thread
from flocon.pacman.database_files import (
    digest_of,
    find_problem,
    lists_the_same,
    load_sent,
    sha256_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from flocon.joined.signed import Signed, Verifier
    from flocon.joined.told import Generation
    from flocon.pacman.listing import Database

#: Instead of when it was signed, where only its signature tells that.
UNTOLD = 0


@dataclass(slots=True)
class Candidate:
    """A generation as somebody told of it, and its files without names: ``close`` frees them."""

    generation: Generation
    folder: Path
    files: dict[str, IO[bytes]] = field(default_factory=dict)

    def begin(self, file_name: str) -> IO[bytes]:
        """Return a new file for what has this name."""
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        # Closed by ``close``, and gone then.
        file = tempfile.TemporaryFile(dir=self.folder, buffering=0)  # noqa: SIM115
        self.files[file_name] = file
        return file

    def open(self, path: Path) -> int:
        """Take in the file that lies at ``path``; return its descriptor. Raises OSError."""
        descriptor = open_regular(path, os.O_RDONLY)
        self.files[path.name] = os.fdopen(descriptor, "rb", buffering=0)
        return descriptor

    def descriptors(self) -> dict[str, int]:
        return {name: file.fileno() for name, file in self.files.items()}

    def close(self) -> None:
        for file in self.files.values():
            with suppress(OSError):
                file.close()
        self.files.clear()


@dataclass(frozen=True, slots=True)
class Examined:
    """What came of looking at a candidate: what it is and lists, or what is wrong with it.

    ``fingerprint`` is of the key that signed it, as far as that is told.
    """

    generation: Generation | None = None
    database: Database | None = None
    wrong: Wrong | None = None
    fingerprint: str = ""


async def examine(
    reactor: Any, verifier: Verifier, keyring: Path, candidate: Candidate, have: int
) -> Examined:
    """Look at all four files; ``have`` is when the newest was signed that was ever taken.

    What comes of it is signed by a key of ``keyring``, and later than that.
    """
    told, name = candidate.generation, candidate.generation.name
    files = candidate.descriptors()
    if not await in_thread(reactor, _are_as_told, told, files):
        return Examined(wrong=Wrong.OTHER)
    database, files_too = f"{name}.db", f"{name}.files"
    signed: list[Signed] = []
    for file_name in (database, files_too):
        signature = os.pread(files[f"{file_name}.sig"], LARGEST_SIGNATURE, 0)
        one = await verifier.verify(keyring, signature, files[file_name])
        if not one.good:
            return Examined(wrong=_wrong(one), fingerprint=one.fingerprint)
        signed.append(one)
    by = signed[0]
    if told.signed not in {UNTOLD, by.when} or by.when <= have:
        return Examined(wrong=Wrong.OLDER, fingerprint=by.fingerprint)
    listed = await in_thread(reactor, _read, name, files[database], files[files_too])
    if listed is None:
        return Examined(wrong=Wrong.MIXED, fingerprint=by.fingerprint)
    generation = replace(told, signed=by.when, fingerprint=by.fingerprint)
    return Examined(generation, listed, None, by.fingerprint)


def _wrong(signed: Signed) -> Wrong:
    if not signed.judged:
        return Wrong.AWAY
    return Wrong.FORGED if signed.bad else Wrong.FOREIGN


def _are_as_told(told: Generation, files: dict[str, int]) -> bool:
    return set(files) == set(file_names(told.name)) and all(
        (os.fstat(files[name]).st_size, sha256_of(files[name])) == (one.size, one.sha256)
        for name, one in told.files.items()
    )


def _read(name: str, database: int, files: int) -> Database | None:
    """Return what a database lists; None where it is none, or the list of files is another's."""
    if find_problem(database) or find_problem(files):
        return None
    try:
        listed = load_sent(name, database, digest_of(database))
    except SyncDatabaseError:
        return None
    if listed.entries and sha256_of(database) == sha256_of(files):
        # The one with its signature in the place of the other, which has more to it.
        return None
    return listed if lists_the_same(listed.entries, name, files) else None
