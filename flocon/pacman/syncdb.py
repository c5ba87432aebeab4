"""pacman's sync databases: the bytes of one -> the entries that it lists.

A sync database is a tar of one ``<name>-<version>/desc`` for each package; repo-add(8) writes it
with bsdtar, others with whatever they have. It says what a repository's packages are: the only
place from which this node trusts a size and a SHA-256. Compression is taken off in
``database_files``.

The tar is read here and not by ``tarfile``: a fifth of the time for 14,000 entries (0.13 s
against 0.6 s), and each step is bounded.
"""

from __future__ import annotations

import binascii
import re
from collections import Counter
from typing import TYPE_CHECKING, BinaryIO

from flocon.errors import SyncDatabaseError
from flocon.files import DIGEST_SIZE, belongs_to
from flocon.pacman.entries import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Members of one tar; Arch's ``extra`` has 14,000 entries, and each may bring its folder.
MOST_ENTRIES = 200_000
#: One ``desc``; the longest of Arch's are below 20 KiB.
LARGEST_DESC = 1 << 20
#: One database, uncompressed; Arch's ``extra`` has about 40 MB.
LARGEST_DATABASE = 1 << 30
#: One package; the largest of Arch's are below 4 GiB.
LARGEST_PACKAGE = 64 << 30
#: pacman itself takes no larger signature (``dload.c``).
LARGEST_SIGNATURE = 16 << 10

_BLOCK = 512
_READ_SIZE = 1 << 16
#: In a tar's header: where the name, the size, the checksum and the type lie.
_NAME, _SIZE, _CHECKSUM = slice(0, 100), slice(124, 136), slice(148, 156)
_TYPE = slice(156, 157)
#: The fields used, each after a blank line, and all of the value up to the next one.
_FIELDS = re.compile(
    rb"(?:\A|\n\n)%(FILENAME|NAME|VERSION|ARCH|CSIZE|SHA256SUM|PGPSIG)%\n([^\n]*(?:\n[^\n]+)*)"
)
_FILES = (b"0", b"\0")
#: Old databases keep the dependencies apart, and ``.files`` databases the list of files.
_OTHER_MEMBERS = (b"depends", b"files")


def read_entries(
    repository: str, file: BinaryIO, skipped: Counter[str] | None = None
) -> Iterator[Entry]:
    """Yield the packages that an uncompressed sync database lists, reading ``file`` to its end.

    Entries without a package's file name, ``%CSIZE%`` or ``%SHA256SUM%`` are left out, and counted
    in ``skipped`` by reason; so are those whose file is named for another package or version, which
    would let a small package stand for a large file. Raises SyncDatabaseError where it is no tar,
    is cut short, or is larger than any database can be.
    """
    skipped = Counter() if skipped is None else skipped
    for desc in _descriptions(_Reader(file)):
        result = _entry(repository, desc)
        if isinstance(result, Entry):
            yield result
        elif result:
            skipped[result] += 1


def read_descs(file: BinaryIO) -> Iterator[bytes]:
    """Yield each ``desc`` of an uncompressed sync database; raises as ``read_entries`` does."""
    return _descriptions(_Reader(file))


class _Reader:
    """Reads exactly as much as asked for, and LARGEST_DATABASE altogether."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = LARGEST_DATABASE

    def some(self, most: int = _READ_SIZE) -> bytes:
        data = self._file.read(most)
        self._left -= len(data)
        if self._left < 0:
            raise SyncDatabaseError("large", f"more than {LARGEST_DATABASE} bytes")
        return data

    def exactly(self, length: int) -> bytes:
        data = self.some(length)
        while len(data) < length:
            more = self.some(length - len(data))
            if not more:
                raise SyncDatabaseError("short", "the file ends too early")
            data += more
        return data

    def skip(self, length: int) -> None:
        while length:
            length -= len(self.exactly(min(length, _READ_SIZE)))


def _descriptions(reader: _Reader) -> Iterator[bytes]:
    """Yield the contents of each member of a tar that may be a ``desc``."""
    for _ in range(MOST_ENTRIES):
        header = reader.exactly(_BLOCK)
        if not header[0]:  # the end is two blocks of zeros, and often more to fill a record
            if any(header):
                raise SyncDatabaseError("tar", "a member without a name")
            while reader.some():
                pass
            return
        if not _has_its_checksum(header):
            raise SyncDatabaseError("tar", "a header with a wrong checksum")
        size = _octal(header[_SIZE])
        padded = size + -size % _BLOCK
        # Names of more than 100 bytes come in various ways, of which most need no care here: what
        # a desc is, its own first field tells.
        path = header[_NAME].partition(b"\0")[0]
        if path.removeprefix(b"./") == b".PKGINFO":
            raise SyncDatabaseError("tar", "it is a package, with a signature of the same key")
        name = path.rpartition(b"/")[2]
        if header[_TYPE] not in _FILES or name in _OTHER_MEMBERS:
            reader.skip(padded)
        elif size > LARGEST_DESC:
            raise SyncDatabaseError("desc", f"an entry of {size} bytes")
        else:
            yield reader.exactly(padded)[:size]
    raise SyncDatabaseError("many", f"more than {MOST_ENTRIES} members")


def can_begin_tar(block: bytes) -> bool:
    """Whether the first 512 bytes of a file can be those of a tar, also of an empty one."""
    if not any(block):
        return True
    try:
        return len(block) == _BLOCK and _has_its_checksum(block)
    except SyncDatabaseError:
        return False


def _has_its_checksum(header: bytes) -> bool:
    said = _octal(header[_CHECKSUM])
    right = sum(header) - sum(header[_CHECKSUM]) + 8 * ord(" ")
    # Some have summed up signed characters, and libarchive takes that, too.
    return said == right or said == right - 256 * sum(byte > 127 for byte in header)  # noqa: PLR2004


def _octal(digits: bytes) -> int:
    digits = digits.strip(b" \0")
    if digits.strip(b"01234567"):
        raise SyncDatabaseError("tar", "a header with an impossible number")
    return int(digits or b"0", 8)


def _entry(repository: str, desc: bytes) -> Entry | str:
    """Return the entry that ``desc`` describes, or why there is none ("": it is no ``desc``)."""
    fields = dict(_FIELDS.findall(desc))
    try:
        file_name = fields.get(b"FILENAME", b"").decode("ascii")
        name = fields.get(b"NAME", b"").decode("ascii")
        version = fields.get(b"VERSION", b"").decode("ascii")
        architecture = fields.get(b"ARCH", b"").decode("ascii")
    except UnicodeDecodeError:
        return "name"
    if not file_name:
        return ""
    if not belongs_to(file_name, name, version, architecture):
        return "name"
    size = fields.get(b"CSIZE", b"")
    if not size.isdigit() or len(size) > len(str(LARGEST_PACKAGE)) or int(size) > LARGEST_PACKAGE:
        return "size"
    try:
        sha256 = binascii.unhexlify(fields.get(b"SHA256SUM", b""))
    except ValueError:
        return "digest"
    if len(sha256) != DIGEST_SIZE:
        return "digest"
    signature = _signature(fields.get(b"PGPSIG", b""))
    return Entry(repository, file_name, name, version, int(size), sha256, signature)


def _signature(text: bytes) -> bytes | None:
    if not 0 < len(text) <= LARGEST_SIGNATURE * 4 // 3 + 4:
        return None
    try:
        signature = binascii.a2b_base64(text.replace(b"\n", b""), strict_mode=True)
    except ValueError:
        return None
    return signature if 0 < len(signature) <= LARGEST_SIGNATURE else None
