"""Archives without their compression: gzip, bzip2, xz and zstd here, the rest by bsdtar.

pacman reads whatever libarchive does. What mirrors make databases with is read here, within bounds
of memory that a file cannot lift; for anything else libarchive itself is asked, through its own
program, in a process that is bounded. Everything here blocks and belongs in a thread.
"""

from __future__ import annotations

import bz2
import io
import lzma
import os
import shutil
import sys
import time
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from flocon.errors import SyncDatabaseError
from flocon.machine.beneath import write_all
from flocon.machine.process import Bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class Patience:
    """What taking the compression off one file may cost.

    ``memory`` bytes for looking back in what was read (a dictionary, a window), and ``seconds``
    (None: as long as it takes).
    """

    memory: int
    seconds: float | None = None


#: For what a mirror sent; xz -9 looks back 64 MiB, and none of Arch's databases more than 8.
OWN = Patience(memory=64 << 20)
#: For what a peer sent, in the middle of pacman's patience; xz -6 and zstd -19 need 8 MiB.
STRANGERS = Patience(memory=16 << 20, seconds=1.5)
#: xz needs so much more than its dictionary.
_XZ_MORE = 2 << 20
#: Bytes read at once, and given on at once.
_READ_SIZE = 1 << 16
#: bsdtar may take so much; it is asked where a file is another one, and never of what a peer sent.
_PROGRAM_SECONDS = 30.0
_PROGRAM_BOUNDS = Bounds(processor_seconds=30, memory=512 << 20)

_GZIP, _XZ, _BZIP2, _ZSTD = b"\x1f\x8b", b"\xfd7zXZ\0", b"BZh", b"\x28\xb5\x2f\xfd"
#: A frame of zstd or lz4 that says nothing, as pzstd writes first; sixteen numbers can begin it.
_SKIPPABLE = b"\x2a\x4d\x18"
#: How archives and compressions begin that only libarchive reads, and what they are called.
_OTHERS = {
    b"\x04\x22\x4d\x18": "lz4",
    b"\x02\x21\x4c\x18": "lz4",
    b"LZIP": "lzip",
    b"\x5d\0\0": "lzma",
    b"\x1f\x9d": "compress",
    b"LRZI": "lrzip",
    b"\x89LZO\0": "lzop",
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf\x27\x1c": "7-zip",
    b"07070": "cpio",
    b"\xc7\x71": "cpio",
    b"\x71\xc7": "cpio",
}


