"""What may stand in a package's archive at all. No I/O.

What is refused here is in no package that makepkg has made: nobody is asked whether it may be.
"""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING

from flocon.errors import PackageError
from flocon.files import LONGEST_NAME
from flocon.repository.package import DESCRIBING

if TYPE_CHECKING:
    from flocon.repository.package import Member

#: A list of files has one name a line, and a person reads them on a terminal or a page, in the
#: order in which they are written.
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x80-\x9f\u2028-\u202e\u2066-\u2069]")
#: How much of a path is shown: it is as long as its maker wants.
_SHOWN = 200
_KINDS = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)


class MemberCheck:
    """Looks at the members of one package in their order; raises PackageError."""

    def __init__(self, file_name: str) -> None:
        self._file_name = file_name
        #: Everything seen so far; what of it is no folder; and what hard links may lead to.
        self._seen: set[str] = set()
        self._leaves: set[str] = set()
        self._files: set[str] = set()

    def look(self, member: Member) -> None:
        """Take in the next one."""
        path = member.path
        if _CONTROL.search(path) or _CONTROL.search(member.target):
            raise self._refused("has control characters in a file name", path)
        parts = path.split("/")
        if not path or not {"", ".", ".."}.isdisjoint(parts):
            raise self._refused("has a path that leads out of it, or to nowhere", path)
        if any(len(part.encode()) > LONGEST_NAME for part in parts):
            raise self._refused("has a name that is longer than a file system takes", path)
        if path in self._seen:
            raise self._refused("has the same path twice", path)
        if stat.S_IFMT(member.mode) not in _KINDS:
            raise self._refused("has a device, a pipe or a socket", path)
        if path.startswith("."):
            self._look_at_description(member)
        self._look_at_links(member, parts)
        self._seen.add(path)

    def finish(self) -> None:
        """Look at what only the whole tells: a link can come after what lies behind it."""
        for path in self._seen:
            if not self._leaves.isdisjoint(_above(path.split("/"))):
                raise self._refused("has a path that leads through a link or file of its own", path)

    def _look_at_description(self, member: Member) -> None:
        if member.path not in DESCRIBING:
            raise self._refused("has a file at its top that begins with a dot", member.path)
        if not stat.S_ISREG(member.mode) or member.target:
            raise self._refused("has a describing file that is a link or a folder", member.path)

    def _look_at_links(self, member: Member, parts: list[str]) -> None:
        if member.is_folder:
            return
        self._leaves.add(member.path)
        if member.is_link:
            if not member.target:
                raise self._refused("has a link to nowhere", member.path)
        elif member.target and (member.target not in self._files or member.target in DESCRIBING):
            raise self._refused("has a hard link to what is no file of it", member.path)
        else:
            self._files.add(member.path)
        if len(parts) == 1 and member.path not in DESCRIBING and not member.is_link:
            raise self._refused("has a file at the root of the system", member.path)

    def _refused(self, problem: str, path: str) -> PackageError:
        shown = path if len(path) <= _SHOWN else path[:_SHOWN] + "..."
        return PackageError(self._file_name, f"the package {problem}: {shown!r}")


def _above(parts: list[str]) -> list[str]:
    """Return the paths of all folders that a path lies in."""
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
