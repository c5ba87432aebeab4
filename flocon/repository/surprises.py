"""What came out of a build, against what was approved and what was published before. No I/O.

A package that is not the one that was to be built is an error. What it has and the one before had
not is a surprise: nothing is signed until a person has said that it is meant.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from flocon.errors import PackageError
from flocon.pacman.relations import Relation, parse_relation
from flocon.pacman.versions import compare_versions
from flocon.repository.places import is_outside, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from flocon.repository.package import Member, Package

#: So many times as large, or as small, and by so many bytes at the least.
SIZE_TIMES, SIZE_LEAST = 5, 64 << 10
#: Files that one surprise names: a message has room for fewer (``telling``).
MOST_NAMED = 20_000
#: Links that lead to one another, as the kernel follows them (path_resolution(7)).
_MOST_LINKS = 40
_SET_ID = stat.S_ISUID | stat.S_ISGID
#: What a .SRCINFO says of a package, and what .PKGINFO calls it.
RELATIONS = {
    "depends": "depend",
    "optdepends": "optdepend",
    "provides": "provides",
    "conflicts": "conflict",
    "replaces": "replaces",
    "groups": "group",
}
_OPTIONAL = re.compile(r":[ \t].*|:\Z")
_CAPABILITY = "security.capability"
#: What makepkg writes the version of behind, where the recipe has none.
_LIBRARY = re.compile(r".*\.so")


@dataclass(frozen=True, slots=True)
class Expected:
    """What a build was approved to make.

    ``version`` is the whole one ("" where the build itself finds it, as for -git), ``install`` has
    the approved install script of each package that has one, ``relations`` what the .SRCINFO says
    of each package: its keys (``RELATIONS``) with their values; others are not compared. ``said``
    is the version that the .SRCINFO has.
    """

    base: str
    version: str
    architecture: str
    packages: tuple[str, ...]
    install: Mapping[str, str] = field(default_factory=dict)
    relations: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    said: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Surprise:
    """One thing about one package: ``what`` in a few words, ``detail`` for who wants to judge.

    ``detail`` has a line for each file or relation that is meant, or is a script.
    """

    package: str
    what: str
    detail: str = ""


def demand_expected(package: Package, expected: Expected) -> None:
    """Raise PackageError where a package is not one of those that were to be built."""
    is_symbols = package.name == f"{expected.base}-debug" and package.is_debug
    if package.name not in expected.packages and not is_symbols:
        wanted = ", ".join(expected.packages)
        raise PackageError(package.file_name, f"{package.name} was not to be built, but {wanted}")
    if package.base != expected.base:
        problem = f"it says it is of {package.base}, and was built from {expected.base}"
        raise PackageError(package.file_name, problem)
    if expected.version and package.version != expected.version:
        problem = f"its version is {package.version}, and not {expected.version}"
        raise PackageError(package.file_name, problem)
    if package.architecture not in {"any", expected.architecture}:
        problem = f"it is for {package.architecture}, and not for {expected.architecture}"
        raise PackageError(package.file_name, problem)


def find_surprises(
    package: Package, before: Package | None, expected: Expected | None = None
) -> list[Surprise]:
    """Return what a person should know before a package is signed, nothing where all is usual.

    ``before`` is the package of that name that is published now, ``expected`` what was approved
    (None: nothing was, it came from elsewhere).
    """
    look = _Look(package, before)
    found = [*look.members(), *look.size()]
    if before is not None and compare_versions(package.version, before.version) < 0:
        found.append(
            Surprise(package.name, "an older version", f"{before.version} is published now")
        )
    if expected is not None:
        found += _install(package, expected)
        found += _relations(package, expected)
    elif before is not None and package.install != before.install:
        found.append(Surprise(package.name, "another install script", package.install))
    return found


def digest(surprises: Iterable[Surprise], packages: Iterable[Package]) -> str:
    """Return what stands for exactly these surprises of exactly these files: 64 hex digits."""
    told = sorted([one.package, one.what, one.detail] for one in surprises)
    files = sorted([one.file_name, one.content.sha256.hex()] for one in packages)
    return hashlib.sha256(json.dumps([told, files]).encode()).hexdigest()


class _Look:
    """Compares one package with the one before it."""

    def __init__(self, package: Package, before: Package | None) -> None:
        self._package = package
        self._is_first = before is None
        self._members = {member.path: member for member in package.members}
        self._before = {member.path: member for member in (before.members if before else ())}

    def members(self) -> Iterator[Surprise]:
        """Return what is new among its files, kind by kind."""
        found: dict[str, list[str]] = {}
        for member in self._package.members:
            for what in self._remarkable(member):
                found.setdefault(what, []).append(member.path)
        for what, paths in found.items():
            yield Surprise(self._package.name, what, _named(paths))

    def size(self) -> Iterator[Surprise]:
        # Counted, and not what the package says of itself.
        before = sum(member.size for member in self._before.values())
        now = sum(member.size for member in self._package.members)
        less, more = sorted((before, now))
        if self._is_first or more - less < SIZE_LEAST or more < SIZE_TIMES * less:
            return
        told = f"{now} bytes installed, {before} before"
        yield Surprise(self._package.name, "a very different size", told)

    def _remarkable(self, member: Member) -> Iterator[str]:
        before = self._before.get(member.path)
        for what, has in _POWERS:
            if has(member) and not (before is not None and has(before)):
                yield what
        had = before.capabilities if before is not None else b""
        if had and member.capabilities not in {had, b""}:
            yield "other capabilities"
        if member.user != (before.user if before else 0) and not member.is_link:
            yield f"a file of user {member.user}"
        place = None if member.is_folder else place_of(member.path, is_link=member.is_link)
        if place is None:
            return
        if before is None and (place.is_power or not self._is_first):
            yield f"new {place.what}"
        elif before is not None and place.is_power and self._differs(member, before):
            yield f"changed {place.what}"

    def _differs(self, member: Member, before: Member) -> bool:
        return _content(member, self._members) != _content(before, self._before)


def _content(member: Member, members: Mapping[str, Member]) -> list[tuple[int, int, str, bytes]]:
    """Return what stands for all that a path says: what its links lead to in its package, too."""
    found = []
    for _ in range(_MOST_LINKS):
        found.append((stat.S_IFMT(member.mode), member.size, member.target, member.digest))
        following = members.get(_led_to(member)) if member.target else None
        if following is None:
            break
        member = following
    if member.is_folder:
        inside = sorted(path for path in members if path.startswith(f"{member.path}/"))
        found += [_said_of(members[path]) for path in inside]
    return found


def _said_of(member: Member) -> tuple[int, int, str, bytes]:
    return stat.S_IFMT(member.mode), member.size, member.path + member.target, member.digest


def _led_to(member: Member) -> str:
    """Return the path that a link leads to."""
    if not member.is_link:
        return member.target
    above = [] if member.target.startswith("/") else member.path.split("/")[:-1]
    for part in member.target.split("/"):
        if part == "..":
            above = above[:-1]
        elif part not in {"", "."}:
            above.append(part)
    return "/".join(above)


def _has_set_id(member: Member) -> bool:
    return bool(member.mode & _SET_ID) and not member.is_link


def _has_capabilities(member: Member) -> bool:
    return _CAPABILITY in member.attributes


def _has_attributes(member: Member) -> bool:
    """Whether it has others that the kernel heeds; nobody but a program heeds a user's."""
    heeded = (one for one in member.attributes if not one.startswith("user."))
    return any(one != _CAPABILITY for one in heeded)


