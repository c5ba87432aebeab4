"""What the keeper has on disk: what is watched, its history, logs, and packages not yet signed.

::

    watched.json         all that is known of each recipe: written whole, then renamed
    history.jsonl        who decided what, and what came of it: one line each; .1 is what was before
    logs/BASE            what the last build of a recipe said
    recipes/BASE/COMMIT  recipes that no git has: the files of a folder, as it was
    jobs/NAME/           what came of a build, until it is signed: whole, or not there; held.json is
                         what a person is to look at of it

Everything here blocks and belongs in a thread.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flocon.errors import StoreError
from flocon.jobs.remembering import read, written
from flocon.log import logger
from flocon.machine.beneath import open_regular, read_small, write_small
from flocon.machine.remember import LARGEST, recall

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from flocon.jobs.watched import Watched

#: Bytes of the history before it is put aside, of one log, and of all logs.
MOST_HISTORY, MOST_LOG, MOST_LOGS = 8 << 20, 40 << 20, 512 << 20
#: Bytes of a log that are given at once, and of the history that are looked through.
MOST_READ, MOST_LOOKED_THROUGH = 256 << 10, 2 << 20
_WATCHED, _HISTORY, _LOGS, _JOBS, _RECIPES = (
    "watched.json",
    "history.jsonl",
    "logs",
    "jobs",
    "recipes",
)
_NEW = ".new"
_MANIFEST, _HELD = "manifest.json", "held.json"

_log = logger(__name__)


class Archive:
    """``folder`` is the keeper's alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self) -> dict[str, Watched]:
        """Return what is watched, by base; raises StoreError where the folder cannot be used."""
        try:
            for path in (self.folder, *(self.folder / name for name in (_LOGS, _JOBS, _RECIPES))):
                path.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as error:
            raise _store_error(self.folder, error) from None
        place = self.folder / _WATCHED
        found, damaged = read(recall(place, lambda value: not read(value)[1]))
        if damaged:
            _log.error(
                "{path}: these recipes could not be read, and are not watched any more: {names}",
                path=place,
                names=", ".join(damaged),
            )
        return found

    def save(self, watched: Iterable[Watched]) -> None:
        """Write down all that is watched; raises StoreError, and then what was before is there."""
        place = self.folder / _WATCHED
        data = json.dumps(written(watched), ensure_ascii=False, separators=(",", ":")).encode()
        if len(data) > LARGEST:
            raise StoreError(str(place), "too much is watched")
        try:
            write_small(place, data, 0o640)
        except OSError as error:
            raise _store_error(place, error) from None

    # History

    def append(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Add what happened; raises StoreError."""
        place = self.folder / _HISTORY
        text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in events)
        try:
            with suppress(FileNotFoundError):
                if place.stat().st_size > MOST_HISTORY:
                    place.replace(place.with_name(_HISTORY + ".1"))
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            descriptor = open_regular(place, flags, mode=0o640)
            with os.fdopen(descriptor, "ab") as file:
                file.write(text.encode("utf-8", "backslashreplace"))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _store_error(place, error) from None

    def history(self, base: str, most: int) -> list[dict[str, Any]]:
        """Return what happened last, of one recipe or ("") of all; the newest is the last."""
        found: list[dict[str, Any]] = []
        for name in (_HISTORY, _HISTORY + ".1"):
            lines = _tail(self.folder / name, MOST_LOOKED_THROUGH).splitlines()
            before = [one for one in map(_event, lines) if one and base in {"", one.get("base")}]
            found = [*before, *found][-most:]
            if len(found) == most:
                break
        return found

    # Logs

    def log_path(self, base: str) -> Path:
        return self.folder / _LOGS / base

    def begin_log(self, base: str, most: int = MOST_LOGS) -> int:
        """Return a descriptor of an empty log; the oldest ones go where all are too much.

        Raises StoreError.
        """
        place = self.log_path(base)
        try:
            place.unlink(missing_ok=True)
            _thin_out(place.parent, most - MOST_LOG)
            return os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise _store_error(place, error) from None

    def read_log(self, base: str, begin: int) -> tuple[int, bytes]:
        """Return where the next piece begins, and a piece of a log from a byte on."""
        try:
            with os.fdopen(open_regular(self.log_path(base), os.O_RDONLY), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                # A log that is shorter than what was read is another one.
                begin = begin if begin <= size else 0
                file.seek(begin)
                data = file.read(MOST_READ)
        except FileNotFoundError:
            return 0, b""
        except OSError as error:
            raise _store_error(self.log_path(base), error) from None
        return begin + len(data), data

    # Recipes that no git has

    def keep_recipe(self, base: str, commit: str, data: bytes, spare: Collection[str]) -> None:
        """Keep a recipe's files, packed; of the others of this base those to ``spare`` stay."""
        place = self.folder / _RECIPES / base / commit
        try:
            place.parent.mkdir(mode=0o750, exist_ok=True)
            write_small(place, data, 0o640)
            for other in place.parent.iterdir():
                if other.name not in {commit, *spare}:
                    other.unlink()
        except OSError as error:
            raise _store_error(place, error) from None

    def read_recipe(self, base: str, commit: str, most: int) -> bytes:
        """Return what was kept; raises StoreError where it is gone."""
        place = self.folder / _RECIPES / base / commit
        try:
            return read_small(place, most)
        except OSError as error:
            raise _store_error(place, error) from None

    # Packages

    def new_job(self, name: str) -> Path:
        """Return an empty folder in which to put what came of a job; raises StoreError."""
        place = self.folder / _JOBS / (name + _NEW)
        try:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(mode=0o750)
        except OSError as error:
            raise _store_error(place, error) from None
        return place

    def finish_job(self, name: str, manifest: Mapping[str, Any]) -> None:
        """Take note that all of a job is there, and on the disk; raises StoreError."""
        place = self.folder / _JOBS / (name + _NEW)
        try:
            write_small(place / _MANIFEST, json.dumps(manifest).encode(), 0o640)
            place.rename(place.with_name(name))
            descriptor = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _store_error(place, error) from None

    def keep_held(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Keep what a person is to look at of a job; raises StoreError."""
        place = self.job_folder(name) / _HELD
        try:
            write_small(place, json.dumps(rows).encode(), 0o640)
        except OSError as error:
            raise _store_error(place, error) from None

    def read_held(self, name: str) -> tuple[list[dict[str, Any]], list[str]]:
        """Return what was kept of it, and where its packages lie; nothing where that is gone."""
        rows = recall(self.job_folder(name) / _HELD)
        packages = sorted(map(str, self.job_folder(name).glob("*.pkg.tar*")))
        return rows if isinstance(rows, list) else [], packages

    def job_folder(self, name: str) -> Path:
        return self.folder / _JOBS / name

    def read_job(self, name: str) -> dict[str, Any]:
        """Return what was noted of a job; raises StoreError where it is not whole."""
        place = self.job_folder(name) / _MANIFEST
        try:
            manifest = json.loads(read_small(place, LARGEST))
        except OSError as error:
            raise _store_error(place, error) from None
        except ValueError:
            raise StoreError(str(place), "is damaged") from None
        if not isinstance(manifest, dict):
            raise StoreError(str(place), "is damaged")
        return manifest

    def kept_jobs(self) -> frozenset[str]:
        """Return the jobs of which all is there."""
        return frozenset(
            path.name
            for path in (self.folder / _JOBS).iterdir()
            if not path.name.endswith(_NEW) and (path / _MANIFEST).is_file()
        )

    def clear_jobs(self, keep: Collection[str]) -> None:
        """Remove what is left of other jobs than these."""
        with suppress(OSError):
            for path in (self.folder / _JOBS).iterdir():
                if path.name not in keep:
                    shutil.rmtree(path, ignore_errors=True)

    def job_bytes(self) -> int:
        """Return how many bytes of packages wait to be signed."""
        return sum(
            path.stat().st_size for path in (self.folder / _JOBS).glob("*/*") if path.is_file()
        )

    def forget(self, base: str) -> None:
        """Remove what is kept of a recipe that nobody watches; its history stays."""
        self.log_path(base).unlink(missing_ok=True)
        shutil.rmtree(self.folder / _RECIPES / base, ignore_errors=True)


def _thin_out(folder: Path, most: int) -> None:
    """Remove the oldest files of a folder until the rest is within ``most`` bytes."""
    found = sorted(
        ((path.stat(), path) for path in folder.iterdir()), key=lambda one: one[0].st_mtime
    )
    total = sum(status.st_size for status, _ in found)
    for status, path in found:
        if total <= most:
            return
        path.unlink()
        total -= status.st_size


def _tail(path: Path, most: int) -> bytes:
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - most))
            data = file.read(most)
    except OSError:
        return b""
    return data if size <= most else data.partition(b"\n")[2]


def _event(line: bytes) -> dict[str, Any] | None:
    """Return an event; None for a line that was cut off by the end of the machine."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _store_error(path: Path, error: OSError) -> StoreError:
    return StoreError(str(path), error.strerror or str(error))
