"""The list of a package's files that makepkg puts into it (``.MTREE``). No I/O.

pacman goes by this list, and not by what else is in the archive: a file that is not in it is not
installed, one that is in it alone is taken for the package's own, and taken away with it; an
install script that it does not name may never run. So both have to say the same. Read is what
makepkg has bsdtar write (mtree(5)), and no other way to say it: libarchive knows several.
"""

from __future__ import annotations

import re
import stat
import zlib
from typing import TYPE_CHECKING

from flocon.errors import PackageError
from flocon.repository.archive import LONGEST_PATH
from flocon.repository.package import DESCRIBING, INSTALL, MTREE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flocon.repository.package import Member

#: Bytes of the list as it lies in a package; that of Arch's largest has 10 MB.
LARGEST_LIST = 64 << 20
#: Bytes of it unpacked; Arch's most are 30 MB.
_LARGEST_TEXT = 512 << 20
#: Bytes of one line: a path and a target, of which each may take four times as many.
_LONGEST_LINE = 8 * LONGEST_PATH + 1_000
_GZIP_MAGIC, _GZIP, _BEGINNING = b"\x1f\x8b", 31, b"#mtree\n"
_READ_SIZE = 1 << 16
_KINDS = {b"file": stat.S_IFREG, b"dir": stat.S_IFDIR, b"link": stat.S_IFLNK}
_ESCAPE = re.compile(rb"\\([0-3][0-7]{2})")
_PRINTABLE = re.compile(rb"\./[!-\[\]-~]*")
_DEFAULTS = b"/set"
#: What is said of a file; what it means is no matter here, save its kind.
_WORD = re.compile(
    rb"(type|uid|gid|uname|gname|mode|time|size|nlink|link|cksum"
    rb"|(?:md5|sha1|sha256|sha384|sha512|rmd160)(?:digest)?)=(\S*)"
)
#: Of these the list may be silent: pacman looks for them in the archive alone.
_UNSAID = DESCRIBING - {INSTALL}


def demand_listed(file_name: str, data: bytes, members: Iterable[Member]) -> None:
    """Raise PackageError unless the list ``data`` is that of a package's members, whole."""
    wanted = {
        member.path: stat.S_IFMT(member.mode) for member in members if member.path not in _UNSAID
    }
    for path, kind in _entries(file_name, data):
        if path not in _UNSAID and wanted.pop(path, None) != kind:
            raise _refused(file_name, "has what the package has not, or twice", path)
    for path in wanted:
        raise _refused(file_name, "has not what the package has", path)


def _entries(file_name: str, data: bytes) -> Iterator[tuple[str, int]]:
    """Yield the path and the kind of each file that is listed."""
    kind: int | None = None
    for line in _lines(file_name, data):
        name, *words = line.split(b" ")
        said = _kind(file_name, words, kind)
        if name == _DEFAULTS:
            kind = said
        elif said is None:
            raise _unread(file_name)
        else:
            yield _path(file_name, name), said


def _kind(file_name: str, words: list[bytes], otherwise: int | None) -> int | None:
    for word in words:
        match = _WORD.fullmatch(word)
        if match is None or (match[1] == b"type" and match[2] not in _KINDS):
            raise _unread(file_name)
        if match[1] == b"type":
            otherwise = _KINDS[match[2]]
    return otherwise


def _path(file_name: str, name: bytes) -> str:
    if not _PRINTABLE.fullmatch(_ESCAPE.sub(b"", name)):
        raise _unread(file_name)
    try:
        return _ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), name[2:]).decode("utf-8")
    except UnicodeDecodeError:
        raise _unread(file_name) from None


def _lines(file_name: str, data: bytes) -> Iterator[bytes]:
    """Yield the lines behind the first, without their ends."""
    text, left = b"", _LARGEST_TEXT
    is_first = True
    for more in _unpacked(file_name, data):
        left -= len(more)
        *lines, text = (text + more).split(b"\n")
        if left < 0 or len(text) > _LONGEST_LINE:
            raise _unread(file_name)
        for line in lines:
            if is_first and line + b"\n" != _BEGINNING:
                raise _unread(file_name)
            if not is_first:
                yield line
            is_first = False
    if text or is_first:
        raise _unread(file_name)


def _unpacked(file_name: str, data: bytes) -> Iterator[bytes]:
    if not data.startswith(_GZIP_MAGIC):
        yield data
        return
    unpacking = zlib.decompressobj(wbits=_GZIP)
    try:
        while data and not unpacking.eof:
            yield unpacking.decompress(data, _READ_SIZE)
            data = unpacking.unconsumed_tail
    except zlib.error:
        raise _unread(file_name) from None
    # Of what is cut off, or stands behind, others may take more in.
    if not unpacking.eof or unpacking.unused_data:
        raise _unread(file_name)


def _unread(file_name: str) -> PackageError:
    return PackageError(file_name, f"its {MTREE} is not as makepkg writes it")


def _refused(file_name: str, problem: str, path: str) -> PackageError:
    return PackageError(file_name, f"its {MTREE}, by which pacman goes, {problem}: {path[:200]!r}")
