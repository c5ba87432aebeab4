"""Which file a client without a node asks for: our own paths, and those of other tools. No I/O.

::

    /REPO/os/ARCH/FILE                  ours, flexo's, cpcache's and pkgstash's
    /repo/NAME/LAYOUT/FILE              pacoloco's
    /custom_repo/NAME/LAYOUT/FILE       flexo's, for repositories of third parties
    /lastupdate, /lastsync              a mirror's notes

Behind another tool's NAME lies what the operator says (``[mirror.paths]``), or ``$repo/os/$arch``.
Where a layout has no ``$repo``, the name is the repository's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from flocon.files import LONGEST_NAME, Asked, FileName, Kind, parse_file_name, parse_parts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: The longest path that can name something, escaped.
LONGEST_PATH = 8 * LONGEST_NAME
#: Parts of a path, and of what may stand before the file.
MOST_PARTS = 16
USUAL = "$repo/os/$arch"
#: What stands before another tool's names.
_NAMED = ("repo", "custom_repo")
UPDATED, SYNCED = "lastupdate", "lastsync"


def parse_asked(path: bytes, layouts: Mapping[str, str]) -> Asked | None:
    """Return what a path names; None where it is nothing that a mirror has.

    ``layouts`` are by other tools' names. Each part is unescaped once, after the path was split, so
    an escaped slash makes no new part. Several slashes in a row are one.
    """
    if len(path) > LONGEST_PATH or not path.startswith(b"/"):
        return None
    try:
        *folders, name = [unquote_to_bytes(part).decode("ascii") for part in path.split(b"/")]
    except UnicodeDecodeError:
        return None
    folders = [one for one in folders if one]
    if not folders:
        return _note(name)
    if len(folders) > MOST_PARTS:
        return None
    if len(folders) > 1 and folders[0] in _NAMED and folders[1] != "os":
        named = folders[1]
        return _fit(layouts.get(named, USUAL), named, folders[2:], name)
    return _fit(USUAL, "", folders, name)


def _fit(layout: str, named: str, folders: Sequence[str], name: str) -> Asked | None:
    """Return what lies in ``folders`` of a layout; ``named`` is the repository if it says none."""
    parts = [one for one in layout.split("/") if one]
    if len(parts) != len(folders):
        return None
    repository, architecture = named, ""
    for part, folder in zip(parts, folders, strict=True):
        if part == "$repo":
            repository = folder
        elif part == "$arch":
            architecture = folder
        elif part != folder:
            return None
    asked = parse_parts(repository, architecture, name)
    if asked is None or (asked.file.kind is Kind.DATABASE and asked.file.name != repository):
        return None
    return asked


def _note(name: str) -> Asked | None:
    if name not in {UPDATED, SYNCED} or parse_file_name(name) is not None:
        return None
    return Asked("", "", FileName(name, name, Kind.NOTE, False, name))
