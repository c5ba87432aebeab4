""".PKGINFO and .BUILDINFO: what makepkg writes into a package about it. No I/O.

One ``key = value`` a line, ``#`` begins a remark; a key that comes again is a list. What a database
could not list as it stands, or what pacman and ``repo-add`` would each read in another way, is an
error here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flocon.errors import PackageError
from flocon.files import is_architecture, is_package_name, parse_file_name
from flocon.repository.package import BUILDINFO, PKGINFO

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Bytes of either; the longest of Arch's .BUILDINFO names 3,000 installed packages in 120 KB.
LARGEST_INFO = 1 << 20
#: Values of one key of .PKGINFO; Arch's longest list has some 300.
MOST_VALUES = 4_096
#: Digits of a size or a time: 10**18 is in int64, as pacman has them.
_LONGEST_NUMBER = 18
#: As pacman reads it: any other line it leaves out, and blanks at a value's end are a part of it.
_LINE = re.compile(r"([A-Za-z0-9_-]{1,64}) = (.*)")
#: Letters of a line; pacman takes no package with one of 512 KiB.
_LONGEST_LINE = 64 << 10
#: What a line of a database, or a terminal, takes for something else, or turns around; a tab is a
#: blank.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x80-\x9f\u2028-\u202e\u2066-\u2069]")
_NUMBER = re.compile(rf"[0-9]{{1,{_LONGEST_NUMBER}}}")
#: What is said once: of two, pacman and others might each take another one.
ONCE = frozenset(
    {"pkgname", "pkgbase", "pkgver", "pkgdesc", "url", "builddate", "packager", "size", "arch"}
)
#: What pacman goes by: there a blank more, or none, makes another name of it.
_EXACT = frozenset(
    {
        *("pkgname", "pkgbase", "pkgver", "arch", "size", "builddate", "backup", "group"),
        *("depend", "makedepend", "checkdepend", "conflict", "provides", "replaces"),
    }
)
_PLAIN = re.compile(r"[^ \t]+(?: [^ \t]+)*")
_DEMANDED = ("pkgname", "pkgver", "arch", "size", "builddate")


def parse_info(file_name: str, data: bytes) -> Mapping[str, tuple[str, ...]]:
    """Return what .PKGINFO or .BUILDINFO says, keys as they first come; raises PackageError.

    ``file_name`` is the package's.
    """
    values: dict[str, list[str]] = {}
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise PackageError(file_name, f"its {PKGINFO} or {BUILDINFO} is not UTF-8") from None
    for number, line in enumerate(text.split("\n"), 1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line) if len(line) <= _LONGEST_LINE else None
        if match is None or _CONTROL.search(line):
            problem = f"line {number} of its {PKGINFO} or {BUILDINFO} is not KEY = VALUE"
            raise PackageError(file_name, problem)
        key, value = match.groups()
        if key in _EXACT and not _PLAIN.fullmatch(value):
            where = f"line {number} of its {PKGINFO} or {BUILDINFO}"
            raise PackageError(file_name, f"{where} says {key} with blanks too many")
        values.setdefault(key, []).append(value.strip(" \t"))
    return {key: tuple(listed) for key, listed in values.items()}


def parse_package_info(file_name: str, data: bytes) -> Mapping[str, tuple[str, ...]]:
    """Return what a .PKGINFO says that describes the package of this file; raises PackageError.

    Name, version and architecture are those in the file's name.
    """
    info = parse_info(file_name, data)
    for key, listed in info.items():
        if key in ONCE and len(listed) > 1:
            raise PackageError(file_name, f"its {PKGINFO} says {key} {len(listed)} times")
        if len(listed) > MOST_VALUES:
            raise PackageError(file_name, f"its {PKGINFO} has more than {MOST_VALUES} of {key}")
    for key in _DEMANDED:
        if not info.get(key, ("",))[0]:
            raise PackageError(file_name, f"its {PKGINFO} says no {key}")
    for key in ("size", "builddate"):
        if not _NUMBER.fullmatch(info[key][0]):
            raise PackageError(file_name, f"{key} in its {PKGINFO} is no number")
    _demand_identity(file_name, info)
    return info


def _demand_identity(file_name: str, info: Mapping[str, tuple[str, ...]]) -> None:
    name, version, architecture = (info[key][0] for key in ("pkgname", "pkgver", "arch"))
    base = info.get("pkgbase", (name,))[0]
    if not is_package_name(name) or not is_package_name(base) or not is_architecture(architecture):
        raise PackageError(file_name, f"its {PKGINFO} has an impossible name or architecture")
    file = parse_file_name(file_name)
    if file is None or file.text != file.subject:
        raise PackageError(file_name, "that is no package's file name")
    if (file.name, file.version, file.architecture) != (name, version, architecture):
        inside = f"{name} {version} for {architecture}"
        raise PackageError(file_name, f"inside it is {inside}, and not what its file name says")
