"""A package's file -> what it says of itself, and what it would put where. Blocks: for a thread.

The archive is read by bsdtar, in a process with bounds that can reach nothing else (``confined``);
nothing of it is written anywhere, and nothing in it is run.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING

from flocon.errors import PackageError, ToolMissing
from flocon.files import LONGEST_NAME, Content, parse_file_name
from flocon.machine.piped import printed
from flocon.machine.process import Bounds
from flocon.pacman.compression import errors, first_bytes
from flocon.pacman.database_files import sha256_of
from flocon.programs.confined import command
from flocon.repository.archive import LONGEST_PATH, Archive
from flocon.repository.checking import MemberCheck
from flocon.repository.mtree import LARGEST_LIST, demand_listed
from flocon.repository.package import BUILDINFO, DESCRIBING, INSTALL, MTREE, PKGINFO, Package
from flocon.repository.pkginfo import LARGEST_INFO, parse_info, parse_package_info

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import IO

    from flocon.repository.package import Member

#: A package's file; Arch's largest are below 4 GiB.
LARGEST_PACKAGE = 16 << 30
#: An install script; Arch's longest has 10 KB.
LARGEST_INSTALL = 256 << 10
#: Seconds for one package, however often it is unpacked, and for the processor each time: xz
#: unpacks 60 MB of a package in one.
LONGEST_READ = 1_200.0
#: Seconds for which a program is waited for once its time is over.
_LEAST_SECONDS = 1.0
#: zstd --ultra -22 looks back 128 MiB, xz -9 64.
_LOOKS_BACK = 128 << 20
_BOUNDS = Bounds(processor_seconds=1_200, memory=768 << 20)
_READ_SIZE = 1 << 20
_BLOCK = 512
#: Enough of any compression's first frame for the first block of a tar.
_BEGINNING = 1 << 20
#: The first member: makepkg puts what describes the package before all else. A name that begins so
#: can begin no other archive or compression that libarchive knows, one that might lead it to files
#: of this machine (mtree) among them.
_FIRST_NAMES = (b".", b"PaxHeader/", b"./PaxHeaders")
_MAGIC = slice(257, 262)
#: How pax's kind of tar begins to tell an extended attribute; names have 255 bytes at the most.
_ATTRIBUTE = re.compile(rb"\d SCHILY\.xattr\.[^=\0\n]{1,255}=")
_LONGEST_ATTRIBUTE = 300
_COMPRESSIONS = {
    ".zst": (b"\x28\xb5\x2f\xfd",),
    ".xz": (b"\xfd7zXZ\0",),
    ".gz": (b"\x1f\x8b",),
    ".bz2": (b"BZh",),
    ".tar": _FIRST_NAMES,
}
#: What bsdtar writes of what cannot be printed: octal, or a sign that stands for itself.
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
#: A line of its list: kind, permissions, links, user, group, size, three words of a date, a name.
_LINE = re.compile(
    rb".([-rwxsStT]{9})[ +] *[0-9]+ 0 +0 +([0-9]{1,18}) \S+ +\S+ +\S+ (.*)\n", re.DOTALL
)
#: How it is asked for: with numbers, for a user's name is whatever somebody has written there.
_LIST = ("-t", "-v", "--uid", "0", "--gid", "0", "-f", "-")
#: Bytes of one: of two paths, of which each may take four.
_LONGEST_LINE = 8 * LONGEST_PATH + 200
_WANTED: Mapping[str, int] = {
    PKGINFO: LARGEST_INFO,
    BUILDINFO: LARGEST_INFO,
    INSTALL: LARGEST_INSTALL,
    MTREE: LARGEST_LIST,
}


@dataclass(frozen=True, slots=True)
class _Inside:
    members: tuple[Member, ...]
    describing: Mapping[str, bytes]
    #: The members with those that describe it.
    every: tuple[Member, ...]


def read_package(descriptor: int, file_name: str, seconds: float = LONGEST_READ) -> Package:
    """Read the package in an open file, from its beginning; its offset is moved.

    ``file_name`` is what it is to be called, and must name what is inside. Raises PackageError
    where it is no package that may be published, or takes longer than ``seconds``; ToolMissing
    without bsdtar.
    """
    until = time.monotonic() + seconds
    file = parse_file_name(file_name)
    if file is None or file.text != file.subject or not file.version:
        raise PackageError(file_name[:LONGEST_NAME], "that is no package's file name")
    size = os.fstat(descriptor).st_size
    if not 0 < size <= LARGEST_PACKAGE:
        raise PackageError(file_name, f"{size} bytes are no package's size")
    _demand_tar(descriptor, file_name)
    content = Content(size, bytes.fromhex(sha256_of(descriptor)))
    with _unpacked(descriptor, file_name, until, "gnutar") as tar:
        inside = _read_inside(file_name, tar)
    with _reading(descriptor, file_name, until, *_LIST) as lines:
        _demand_told(file_name, inside.every, lines)
    if MTREE in inside.describing:
        demand_listed(file_name, inside.describing[MTREE], inside.every)
    if PKGINFO not in inside.describing:
        raise PackageError(file_name, f"it has no {PKGINFO}: it is no package")
    return Package(
        file_name=file_name,
        content=content,
        info=parse_package_info(file_name, inside.describing[PKGINFO]),
        members=_with_attributes(descriptor, file_name, until, inside.members),
        install=inside.describing.get(INSTALL, b"").decode("utf-8", "surrogateescape"),
        build_info=parse_info(file_name, inside.describing.get(BUILDINFO, b"")),
    )


def read_identity(descriptor: int, file_name: str) -> Mapping[str, tuple[str, ...]]:
    """Return what the package in an open file says of itself; its offset is moved.

    For one that is trusted, by its signature, to be what it says: whether that is what its name
    says. Raises PackageError where it is not, or no package at all, ToolMissing without bsdtar.
    """
    _demand_tar(descriptor, file_name)
    until = time.monotonic() + LONGEST_READ
    with _reading(descriptor, file_name, until, "-x", "-O", "-q", "-f", "-", PKGINFO) as told:
        data = told.read(LARGEST_INFO + 1)
        if len(data) > LARGEST_INFO:
            raise PackageError(file_name, f"its {PKGINFO} is too long")
        return parse_package_info(file_name, data)


def _demand_tar(descriptor: int, file_name: str) -> None:
    """Raise PackageError unless the file is a tar, compressed as its name says."""
    beginning = os.pread(descriptor, _BEGINNING, 0)
    extension = "." + file_name.rpartition(".")[2]
    magic = _COMPRESSIONS.get(extension)
    if magic is None:
        known = ", ".join(_COMPRESSIONS)
        raise PackageError(file_name, f"it is compressed in a way that is not one of {known}")
    if not beginning.startswith(magic):
        raise PackageError(file_name, f"it is not what {extension} says")
    try:
        block = first_bytes(beginning, _BLOCK, _LOOKS_BACK)
    except errors() as error:
        raise PackageError(file_name, f"it cannot be unpacked: {error}") from None
    is_tar = len(block) == _BLOCK and block[_MAGIC] == b"ustar"
    if not is_tar or not block.startswith(_FIRST_NAMES):
        problem = "it does not begin as makepkg's packages do: a PKGBUILD of your own packs it anew"
        raise PackageError(file_name, problem)


def _read_inside(file_name: str, tar: IO[bytes]) -> _Inside:
    archive, check = Archive(file_name, tar), MemberCheck(file_name)
    members: list[Member] = []
    every: list[Member] = []
    describing: dict[str, bytes] = {}
    for member in archive.members():
        check.look(member)
        every.append(member)
        if member.path in _WANTED:
            describing[member.path] = archive.read(_WANTED[member.path])
        elif member.path not in DESCRIBING:
            members.append(_with_digest(member, archive))
    check.finish()
    return _Inside(tuple(members), describing, tuple(every))


def _demand_told(file_name: str, members: Sequence[Member], lines: IO[bytes]) -> None:
    """Raise PackageError unless bsdtar's list is of the members that it has given out.

    Making a tar of them it leaves out, without a word, what it takes for no file, and what a hard
    link has to say of its own; whoever unpacks it does not.
    """
    told = iter(partial(lines.readline, _LONGEST_LINE), b"")
    for member, line in zip_longest(members, told):
        if member is None or line is None or not _tells(line, member):
            shown = member.path if member else line.decode("utf-8", "replace")
            hint = ": a folder's name ends in a slash" if member and member.is_folder else ""
            problem = f"it could be unpacked in two ways, by {shown[:200]!r}{hint}"
            raise PackageError(file_name, problem)


def _tells(line: bytes, member: Member) -> bool:
    """Whether a line of bsdtar's list is that of a member: permissions, size, name and target."""
    match = _LINE.fullmatch(line)
    if match is None:
        return False
    permissions, size, escaped = match.groups()
    name, path, target = _ESCAPE.sub(_unescape, escaped), member.path, member.target
    if member.is_folder:
        # Without the slash, which makepkg writes, pacman leaves a folder out.
        said = f"{path}/"
    elif member.is_link:
        said = f"{path} -> {target}"
    else:
        said = f"{path} link to {target}" if target else path
    told = permissions.decode(), int(size), name
    return told == (stat.filemode(member.mode)[1:], member.size, said.encode())


