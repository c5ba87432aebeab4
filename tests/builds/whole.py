"""A keeper with an AUR of a test's own, and a real builder and a real signer: makepkg, pacman, gpg.

As root, for nobody else can install what a recipe needs, or be another user while it is built.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from flocon.builds.keeper import Keeper
from flocon.recipes.recipe import CommitNote, Recipe, TreeFile
from flocon.settings.settings import Build, Repo
from tests.building.case import builder, missing
from tests.building.packages import make_repository
from tests.builds.world import BEGINNING, Commit, FakeAur, FakePacman
from tests.needs import leave_out
from tests.signing.process import SignerProcess

#: Seconds in which one recipe is built, on a slow machine too.
PATIENCE = 120.0
_ENDED = 10.0


class WholeTestCase(TestCase):
    """Has ``keeper`` and ``aur``; what is signed is at ``published``, by the name of ``home``."""

    timeout = 600

    def setUp(self) -> None:
        lacking = missing()
        leave_out(lacking or ("" if shutil.which("gpg") else "needs gpg"))
        # Not in this clone: what is shown behind the wall is another user's to read.
        self.folder = Path(tempfile.mkdtemp(prefix="flocon-", dir="/var/tmp"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.folder.chmod(0o755)
        self.now = BEGINNING
        self.aur = FakeAur(lambda: self.now)
        self.pacman = FakePacman(self.folder / "pacman")
        self.repository = self.folder / "repository"
        self.repository.mkdir()
        self.signer = SignerProcess(self.folder)
        self.signer.start()
        self.addCleanup(self.signer.close)
        self.published = self.signer.published
        said = ["init", "home", "--signer", self.signer.path]
        words = [sys.executable, "-m", "flocon.cli", "repo", *said]
        subprocess.run(words, check=True, capture_output=True)
        self._start_builder(make_repository(self.repository, []))
        self.settings = Build(
            state=self.folder / "state",
            builder=str(self.folder / "builder"),
            poll=0.0,
            root="machine",
            processes=512,
        )
        self.repo = Repo(published=self.published, signer=self.signer.path)
        self.keeper = Keeper(
            reactor,
            build=lambda: self.settings,
            repo=lambda: self.repo,
            pacman=self.pacman,  # type: ignore[arg-type]
            aur=self.aur,
            git=self.aur,
            now=lambda: self.now,
        )
        self.keeper.startService()
        self.addCleanup(lambda: self.keeper.stopService() if self.keeper.running else None)

    def _start_builder(self, configuration: Path) -> None:
        words = [sys.executable, "-m", "flocon.building", "--listen", str(self.folder / "builder")]
        words += ["--work", str(self.folder / "work"), "--user", builder()]
        words += ["--pacman", str(configuration)]
        with (self.folder / "builder.log").open("ab") as log:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(process.wait, _ENDED)
        self.addCleanup(process.terminate)
        end = time.monotonic() + PATIENCE
        while not (self.folder / "builder").exists():
            assert process.poll() is None, (self.folder / "builder.log").read_text()
            assert time.monotonic() < end, "the builder does not begin to listen"
            time.sleep(0.01)

    # What a test does

    def push(self, base: str, pkgbuild: str, **files: str | bytes) -> str:
        """Push a PKGBUILD with what makepkg makes of it; return the commit."""
        folder = self.folder / "recipes" / base
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        all_files: dict[str, str | bytes] = {"PKGBUILD": pkgbuild, **files}
        for name, text in all_files.items():
            (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
        shutil.chown(folder, builder())
        said = subprocess.run(
            ["makepkg", "--printsrcinfo"],
            cwd=folder, check=True, capture_output=True, user=builder(),
            env={**os.environ, "HOME": str(folder), "LANG": "C.UTF-8", "CARCH": "x86_64"},
        ).stdout  # fmt: skip
        self.now += 1
        if base not in self.aur.commits:
            self.aur.head.pop(base, None)
        version = self.aur.push(base, "0-1")
        made = self.aur.commits[base].pop(version)
        tree = {
            name: TreeFile(0o100644, text.encode() if isinstance(text, str) else text)
            for name, text in {**all_files, ".SRCINFO": said}.items()
        }
        note = CommitNote(version, "alice", "alice@example", int(self.now), base)
        self.aur.commits[base][version] = Commit(Recipe(base, version, tree), note, made.parent)
        return version

    async def steer(self, *words: str, body: bytes = b"") -> str:
        while self.keeper.problem == "builds have not begun yet":
            await self.turn()
        return await self.keeper.steer([*words], "root", body)

    async def build(self, base: str, pkgbuild: str, **files: str | bytes) -> str:
        """Push a recipe and have it built, whatever there is against it; return its stage."""
        self.push(base, pkgbuild, **files)
        if self.keeper.book.get(base) is None:
            await self.steer("add", base)
        else:
            await self.keeper._look([base])
        if self.stage(base) == "waits for a person":
            await self.steer("approve", base)
        return await self.settled(base)

    async def settled(self, base: str) -> str:
        """Return the stage of a recipe when nobody is at work on it any more."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            stage = self.stage(base)
            if stage not in {"queued", "building", "examining"}:
                return stage
            await self.turn()
        raise AssertionError(f"it stays {self.stage(base)}: {self.why(base)}")

    def row(self, base: str) -> dict[str, Any]:
        (row,) = [row for row in self.keeper.describe()["watched"] if row["base"] == base]
        return dict(row)

    def stage(self, base: str) -> str:
        return str(self.row(base)["stage"])

    def why(self, base: str) -> str:
        """Return all that is told of a recipe, with the end of its log: for who reads a failure."""
        log = self.folder / "state" / "logs"
        texts = [
            path.read_bytes().decode("utf-8", "replace")
            for path in log.rglob("*")
            if path.is_file()
        ]
        return f"{self.row(base)}\n{''.join(texts)[-3_000:]}\n{self.logs()}"

    def logs(self) -> str:
        return (self.folder / "builder.log").read_text()[-2_000:] + self.signer.log.read_text()[
            -2_000:
        ]

    async def turn(self) -> None:
        later: Deferred[None] = Deferred()
        reactor.callLater(0.02, later.callback, None)
        await later

    def database(self) -> dict[str, str]:
        """Return the packages that are published, with their versions."""
        current = self.published / "home" / "current"
        words = ["bsdtar", "-tf", str(current / "home.db")]
        listed = subprocess.run(words, capture_output=True, check=True, text=True).stdout.split()
        folders = {path.partition("/")[0] for path in listed}
        parts = [one.rsplit("-", 2) for one in sorted(folders)]
        return {name: f"{version}-{release}" for name, version, release in parts}
