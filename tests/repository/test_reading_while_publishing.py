"""Readers never miss a file nor find a pair that does not match, nor does a kill change that."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from flocon.repository.generations import Generations
from flocon.repository.published import CURRENT, newest_generation
from tests.lan.on_request import ALL
from tests.repository.packages import package
from tests.repository.repository_case import RepositoryTestCase, add, problems, sign

PUBLICATIONS = 500 if ALL else 200
#: 100 and more of them are killed by hand: ``FLOCON_KILLS=100``.
KILLS = int(os.environ.get("FLOCON_KILLS", "8"))


def publish_on(published: Path, count: int) -> None:
    """Publish one version after the other of some packages."""
    repository = Generations(published, "home")
    repository.open()
    before = repository.newest
    first = before.sequence if before is not None else 0
    for number in range(first, first + count):
        add(repository, package(f"p{number % 7}", f"{number}-1"), time.time())
        repository.sweep(time.time(), 2)


def in_child(published: Path, count: int) -> int:
    """Publish in a process of its own; return its id. It ends with 0 where nothing went wrong."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        publish_on(published, count)
        status = 0
    except Exception as error:  # noqa: BLE001 - for who reads the test's output
        print(repr(error), file=sys.stderr)
    finally:
        os._exit(status)


def read_pair(folder: Path) -> list[str]:
    """Return what is wrong with what a reader finds that looks once: current, then four files."""
    current = os.open(folder / CURRENT, os.O_RDONLY | os.O_DIRECTORY)
    try:
        data = {}
        for name in ("home.db", "home.db.sig", "home.files", "home.files.sig"):
            with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=current), "rb") as file:
                data[name] = file.read()
    finally:
        os.close(current)
    whole = folder.parent / "read"
    found = []
    for name in ("home.db", "home.files"):
        whole.write_bytes(data[name])
        if sign(whole) != data[f"{name}.sig"]:
            found.append(f"{name} and its signature do not match")
    return found


class Reading(RepositoryTestCase):
    def test_while_much_is_published(self) -> None:
        self.add("p0")
        child = in_child(self.published, PUBLICATIONS)
        reads, seen = 0, set()
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            self.assertEqual(read_pair(self.folder), [])
            generation = newest_generation(self.folder)
            assert generation is not None
            seen.add(generation.sequence)
            for one in generation.files:
                self.assertTrue((self.folder / "packages" / one.file_name).is_file())
            reads += 1
        newest = newest_generation(self.folder)
        assert newest is not None
        self.assertEqual(newest.sequence, PUBLICATIONS + 1)
        self.assertGreater(len(seen), 20)
        self.assertGreater(reads, 20)
        self.assert_whole()

    def test_whatever_is_killed_and_when(self) -> None:
        dice = random.Random(15)
        published = waits = 0
        for number in range(KILLS):
            child = in_child(self.published, 10_000)
            # Some while they start, the others in the midst of their work.
            if number % 4:
                waits += 1
                self.wait_for(published + 1)
            time.sleep(dice.uniform(0, 0.05))
            os.kill(child, signal.SIGKILL)
            self.assertEqual(os.waitpid(child, 0)[1], signal.SIGKILL)
            self.assertEqual(problems(self.folder), [])
            newest = self.opened().newest
            if newest is not None:
                self.assertGreaterEqual(newest.sequence, published)
                published = newest.sequence
            self.assert_whole()
        self.assertGreaterEqual(published, waits)

    def wait_for(self, sequence: int) -> None:
        """Wait until so many generations have been published."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            generation = newest_generation(self.folder)
            if generation is not None and generation.sequence >= sequence:
                return
            time.sleep(0.001)
        self.fail(f"generation {sequence} has not come")