if TYPE_CHECKING:

    class _Decompressor(Protocol):
        """What bz2, lzma and zstd have, each for one stream or frame."""

        @property
        def eof(self) -> bool: ...

        @property
        def needs_input(self) -> bool: ...

        @property
        def unused_data(self) -> bytes: ...

        def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """The same of one member of a gzip file."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def needs_input(self) -> bool:
        return not self._object.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        tail = self._object.unconsumed_tail
        return self._object.decompress(tail + data if tail else data, max_length)


class _Plain(io.RawIOBase):
    """A file without its compression: one frame after the other, until no more follow.

    Zeros between frames fill up and say nothing. Reading it may raise one of ``errors``.
    """

    def __init__(
        self, file: BinaryIO, begin: Callable[[], _Decompressor], until: float | None
    ) -> None:
        self._file = file
        self._begin = begin
        self._until = until
        self._frame: _Decompressor | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        most = len(buffer)
        while True:
            if self._until is not None and time.monotonic() > self._until:
                raise SyncDatabaseError("slow", "it takes too long to read")
            data = self._next(most)
            if data is None:
                return 0
            if data:
                buffer[: len(data)] = data
                return len(data)

    def _next(self, most: int) -> bytes | None:
        """Return what comes next, nothing where that needs more of the file, None at its end."""
        if self._frame is None or self._frame.eof:
            beginning = self._beginning()
            if not beginning:
                return None
            self._frame = self._begin()
            return self._frame.decompress(beginning, most)
        more = self._file.read(_READ_SIZE) if self._frame.needs_input else b""
        data = self._frame.decompress(more, most)
        if not data and not more and not self._frame.eof:
            raise EOFError("it ends too early")
        return data

    def _beginning(self) -> bytes:
        """Return the beginning of the next frame, nothing where there is none."""
        rest = b""
        if self._frame is not None:
            rest = self._frame.unused_data.lstrip(b"\0")
        while len(rest) < len(_XZ) and (more := self._file.read(_READ_SIZE)):
            rest += more
            rest = rest.lstrip(b"\0") if self._frame is not None else rest
        # What is no frame behind one is left alone, as by libarchive.
        return rest if self._frame is None or _is_compressed(rest) else b""


def without_compression(file: BinaryIO, patience: Patience = OWN) -> BinaryIO:
    """Return a file that reads ``file`` without its compression, told by its first bytes.

    Reading it may raise one of ``errors``.
    """
    beginning = file.read(len(_XZ))
    file.seek(0)
    begin = _decompressor(beginning, patience.memory)
    if begin is None:
        return file
    until = None if patience.seconds is None else time.monotonic() + patience.seconds
    # Small reads are for BufferedReader: it takes them from memory without a line of Python.
    plain = io.BufferedReader(_Plain(file, begin, until), _READ_SIZE)
    return cast("BinaryIO", plain)


def _decompressor(beginning: bytes, memory: int) -> Callable[[], _Decompressor] | None:
    if beginning.startswith(_GZIP):
        return _Gzip
    if beginning.startswith(_BZIP2):
        return bz2.BZ2Decompressor
    if beginning.startswith(_XZ):
        return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=memory + _XZ_MORE)
    if _is_zstd(beginning):
        zstd = _zstd()
        options = {zstd.DecompressionParameter.window_log_max: memory.bit_length() - 1}
        return lambda: cast("_Decompressor", zstd.ZstdDecompressor(options=options))
    return None


def _is_compressed(beginning: bytes) -> bool:
    return beginning.startswith((_GZIP, _BZIP2, _XZ)) or _is_zstd(beginning)


def _is_zstd(beginning: bytes) -> bool:
    skippable = beginning[1:4] == _SKIPPABLE and beginning[0] >> 4 == 5  # noqa: PLR2004
    return beginning.startswith(_ZSTD) or skippable


def errors() -> tuple[type[Exception], ...]:
    """Return what is raised where the compression of a file cannot be taken off."""
    known = (SyncDatabaseError, OSError, EOFError, zlib.error, lzma.LZMAError)
    return (*known, _zstd().ZstdError) if _zstd_is_loaded() else known


def lacks_memory(error: Exception) -> bool:
    """Whether a file could not be read only since it may not have so much memory."""
    return "memory" in str(error).lower()


def _zstd() -> Any:
    """Import what reads zstd where it is needed: half a megabyte, and Arch's databases are gzip."""
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415
    else:
        from backports import zstd  # noqa: PLC0415
    return zstd


def _zstd_is_loaded() -> bool:
    return "compression.zstd" in sys.modules or "backports.zstd" in sys.modules


def name_of(beginning: bytes) -> str:
    """Return what a file is that is not read here, nothing where that cannot be told."""
    return next((name for magic, name in _OTHERS.items() if beginning.startswith(magic)), "")


def begins_compressed(beginning: bytes) -> bool:
    """Whether a file that begins so has a compression, known here or to libarchive alone."""
    return _decompressor(beginning, OWN.memory) is not None or bool(name_of(beginning))


def first_bytes(beginning: bytes, most: int, memory: int = OWN.memory) -> bytes:
    """Return the first bytes of a file without its compression, as far as ``beginning`` has them.

    ``memory`` is what looking back may take, as in ``Patience``.

    Raises one of ``errors`` where it cannot be what it begins to be.
    """
    begin = _decompressor(beginning, memory)
    plain = _Plain(io.BytesIO(beginning), begin, None) if begin else io.BytesIO(beginning)
    data = b""
    with suppress(EOFError):
        while len(data) < most and (more := plain.read(most - len(data))):
            data += more
    return data


@contextmanager
def by_program(data: bytes) -> Iterator[BinaryIO]:
    """Have bsdtar read an archive; yields the tar that it makes of it.

    Raises SyncDatabaseError where there is no bsdtar, or once it turns out that it cannot read it.
    """
    from flocon.machine.piped import printed  # noqa: PLC0415 - seldom needed

    program = shutil.which("bsdtar")
    if program is None:
        raise SyncDatabaseError("bsdtar", "bsdtar, which could read it, is not installed")
    arguments = [program, "-c", "-f", "-", "--format", "gnutar", "@-"]
    failing = SyncDatabaseError("bsdtar", "bsdtar cannot read it either")
    with (
        _in_memory(data) as given,
        printed(
            arguments, given, seconds=_PROGRAM_SECONDS, bounds=_PROGRAM_BOUNDS, failing=failing
        ) as tar,
    ):
        yield cast("BinaryIO", tar)


@contextmanager
def _in_memory(data: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("archive", os.MFD_CLOEXEC)
    try:
        write_all(descriptor, data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)
