"""The tar that bsdtar makes of a package: its members one after the other. No I/O of its own.

bsdtar reads a package with libarchive, as pacman does: whatever an archive can say in two ways,
both take in the same. What comes out is a plain tar: GNU's, which has all files as they will lie on
a disk, or that of pax, which has extended attributes as well. It is read here within bounds.
"""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from flocon.errors import PackageError
from flocon.repository.package import Member

if TYPE_CHECKING:
    from collections.abc import Iterator

    class Source(Protocol):
        """Gives up to so many bytes, none at its end."""

        def read(self, size: int, /) -> bytes: ...


#: Members of one package; Arch's largest has 130,000.
MOST_MEMBERS = 300_000
#: Bytes of all paths and targets together; Arch's most are 12 MB.
MOST_NAMES = 64 << 20
#: Bytes of all files of one package.
LARGEST_UNPACKED = 256 << 30
#: One path, as the kernel takes it (``PATH_MAX``).
LONGEST_PATH = 4_095
#: Bytes of what pax says beside a header.
_LARGEST_EXTENSION = 1 << 20
_BLOCK = 512
_READ_SIZE = 1 << 18
_TYPES = {
    b"0": stat.S_IFREG,
    b"1": stat.S_IFREG,
    b"2": stat.S_IFLNK,
    b"3": stat.S_IFCHR,
    b"4": stat.S_IFBLK,
    b"5": stat.S_IFDIR,
    b"6": stat.S_IFIFO,
}
#: What comes before a member whose path or target is longer than its field, and before any in pax.
_LONG_PATH, _LONG_TARGET, _EXTENSION = b"L", b"K", b"x"
_HARD_LINK = b"1"
_ATTRIBUTE = "SCHILY.xattr."
_CAPABILITIES = f"{_ATTRIBUTE}security.capability"
#: Bytes of them: the kernel takes no more (``struct vfs_ns_cap_data``).
_LARGEST_CAPABILITIES = 24
#: A user's number has 32 bits; of a larger one the kernel takes those, and the last is for nobody.
_MOST_USERS = (1 << 32) - 1
#: In front of a number that is larger than its field in octal: the rest is one of 256.
_BINARY = 0x80


@dataclass(frozen=True, slots=True)
class _Header:
    kind: bytes
    path: bytes
    mode: int
    user: int
    group: int
    size: int
    target: bytes


