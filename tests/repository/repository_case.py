"""A repository on disk, published step by step, with packages whose bytes mean nothing."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.files import Content
from flocon.repository.entries import Listed, list_package
from flocon.repository.generation import Generation
from flocon.repository.generations import Generations
from flocon.repository.package import Package
from flocon.repository.published import (
    CURRENT,
    PACKAGES,
    newest_generation,
    open_database,
    open_package,
)
from tests.repository.packages import SIGNATURE, opened, package

#: When a test begins.
BEGINNING = 1_790_000_000


def sign(path: Path) -> bytes:
    """Return what stands for the signature of a file: it tells of which."""
    return b"\x88" + hashlib.sha256(path.read_bytes()).digest()


def content_of(descriptor: int) -> Content:
    with os.fdopen(descriptor, "rb") as file:
        data = file.read()
    return Content(len(data), hashlib.sha256(data).digest())


def data_of(one: Package) -> bytes:
    """Return the bytes of ``packages.package``'s file."""
    return f"{one.name} {one.version}".encode()


def keep(repository: Generations, one: Package, signature: bytes = SIGNATURE) -> Listed:
    """Have a repository keep a package; return how it is listed."""
    descriptor = opened(data_of(one))
    try:
        repository.keep_package(descriptor, one, signature)
    finally:
        os.close(descriptor)
    return list_package(one, signature)


def publish(repository: Generations, entries: Iterable[Listed], now: float) -> Generation:
    draft = repository.draft(entries, now)
    return repository.publish(draft, {name: sign(path) for name, path in draft.to_sign.items()})


def add(repository: Generations, one: Package, now: float) -> Generation:
    """Publish a package beside what is published, in place of what has its name."""
    listed = keep(repository, one)
    others = [other for other in repository.entries() if other.name != one.name]
    return publish(repository, [*others, listed], now)


def problems(folder: Path) -> list[str]:
    """Return what is wrong with what anybody finds at PUBLISHED/NAME: nothing, ever."""
    if not (folder / CURRENT).exists():
        return []
    generation = newest_generation(folder)
    if generation is None:
        return ["current leads nowhere"]
    found = []
    for name, content in generation.databases.items():
        if content_of(open_database(folder, generation.sequence, name)) != content:
            found.append(f"{name} of {generation.sequence} is not what was signed")
    for name in (f"{folder.name}.db", f"{folder.name}.files"):
        path = folder / CURRENT / name
        if (folder / CURRENT / f"{name}.sig").read_bytes() != sign(path):
            found.append(f"the signature of {name} is not of it")
    for one in generation.files:
        if content_of(open_package(folder, one.file_name)) != one.content:
            found.append(f"{one.file_name} is not what is listed")
        if not (folder / PACKAGES / f"{one.file_name}.sig").is_file():
            found.append(f"{one.file_name} has no signature")
    return found


class RepositoryTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        # What a machine without power has on its disk cannot be tried, and each takes its time.
        self.patch(os, "fsync", lambda _: None)
        self.published = Path(self.mktemp())
        self.folder = self.published / "home"
        self.repository = self.opened()

    def opened(self) -> Generations:
        """Return the repository as a process finds it that starts."""
        repository = Generations(self.published, "home")
        repository.open()
        return repository

    def add(self, name: str, version: str = "1.0-1", now: float = BEGINNING) -> Generation:
        return add(self.repository, package(name, version), now)

    def assert_whole(self) -> None:
        self.assertEqual(problems(self.folder), [])