def _is_writable_by_all(member: Member) -> bool:
    is_sticky = member.is_folder and member.mode & stat.S_ISVTX
    return bool(member.mode & stat.S_IWOTH) and not member.is_link and not is_sticky


def _is_writable_by_group(member: Member) -> bool:
    return bool(member.mode & stat.S_IWGRP) and member.group != 0 and not member.is_link


def _is_outside(member: Member) -> bool:
    return is_outside(member.path)


#: What a member can be, whatever it is called.
_POWERS: tuple[tuple[str, Callable[[Member], bool]], ...] = (
    ("setuid or setgid", _has_set_id),
    ("capabilities", _has_capabilities),
    ("an attribute that the kernel heeds", _has_attributes),
    ("writable by everybody", _is_writable_by_all),
    ("writable by a group of users", _is_writable_by_group),
    ("outside of where packages put files", _is_outside),
)


def _install(package: Package, expected: Expected) -> Iterator[Surprise]:
    approved = expected.install.get(package.name, "")
    if package.install == approved:
        return
    if not package.install:
        yield Surprise(package.name, "no install script, though the recipe has one")
    elif not approved:
        yield Surprise(package.name, "an install script that the recipe has not", package.install)
    else:
        yield Surprise(package.name, "another install script than the recipe's", package.install)


def _relations(package: Package, expected: Expected) -> Iterator[Surprise]:
    said = expected.relations.get(package.name)
    if said is None:
        return
    versions = expected.said or expected.version, package.version
    for key, own_key in RELATIONS.items():
        new = unsaid(package.info.get(own_key, ()), said.get(key, ()), versions)
        if new:
            yield Surprise(package.name, f"{key} that the recipe does not say", _named(new))


def unsaid(found: Iterable[str], said: Iterable[str], versions: tuple[str, str]) -> list[str]:
    """Return which relations of a package were not said before, be it of another version.

    ``versions`` are the package's own as it was said and as it is: one may stand for the other. Of
    a library makepkg finds the version out (``libx.so``, and ``libx.so=1-64`` in the package);
    what describes an optional one is no matter.
    """
    same = dict(zip(_ways(versions[1]), _ways(versions[0]), strict=True))
    known = set(map(_relation, said))
    return [one for one in found if known.isdisjoint(_sayings(_relation(one), same))]


def _sayings(relation: Relation, same: Mapping[str, str]) -> Iterator[Relation]:
    """Yield how a recipe may have said it."""
    yield relation
    if relation.version in same:
        yield replace(relation, version=same[relation.version])
    if relation.test == "=" and _LIBRARY.fullmatch(relation.name):
        yield Relation(relation.name)


def _ways(version: str) -> tuple[str, ...]:
    """Return the ways in which a version is written: with and without epoch and release."""
    epoch, colon, rest = version.rpartition(":")
    bare, _, release = rest.rpartition("-")
    epoch = epoch if colon else "0"
    return bare, f"{bare}-{release}", f"{epoch}:{bare}", f"{epoch}:{bare}-{release}"


def _relation(text: str) -> Relation:
    """Return a relation without what describes it; what is none stands for itself."""
    return parse_relation(_OPTIONAL.sub("", text)) or Relation(text)


def _named(paths: Sequence[str]) -> str:
    """Return all of them; of so many that nobody is shown them all, how many more there are."""
    more = len(paths) - MOST_NAMED
    told = sorted(paths)[:MOST_NAMED]
    return "\n".join([*told, f"and {more} more lines"] if more > 0 else told)
