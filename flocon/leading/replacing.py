"""Files replaced at once or not at all, several of them as one, by one run at a time.

What becomes a file once it is whole is ``.FILE.flocon-new``; one that was left half written is
removed by the next run.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from flocon.errors import ConfigurationError
from flocon.leading.printable import printable
from flocon.machine.beneath import sync_folder
from flocon.machine.reading import read_plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


#: What becomes a file once it is whole.
UNFINISHED = ".flocon-new"
#: Bytes of one file of pacman's; a list of all mirrors has a hundredth of that.
LARGEST_FILE = 4 << 20


class Writing:
    """What is written and removed within a ``with``: all of it, or where that fails nothing."""

    def __init__(self) -> None:
        self._before: dict[str, bytes | None] = {}

    def write(self, name: str, text: bytes, like: str) -> None:
        self._before.setdefault(name, content_of(name))
        _write(name, text, like=like)

    def remove(self, name: str) -> None:
        self._before.setdefault(name, content_of(name))
        Path(name).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for name in reversed(self._before):
                _put_back(name, self._before[name])


@contextmanager
def alone(path: Path, *, dry_run: bool) -> Iterator[None]:
    """Let no other run change what this one does; whoever is killed lets go."""
    folder = Path(os.path.realpath(path)).parent
    if dry_run or not folder.is_dir():
        yield
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        remedy = "check the path and its permissions"
        raise ConfigurationError(printable(str(folder)), problem, remedy) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        problem = "is being set up by another 'flocon setup' at this moment"
        raise ConfigurationError(printable(str(path)), problem, "wait for its end") from None
    finally:
        os.close(descriptor)


def sweep(names: Iterable[str]) -> None:
    """Remove what a run that was killed left half written beside these files."""
    for folder in {Path(name).parent for name in names}:
        for left in folder.glob(f".*{UNFINISHED}"):
            # Without the right to, nothing else can be written here either, and that is told.
            with suppress(OSError):
                left.unlink()


def _put_back(name: str, text: bytes | None) -> None:
    # What fails here must not keep the others from being put back, nor hide why they are.
    with suppress(OSError, ConfigurationError):
        if text is None:
            Path(name).unlink(missing_ok=True)
        elif content_of(name) is None:
            Path(name).write_bytes(text)
        elif content_of(name) != text:
            _write(name, text, like=name)


def content_of(name: str) -> bytes | None:
    """Return all of a file, None where it cannot be read."""
    try:
        return read_plain(name, LARGEST_FILE)
    except OSError:
        return None


def check_writable(name: str, text: bytes) -> None:
    """Raise ConfigurationError where a file cannot be replaced, or is not ``text`` any more."""
    path = Path(name)
    where = printable(name)
    for one in (path, path.parent):
        if not os.access(one, os.W_OK, effective_ids=True):
            problem = f"cannot be written (no permission for {printable(str(one))})"
            raise ConfigurationError(where, problem, "run this as root, on a writable file system")
    if path.stat().st_nlink > 1:
        problem = "has another hard link, which would keep the old text"
        raise ConfigurationError(where, problem, "make it a file of its own")
    if content_of(name) != text:
        raise ConfigurationError(where, "was changed just now", "run this again")


def check_backup(backup: str, text: bytes, known: Iterable[str]) -> None:
    """Raise ConfigurationError where ``backup`` is there, differs and is not ``known``."""
    there = content_of(backup)
    if there is not None and there != text and backup not in known:
        problem = "is there already and belongs to no set-up on record"
        raise ConfigurationError(printable(backup), problem, "move it away")


def _write(name: str, text: bytes, *, like: str) -> None:
    """Replace a file at once or not at all, with owner, mode and attributes of ``like``."""
    path = Path(name)
    temporary = path.with_name(f".{path.name[:200]}{UNFINISHED}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                _make_alike(file.fileno(), like)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        problem = f"cannot be written ({error.strerror})"
        remedy = "run this as root, on a writable file system"
        raise ConfigurationError(printable(name), problem, remedy) from None


def _make_alike(descriptor: int, like: str) -> None:
    model, own = Path(like).stat(), os.fstat(descriptor)
    if (model.st_uid, model.st_gid) != (own.st_uid, own.st_gid):
        os.fchown(descriptor, model.st_uid, model.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(model.st_mode))
    # Access lists and labels, as far as the file system and our rights go.
    with suppress(OSError):
        for attribute in os.listxattr(like):
            with suppress(OSError):
                os.setxattr(descriptor, attribute, os.getxattr(like, attribute))
