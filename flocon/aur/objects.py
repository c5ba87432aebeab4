"""What git prints, taken apart: trees, files, commits, and what a remote has. No I/O.

What stands in a repository is a stranger's: names of files become paths of a job's folder, so only
plain ones are taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from flocon.errors import RecipeError
from flocon.recipes.recipe import FILE, LINK, PROGRAM, SUBMODULE, CommitNote

#: Files of a recipe, bytes of one and of all of them: the AUR takes 250 KiB for one. What git says
#: of all is read at once, within what a program may say at the most.
MOST_FILES = 1_000
LARGEST_FILE = 2 << 20
LARGEST_RECIPE = 3 << 20
#: Bytes of a path.
LONGEST_PATH = 1_024

COMMIT = re.compile(r"[0-9a-f]{40}")
_ENTRY = re.compile(
    rb"(?P<mode>[0-7]{6}) (?P<kind>[a-z]+) (?P<object>[0-9a-f]{40}) +(?P<size>[0-9]+|-)\t"
    rb"(?P<path>.*)",
    re.DOTALL,
)
_BLOB = re.compile(rb"([0-9a-f]{40}) blob ([0-9]+)\n")
_REF = re.compile(r"([0-9a-f]{40})\t(\S+)")

#: What ``git log`` is asked for of each commit, each part within so many signs, and ended by NUL.
NOTE_FORMAT = "%H%x00%<(120,trunc)%an%x00%<(120,trunc)%ae%x00%ct%x00%<(240,trunc)%s%x00"
_PARTS_OF_NOTE = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a tree: its mode, git's name of its content, its size and its path."""

    mode: int
    name: str
    size: int
    path: str


def parse_tree(printed: bytes) -> list[Entry]:
    """Read what ``git ls-tree -r -l -z`` prints; raise RecipeError where it is no recipe's."""
    lines = printed.split(b"\0")[:-1]
    if len(lines) > MOST_FILES:
        raise RecipeError("the recipe", 0, f"has {len(lines)} files, and {MOST_FILES} are possible")
    entries = [_parse_entry(line) for line in lines]
    total = sum(entry.size for entry in entries)
    if total > LARGEST_RECIPE:
        raise RecipeError("the recipe", 0, f"has {total} bytes, and {LARGEST_RECIPE} are possible")
    _demand_apart(entries)
    return entries


def _demand_apart(entries: list[Entry]) -> None:
    """Raise RecipeError where a path stands twice, or beneath what is a file or a link itself.

    No git makes such a tree by itself; who writes its files out in their order could be led away.
    """
    paths: set[str] = set()
    folders: set[str] = set()
    for entry in entries:
        if entry.path in paths:
            raise RecipeError(ascii(entry.path), 0, "stands there twice")
        paths.add(entry.path)
        parts = entry.path.split("/")[:-1]
        folders.update("/".join(parts[: end + 1]) for end in range(len(parts)))
    for path in sorted(paths & folders):
        raise RecipeError(ascii(path), 0, "is a file and a folder")


def _parse_entry(line: bytes) -> Entry:
    match = _ENTRY.fullmatch(line)
    if match is None:
        raise RecipeError("the recipe", 0, "git says nothing of it that can be read")
    try:
        path = match["path"].decode()
    except UnicodeDecodeError:
        path = ""
    shown = ascii(match["path"][:80])[1:]
    if not _is_plain(path):
        raise RecipeError(shown, 0, "is no name that a file of a recipe may have")
    mode = int(match["mode"], 8)
    if mode == SUBMODULE:
        raise RecipeError(shown, 0, "is a submodule, which no recipe may have")
    if mode not in {FILE, PROGRAM, LINK} or match["kind"] != b"blob":
        raise RecipeError(shown, 0, f"has the mode {mode:o}, which no file of a recipe may have")
    size = int(match["size"])
    if size > LARGEST_FILE:
        raise RecipeError(shown, 0, f"has {size} bytes, and {LARGEST_FILE} are possible")
    return Entry(mode, match["object"].decode(), size, path)


def _is_plain(path: str) -> bool:
    parts = path.split("/")
    bad = {"", ".", ".."}
    return (
        0 < len(path.encode()) <= LONGEST_PATH
        and path.isprintable()
        and not any(part in bad or part.lower() == ".git" for part in parts)
    )


def parse_blobs(printed: bytes, entries: list[Entry]) -> list[bytes]:
    """Read what ``git cat-file --batch`` prints of these; return the bytes of each.

    Raises RecipeError where one is not there, or not what the tree says.
    """
    contents, position = [], 0
    for entry in entries:
        match = _BLOB.match(printed, position)
        if match is None or match[1].decode() != entry.name or int(match[2]) != entry.size:
            raise RecipeError(entry.path, 0, "is not there whole")
        begin, position = match.end(), match.end() + entry.size + 1
        if printed[position - 1 : position] != b"\n":
            raise RecipeError(entry.path, 0, "is not there whole")
        contents.append(printed[begin : position - 1])
    return contents


def parse_notes(printed: bytes) -> list[CommitNote]:
    """Read what ``git log -z`` prints by NOTE_FORMAT, newest first."""
    words = printed.decode("utf-8", "replace").split("\0")
    notes = []
    # Each note ends with an empty part: -z puts one more NUL behind it.
    for at in range(0, len(words) - _PARTS_OF_NOTE, _PARTS_OF_NOTE + 1):
        commit, author, mail, when, subject = words[at : at + _PARTS_OF_NOTE]
        moment = int(when) if when.isascii() and when.isdecimal() else 0
        notes.append(CommitNote(commit, author.rstrip(), mail.rstrip(), moment, subject.rstrip()))
    return notes


def parse_refs(printed: bytes) -> dict[str, str]:
    """Read what ``git ls-remote`` prints: names with the commit that each leads to.

    Of a tag with a text of its own that is the commit it is about.
    """
    refs: dict[str, str] = {}
    for line in printed.decode("utf-8", "replace").split("\n"):
        match = _REF.fullmatch(line)
        if match is not None:
            # A tag's own line comes first.
            refs[match[2].removesuffix("^{}")] = match[1]
    return refs
