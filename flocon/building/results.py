"""What a job left, taken out of its folder when nobody is behind the wall any more.

Whoever wrote there may have written anything: only plain files are taken, within bounds, and by
descriptors that lead to what was looked at.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flocon.building.commands import CHECKOUTS, SRCINFO
from flocon.files import LARGEST_FILE, is_package

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Packages that one recipe gives, with their debugging symbols; and what else it may leave.
MOST_PACKAGES = 200
_MOST_ENTRIES = 10_000
_LARGEST_SRCINFO = 512 << 10
_LARGEST_CHECKOUTS = 64 << 10
_CHUNK = 1 << 20
_PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SOURCE = re.compile(r"\s*source(?:_\w+)?\s*=\s*(\S+)\s*")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Made:
    """A package that lies open: who takes it closes ``descriptor``; ``sha256`` is in hex."""

    name: str
    size: int
    sha256: str
    descriptor: int


@dataclass(frozen=True, slots=True)
class Left:
    """All that a job left: packages, what makepkg said of its recipe, commits by source line."""

    packages: tuple[Made, ...]
    srcinfo: str
    commits: Mapping[str, str]

    def close(self) -> None:
        for one in self.packages:
            os.close(one.descriptor)


def take(build: Path, most: int = LARGEST_FILE) -> Left:
    """Return what lies in a job's folder ``build``; packages of ``most`` bytes together.

    A file without bytes on the disk is as large as its maker says: what is too much is left.
    """
    srcinfo = _text(build / "report", SRCINFO, _LARGEST_SRCINFO)
    checkouts = _text(build / "report", CHECKOUTS, _LARGEST_CHECKOUTS)
    return Left(tuple(_packages(build / "packages", most)), srcinfo, commits_of(srcinfo, checkouts))


def commits_of(srcinfo: str, checkouts: str) -> dict[str, str]:
    """Return the commits that were used, by the source lines of a .SRCINFO.

    ``checkouts`` has a line for each: the commit, a tab, and the name of its folder.
    """
    found = {}
    for line in checkouts.splitlines():
        commit, _, name = line.partition("\t")
        if _COMMIT.fullmatch(commit):
            found[name] = commit
    lines = (match[1] for match in map(_SOURCE.fullmatch, srcinfo.splitlines()) if match)
    named = {line: folder_of(line) for line in lines}
    return {line: found[name] for line, name in named.items() if name in found}


def folder_of(source: str) -> str:
    """Return the folder into which makepkg checks a git source out; "" for another source."""
    name, separator, rest = source.partition("::")
    if not separator:
        name, rest = "", source
    if not rest.startswith(("git+", "git:")):
        return ""
    if name:
        return name
    address = rest.partition("#")[0].partition("?")[0].rstrip("/")
    return address.rpartition("/")[2].removesuffix(".git")


def _packages(folder: Path, most: int) -> list[Made]:
    made: list[Made] = []
    try:
        within = os.open(folder, _PLAIN | os.O_DIRECTORY)
    except OSError:
        return made
    try:
        names = []
        with os.scandir(within) as entries:
            for count, entry in enumerate(entries):
                if count >= _MOST_ENTRIES:
                    break
                if is_package(entry.name):
                    names.append(entry.name)
        for name in sorted(names)[:MOST_PACKAGES]:
            with suppress(OSError):
                descriptor = os.open(name, _PLAIN, dir_fd=within)
                if one := _look_at(name, descriptor, most):
                    most -= one.size
                    made.append(one)
    finally:
        os.close(within)
    return made


def _look_at(name: str, descriptor: int, most: int) -> Made | None:
    """Return what a descriptor leads to; close it where that is no plain file, or too large."""
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode) or not 0 < info.st_size <= most:
        os.close(descriptor)
        return None
    sha256 = hashlib.sha256()
    at = 0
    while data := os.pread(descriptor, _CHUNK, at):
        sha256.update(data)
        at += len(data)
    return Made(name, at, sha256.hexdigest(), descriptor)


def _text(folder: Path, name: str, most: int) -> str:
    """Return a report's text; "" where there is none, or it is longer than any is."""
    with suppress(OSError):
        within = os.open(folder, _PLAIN | os.O_DIRECTORY)
        try:
            descriptor = os.open(name, _PLAIN, dir_fd=within)
        finally:
            os.close(within)
        with os.fdopen(descriptor, "rb") as file:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                data = file.read(most + 1)
                return data.decode("utf-8", "replace") if len(data) <= most else ""
    return ""
