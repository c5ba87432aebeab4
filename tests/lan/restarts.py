"""pacman downloads while its node is killed, restarted or frozen at random moments.

    python -m tests.lan.restarts [--kills 50] [--restarts 50] [--freezes 20] [--first 0]

Real pacman downloads 371 MB, 60 packages with their signatures, by way of a node whose sockets and
whose life are in the hands of ``holder``, which does what systemd does with ``packaging/``'s units.
A seed decides when the node is killed (SIGKILL), restarted (as by systemctl), or frozen (SIGSTOP,
for the watchdog to find), and whether a peer holds the packages or only the mirror. pacman must end
with 0 each time, and all files must be there and right; error lines are no fault.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lan.lan import Lan, Node, PacmanRun, twistd, wait_until
from tests.lan.repository import Package, Repository, SigningKey, recipes

if TYPE_CHECKING:
    from collections.abc import Callable

#: Of each of two repositories, in bytes: with 56 small ones 371 MB in all.
LARGE = ((50_000_000, 91_000_000), (70_000_000, 140_000_000))
#: What the link of who holds the packages lets through.
RATE = "1gbit"
#: Seconds for which a frozen node may be silent before another one answers in its place.
REPLACED = 8.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run went: what was wrong, pacman's error lines, bytes from the mirror.

    ``away`` is for how many seconds nobody answered on the node's port.
    """

    problems: tuple[str, ...]
    errors: int
    seconds: float
    away: float
    crossed: int

    def __str__(self) -> str:
        crossed = self.crossed / 1e6
        away = f"away for {self.away:4.1f} s"
        return f"{self.seconds:5.1f} s, {away}, {self.errors} errors, {crossed:5.0f} MB crossed"


class Scene:
    """A host whose node has a holder, a peer with all packages, and a mirror."""

    def __init__(self, *, large: bool = True) -> None:
        self.lan = Lan()
        self._key = SigningKey(self.lan.folder / "key")
        self._key.make_keyring(self.lan.keyring)
        self.client = self.lan.host("client", "10.77.0.1")
        self.peer = self.lan.host("peer", "10.77.0.2")
        self.mirror = self.lan.mirror()
        self.repositories = [
            self._repository("core", LARGE[0] if large else (), embed=True),
            # Signatures that no database has.
            self._repository("plain", LARGE[1] if large else (), embed=False),
        ]
        self.lan.repositories = [one.name for one in self.repositories]
        self.mirror.start()
        for host in (self.client, self.peer):
            if (run := host.pacman("-Sy", node=False)).returncode:
                raise RuntimeError(run.output)
        for package in self.packages:
            for path in (package.path, package.signature):
                shutil.copy2(path, self.peer.cache / path.name)
        for host in (self.peer, self.mirror.host):
            host.limit(RATE)
        #: Seconds that pacman's downloads take where nothing is disturbed.
        self.phase = 0.0

    def _repository(self, name: str, large: tuple[int, ...], *, embed: bool) -> Repository:
        one = Repository(self.mirror.root, name, key=self._key, embed=embed)
        one.add(recipes(28 + len(large), seed=len(name), large=large, prefix=f"{name}-"))
        return one

    @property
    def packages(self) -> list[Package]:
        return [package for one in self.repositories for package in one.packages.values()]

    def close(self) -> None:
        self._key.close()
        self.lan.close()

    # What a run begins with

    def begin(self, *, by_peer: bool) -> Node:
        """Start the client's node, which has nothing yet and knows its peer; return its holder."""
        self.client.end_processes()
        for folder in (self.client.cache, self.client.store):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        (self.client.database_path / "db.lck").unlink(missing_ok=True)
        for path in self.client.folder.glob("node-*"):
            path.unlink()
        self._have_peer(by_peer)
        self.mirror.reset()
        command = ["env", f"HOLDER_PID_FILE={self._pid_file}"]
        program = [*command, sys.executable, "-m", "tests.lan.holder", twistd()]
        holder = self.client.node(program=program)
        if by_peer:
            wait_until(lambda: self._knows(holder), 20, "what the peer holds is known")
        return holder

    def _have_peer(self, wanted: bool) -> None:
        if wanted and not self.peer.nodes:
            node = self.peer.node()
            wait_until(
                lambda: node.status()["inventory"]["files"] == len(self.packages), 30, "files held"
            )
        elif not wanted:
            for node in self.peer.nodes:
                node.stop()
            self.peer.nodes.clear()

    def _knows(self, node: Node) -> bool:
        files = [one["files_known"] for one in node.status()["peers"]]
        return files == [len(self.packages)]

    @property
    def _pid_file(self) -> Path:
        return self.client.folder / "node.pid"

    def node_pid(self) -> int:
        return int(self._pid_file.read_text())

    def another_pid(self, before: int) -> int:
        """Return the id of the node that came after another one, 0 while there is none."""
        try:
            pid = self.node_pid()
        except (OSError, ValueError):
            return 0
        return 0 if pid == before else pid

    # Runs

    def measure(self) -> float:
        """Learn how long the downloads take; return that, in seconds."""
        self.begin(by_peer=True)
        began = time.monotonic()
        downloading = _Downloading(self)
        last = max(self.packages, key=lambda one: one.size)
        wait_until((self.client.cache / last.file_name).exists, 60, "all are downloaded")
        self.phase = time.monotonic() - began
        if downloading.end().returncode:
            raise RuntimeError(downloading.end().output)
        return self.phase

    def run(self, disturb: Callable[[Scene, Node], None], seed: str) -> Outcome:
        """Let pacman download and disturb its node once; return what came of it."""
        dice = random.Random(seed)
        holder = self.begin(by_peer=dice.random() < 0.5)
        downloading = _Downloading(self)
        time.sleep(dice.uniform(0, self.phase))
        watching = _Watching(self, self.node_pid())
        disturb(self, holder)
        run = downloading.end()
        away = watching.end()
        crossed = sum(one.sent for one in self.mirror.packages())
        problems = tuple(self._problems(run, holder))
        if problems:
            kept = Path(tempfile.gettempdir(), f"flocon-restarts-{seed.replace(' ', '-')}.log")
            kept.write_text(f"{holder.log_text}\n{run.output}")
        return Outcome(problems, len(run.error_lines), run.seconds, away, crossed)

    def _problems(self, run: PacmanRun, holder: Node) -> list[str]:
        problems = []
        if run.returncode:
            problems.append(f"pacman ended with {run.returncode}")
            problems += run.error_lines
        for package in self.packages:
            for path in (package.path, package.signature):
                copy = self.client.cache / path.name
                if not copy.exists():
                    problems.append(f"{path.name} is missing")
                elif copy.read_bytes() != path.read_bytes():
                    problems.append(f"{path.name} is another")
        if "Traceback" in holder.log_text or "Unhandled" in holder.log_text:
            problems.append("the node was surprised")
        return problems