class Archive:
    """The tar of the package ``file_name``; raises PackageError where it is none, or too much."""

    def __init__(self, file_name: str, source: Source) -> None:
        self._file_name = file_name
        self._source = source
        #: Bytes that are left of the member reached last, and what fills up its last block.
        self._left = self._padding = 0
        self._names = self._unpacked = 0

    def members(self) -> Iterator[Member]:
        """Yield each member; ``read`` has its bytes until the next one is asked for."""
        for _ in range(MOST_MEMBERS + 1):
            self._skip()
            said: dict[str, bytes] = {}
            while (header := self._next_header()) is not None:
                if header.kind == _EXTENSION:
                    said |= self._read_extension(header.size)
                elif header.kind in {_LONG_PATH, _LONG_TARGET}:
                    key = "path" if header.kind == _LONG_PATH else "linkpath"
                    said[key] = self._read_name(header.size)
                else:
                    break
            if header is None:
                return
            yield self._member(header, said)
        raise self._failed(f"has more than {MOST_MEMBERS} members")

    def read(self, most: int) -> bytes:
        """Return all bytes of the member reached last; raises where they are more than ``most``."""
        if self._left > most:
            raise self._failed(f"has a describing file of more than {most} bytes")
        data = self._exactly(self._left)
        self._left = 0
        return data

    def digest(self) -> bytes:
        """Return the SHA-256 of all bytes of the member reached last, however many they are."""
        digest = hashlib.sha256()
        while self._left:
            data = self._exactly(min(self._left, _READ_SIZE))
            digest.update(data)
            self._left -= len(data)
        return digest.digest()

    def _member(self, header: _Header, said: dict[str, bytes]) -> Member:
        kind = _TYPES.get(header.kind)
        if kind is None:
            raise self._failed("has a member of a kind that is not known")
        if any(key.startswith("GNU.sparse.") for key in said):
            # Where bytes are left out, what follows is not to be found for sure.
            raise self._failed("has holes in its files, and capabilities beside them")
        capabilities = said.get(_CAPABILITIES, b"")
        if len(capabilities) > _LARGEST_CAPABILITIES:
            raise self._failed("has capabilities that no kernel takes")
        size = self._said_number(said, "size", header.size)
        self._left, self._padding = size, -size % _BLOCK
        path, target = said.get("path", header.path), said.get("linkpath", header.target)
        if header.kind == _HARD_LINK and not target:
            raise self._failed("has a hard link to nowhere")
        self._names += len(path) + len(target)
        self._unpacked += size
        if self._names > MOST_NAMES:
            raise self._failed(f"has more than {MOST_NAMES} bytes of names")
        if self._unpacked > LARGEST_UNPACKED:
            raise self._failed(f"unpacks to more than {LARGEST_UNPACKED >> 30} GiB")
        return Member(
            path=self._text(path).removesuffix("/") if kind == stat.S_IFDIR else self._text(path),
            mode=kind | header.mode & 0o7777,
            size=size,
            user=self._user(self._said_number(said, "uid", header.user)),
            group=self._user(self._said_number(said, "gid", header.group)),
            target=self._text(target),
            attributes=tuple(
                sorted(key.removeprefix(_ATTRIBUTE) for key in said if key.startswith(_ATTRIBUTE))
            ),
            capabilities=capabilities,
        )

    def _next_header(self) -> _Header | None:
        block = self._exactly(_BLOCK)
        if not any(block):
            # The end; what fills up the last record says nothing.
            while self._source.read(_READ_SIZE):
                pass
            return None
        checksum = block[148:156]
        if self._number(checksum) != sum(block) - sum(checksum) + 8 * ord(" "):
            raise self._failed("cannot be read")
        name, prefix = (field.partition(b"\0")[0] for field in (block[:100], block[345:500]))
        is_gnu = block[257:265] == b"ustar  \0"
        return _Header(
            kind=block[156:157],
            path=prefix + b"/" + name if prefix and not is_gnu else name,
            mode=self._number(block[100:108]),
            user=self._number(block[108:116]),
            group=self._number(block[116:124]),
            size=self._number(block[124:136]),
            target=block[157:257].partition(b"\0")[0],
        )

    def _read_name(self, size: int) -> bytes:
        """Return a long path or target, which has a zero at its end."""
        if size > LONGEST_PATH + 1:
            raise self._failed("has a path that is longer than any can be")
        return self._exactly(size + -size % _BLOCK)[:size].partition(b"\0")[0]

    def _read_extension(self, size: int) -> dict[str, bytes]:
        """Return what pax says of the next member: ``LENGTH KEY=VALUE`` and a line's end each."""
        if size > _LARGEST_EXTENSION:
            raise self._failed(f"says more than {_LARGEST_EXTENSION} bytes about one member")
        data = self._exactly(size + -size % _BLOCK)[:size]
        said: dict[str, bytes] = {}
        while data:
            digits = data.partition(b" ")[0]
            length = self._decimal(digits)
            key, equals, value = data[len(digits) + 1 : length - 1].partition(b"=")
            if not equals or not len(digits) < length <= len(data) or data[length - 1] != ord("\n"):
                raise self._failed("cannot be read")
            name = key.decode("utf-8", "replace")
            if said.get(name, value) != value:
                # Which one counts on a disk is another one than of a size. The same again is
                # bsdtar's: it writes an attribute in two ways, and reads both.
                raise self._failed("says a thing twice, and in two ways, about one member")
            said[name] = value
            data = data[length:]
        return said

    def _skip(self) -> None:
        left, self._left, self._padding = self._left + self._padding, 0, 0
        while left:
            read = self._source.read(min(left, _READ_SIZE))
            if not read:
                raise self._failed("ends too early")
            left -= len(read)

    def _exactly(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            more = self._source.read(length - len(data))
            if not more:
                raise self._failed("ends too early")
            data += more
        return bytes(data)

    def _number(self, field: bytes) -> int:
        if field[0] == _BINARY:
            return int.from_bytes(field[1:], "big")
        digits = field.strip(b" \0")
        if digits.strip(b"01234567"):
            raise self._failed("has an impossible number")
        return int(digits or b"0", 8)

    def _user(self, number: int) -> int:
        if number >= _MOST_USERS:
            raise self._failed("has a file of a user whom no system can have")
        return number

    def _said_number(self, said: dict[str, bytes], key: str, otherwise: int) -> int:
        return self._decimal(said[key]) if key in said else otherwise

    def _decimal(self, digits: bytes) -> int:
        if not digits.isdigit() or len(digits) > 18:  # noqa: PLR2004 - fits in 64 bits
            raise self._failed("has an impossible number")
        return int(digits)

    def _text(self, name: bytes) -> str:
        try:
            return name.decode("utf-8")
        except UnicodeDecodeError:
            raise self._failed("has a file name that is not UTF-8") from None

    def _failed(self, problem: str) -> PackageError:
        return PackageError(self._file_name, f"the package {problem}")
