"""The packages that a sync database lists: one, and very many in little memory.

An entry says what a package's file is, and where its signature lies. How entries are read is
``syncdb``'s, which of them this machine knows is ``listing``'s.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from flocon.files import Content

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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

    @property
    def is_signed(self) -> bool:
        """Whether the database has its signature."""
        return self.signature is not None

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
