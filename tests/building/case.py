"""Jobs that really run: bubblewrap, makepkg and pacman of this machine, as root."""

from __future__ import annotations

import io
import os
import pwd
import shutil
import socket
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from flocon.building.job import Job, Outcome, Told
from flocon.building.orders import read_order
from flocon.building.place import Place, find_place
from tests.needs import leave_out

#: Users to build as, each for one process of tests: what a job holds is counted by its user.
BUILDERS = ("games", "uucp", "irc", "news", "nobody")
BOUNDS = {"memory": 1 << 30, "disk": 1 << 30, "processes": 512, "time": 60}
PKGBUILD = """
pkgname={name}
pkgver=1
pkgrel=1
arch=(any)
{more}
"""
PACKAGE = """
package() {
  install -d "$pkgdir/usr/share/$pkgname"
  cp -r "$startdir/found/." "$pkgdir/usr/share/$pkgname/" 2>/dev/null || true
}
"""


def missing() -> str:
    """Return why no job can run here, "" where one can."""
    if os.geteuid() != 0:
        return "needs root"
    lacking = [one for one in ("bwrap", "makepkg", "pacman", "bsdtar") if not shutil.which(one)]
    return f"needs {', '.join(lacking)}" if lacking else ""


@cache
def builder() -> str:
    """Return the name of a user to build as, whom no other process of tests has meanwhile."""
    accounts = {one.pw_name for one in pwd.getpwall()}
    return next(one for one in BUILDERS if one in accounts and _is_taken(one))


#: A name without a file, which goes with the process that has it.
_TAKEN: list[socket.socket] = []


def _is_taken(account: str) -> bool:
    """Whether a user could be had for this process."""
    taken = socket.socket(socket.AF_UNIX)
    try:
        taken.bind(f"\0flocon-tests-{account}")
    except OSError:
        taken.close()
        return False
    _TAKEN.append(taken)
    return True


def tar_of(files: Mapping[str, str | bytes]) -> bytes:
    """Return a recipe's files as they are handed to a builder."""
    said = io.BytesIO()
    with tarfile.open(fileobj=said, mode="w") as tar:
        for name, text in files.items():
            data = text.encode() if isinstance(text, str) else text
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return said.getvalue()


def recipe(more: str = PACKAGE, name: str = "odd", **files: str | bytes) -> dict[str, str | bytes]:
    """Return a recipe's files, its PKGBUILD with ``more`` at its end."""
    return {"PKGBUILD": PKGBUILD.format(name=name, more=more), **files}


class Done:
    """What a job said and left."""

    def __init__(self, outcome: Outcome, steps: list[str], log: str, folder: Path) -> None:
        self.result = outcome.ending.result
        self.reason = outcome.ending.reason
        self.exit = outcome.ending.exit
        self.left = outcome.left
        self.hosts = list(outcome.hosts)
        self.refused = list(outcome.refused)
        self.steps = steps
        self.log = log
        self._folder = folder

    @property
    def names(self) -> list[str]:
        return [one.name for one in self.left.packages]

    def package(self, at: int = 0) -> Path:
        """Return one of the packages as a file."""
        one = self.left.packages[at]
        path = self._folder / one.name
        path.write_bytes(os.pread(one.descriptor, one.size, 0))
        return path

    def listing(self, at: int = 0) -> dict[str, str]:
        """Return the mode of each member of a package, by path."""
        words = ["bsdtar", "-tvf", str(self.package(at))]
        lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        return {line.split()[-1]: line.split()[0] for line in lines.splitlines()}

    def read(self, path: str, at: int = 0) -> str:
        """Return what a package has at a path, "" for nothing."""
        words = ["bsdtar", "-xOf", str(self.package(at)), path]
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout

    def found(self, name: str = "odd") -> str:
        """Return what a hostile recipe says it has found."""
        return self.read(f"usr/share/{name}/text")


class JobCase(TestCase):
    """Each test has a folder for jobs; whatever it hands over is closed."""

    timeout = 120

    def setUp(self) -> None:
        leave_out(missing())
        # Not in this clone: what is shown behind the wall is another user's to read.
        self.folder = Path(tempfile.mkdtemp(prefix="flocon-build-", dir="/var/tmp"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.place = self.make_place()
        self.outcomes: list[Done] = []
        self.addCleanup(self._close)

    def _close(self) -> None:
        for one in self.outcomes:
            one.left.close()

    def make_place(self, configuration: Path = Path("/etc/pacman.conf")) -> Place:
        return find_place(
            reactor, self.folder / "work", builder(), configuration, without_root=False
        )

    def do(self, work: Coroutine[Any, Any, None]) -> Deferred[None]:
        return Deferred.fromCoroutine(work)

    def job(
        self,
        files: Mapping[str, str | bytes],
        *,
        own: Sequence[Path] = (),
        stepped: Callable[[str], None] = lambda _: None,
        **values: Any,
    ) -> tuple[Job, list[str], list[str], list[IO[bytes]]]:
        """Return a job with where it tells its steps and its log, and the files it was handed."""
        handed: list[IO[bytes]] = [tempfile.TemporaryFile()]  # noqa: SIM115
        handed[0].write(tar_of(files))
        handed[0].seek(0)
        handed += [path.open("rb") for path in own]
        for one in handed:
            self.addCleanup(one.close)
        bounds = {**BOUNDS, **values.pop("bounds", {})}
        said = {
            "do": "build",
            "job": "1",
            "base": "odd",
            "recipe": 0,
            "dependencies": [
                {"name": path.name, "file": path.name, "fd": at} for at, path in enumerate(own, 1)
            ],
            "architecture": "x86_64",
            "epoch": 1_700_000_000,
            "root": "machine",
            "bounds": bounds,
            **values,
        }
        steps: list[str] = []
        log: list[str] = []

        def step(name: str) -> None:
            steps.append(name)
            stepped(name)

        told = Told(step=step, log=log.append)
        order = read_order(said, len(handed))
        return Job(reactor, self.place, order, handed, told), steps, log, handed

    async def build(self, files: Mapping[str, str | bytes], **values: Any) -> Done:
        job, steps, log, _ = self.job(files, **values)
        outcome = await job.run()
        done = Done(outcome, steps, "".join(log), self.folder)
        self.outcomes.append(done)
        return done

    def assert_nothing_left(self) -> None:
        """Fail where a folder of a job is there, or a process that sees one."""
        self.assertEqual(list(self.place.jobs.iterdir()), [])
        processes = [one for one in Path("/proc").iterdir() if one.name.isdigit()]
        left = [one.name for one in processes if self.folder.name in _mounts(one)]
        self.assertEqual(left, [])


def _mounts(process: Path) -> str:
    try:
        return (process / "mountinfo").read_text()
    except OSError:
        return ""
