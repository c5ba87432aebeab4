"""One own repository with its key: what is examined is signed here, and published.

Whatever is killed in between, a generation is published whole and signed, or the one before it is.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flocon.errors import FloconError, RepositoryError
from flocon.log import logger
from flocon.machine.reactor_threads import in_thread
from flocon.pacman.syncdb import LARGEST_SIGNATURE
from flocon.repository.entries import list_package
from flocon.repository.keeping import choose_version, packages_among
from flocon.repository.published import KEY
from flocon.repository.reading import read_package

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from flocon.repository.entries import Listed
    from flocon.repository.generation import Generation
    from flocon.repository.generations import Generations
    from flocon.repository.package import Package
    from flocon.signing.keyholder import Keyholder


class Publisher:
    """Publishes a repository: ``keep`` versions of each package stay; ``wall`` tells the time."""

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        keyholder: Keyholder,
        generations: Generations,
        keep: int,
        wall: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self.keyholder = keyholder
        self._generations = generations
        self._keep = keep
        self._wall = wall

    @property
    def name(self) -> str:
        return self._generations.name

    @property
    def newest(self) -> Generation:
        newest = self._generations.newest
        if newest is None:
            raise RepositoryError(f"{self.name} is not published yet", "try it again")
        return newest

    async def open(self) -> None:
        """Go on from whatever was done last; an empty repository is published too."""
        await self._in_thread(self._generations.open)
        if self.keyholder.keys.is_switching:
            await self._sign_anew()
        elif self._generations.newest is None:
            await self._hand_out_keys()
            await self._publish([])
        elif not (self._generations.path / KEY).exists():
            await self._hand_out_keys()

    # What changes it

    async def take(
        self, packages: Sequence[tuple[int, Package]], gone: Collection[str] = ()
    ) -> Generation:
        """Sign and publish packages, each with an open file of it; drop those that are ``gone``.

        What is listed already with these bytes is not signed again.
        """
        entries = {one.name: one for one in await self.entries()}
        new = [each for each in packages if not _is_listed(each[1], entries)]
        left_out = [name for name in gone if name in entries]
        if not new and not left_out:
            return self.newest
        _demand_one_architecture([*entries.values(), *(package for _, package in new)])
        for _, package in new:
            await self._in_thread(self._generations.demand_free, package)
        second = self._begin()
        for descriptor, package in new:
            signature = await self.keyholder.sign(descriptor, second)
            await self._in_thread(self._generations.keep_package, descriptor, package, signature)
            entries[package.name] = await self._in_thread(list_package, package, signature)
        for name in left_out:
            del entries[name]
        return await self._publish(entries.values(), second)

    async def drop(self, packages: Collection[str]) -> Generation:
        """Take packages out; raises RepositoryError where one of them is not there."""
        entries = {one.name: one for one in await self.entries()}
        for name in packages:
            if name not in entries:
                raise self._unknown(name)
            del entries[name]
        return await self._publish(entries.values())

    async def roll_back(self, package: str, version: str) -> tuple[str, Generation]:
        """Publish another version of a package that was kept; return which, and the generation."""
        entries = {one.name: one for one in await self.entries()}
        if package not in entries:
            raise self._unknown(package)
        present = await self.files()
        current = entries[package].version
        chosen = choose_version(package, present, current, version or None)
        entries[package] = await self._in_thread(self._listed, chosen.text)
        return chosen.version, await self._publish(entries.values())

    async def replace_key(self, host: str) -> None:
        """Make another key, and hand it out; what there is stays signed as it is."""
        await self.keyholder.prepare(host)
        await self._hand_out_keys()

    async def switch_key(self) -> Generation:
        """Sign all anew by the other key."""
        self.keyholder.switch()
        return await self._sign_anew()

    # What it is now

    async def entries(self) -> list[Listed]:
        """Return what is published now."""
        found: list[Listed] = await self._in_thread(self._generations.entries)
        return found

    async def files(self) -> list[str]:
        """Return the names of all files that there are, those of older versions among them."""
        found: list[str] = await self._in_thread(self._generations.packages)
        return found

    def read_published(self, package: str) -> Package | None:
        """Return a package as it is published now, read whole; None where none is. Blocks."""
        listed = self.newest.find(package)
        return None if listed is None else self._read(listed.file_name)

    async def public_keys(self) -> bytes:
        """Return all keys that others are to know."""
        return await self.keyholder.public_keys()

    # How it is done

    async def _publish(self, entries: Iterable[Listed], second: int = 0) -> Generation:
        second = second or self._begin()
        draft = await self._in_thread(self._generations.draft, entries, second, second - 1)
        try:
            signatures = {}
            for name, path in draft.to_sign.items():
                with _opened(path) as descriptor:
                    signatures[name] = await self.keyholder.sign(descriptor, draft.signed)
        except BaseException:
            self._generations.discard(draft)
            raise
        generation: Generation = await self._in_thread(self._generations.publish, draft, signatures)
        try:
            await self._in_thread(self._generations.sweep, self._wall(), self._keep)
        except (FloconError, OSError) as error:
            # It is published, and what is too much goes the next time.
            self._log.warn("{name}: {error}", name=self.name, error=error)
        return generation

    async def _sign_anew(self) -> Generation:
        """Sign all that there is by the key that signs now, and only then revoke the other."""
        listed = {one.file_name for one in self.newest.files}
        present = await self.files()
        second = self._begin()
        entries = []
        for file in packages_among(present):
            descriptor = await self._in_thread(self._generations.open_package, file.text)
            try:
                package = await self._in_thread(read_package, descriptor, file.text)
                signature = await self.keyholder.sign(descriptor, second)
                await self._in_thread(
                    self._generations.keep_package, descriptor, package, signature
                )
            finally:
                os.close(descriptor)
            if file.text in listed:
                entries.append(await self._in_thread(list_package, package, signature))
        generation = await self._publish(entries, second)
        await self._hand_out_keys()
        self.keyholder.switched()
        return generation

    async def _hand_out_keys(self) -> None:
        await self._in_thread(self._generations.write_key, await self.keyholder.public_keys())

    def _begin(self) -> int:
        newest = self._generations.newest
        return self.keyholder.begin(0 if newest is None else newest.signed)

    def _listed(self, file_name: str) -> Listed:
        package = self._read(file_name)
        descriptor = self._generations.open_package(f"{file_name}.sig")
        with os.fdopen(descriptor, "rb") as file:
            return list_package(package, file.read(LARGEST_SIGNATURE))

    def _read(self, file_name: str) -> Package:
        descriptor = self._generations.open_package(file_name)
        try:
            return read_package(descriptor, file_name)
        finally:
            os.close(descriptor)

    def _unknown(self, package: str) -> RepositoryError:
        return RepositoryError(f"{self.name} has no package {package}", "see 'flocon repo list'")

    async def _in_thread(self, work: Callable[..., Any], *arguments: object) -> Any:
        return await in_thread(self._reactor, work, *arguments)


def _is_listed(package: Package, entries: Mapping[str, Listed]) -> bool:
    entry = entries.get(package.name)
    return entry is not None and (entry.file_name, entry.content) == (
        package.file_name,
        package.content,
    )


def _demand_one_architecture(packages: Iterable[Listed | Package]) -> None:
    """Raise RepositoryError unless one machine can install them all."""
    found = dict.fromkeys(one.architecture for one in packages if one.architecture != "any")
    if len(found) > 1:
        first, other = list(found)[:2]
        raise RepositoryError(
            f"it has packages for {first}, and one of these is for {other}",
            "make a repository for each kind of machine",
        )


@contextmanager
def _opened(path: Any) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