class _Downloading:
    """pacman, at work in a thread."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._run: PacmanRun | None = None
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        names = [package.name for package in self._scene.packages]
        self._run = self._scene.client.pacman("-Sw", *names)

    def end(self) -> PacmanRun:
        self._thread.join()
        assert self._run is not None
        return self._run


class _Watching:
    """Takes the time until another process than ``before`` answers."""

    def __init__(self, scene: Scene, before: int) -> None:
        self._scene = scene
        self._before = before
        self._began = time.monotonic()
        self._away = -1.0
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        scene = self._scene
        wait_until(lambda: scene.another_pid(self._before), 30, "another node", every=0.02)
        wait_until(lambda: scene.client.request("/check").body == b"OK\n", 30, "it answers")
        self._away = time.monotonic() - self._began

    def end(self) -> float:
        self._thread.join()
        return self._away


def kill(scene: Scene, _: Node) -> None:
    """End the node as the kernel does that has no memory left."""
    os.kill(scene.node_pid(), signal.SIGKILL)


def restart(_: Scene, holder: Node) -> None:
    """Restart the node as ``systemctl restart`` does."""
    holder.send(signal.SIGHUP)


def freeze(scene: Scene, _: Node) -> None:
    """Have the node hang."""
    os.kill(scene.node_pid(), signal.SIGSTOP)


DISTURBANCES = {"kill": kill, "restart": restart, "freeze": freeze}


def main(arguments: list[str]) -> int:
    """Disturb as often as asked, and tell how many runs failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.lan.restarts", description=__doc__)
    for name, number in (("kills", 50), ("restarts", 50), ("freezes", 20), ("first", 0)):
        parser.add_argument(f"--{name}", type=int, default=number)
    given = parser.parse_args(arguments)
    scene = Scene()
    failed = 0
    try:
        print(f"undisturbed, the downloads take {scene.measure():.1f} s", flush=True)
        for name, disturb in DISTURBANCES.items():
            outcomes = []
            for number in range(given.first, given.first + getattr(given, f"{name}s")):
                outcome = scene.run(disturb, f"{name} {number}")
                outcomes.append(outcome)
                state = "FAILED " + "; ".join(outcome.problems[:4]) if outcome.problems else "ok"
                print(f"{name} {number:2}: {outcome} {state}", flush=True)
            failed += _sum_up(name, outcomes)
    finally:
        scene.close()
    return 1 if failed else 0


def _sum_up(name: str, outcomes: list[Outcome]) -> int:
    failed = sum(bool(one.problems) for one in outcomes)
    if outcomes:
        away = [one.away for one in outcomes]
        print(
            f"{name}: {len(outcomes)} runs, {failed} failed; another node answered after"
            f" {statistics.median(away):.1f} s, {max(away):.1f} s at most",
            flush=True,
        )
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
