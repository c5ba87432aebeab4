"""What a package says of itself: .PKGINFO, its files, its install script. No I/O."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flocon.files import Content

#: What makepkg puts at the top of a package, and pacman does not install.
PKGINFO, BUILDINFO, MTREE, INSTALL, CHANGELOG = (
    ".PKGINFO",
    ".BUILDINFO",
    ".MTREE",
    ".INSTALL",
    ".CHANGELOG",
)
DESCRIBING = frozenset({PKGINFO, BUILDINFO, MTREE, INSTALL, CHANGELOG})
#: What makepkg leaves out of a package of symbols (``create_debug_package``): such a one
#: comes with nothing, and takes the place of nothing.
_NOT_OF_DEBUG = ("depend", "optdepend", "provides", "conflict", "replaces", "group", "backup")
_ABOVE_DEBUG = frozenset({"usr", "usr/lib", "usr/lib/debug", "usr/src", "usr/src/debug"})


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of a package's archive; ``mode`` has the file's type, ``target`` is a link's.

    A hard link has the mode of a regular file, and a target. ``attributes`` are the names of its
    extended attributes: "security.capability" among them.
    """

    path: str
    mode: int
    size: int = 0
    user: int = 0
    group: int = 0
    target: str = ""
    attributes: tuple[str, ...] = ()
    #: SHA-256 of a file, empty for one without bytes and for all others.
    digest: bytes = b""
    #: Which capabilities it gives, as the kernel keeps them; empty for none.
    capabilities: bytes = b""

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)


@dataclass(frozen=True, slots=True)
class Package:
    """A package read whole.

    ``info`` has what .PKGINFO says, each key with its values in order: PKGBUILD(5)'s names as
    makepkg writes them there (``depend``, ``provides``, ``builddate``, ``size``).
    """

    file_name: str
    content: Content
    info: Mapping[str, tuple[str, ...]]
    #: In the archive's order, without what only describes it (``DESCRIBING``).
    members: tuple[Member, ...]
    #: The install script, "" for none.
    install: str = ""
    #: What .BUILDINFO says, as ``info``; empty where there is none.
    build_info: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def one(self, key: str) -> str:
        """Return the first value of a key, "" where it has none."""
        return next(iter(self.info.get(key, ())), "")

    @property
    def name(self) -> str:
        return self.one("pkgname")

    @property
    def base(self) -> str:
        return self.one("pkgbase") or self.name

    @property
    def version(self) -> str:
        return self.one("pkgver")

    @property
    def architecture(self) -> str:
        return self.one("arch")

    @property
    def installed_size(self) -> int:
        """Return the bytes of its files as makepkg has counted them."""
        return int(self.one("size") or 0)

    @property
    def built(self) -> int:
        """Return when it was built, in seconds since 1970."""
        return int(self.one("builddate") or 0)

    @property
    def is_debug(self) -> bool:
        """Whether it has symbols for debugging, as makepkg splits them off, and nothing else.

        What it says of itself counts for nothing here: code of a recipe may have written it.
        """
        return (
            self.name.endswith("-debug")
            and not self.install
            and not any(map(self.info.get, _NOT_OF_DEBUG))
            and all(
                member.path.startswith(("usr/lib/debug/", "usr/src/debug/"))
                or (member.is_folder and member.path in _ABOVE_DEBUG)
                for member in self.members
            )
        )
