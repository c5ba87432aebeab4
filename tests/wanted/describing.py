"""Packages as a database describes them, made from a few words."""

from __future__ import annotations

from collections.abc import Iterable

from flocon.pacman.relations import Description
from flocon.wanted.dependencies import Databases


def package(
    name: str,
    version: str = "1-1",
    *,
    needs: str = "",
    provides: str = "",
    replaces: str = "",
    groups: str = "",
    conflicts: str = "",
) -> Description:
    """Return a package; what it needs and the rest are words."""
    lines = [
        "\n".join(text.split()).encode() for text in (needs, provides, replaces, groups, conflicts)
    ]
    return Description(name, version, f"{name}-{version}-any.pkg.tar.zst", *lines)


def databases(*listed: Iterable[Description]) -> Databases:
    return Databases([list(one) for one in listed])
