"""Whether a new value is of the kind that the old one was: a version, a release's name, a commit.

No I/O. A value can do no more than what the text does with it, and that text was read with the old
one. So it may count on, and nothing else: letters that neither stood there before nor belong to
how versions are written (``rc``, ``beta``) could be the name of a host, a file or a command.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flocon.recipes.edits import LONGEST_VALUE, PLAIN, VALUE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flocon.recipes.edits import Change

_RELEASE = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
#: A commit, whole or cut short, and in either case: git reads both. Dates have digits alone, and so
#: they are none.
_COMMIT = re.compile(r"[0-9A-Fa-f]{7,40}|[0-9A-Fa-f]{64}")
#: git takes four digits where no other object begins so: in most projects those of a new commit do.
_SHORTEST_COMMIT = re.compile(r"[0-9A-Fa-f]{4,40}|[0-9A-Fa-f]{64}")
#: How ``git describe`` and pkgver() write one, at the end of a version.
_DESCRIBED = re.compile(r"g[0-9A-Fa-f]{7,40}")
_SEPARATORS = re.compile(r"[.+_~-]")
_LETTERS = re.compile(r"[A-Za-z]+")
_WORDS = frozenset(
    {
        "alpha", "beta", "rc", "pre", "dev", "post", "preview", "final", "ga", "p", "pl", "patch",
        "r", "rev", "rel", "release", "stable", "v", "ver", "hotfix", "fix", "snapshot",
        "nightly", "build", "git", "g", "m", "ms", "sp", "u", "update",
    }
)  # fmt: skip


def looks_like_commit(value: str) -> bool:
    """Whether a value has the form of a commit: hexadecimal, with letters or of full length."""
    whole = len(value) >= 40  # noqa: PLR2004 - the digits of a SHA-1
    return bool(_COMMIT.fullmatch(value)) and (whole or bool(re.search(r"[A-Fa-f]", value)))


def may_name_commit(value: str) -> bool:
    """Whether git could take a value for a commit: also one of digits alone, like a date."""
    return bool(_SHORTEST_COMMIT.fullmatch(value))


def problem(change: Change) -> str:
    """Return why a change is none that a new version brings by itself; "" where it is."""
    if change.kind != VALUE:
        return ""
    name, before, after = change.name, change.before, change.after
    if len(after) > LONGEST_VALUE or not PLAIN.fullmatch(after):
        return f"the new value of {name} is no plain text"
    if name == "pkgrel":
        return "" if _RELEASE.fullmatch(after) else f"{name} {after} is no release number"
    if name == "pkgver" and "-" in after:
        return f"{name} {after} is no version"
    if looks_like_commit(before):
        stays = looks_like_commit(after) and len(before) == len(after)
        return "" if stays else f"{name} was a commit, and is none of that length now: {after}"
    if not re.search(r"[0-9]", after):
        return f"{name} has become {after}, which has no number in it"
    strange = next(_strange_letters(before, after), "")
    return f"{name} has become {after}: {strange} is nothing that versions have" if strange else ""


def _strange_letters(before: str, after: str) -> Iterator[str]:
    known = {word.lower() for word in _LETTERS.findall(before)}
    described = any(map(_is_described, _SEPARATORS.split(before)))
    for piece in _SEPARATORS.split(after):
        if described and _is_described(piece):
            continue
        for letters in _LETTERS.findall(piece):
            word = letters.lower()
            if word not in known and word not in _WORDS and len(word) > 1:
                yield letters


def _is_described(piece: str) -> bool:
    return bool(_DESCRIBED.fullmatch(piece)) or looks_like_commit(piece)
