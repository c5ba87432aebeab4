"""pacman's sync databases: the bytes of one -> entries, and where an entry is found by file name.

A sync database is a tar of one ``<name>-<version>/desc`` for each package; repo-add(8) writes it
with bsdtar, others with whatever they have. It says what a repository's packages are: the only
place from which this node trusts a size and a SHA-256. Compression is taken off in
``host.pacman``, which also knows where the databases lie and when they change.

The tar is read here and not by ``tarfile``: a fifth of the time for 14,000 entries (0.13 s
against 0.6 s), and each step is bounded.
"""

from __future__ import annotations

import binascii
import re
import struct
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Protocol

from flocon.core.inventory import DIGEST_SIZE, Content
from flocon.core.names import belongs_to
from flocon.errors import SyncDatabaseError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

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


class Vault(Protocol):
    """Keeps signatures out of memory: they are seldom needed, and most of a database."""

    def keep(self, signature: bytes) -> int | None:
        """Return the place at which it is found again; None where it cannot be kept."""

    def read(self, place: int, length: int) -> bytes | None:
        """Return so many bytes from a place; None where they cannot be had any more."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A signature that a vault keeps."""

    vault: Vault = field(repr=False, compare=False)
    place: int
    length: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One package of one repository: ``size`` in bytes, ``sha256`` raw, ``signature`` decoded.

    ``signature`` is None where the database has no (usable) ``%PGPSIG%``; ``read_signature`` gets
    it from wherever it is.
    """

    repository: str
    file_name: str
    name: str
    version: str
    size: int
    sha256: bytes
    signature: bytes | Kept | None = None

    def read_signature(self) -> bytes | None:
        """Return the signature, None where there is none or its vault has lost it."""
        kept = self.signature
        return kept.vault.read(kept.place, kept.length) if isinstance(kept, Kept) else kept

    @property
    def content(self) -> Content:
        """What an inventory knows this file by."""
        return Content(self.size, self.sha256)


#: A packed entry: the number of its ending, the lengths of its beginning, name, version and
#: signature (0: there is none), size, SHA-256, and the place of the signature in the vault. The
#: beginning follows, and what is not in it or kept elsewhere: name and version, signature.
_RECORD = struct.Struct("<BBBBHQ32sI")
_ENDING, _LENGTH = 0, 1
#: The place of a signature that follows its entry; a vault has less than 4 GiB.
_HERE = 2**32 - 1
#: Ways in which file names go on after name and version: architectures and compressions.
_MOST_ENDINGS = 256


class PackedEntries(Mapping[str, Entry]):
    """Entries by file name, in one block of memory: 0.1 KB for each, and none to walk or to free.

    As objects, 14,000 entries with signatures take 12 MB, and twice that for good when they are
    read anew; packed they take 7, and 1 where a vault keeps the signatures. An entry is made when
    it is asked for (10 microseconds).
    """

    def __init__(
        self, repository: str, entries: Iterable[Entry], vault: Vault | None = None
    ) -> None:
        """Pack ``entries``, all of ``repository``; of two with one file name the first counts."""
        self._repository = repository
        self._vault = vault
        self._packed: bytes | bytearray = bytearray()
        #: The first is that of entries whose file names do not begin with name and version.
        self._endings = [""]
        # Sorted bit by bit: the keys of all entries at once would leave their room behind.
        by_initial: dict[str, array[int]] = {}
        for entry in entries:
            by_initial.setdefault(entry.file_name[:1], array("I")).append(len(self._packed))
            self._pack(entry)
        #: How many are left out because their file name had come before.
        self.repeated = 0
        # In the order of their names, to be found by halving.
        self._places = array("I")
        for initial in sorted(by_initial):
            self._add(sorted(by_initial.pop(initial), key=self._file_name))
        self._packed = bytes(self._packed)

    def _add(self, places: Iterable[int]) -> None:
        last = None
        for place in places:
            name = self._file_name(place)
            if name == last:
                self.repeated += 1
            else:
                self._places.append(place)
            last = name

    def _pack(self, entry: Entry) -> None:
        ending = self._number_ending(entry)
        beginning = entry.file_name.removesuffix(self._endings[ending])
        rest = b"" if ending else f"{entry.name}{entry.version}".encode("ascii")
        signature = entry.read_signature() or b""
        place = self._vault.keep(signature) if self._vault and signature else None
        self._packed += _RECORD.pack(
            ending,
            len(beginning),
            len(entry.name),
            len(entry.version),
            len(signature),
            entry.size,
            entry.sha256,
            _HERE if place is None else place,
        )
        self._packed += beginning.encode("ascii") + rest + (signature if place is None else b"")

    def _number_ending(self, entry: Entry) -> int:
        """Return the number of what follows name and version in a file name, 0 if they do not."""
        beginning = f"{entry.name}-{entry.version}"
        ending = entry.file_name.removeprefix(beginning)
        if not ending or beginning + ending != entry.file_name:
            return 0
        if ending not in self._endings:
            if len(self._endings) == _MOST_ENDINGS:
                return 0
            self._endings.append(ending)
        return self._endings.index(ending)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def memory(self) -> int:
        """Return how many bytes it takes, more or less."""
        return len(self._packed) + self._places.itemsize * len(self._places)

    def __iter__(self) -> Iterator[str]:
        return map(self._file_name, self._places)

    def _file_name(self, place: int) -> str:
        packed, start = self._packed, place + _RECORD.size
        beginning = packed[start : start + packed[place + _LENGTH]].decode("ascii")
        return beginning + self._endings[packed[place + _ENDING]]

    def __getitem__(self, file_name: str) -> Entry:
        index = bisect_left(self._places, file_name, key=self._file_name)
        if index == len(self._places) or self._file_name(self._places[index]) != file_name:
            raise KeyError(file_name)
        return self._entry(self._places[index])

    def beginning(self, prefix: str) -> Iterator[Entry]:
        """Yield the entries whose file names begin so, in the order of their names."""
        index = bisect_left(self._places, prefix, key=self._file_name)
        for place in self._places[index:]:
            if not self._file_name(place).startswith(prefix):
                return
            yield self._entry(place)

    def _entry(self, place: int) -> Entry:
        file_name = self._file_name(place)
        ending, length, name, version, signed, size, sha256, kept = _RECORD.unpack_from(
            self._packed, place
        )
        rest = place + _RECORD.size + length
        if ending:
            both = file_name[: name + 1 + version]
            texts = both[:name], both[name + 1 :]
        else:
            words = self._packed[rest : rest + name + version].decode("ascii")
            texts = words[:name], words[name:]
            rest += name + version
        signature: bytes | Kept | None = None
        if signed and self._vault is not None and kept != _HERE:
            signature = Kept(self._vault, kept, signed)
        elif signed:
            signature = bytes(self._packed[rest : rest + signed])
        return Entry(self._repository, file_name, *texts, size, sha256, signature)


@dataclass(frozen=True, slots=True)
class Database:
    """One sync database as it was read.

    ``digest`` is the first 16 hex digits of the SHA-256 of the file as it lies on disk,
    ``modified`` its time of modification in seconds, ``entries`` are by file name, ``skipped``
    counts the entries that could not be used. ``from_peer`` tells that a peer gave it: nothing is
    to be fetched ahead because of what it lists, and nobody is to have it from here. Two are equal
    whose files are: by their digests.
    """

    repository: str
    digest: str
    modified: float
    entries: Mapping[str, Entry] = field(repr=False, compare=False)
    skipped: int = 0
    from_peer: bool = False

    def __len__(self) -> int:
        return len(self.entries)


@dataclass(frozen=True, slots=True)
class Listing:
    """What this machine's sync databases list, in the order of pacman.conf.

    ``further`` are databases that mirrors sent through this node lately and that do not lie where
    pacman has its own: for a pacman with a DBPath of its own. What they list is found, too, behind
    the others; they are not told of, and nothing is fetched ahead because of them.
    """

    databases: tuple[Database, ...] = ()
    further: tuple[Database, ...] = ()
    _by_repository: Mapping[str, Database] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_repository = {database.repository: database for database in self.databases}
        object.__setattr__(self, "_by_repository", by_repository)

    def __len__(self) -> int:
        """Return the number of entries of all databases together."""
        return sum(map(len, self.databases))

    def database(self, repository: str) -> Database | None:
        return self._by_repository.get(repository)

    def find(self, file_name: str, repository: str = "") -> tuple[Entry, ...]:
        """Return the entries of this name: in ``repository`` only, or in every one if it is "".

        One look-up for each database. Two entries may stand for the same content or not.
        """
        databases: Iterable[Database] = self.databases
        if repository:
            only = self._by_repository.get(repository)
            databases = () if only is None else (only,)
        if self.further:
            more = (one for one in self.further if repository in {"", one.repository})
            databases = (*databases, *more)
        found = (database.entries.get(file_name) for database in databases)
        return tuple(entry for entry in found if entry is not None)

    def named(self, name: str) -> list[Entry]:
        """Return the entries of a package, first those of the repository that comes first."""
        return [
            entry
            for database in self.databases
            for entry in _beginning(database.entries, f"{name}-")
            if entry.name == name
        ]

    def versions(self, wanted: Collection[tuple[str, str]]) -> list[Entry]:
        """Return the entries of these packages and versions; walks through everything.

        What a peer's database lists is left out: they are wanted to be fetched ahead.
        """
        found: dict[str, Entry] = {}
        for database in self.databases:
            if database.from_peer:
                continue
            for entry in database.entries.values():
                if (entry.name, entry.version) in wanted:
                    found.setdefault(entry.name, entry)
        return list(found.values())

    def digests(self) -> tuple[tuple[str, str], ...]:
        """Return repository and digest of each database."""
        return tuple((database.repository, database.digest) for database in self.databases)


def _beginning(entries: Mapping[str, Entry], prefix: str) -> Iterable[Entry]:
    if isinstance(entries, PackedEntries):
        return entries.beginning(prefix)
    return (entry for name, entry in sorted(entries.items()) if name.startswith(prefix))


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
        name = header[_NAME].partition(b"\0")[0].rpartition(b"/")[2]
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
