"""A line of a recipe's sources, taken apart as makepkg does. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

#: What makepkg fetches by a program for histories.
VCS = frozenset({"git", "hg", "svn", "bzr", "fossil"})
LOCAL = "local"
_FRAGMENT = re.compile(r"([a-z]{1,16})=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Source:
    """One source: ``name`` is the file or folder it becomes, ``kind`` how it is fetched.

    ``kind`` is one of VCS, a scheme, or LOCAL. ``url`` has no name before it, no ``git+`` and
    nothing from ``?signed`` or ``#`` on; a LOCAL one's is its path. ``fragment`` is ``tag``,
    ``commit``, ``branch``, ``revision`` or "", with its ``value``; ``#`` alone of another form
    is a fragment ``?`` with all of it as value. ``host`` is lower case, "" where there is none.
    """

    text: str
    name: str
    kind: str
    url: str
    fragment: str = ""
    value: str = ""
    host: str = ""
    signed: bool = False

    @property
    def is_vcs(self) -> bool:
        return self.kind in VCS

    @property
    def is_local(self) -> bool:
        return self.kind == LOCAL

    @property
    def is_pinned(self) -> bool:
        """Whether a history's state is named by a commit: it is the same each time."""
        return self.is_vcs and self.fragment in {"commit", "revision"}


def parse_source(text: str) -> Source:
    """Take apart one source as it stands in .SRCINFO, with nothing left to expand."""
    given, mark, rest = text.partition("::")
    if not mark:
        rest = text
    kind, address = _kind_and_address(text, rest)
    if kind not in VCS:
        name = given if mark else text.rpartition("/")[2]
        return Source(text, name, kind, address, host=_host(kind, address))
    url, fragment, signed = _taken_apart(address)
    value, found = "", _FRAGMENT.fullmatch(fragment)
    if found is not None:
        fragment, value = found[1], found[2]
    elif fragment:
        fragment, value = "?", fragment
    name = given if mark else _folder(kind, text)
    return Source(text, name, kind, url, fragment, value, _host(kind, url), signed)


def _kind_and_address(text: str, rest: str) -> tuple[str, str]:
    """Return both; which of the ways a source is written in is told by all of its ``text``."""
    if "://" in text:
        scheme = rest.partition("://")[0]
        kind, plus, _ = scheme.partition("+")
        return (kind, rest[len(kind) + 1 :]) if plus else (kind, rest)
    if "lp:" in text:
        kind, plus, address = rest.partition("+lp:")
        return (kind, f"lp:{address}") if plus else (rest, rest)
    return LOCAL, rest


def _taken_apart(address: str) -> tuple[str, str, bool]:
    """Return URL, fragment, and whether a signature is asked for, in either order of the two."""
    signed = False
    url, _, fragment = address.partition("#")
    if fragment.endswith("?signed"):
        fragment, signed = fragment.removesuffix("?signed"), True
    bare, mark, query = url.partition("?")
    if mark and query == "signed":
        url, signed = bare, True
    return url, fragment, signed


def _folder(kind: str, text: str) -> str:
    name = text.partition("#")[0].partition("?")[0].removesuffix("/").rpartition("/")[2]
    if kind == "bzr":
        return name.rpartition("lp:")[2]
    if kind == "fossil":
        return name + ".fossil"
    return name.partition(".git")[0] if kind == "git" else name


def _host(kind: str, url: str) -> str:
    if kind == LOCAL:
        return ""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