def _unescape(match: re.Match[bytes]) -> bytes:
    said = match[1]
    return bytes([int(said, 8) & 0xFF]) if said.isdigit() else said


def _with_digest(member: Member, archive: Archive) -> Member:
    return replace(member, digest=archive.digest()) if member.size else member


def _with_attributes(
    descriptor: int, file_name: str, until: float, members: tuple[Member, ...]
) -> tuple[Member, ...]:
    """Return the members with their extended attributes, where any has some.

    Only pax's kind of tar tells them; and it does not tell all else as it will be.
    """
    with _unpacked(descriptor, file_name, until, "pax") as tar:
        if not _says_attributes(tar):
            return members
    with _unpacked(descriptor, file_name, until, "pax") as tar:
        told = [one for one in Archive(file_name, tar).members() if one.path not in DESCRIBING]
    found = tuple(
        replace(member, attributes=one.attributes, capabilities=one.capabilities)
        for member, one in zip(members, told, strict=False)
    )
    bare = tuple(replace(one, attributes=(), capabilities=b"") for one in told)
    if bare != tuple(replace(member, digest=b"") for member in members):
        raise PackageError(file_name, "it could be unpacked in two ways")
    return found


def _says_attributes(tar: IO[bytes]) -> bool:
    """Whether some member has attributes, or a file has the very words; reads it to its end."""
    before, found = b"", False
    while data := tar.read(_READ_SIZE):
        found = found or _ATTRIBUTE.search(before + data) is not None
        before = data[-_LONGEST_ATTRIBUTE:]
    return found


def _unpacked(
    descriptor: int, file_name: str, until: float, layout: str
) -> AbstractContextManager[IO[bytes]]:
    """Yield the tar that bsdtar makes of a package, laid out so."""
    return _reading(descriptor, file_name, until, "-c", "-f", "-", "--format", layout, "@-")


def _reading(
    descriptor: int, file_name: str, until: float, *arguments: str
) -> AbstractContextManager[IO[bytes]]:
    """Yield what bsdtar says that reads a package; raises where it could not, in the end.

    It is ended at ``until``, of the clock that nobody sets.
    """
    program = shutil.which("bsdtar")
    if program is None:
        raise ToolMissing("bsdtar")
    os.lseek(descriptor, 0, os.SEEK_SET)
    return printed(
        command([program, *arguments]),
        descriptor,
        seconds=max(_LEAST_SECONDS, until - time.monotonic()),
        bounds=_BOUNDS,
        failing=PackageError(file_name, "bsdtar cannot read it, or not within its bounds"),
        folder="/",
        environment={"LC_ALL": "C.UTF-8", "PATH": os.defpath},
    )
