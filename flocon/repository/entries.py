"""A package as a database lists it: ``desc`` and ``files``. Pure.

Byte for byte as repo-add of pacman 6.0 has them, with ``%PGPSIG%`` and without ``%MD5SUM%``, which
nothing reads any more.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flocon.errors import RepositoryError
from flocon.files import Content, belongs_to
from flocon.pacman.syncdb import LARGEST_SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flocon.repository.package import Package

_BLANKS = re.compile(r"[ \t]+")
_FIELDS = re.compile(r"%([A-Z0-9]+)%\n((?:[^\n]+\n)*)\n?")
#: The fields that come after the file's own, and what .PKGINFO calls them.
_AFTER = (
    ("URL", "url"),
    ("LICENSE", "license"),
    ("ARCH", "arch"),
    ("BUILDDATE", "builddate"),
    ("PACKAGER", "packager"),
    ("REPLACES", "replaces"),
    ("CONFLICTS", "conflict"),
    ("PROVIDES", "provides"),
    ("DEPENDS", "depend"),
    ("OPTDEPENDS", "optdepend"),
    ("MAKEDEPENDS", "makedepend"),
    ("CHECKDEPENDS", "checkdepend"),
)


@dataclass(frozen=True, slots=True)
class Listed:
    """One package of a database: what the database has of it, and what others want to know.

    ``size`` and ``built`` are bytes of the file and seconds since 1970; ``desc`` and ``files`` are
    the two files of its entry.
    """

    file_name: str
    name: str
    version: str
    base: str
    architecture: str
    content: Content
    built: int
    desc: bytes
    files: bytes

    @property
    def folder(self) -> str:
        """Return the name of its entry in a database."""
        return f"{self.name}-{self.version}"

    @property
    def signature(self) -> bytes:
        """Return the detached signature that its entry has; empty for none."""
        listed = fields_of(self.desc.decode()).get("PGPSIG", ("",))
        return binascii.a2b_base64(listed[0])


def list_package(package: Package, signature: bytes) -> Listed:
    """Return the entry of a package, with its detached, binary signature.

    Raises RepositoryError of a signature that pacman would not take.
    """
    if not 0 < len(signature) <= LARGEST_SIGNATURE or not signature[0] & 0x80:
        remedy = "a detached, binary one is needed, of at most 16 KiB"
        raise RepositoryError(f"{package.file_name} has a signature pacman cannot use", remedy)
    return Listed(
        file_name=package.file_name,
        name=package.name,
        version=package.version,
        base=package.base,
        architecture=package.architecture,
        content=package.content,
        built=package.built,
        desc=_desc(package, signature).encode(),
        files=_files(package).encode(),
    )


def read_listed(desc: bytes, files: bytes) -> Listed:
    """Return the entry that was written with ``list_package``; raises RepositoryError."""
    try:
        fields = fields_of(desc.decode())
        one = {key: values[0] for key, values in fields.items() if values}
        content = Content(int(one["CSIZE"]), binascii.unhexlify(one["SHA256SUM"]))
        listed = Listed(
            file_name=one["FILENAME"],
            name=one["NAME"],
            version=one["VERSION"],
            base=one.get("BASE", one["NAME"]),
            architecture=one["ARCH"],
            content=content,
            built=int(one["BUILDDATE"]),
            desc=desc,
            files=files,
        )
    except (ValueError, KeyError):
        listed = None
    if listed is None or not belongs_to(
        listed.file_name, listed.name, listed.version, listed.architecture
    ):
        remedy = "have it made anew from its packages"
        raise RepositoryError("a database has an entry that cannot be read", remedy)
    return listed


def fields_of(text: str) -> Mapping[str, tuple[str, ...]]:
    """Return the fields of a ``desc``: each name without its signs, and its lines."""
    return {name: tuple(lines.split("\n")[:-1]) for name, lines in _FIELDS.findall(text)}


def _desc(package: Package, signature: bytes) -> str:
    fields: list[tuple[str, Iterable[str]]] = [
        ("FILENAME", (package.file_name,)),
        ("NAME", (package.name,)),
        ("BASE", package.info.get("pkgbase", ())),
        ("VERSION", (package.version,)),
        ("DESC", package.info.get("pkgdesc", ())),
        ("GROUPS", package.info.get("group", ())),
        ("CSIZE", (str(package.content.size),)),
        ("ISIZE", (str(package.installed_size),)),
        ("SHA256SUM", (package.content.sha256.hex(),)),
        ("PGPSIG", (binascii.b2a_base64(signature, newline=False).decode(),)),
        *((name, package.info.get(key, ())) for name, key in _AFTER),
    ]
    return "".join(_field(name, values) for name, values in fields)


def _field(name: str, values: Iterable[str]) -> str:
    lines = [line for value in values if (line := _BLANKS.sub(" ", value).strip(" "))]
    return "".join(f"{line}\n" for line in (f"%{name}%", *lines, "")) if lines else ""


def _files(package: Package) -> str:
    """Return the list of files: sorted byte by byte, folders with a slash at their end.

    Nothing in it begins with a dot: such members describe the package only. A backslash stands
    twice, as in all lists that repo-add has made: bsdtar tells names so.
    """
    paths = sorted((path.replace("\\", "\\\\") for path in _paths(package)), key=str.encode)
    return "".join(f"{line}\n" for line in ("%FILES%", *paths))


def _paths(package: Package) -> Iterator[str]:
    for member in package.members:
        yield member.path + "/" if member.is_folder else member.path
