"""What a build itself says against what was approved: older versions, another .SRCINFO. No I/O.

A .SRCINFO is what was read and resolved; a recipe can say otherwise once it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.errors import RecipeError
from flocon.jobs.releases import parts
from flocon.jobs.watched import Surprise
from flocon.pacman.versions import compare_versions
from flocon.recipes.srcinfo import parse_srcinfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flocon.recipes.srcinfo import Srcinfo

#: What a person has read, or a rule has compared, and what is installed because of it.
_OF_BASE = ("source", "validpgpkeys", "makedepends", "checkdepends")
_OF_PACKAGES = ("depends", "provides", "conflicts", "replaces", "install", "backup")
#: What stands for a version, which a recipe of a history finds out for itself, and a release,
#: which is another one where the same version is built again.
_VERSION = "\0"


def went_back(base: str, before: str, version: str) -> Iterator[Surprise]:
    """Yield what is wrong where a version is older than ``before``, the one that is published."""
    if before and compare_versions(version, before) < 0:
        yield Surprise(base, "version", f"goes back from {before} to {version}")


def other_version(base: str, approved: str, version: str, *, finds: bool) -> Iterator[Surprise]:
    """Yield what is wrong where another version was built than ``approved``, by its own word.

    A release may be another one; whoever ``finds`` out the version does so within an epoch.
    """
    (epoch, pkgver), (other_epoch, other) = parts(approved), parts(version)
    if epoch != other_epoch or (pkgver != other and not finds):
        yield Surprise(base, "version", f"is {version} by its own word, and not {approved}")


def contradicted(base: str, approved: str, printed: str, architecture: str) -> Iterator[Surprise]:
    """Yield what the recipe said in the sandbox that its .SRCINFO does not say."""
    try:
        before = parse_srcinfo(approved.encode("utf-8", "surrogateescape"))
        after = parse_srcinfo(printed.encode("utf-8", "surrogateescape"))
    except (RecipeError, UnicodeEncodeError):
        yield Surprise(base, ".SRCINFO", "what the recipe says of itself cannot be read")
        return
    if before.names != after.names:
        made = ", ".join(after.names)
        yield Surprise(base, ".SRCINFO", f"the recipe makes {made} by its own word")
        return
    for name, key in [
        *(("", key) for key in _OF_BASE),
        *((name, key) for name in before.names for key in _OF_PACKAGES),
    ]:
        said = set(before.values(key, architecture, name))
        found = set(after.values(key, architecture, name))
        # What differs may differ by the version only, which the build itself may have found out.
        gone = {_masked(one, before) for one in said - found}
        new = {_masked(one, after): one for one in found - said}
        if gone != new.keys():
            detail = f"the recipe itself has another {key}"
            if others := sorted(new[one] for one in new.keys() - gone):
                detail += f": {', '.join(others)}"
            yield Surprise(name or base, ".SRCINFO", detail)


def _masked(value: str, srcinfo: Srcinfo) -> str:
    """Return a value without what of it is the version."""
    whole = value.replace(f"{srcinfo.pkgver}-{srcinfo.pkgrel}", f"{_VERSION}-{_VERSION}")
    return whole.replace(srcinfo.pkgver, _VERSION)
