"""By which version a recipe is built, newer than all that was published of it. No I/O.

A file's name is given once: what is built again of the same version, whether its recipe changed
or not, gets a pkgrel between the recipe's own and the next: 1, then 1.1, then 1.2.
"""

from __future__ import annotations

import re
from functools import cmp_to_key
from typing import TYPE_CHECKING

from flocon.pacman.versions import compare_versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: A function that finds out the version, and the lines over which another one can be written.
_FINDING = re.compile(rb"^[ \t]*(?:function[ \t]+)?pkgver[ \t]*\([ \t]*\)", re.MULTILINE)
_LINES = (re.compile(rb"^pkgver=", re.MULTILINE), re.compile(rb"^pkgrel=", re.MULTILINE))
#: As a builder takes it, and no sign that means anything to a shell.
_PLAIN = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_~]{0,127}")


def finds_version(pkgbuild: bytes) -> bool:
    """Whether a PKGBUILD finds out its pkgver while it is built."""
    return _FINDING.search(pkgbuild) is not None and all(one.search(pkgbuild) for one in _LINES)


def written_over(
    approved: str, known: Iterable[str], current: str = "", *, finds: bool
) -> Mapping[str, str]:
    """Return the pkgver and pkgrel by which a recipe of this version is built: {} for its own.

    ``known`` are versions that were published, ``current`` the one that is ("" for none). A recipe
    that ``finds`` out its version begins with that one: makepkg sets pkgrel to 1 again where it
    finds another.
    """
    epoch, pkgver = parts(approved)
    same_epoch = [one for one in (*known, current) if one and parts(one)[0] == epoch]
    if finds and same_epoch:
        begin = current if current in same_epoch else _newest(same_epoch)
        pkgver = parts(begin)[1]
    newest = _newest(one for one in same_epoch if parts(one)[1] == pkgver)
    is_own = parts(approved)[1] == pkgver
    if not newest or (is_own and compare_versions(approved, newest) > 0):
        return {}
    if not _PLAIN.fullmatch(pkgver):
        return {}
    return {**({} if is_own else {"pkgver": pkgver}), "pkgrel": next_release(newest)}


def next_release(version: str) -> str:
    """Return the pkgrel by which the same version counts as a newer one: 1, then 1.1, then 1.2."""
    whole, _, part = version.rpartition("-")[2].partition(".")
    return f"{whole}.{int(part or 0) + 1}"


def _newest(versions: Iterable[str]) -> str:
    return max(versions, key=cmp_to_key(compare_versions), default="")


def parts(version: str) -> tuple[str, str]:
    """Return epoch ("" for none) and pkgver."""
    epoch, _, pkgver = version.rpartition("-")[0].rpartition(":")
    return epoch, pkgver
