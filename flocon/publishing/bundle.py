"""Packages and their signatures as one stream: a tar of plain files, written here and read there.

What is read comes from another machine: each header is looked at here, and bounded, before a byte
of what follows is taken.
"""

from __future__ import annotations

import io
import os
import tarfile
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from flocon.errors import RepositoryError
from flocon.files import LONGEST_NAME, is_package
from flocon.machine.beneath import write_all
from flocon.machine.mounts import free_bytes, open_nameless, temporary_folders
from flocon.pacman.syncdb import LARGEST_SIGNATURE
from flocon.programs.talking import MOST_FILES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    class Stream(Protocol):
        """Gives up to so many bytes, fewer only at its end."""

        def read(self, size: int, /) -> bytes: ...


#: Bytes of all files of a stream.
LARGEST = 64 << 30
_BLOCK = tarfile.BLOCKSIZE
_READ_SIZE = 1 << 20
_SIGNATURE = ".sig"
#: Of a disk, what others are to have.
_RESERVE = 64 << 20


@dataclass(frozen=True, slots=True)
class Given:
    """A package's file, open, and its detached signature, b"" for none."""

    name: str
    descriptor: int
    signature: bytes = b""


def write(out: Any, packages: Sequence[Given]) -> None:
    """Write packages, and the signature of each before it."""
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT) as tar:
        for one in packages:
            if one.signature:
                header = _header(one.name + _SIGNATURE, len(one.signature))
                tar.addfile(header, io.BytesIO(one.signature))
            with os.fdopen(os.dup(one.descriptor), "rb") as file:
                file.seek(0)
                tar.addfile(_header(one.name, os.fstat(one.descriptor).st_size), file)


def _header(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size = size
    return header


def read(stream: Stream) -> list[Given]:
    """Return the packages of a stream, each in a file without a name that the caller closes.

    Raises RepositoryError where it is none, or too large.
    """
    reading = _Reading(stream)
    try:
        for name, size in _headers(stream):
            reading.take(name, size)
        return reading.finish()
    except BaseException:
        for descriptor in reading.files.values():
            with suppress(OSError):
                os.close(descriptor)
        raise


class _Reading:
    """What has come of a stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._size = 0
        self._signatures: dict[str, bytes] = {}
        self.files: dict[str, int] = {}

    def take(self, name: str, size: int) -> None:
        """Read the file whose header has come."""
        subject = name.removesuffix(_SIGNATURE)
        if not is_package(subject) or name in self.files or name in self._signatures:
            raise _refused(f"has a file that is no package's: {name[:LONGEST_NAME]!r}")
        self._size += size
        count = len(self.files) + len(self._signatures)
        is_signature = name != subject
        too_large = is_signature and size > LARGEST_SIGNATURE
        if too_large or self._size > LARGEST or count >= 2 * MOST_FILES:
            raise _refused("is too large")
        if is_signature:
            self._signatures[name] = _exactly(self._stream, size)
        else:
            self.files[name] = _room(size)
            _copy(self._stream, self.files[name], size)
        _exactly(self._stream, -size % _BLOCK)

    def finish(self) -> list[Given]:
        if not self.files:
            raise _refused("has no package")
        return [
            Given(name, one, self._signatures.get(name + _SIGNATURE, b""))
            for name, one in self.files.items()
        ]


def _headers(stream: Stream) -> Iterator[tuple[str, int]]:
    """Yield name and size of each file; the caller reads it before it asks for the next."""
    name = ""
    while True:
        block = _exactly(stream, _BLOCK)
        if not block.strip(b"\0"):
            # Two such blocks and padding: read, so that the other side has written all of it.
            while stream.read(_READ_SIZE):
                pass
            return
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            raise _refused("is no tar") from None
        if header.type == tarfile.GNUTYPE_LONGNAME and header.size <= LONGEST_NAME + 1 and not name:
            name = _exactly(stream, header.size).rstrip(b"\0").decode("utf-8", "surrogateescape")
            _exactly(stream, -header.size % _BLOCK)
        elif header.isreg() and header.size >= 0:
            yield name or header.name, header.size
            name = ""
        else:
            raise _refused("has something else than files")


def _exactly(stream: Stream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            raise _refused("ends early")
        data += more
    return data


def _room(size: int) -> int:
    """Return a file without a name on a disk that has room for so many bytes."""
    for folder in temporary_folders():
        with suppress(OSError):
            if free_bytes(folder) >= size + _RESERVE:
                return open_nameless(folder)
    raise RepositoryError("there is no room for what comes", "make room in /var/tmp")


def _copy(stream: Stream, descriptor: int, size: int) -> None:
    left = size
    while left:
        data = stream.read(min(left, _READ_SIZE))
        if not data:
            raise _refused("ends early")
        left -= len(data)
        try:
            write_all(descriptor, data)
        except OSError as error:
            reason = error.strerror or str(error)
            raise RepositoryError(f"what comes cannot be kept ({reason})", "make room") from None


def _refused(problem: str) -> RepositoryError:
    return RepositoryError(f"what comes by standard input {problem}", "send it by 'repo add --to'")
