"""Publishing: packages, then databases, then one name that leads to them. Everything here blocks.

``published`` tells where what lies. One process at a time writes there. Each file is written under
another name, synced and renamed; the last step is the rename of ``current``. A kill at any moment
leaves what was published last, or what was about to be, whole and signed: ``open`` goes on from it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from flocon.errors import RepositoryError, StoreError
from flocon.files import Content
from flocon.log import logger
from flocon.machine.beneath import sync_folder, write_all
from flocon.repository.generation import (
    LARGEST_NOTE,
    Generation,
    database_names,
    dump,
    listed_files,
)
from flocon.repository.keeping import superfluous
from flocon.repository.published import (
    CURRENT,
    GENERATIONS,
    KEY,
    NOTE,
    PACKAGES,
    open_database,
    open_package,
    read_generation,
    sequences,
)
from flocon.repository.writing import LARGEST_DATABASE, read_files, write_database, write_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from flocon.repository.entries import Listed
    from flocon.repository.package import Package

#: Generations that stay at least; those after them for so many seconds since they were superseded,
#: for who has asked for the database and asks for its signature next. So many stay at most.
LEAST_KEPT, KEPT_SECONDS, MOST_KEPT = 3, 60.0, 100
_NEW = ".new"
_READ_SIZE = 1 << 20
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Draft:
    """A generation whose databases are written and not yet signed.

    ``signed`` is the second that its signatures must have; ``to_sign`` are the files, by the name
    that they will have.
    """

    sequence: int
    signed: int
    folder: Path
    entries: tuple[Listed, ...]
    to_sign: Mapping[str, Path]


class Generations:
    """The repository ``name`` in the folder ``published``: its only writer.

    Raises StoreError where something cannot be read or written.
    """

    _log = logger()

    def __init__(self, published: Path, name: str) -> None:
        self.name = name
        self.path = published / name
        self._newest: Generation | None = None
        #: Those that are there whole, by number.
        self._kept: dict[int, Generation] = {}
        #: The number given last, also to what could not be read.
        self._last = 0

    @property
    def newest(self) -> Generation | None:
        """Return what is published now; None before anything was."""
        return self._newest

    def open(self) -> None:
        """Make the folders, discard what was being written, and publish what was about to be."""
        with self._failing(self.path):
            for folder in (self.path, self.path / PACKAGES, self.path / GENERATIONS):
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(0o755)
                _discard_new(folder)
            self._kept.clear()
            for sequence in sequences(self.path):
                self._last = sequence
                self._take_up(sequence)
            if self._kept:
                self._newest = self._kept[max(self._kept)]
                self._lead_to(self._newest.sequence)

    def entries(self) -> list[Listed]:
        """Return what is listed now, read from the databases."""
        if self._newest is None:
            return []
        file = database_names(self.name)[1]
        descriptor = open_database(self.path, self._newest.sequence, file)
        with self._failing(self.path), os.fdopen(descriptor, "rb") as opened:
            data = opened.read(LARGEST_DATABASE + 1)
        if hashlib.sha256(data).digest() != self._newest.databases[file].sha256:
            remedy = "have it made anew from its packages"
            raise RepositoryError("the database published last is damaged", remedy)
        return read_files(data)

    # Packages

    def packages(self) -> list[str]:
        """Return the names of the packages' files that are there, listed or not."""
        with self._failing(self.path / PACKAGES):
            return sorted(path.name for path in (self.path / PACKAGES).iterdir())

    def open_package(self, file_name: str) -> int:
        """Return a descriptor of a package, or of a signature, that is there."""
        return open_package(self.path, file_name)

    def demand_free(self, package: Package) -> None:
        """Raise RepositoryError where a generation lists its file's name with other content."""
        for generation in self._kept.values():
            for one in generation.files:
                if one.file_name == package.file_name and one.content != package.content:
                    problem = f"{package.name} {package.version} was published with other content"
                    remedy = "raise its pkgrel: machines that have it would never take the other"
                    raise RepositoryError(problem, remedy)

    def keep_package(self, descriptor: int, package: Package, signature: bytes) -> None:
        """Copy a package, with the signature that was made of it.

        Raises RepositoryError where the file is not the one that was read, or its name is taken.
        """
        self.demand_free(package)
        folder = self.path / PACKAGES
        with self._failing(folder / package.file_name):
            with _new_file(folder, package.file_name + ".sig") as target:
                write_all(target, signature)
            with _new_file(folder, package.file_name) as target:
                if _copy(descriptor, target) != package.content:
                    remedy = "leave it alone while it is read"
                    raise RepositoryError(f"{package.file_name} has changed meanwhile", remedy)
            sync_folder(folder)

    # Generations

    def draft(self, entries: Iterable[Listed], now: float, after: int = 0) -> Draft:
        """Write the databases that list these packages; nobody sees them yet.

        Their signatures are to have a second that is no earlier than ``now``, and later than
        ``after`` and any before.
        """
        listed = tuple(entries)
        for one in listed:
            if not (self.path / PACKAGES / one.file_name).is_file():
                remedy = "add that package again, or remove it"
                raise RepositoryError(f"{one.file_name} is to be listed and is not there", remedy)
        before = [generation.signed for generation in self._kept.values()]
        folder = self.path / GENERATIONS / f"{secrets.token_hex(4)}{_NEW}"
        database, files = database_names(self.name)
        with self._failing(folder):
            folder.mkdir()
            folder.chmod(0o755)
            for file, data in ((database, write_database(listed)), (files, write_files(listed))):
                _write_file(folder / file, data)
        return Draft(
            sequence=self._last + 1,
            signed=max(int(now), *(second + 1 for second in (after, *before))),
            folder=folder,
            entries=listed,
            to_sign={file: folder / file for file in (database, files)},
        )

    def discard(self, draft: Draft) -> None:
        """Let go of what could not be signed."""
        shutil.rmtree(draft.folder, ignore_errors=True)

    def publish(self, draft: Draft, signatures: Mapping[str, bytes]) -> Generation:
        """Publish a draft with a signature of each of its files, by their names."""
        with self._failing(draft.folder):
            for file in draft.to_sign:
                _write_file(draft.folder / f"{file}.sig", signatures[file])
            generation = Generation(
                name=self.name,
                sequence=draft.sequence,
                signed=draft.signed,
                databases={
                    name: _content(draft.folder / name)
                    for file in draft.to_sign
                    for name in (file, f"{file}.sig")
                },
                files=listed_files(draft.entries),
            )
            data = json.dumps(dump(generation), separators=(",", ":")).encode()
            if len(data) > LARGEST_NOTE:
                raise RepositoryError("the repository has too many packages", "remove some")
            _write_file(draft.folder / NOTE, data)
            sync_folder(draft.folder)
            # From here on it is published, if not yet found: a kill before the next step changes
            # nothing, ``open`` takes it.
            draft.folder.rename(self.path / GENERATIONS / str(draft.sequence))
            sync_folder(self.path / GENERATIONS)
            self._last = draft.sequence
            self._kept[draft.sequence] = self._newest = generation
            self._lead_to(draft.sequence)
        return generation

    def sweep(self, now: float, keep: int) -> list[str]:
        """Remove what need not stay, ``keep`` versions of each package; return the packages' files.

        Raises StoreError; what is left then goes with the next call.
        """
        with self._failing(self.path):
            for sequence in self._superseded(now):
                # Under another name first: what is half removed is no generation.
                gone = self.path / GENERATIONS / f"{secrets.token_hex(4)}{_NEW}"
                (self.path / GENERATIONS / str(sequence)).rename(gone)
                self._kept.pop(sequence, None)
                shutil.rmtree(gone)
            listed = {one.file_name for kept in self._kept.values() for one in kept.files}
            present = self.packages()
            removed = superfluous(present, listed, keep)
            for name in removed:
                (self.path / PACKAGES / name).unlink()
                (self.path / PACKAGES / f"{name}.sig").unlink(missing_ok=True)
        return removed

    def write_key(self, key: bytes) -> None:
        """Publish the public keys, binary."""
        with self._failing(self.path / KEY):
            with _new_file(self.path, KEY) as target:
                write_all(target, key)
            sync_folder(self.path)

    def _superseded(self, now: float) -> list[int]:
        """Return the numbers of the generations that nobody should still be reading."""
        numbers = sequences(self.path)
        kept = numbers[-LEAST_KEPT:]
        for older, newer in reversed(list(pairwise(numbers))):
            successor = self._kept.get(newer)
            is_young = successor is not None and now - successor.signed < KEPT_SECONDS
            if older not in kept and is_young and len(kept) < MOST_KEPT:
                kept.append(older)
        return [number for number in numbers if number not in kept]

    def _take_up(self, sequence: int) -> None:
        """Take up what another process has published."""
        try:
            generation = read_generation(self.path, sequence)
            folder = self.path / GENERATIONS / str(sequence)
            found = {file: _content(folder / file) for file in generation.databases}
        except (StoreError, OSError) as error:
            self._log.error("{error}; that generation is left out", error=error)
            return
        if found == generation.databases:
            self._kept[sequence] = generation
        else:
            self._log.error("{path} is damaged; that generation is left out", path=folder)

    def _lead_to(self, sequence: int) -> None:
        target = f"{GENERATIONS}/{sequence}"
        link = self.path / CURRENT
        if link.is_symlink() and str(link.readlink()) == target:
            return
        new = self.path / f"{secrets.token_hex(4)}{_NEW}"
        new.symlink_to(target)
        new.rename(link)
        sync_folder(self.path)

    @contextmanager
    def _failing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(str(path), error.strerror or str(error)) from None


def _discard_new(folder: Path) -> None:
    """Remove what a kill left half written, or half removed."""
    for path in folder.iterdir():
        if not path.name.endswith(_NEW):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def _new_file(folder: Path, name: str) -> Iterator[int]:
    """Yield a descriptor of a new file, which is synced and has its name in the end, or is gone."""
    temporary = folder / f"{secrets.token_hex(4)}{_NEW}"
    descriptor = os.open(temporary, _CREATE, 0o644)
    try:
        try:
            yield descriptor
            os.fchmod(descriptor, 0o644)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.rename(folder / name)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def _write_file(path: Path, data: bytes) -> None:
    """Write a file in a folder that nobody looks into yet."""
    descriptor = os.open(path, _CREATE, 0o644)
    try:
        write_all(descriptor, data)
        os.fchmod(descriptor, 0o644)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy(source: int, target: int) -> Content:
    sha256, position = hashlib.sha256(), 0
    while data := os.pread(source, _READ_SIZE, position):
        sha256.update(data)
        position += len(data)
        write_all(target, data)
    return Content(position, sha256.digest())


def _content(path: Path) -> Content:
    data = path.read_bytes()
    return Content(len(data), hashlib.sha256(data).digest())
