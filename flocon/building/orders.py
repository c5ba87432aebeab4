"""What is to be built, as it was said: taken apart, and bounded, before anything is made of it.

No I/O. Who says it is the node: it is not believed more than a stranger.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, Any

from flocon.errors import BuildError
from flocon.files import is_architecture, is_package, is_package_name

if TYPE_CHECKING:
    from collections.abc import Mapping

Network = IPv4Network | IPv6Network

#: What one job may name, each far above what a recipe has.
MOST_DEPENDENCIES = 200
MOST_PACKAGES = 2_000
MOST_NETWORKS = 64
MOST_KEYS = 32
#: A time is below 2^40 s, 34,000 years: no clock, and no program, stumbles over it.
_LATEST = 1 << 40
#: What a version's part is written over by: no sign that means anything to a shell.
_PLAIN = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_~]{0,127}")
_JOB = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
_ROOTS = ("auto", "clean", "machine")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one job may have: bytes of memory and of disk, processes, seconds."""

    memory: int
    disk: int
    processes: int
    time: float


@dataclass(frozen=True, slots=True)
class Dependency:
    """A package of our own to install first: its file's name, and which of the files it is."""

    file: str
    at: int


@dataclass(frozen=True, slots=True)
class Order:
    """One job. ``recipe`` and ``keys`` say which of the files handed over they are."""

    job: str
    base: str
    recipe: int
    dependencies: tuple[Dependency, ...]
    packages: tuple[str, ...]
    architecture: str
    check: bool
    online: bool
    bounds: Bounds
    networks: tuple[Network, ...]
    versions: Mapping[str, str]
    epoch: int
    keys: tuple[int, ...]
    root: str


def read_order(values: Mapping[str, Any], files: int) -> Order:
    """Return what ``values`` orders, with so many ``files`` handed over; raise BuildError."""
    reading = _Reading(values, files)
    return Order(
        job=reading.text("job", _JOB),
        base=reading.base(),
        recipe=reading.file(values.get("recipe"), "recipe"),
        dependencies=reading.dependencies(),
        packages=reading.packages(),
        architecture=reading.architecture(),
        check=reading.flag("check", default=True),
        online=reading.flag("online", default=False),
        bounds=reading.bounds(),
        networks=reading.networks(),
        versions=reading.versions(),
        epoch=int(reading.number(values.get("epoch"), 0, _LATEST, "epoch")),
        keys=reading.keys(),
        root=reading.root(),
    )


def _wrong(what: str) -> BuildError:
    return BuildError(f"the builder was told no {what} that it can take", "")


class _Reading:
    """Takes the values one by one."""

    def __init__(self, values: Mapping[str, Any], files: int) -> None:
        self._values = values
        self._files = files

    def text(self, key: str, pattern: re.Pattern[str]) -> str:
        said = self._values.get(key)
        if not isinstance(said, str) or not pattern.fullmatch(said):
            raise _wrong(key)
        return said

    def base(self) -> str:
        said = self._values.get("base")
        if not isinstance(said, str) or not is_package_name(said):
            raise _wrong("base")
        return said

    def architecture(self) -> str:
        said = self._values.get("architecture")
        if not isinstance(said, str) or not is_architecture(said):
            raise _wrong("architecture")
        return said

    def root(self) -> str:
        said = self._values.get("root", "auto")
        if said not in _ROOTS:
            raise _wrong("root")
        return str(said)

    def flag(self, key: str, *, default: bool) -> bool:
        said = self._values.get(key, default)
        if not isinstance(said, bool):
            raise _wrong(key)
        return said

    def number(self, said: Any, least: float, most: float, what: str) -> float:
        if isinstance(said, bool) or not isinstance(said, int | float) or not least <= said <= most:
            raise _wrong(what)
        return said

    def listed(self, key: str, most: int) -> list[Any]:
        said = self._values.get(key) or []
        if not isinstance(said, list) or len(said) > most:
            raise _wrong(key)
        return said

    def file(self, said: Any, what: str) -> int:
        return int(self.number(said, 0, self._files - 1, what))

    def dependencies(self) -> tuple[Dependency, ...]:
        found = []
        for one in self.listed("dependencies", MOST_DEPENDENCIES):
            name = one.get("file") if isinstance(one, dict) else None
            if not isinstance(name, str) or not is_package(name):
                raise _wrong("dependency")
            found.append(Dependency(name, self.file(one.get("fd"), "dependency")))
        if len({one.file for one in found}) < len(found):
            raise _wrong("dependency")
        return tuple(found)

    def packages(self) -> tuple[str, ...]:
        said = self.listed("packages", MOST_PACKAGES)
        if not all(isinstance(one, str) and is_package_name(one) for one in said):
            raise _wrong("packages")
        return tuple(dict.fromkeys(said))

    def keys(self) -> tuple[int, ...]:
        return tuple(self.file(one, "key") for one in self.listed("keys", MOST_KEYS))

    def networks(self) -> tuple[Network, ...]:
        try:
            return tuple(ip_network(str(one)) for one in self.listed("networks", MOST_NETWORKS))
        except ValueError:
            raise _wrong("networks") from None

    def versions(self) -> dict[str, str]:
        said = self._values.get("versions") or {}
        if not isinstance(said, dict) or not said.keys() <= {"pkgver", "pkgrel"}:
            raise _wrong("versions")
        for part in said.values():
            if not isinstance(part, str) or not _PLAIN.fullmatch(part):
                raise _wrong("versions")
        return dict(said)

    def bounds(self) -> Bounds:
        said = self._values.get("bounds")
        if not isinstance(said, dict):
            raise _wrong("bounds")
        return Bounds(
            memory=int(self.number(said.get("memory"), 1 << 20, 1 << 50, "bound of memory")),
            disk=int(self.number(said.get("disk"), 1 << 20, 1 << 50, "bound of disk")),
            processes=int(self.number(said.get("processes"), 16, 1 << 20, "bound of processes")),
            time=self.number(said.get("time"), 1, _LATEST, "bound of time"),
        )
