"""What is handed over, looked at: copied first, so that what is signed is what was looked at."""

from __future__ import annotations

import os
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flocon.errors import RepositoryError
from flocon.machine.reactor_threads import in_thread
from flocon.pacman.versions import compare_versions
from flocon.repository.reading import LONGEST_READ, read_package
from flocon.repository.surprises import demand_expected, digest, find_surprises
from flocon.repository.vouching import is_vouched
from flocon.signing.approved import (
    demand_all,
    demand_each_once,
    expected_of,
    find_printed,
    find_taken,
)
from flocon.signing.copying import copy_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from flocon.repository.package import Package
    from flocon.repository.surprises import Surprise
    from flocon.signing.copying import Copied, Desk
    from flocon.signing.publisher import Publisher
    from flocon.signing.requests import Add, Build


#: Files of all packages that are examined together, and letters of their names: the signer has room
#: for them, and for those that are published now, one after the other.
MOST_MEMBERS, MOST_NAMES = 600_000, 128 << 20
#: Seconds in which all packages of one request are looked at: who asks waits for an hour, and all
#: others for that. Few bytes may unpack to very many.
LONGEST_LOOK = 3_000.0


@dataclass(frozen=True, slots=True)
class Examined:
    """A package, and the signer's own copy of its file."""

    copied: Copied
    package: Package


class Examination:
    """Examines files on the ``desk``; ``keyring`` is pacman's here. Raises what is wrong."""

    def __init__(self, reactor: Any, desk: Desk, keyring: Path, *, debug: bool) -> None:
        self._reactor = reactor
        self._desk = desk
        self._keyring = keyring
        self._debug = debug

    @asynccontextmanager
    async def reading(
        self, names: Sequence[str], files: Sequence[int]
    ) -> AsyncIterator[list[Examined]]:
        """Yield the packages in copies of open files; the copies go afterwards."""
        with self._desk.holding() as place:
            copies = await in_thread(self._reactor, copy_all, place, names, files)
            try:
                packages = []
                until = time.monotonic() + LONGEST_LOOK
                for one in copies:
                    left = _demand_time(until - time.monotonic())
                    package = await in_thread(
                        self._reactor, read_package, one.descriptor, one.name, left
                    )
                    packages.append(package)
                    _demand_room(packages)
                yield [Examined(*each) for each in zip(copies, packages, strict=True)]
            finally:
                for one in copies:
                    os.close(one.descriptor)

    async def of_build(
        self, publisher: Publisher, build: Build, examined: Sequence[Examined]
    ) -> tuple[list[Examined], list[Surprise]]:
        """Return the packages that are to be published, and what a person should know before."""
        expected = expected_of(build)
        for one in examined:
            demand_expected(one.package, expected)
        demand_all([one.package for one in examined], expected)
        wanted = [one for one in examined if self._debug or not one.package.is_debug]
        found = list(find_printed(build))
        found += find_taken((one.package for one in wanted), publisher.newest.files)
        for one in wanted:
            before = await in_thread(self._reactor, publisher.read_published, one.package.name)
            found += await in_thread(self._reactor, find_surprises, one.package, before, expected)
        return wanted, found

    async def of_stranger(
        self, publisher: Publisher, request: Add, examined: Sequence[Examined]
    ) -> None:
        """Look at packages made elsewhere; raises where one may not be taken in."""
        demand_each_once([one.package for one in examined])
        for one, signature in zip(examined, request.signatures, strict=True):
            package = one.package
            listed = publisher.newest.find(package.name)
            if listed is not None and compare_versions(package.version, listed.version) < 0:
                raise RepositoryError(
                    f"{package.name} {package.version} is older than {listed.version},"
                    " which is published",
                    f"'flocon repo rollback {package.name}' goes back, 'flocon repo remove"
                    f" {package.name}' takes it out",
                )
            if not request.on_word:
                await self._demand_vouched(one, signature)

    async def _demand_vouched(self, one: Examined, signature: bytes) -> None:
        remedy = "say --yes for your word that it is right"
        if not signature:
            raise RepositoryError(f"{one.copied.name} has no signature", remedy)
        vouched = await is_vouched(self._reactor, self._keyring, one.copied.descriptor, signature)
        if not vouched:
            raise RepositoryError(
                f"{one.copied.name} is not signed by a key that pacman here trusts", remedy
            )


def _demand_time(left: float) -> float:
    """Return the seconds for the next package; raises RepositoryError where there are none."""
    if left <= 0.0:
        raise RepositoryError(
            f"these packages take longer than {LONGEST_LOOK:.0f} s to look at",
            "have them made in several recipes",
        )
    return min(left, LONGEST_READ)


def _demand_room(packages: Sequence[Package]) -> None:
    """Raise RepositoryError where all files of these are more than can be kept in mind at once.

    A few bytes may say of very many: whoever is ended by them would be asked again, for ever.
    """
    members = sum(len(one.members) for one in packages)
    names = sum(len(one.path) + len(one.target) for each in packages for one in each.members)
    if members > MOST_MEMBERS or names > MOST_NAMES:
        raise RepositoryError(
            f"these packages have {members} files together, and names of {names} letters;"
            f" {MOST_MEMBERS} and {MOST_NAMES} are possible",
            "have them made in several recipes",
        )


def digest_of(examined: Sequence[Examined], surprises: Sequence[Surprise]) -> str:
    """Return what stands for exactly these surprises of exactly these files."""
    return digest(surprises, [one.package for one in examined])
