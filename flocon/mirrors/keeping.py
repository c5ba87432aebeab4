"""Which packages of the store stay on a mirror for the LAN, and which go, and why. Decides only.

What is protected never goes. Of the rest the versions go that are older than those which are kept
of each package, then what was unused for too long, and then, while the store takes more than it
may, what was used least lately. A pin protects the newest versions of a package, as many as are
kept; a version that a state in use lists counts among them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from flocon.files import known_as, parse_file_name
from flocon.pacman.versions import version_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class Why(Enum):
    """Why a package goes."""

    OLDER = "older"
    UNUSED = "unused"
    ROOM = "room"


@dataclass(frozen=True, slots=True)
class Package:
    """A package of the store: ``size`` with its signature in bytes, ``used`` since 1970.

    ``protection`` says why it stays in any case, in a word or two; "" where nothing does.
    """

    file_name: str
    size: int
    used: float
    protection: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """How many versions of each package stay (0: all), for how many unused seconds (0: for ever).

    ``max_size`` is what all may take together, in bytes.
    """

    keep: int
    max_age: float
    max_size: int


@dataclass(frozen=True, slots=True)
class Going:
    """A package that goes."""

    package: Package
    why: Why


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes; how many bytes stay then, and how many of them are protected."""

    going: tuple[Going, ...]
    staying: int
    protected: int
    max_size: int

    @property
    def is_over(self) -> bool:
        """Whether what is protected takes more than the store may: no clearing helps then."""
        return self.protected > self.max_size

    def after(self, gone: tuple[Going, ...]) -> Plan:
        """Return what came of it, where these have gone."""
        lacking = {one.package.file_name for one in self.going}
        lacking.difference_update(one.package.file_name for one in gone)
        kept = sum(one.package.size for one in self.going if one.package.file_name in lacking)
        return replace(self, going=gone, staying=self.staying + kept)


def plan(packages: Sequence[Package], rules: Rules, now: float) -> Plan:
    """Return what goes of these, which are in the order in which they may go for want of room."""
    reasons: dict[str, Why] = {}
    if rules.keep:
        reasons.update((name, Why.OLDER) for name in older_versions(packages, rules.keep))
    for one in packages:
        if rules.max_age and now - one.used > rules.max_age:
            reasons.setdefault(one.file_name, Why.UNUSED)
    free = [one for one in packages if not one.protection]
    left = sum(one.size for one in packages)
    left -= sum(one.size for one in free if one.file_name in reasons)
    for one in free:
        if left <= rules.max_size:
            break
        if one.file_name not in reasons:
            reasons[one.file_name] = Why.ROOM
            left -= one.size
    going = tuple(Going(one, reasons[one.file_name]) for one in free if one.file_name in reasons)
    protected = sum(one.size for one in packages if one.protection)
    return Plan(going, left, protected, rules.max_size)


def with_newest_pins(packages: Sequence[Package], keep: int, pinned: str) -> list[Package]:
    """Return the same, protected because they are ``pinned`` only where they are the newest."""
    if not keep:
        return list(packages)
    older = set(older_versions(packages, keep))
    return [
        replace(one, protection="") if one.protection == pinned and one.file_name in older else one
        for one in packages
    ]


def older_versions(packages: Iterable[Package], keep: int) -> Iterator[str]:
    """Yield the file names of versions beyond the newest ``keep`` of each package.

    Packages of different architectures are different ones, as for paccache; two files of one
    version, compressed in two ways or built twice, are one version.
    """
    versions: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for one in packages:
        file = parse_file_name(known_as(one.file_name))
        if file is not None:
            versions[file.name, file.architecture][file.version].append(one.file_name)
    for files in versions.values():
        if len(files) > keep:
            for version in sorted(files, key=version_key, reverse=True)[keep:]:
                yield from files[version]
