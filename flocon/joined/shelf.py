"""Where verified generations of own repositories lie. Everything here blocks.

::

    STORE/own/NAME/newest.json      which generation is the newest that was ever taken, see ``told``
    STORE/own/NAME/SIGNED/FILE      the files of one, by when it was signed

A generation is there whole before ``newest.json`` says so, and the one before it stays: who was
told of that may be fetching it. ``newest.json`` also remembers how new the newest was when its
files are lost: nothing older is taken.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from flocon.errors import StoreError
from flocon.joined.candidate import Candidate
from flocon.joined.told import LARGEST_TEXT, dump, file_names, load
from flocon.machine.beneath import read_small, sync_folder, write_all, write_small
from flocon.store.folder import Opened, open_file, stamp_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from flocon.joined.told import Generation

#: The folder below the store's.
FOLDER = "own"
NEWEST = "newest.json"
_NEW = ".new"
_PIECE = 1 << 20


class Shelf:
    """The generations below ``store``."""

    def __init__(self, store: Path) -> None:
        self._folder = store / FOLDER

    def newest(self, name: str) -> Generation | None:
        """Return the newest generation that was ever taken; its files may be lost."""
        with suppress(OSError):
            return load(read_small(self._folder / name / NEWEST, LARGEST_TEXT), name)
        return None

    def place(self, generation: Generation, files: Mapping[str, int]) -> None:
        """Take a generation in, of open files by their names; raises StoreError."""
        folder = self._folder / generation.name
        new = folder / f"{generation.signed}{_NEW}"
        try:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(mode=0o755)
            for file_name in file_names(generation.name):
                _copy(files[file_name], new / file_name, generation.signed)
            sync_folder(new)
            # Of a run that was killed before it could say so.
            shutil.rmtree(folder / str(generation.signed), ignore_errors=True)
            new.rename(folder / str(generation.signed))
            sync_folder(folder)
            write_small(folder / NEWEST, dump(generation), 0o644)
            sync_folder(folder)
        except OSError as error:
            raise StoreError(str(folder), error.strerror or str(error)) from None

    def candidate(self, generation: Generation) -> Candidate:
        """Return a generation as it lies here, to be examined and closed; raises StoreError."""
        candidate = Candidate(generation, self._folder)
        folder = self._folder / generation.name / str(generation.signed)
        try:
            for file_name in file_names(generation.name):
                candidate.open(folder / file_name)
        except OSError as error:
            candidate.close()
            raise StoreError(str(folder), error.strerror or str(error)) from None
        return candidate

    def open(self, name: str, signed: int, file_name: str) -> Opened:
        """Open a file of a generation, dated by when that was signed; raises StoreError."""
        folder = self._folder / name / str(signed)
        try:
            stamp = stamp_of(os.lstat(folder / file_name))
            opened = Opened(open_file(folder, file_name, stamp), stamp)
        except OSError as error:
            raise StoreError(str(folder / file_name), error.strerror or str(error)) from None
        opened.modified = float(signed)
        return opened

    def sweep(self, name: str, kept: Collection[int]) -> None:
        """Remove the generations of a repository but for these, and what a kill left behind."""
        stay = {NEWEST, *map(str, kept)}
        with suppress(OSError):
            for entry in list(os.scandir(self._folder / name)):
                if entry.name in stay:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    (self._folder / name / entry.name).unlink()

    def names(self) -> list[str]:
        """Return the repositories of which something lies here."""
        with suppress(OSError):
            return [entry.name for entry in os.scandir(self._folder) if entry.is_dir()]
        return []

    def drop(self, name: str) -> None:
        """Remove all that is here of a repository, also how new it was."""
        shutil.rmtree(self._folder / name, ignore_errors=True)


def _copy(descriptor: int, path: Path, modified: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    target = os.open(path, flags, 0o644)
    try:
        position = 0
        while data := os.pread(descriptor, _PIECE, position):
            position += len(data)
            write_all(target, data)
        os.utime(target, (modified, modified))
        os.fsync(target)
    finally:
        os.close(target)
