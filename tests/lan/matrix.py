"""The fault matrix: every way a peer or the first of two mirrors can fail, each with real pacman.

    python -m tests.lan.matrix [--lanes 2] [CELL ...]

A cell is named as its line is printed, like ``peer:stalls-in-body`` or ``mirror:garbage``; without
any, all are run and the table ends with their number. ``crowd`` and ``owners`` are sixteen ids at
one address, ``several`` one of three holders; what is done on purpose, and where in a file, is
``hostile``'s. In each, pacman downloads small packages and a few larger ones of two repositories
(one database carries signatures, one none), five at a time, through a node that knows nothing yet;
expected is what ``Lane.run`` checks. A ``Lane`` is a LAN of its own, so that several cells run at
once; ``schedules`` uses it too.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import queue
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tests.lan import faults
from tests.lan.client import PacmanLike
from tests.lan.lan import MIRROR_ADDRESS, Lan, Mirror, Node, PacmanRun, wait_until, working_folder
from tests.lan.repository import KIB, Package, Recipe, Repository, SigningKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

T = TypeVar("T")

ASKER, FAULTY = "10.77.0.1", "10.77.0.2"
#: Further addresses of the host that misbehaves.
MORE = tuple(f"10.77.0.{number}" for number in range(20, 26))
#: As many peers as a node knows at one address.
CROWD = 16
#: No look-up may delay a file by more than that; pacman itself would wait 10 s.
MOST_DELAY = 3.0
#: What two busy cores add to any of the times that are compared.
NOISE = 0.7
#: Seconds after which pacman is not waited for any longer.
LONGEST = 90.0
#: Faults that do not tell of themselves.
SILENT = (*faults.AT_THE_DOOR, "a-million-files", "false-hash", "lacks-all", "gone")
SIZES = (2, 5, 30, 60, 200, 300, 1_500, 2_500)
_SURPRISES = re.compile(r"Traceback|Unhandled|[#.](?:error|critical)\b")


class Goods:
    """Two signed repositories on disk; the databases of ``plain`` carry no signatures."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.keyring = folder / "keyring"
        self._key = SigningKey(folder / "key")
        self._key.make_keyring(self.keyring)
        self.repositories = [
            self._repository("core", SIZES),
            self._repository("plain", SIZES[::2], embed=False),
        ]

    def _repository(self, name: str, sizes: Sequence[int], *, embed: bool = True) -> Repository:
        repository = Repository(self.root, name, key=self._key, embed=embed)
        repository.add(
            Recipe(f"{name}-{number}", f"1:{number}+r1-1", size * KIB)
            for number, size in enumerate(sizes)
        )
        return repository

    @property
    def packages(self) -> list[Package]:
        return [package for one in self.repositories for package in one.packages.values()]

    def close(self) -> None:
        self._key.close()


@dataclass(frozen=True, slots=True)
class Cell:
    """Who fails, and how: the table's row. ``roles`` is what ``faults`` is started with."""

    kind: str
    fault: str

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.fault}"

    @property
    def roles(self) -> list[str]:
        match self.kind:
            case "owner":
                return [f"peer@{FAULTY}=owner:{self.fault}"]
            case "crowd":
                return [f"peer@{FAULTY}*{CROWD}={self.fault}"]
            case "owners":
                return [f"peer@{FAULTY}*{CROWD}=owner:{self.fault}"]
            case "several":
                good = [f"peer@{address}=none" for address in MORE[:2]]
                return [f"peer@{FAULTY}={self.fault}", *good]
            case _:
                return [f"{self.kind}@{FAULTY}={self.fault}"]


@dataclass(frozen=True, slots=True)
class Result:
    """How a cell went; ``problems`` is empty where all was as expected."""

    name: str
    seconds: float
    asked: int
    problems: tuple[str, ...]


SIGNATURE_FAULTS = (
    "garbled", "empty", "another-file", "status-404", "status-503", "dies-in-body",
    "stalls-before-headers", "stalls-in-body", "drips", "endless-body", "too-long", "garbage",
)  # fmt: skip
INVENTORY_FAULTS = (
    "garbage", "dies-in-body", "stalls-in-body", "drips", "status-500", "endless-body",
    "wrong-middle-byte", "endless-headers", "redirect-to-itself",
)  # fmt: skip
#: What a mirror's database may come to; wrong bytes nobody can tell from right ones.
DATABASE_FAULTS = (
    "refused", "blackholed", "dies-before-headers", "dies-in-body", "resets-in-body",
    "stalls-before-headers", "stalls-in-body", "drips", "status-404", "status-503", "garbage",
    "redirect-to-itself", "endless-headers",
)  # fmt: skip


#: Where in a file, in per mille: before its first byte, in the middle, before its last byte.
PLACES = (0, 500, 1_000)
#: What is done on purpose, and slowly; see ``hostile``.
PATIENT = (
    *(f"silent:{place}" for place in PLACES),
    *(f"drips-from:{place}:{pace}" for place in PLACES for pace in ("8192:2200", "2048:2400")),
    "late:8000", "interim:100:10", "headers:100:10", "chunks:1:10", "odd-header",
)  # fmt: skip
WRONG = (*(f"wrong-from:{place}:8000" for place in PLACES), "wrong-late:8000", "wrong-slowly:8800")
#: For what is small: signatures, inventories, databases.
SMALL = (
    "silent:0", "silent:500", "silent:1000", "drips-from:0:16:2400", "late:8000",
    "interim:100:10", "headers:100:10", "chunks:1:10", "odd-header",
)  # fmt: skip


def hostile_cells() -> list[Cell]:
    """Return what is done on purpose: by whom, at which place, with what."""
    kinds = ("peer", "owner", "several", "crowd", "owners")
    result = [Cell(kind, name) for kind in kinds for name in (*PATIENT, *WRONG)]
    # What a mirror sends late is wrong for pacman too, as it would be without a node.
    result += [Cell("mirror", name) for name in PATIENT]
    result += [Cell("mirror", f"wrong-from:{place}:0") for place in PLACES]
    for kind in ("peer", "several", "crowd"):
        result += [Cell(kind, f"{name}@signature") for name in SMALL]
        result += [Cell(kind, f"{name}@inventory") for name in SMALL]
    return result + [Cell("mirror", f"{name}@database") for name in SMALL]


def cells() -> list[Cell]:
    """Return the whole matrix."""
    ordinary = [*faults.FAULTS, *faults.AT_THE_DOOR]
    result = [Cell("peer", name) for name in [*ordinary, *faults.IN_THE_INVENTORY]]
    result += [Cell("owner", name) for name in ordinary]
    # A mirror's own signatures are believed, as pacman would believe them.
    result += [Cell("mirror", name) for name in ordinary]
    result += [Cell("peer", f"{name}@signature") for name in SIGNATURE_FAULTS]
    result += [Cell("peer", f"{name}@inventory") for name in INVENTORY_FAULTS]
    result += [Cell("mirror", f"{name}@database") for name in DATABASE_FAULTS]
    # The mirror that answers everything wrong, one way, is the one that pacman meets outside.
    result += [Cell("mirror", f"{name}@any") for name in DATABASE_FAULTS]
    return list(dict.fromkeys([*result, *hostile_cells()]))


#: A part of it that takes CI a minute: one of each kind.
FEW = (
    "peer:none", "peer:refused", "peer:blackholed", "peer:dies-in-body", "peer:resets-in-body",
    "peer:stalls-before-headers", "peer:stalls-in-body", "peer:drips", "peer:wrong-first-byte",
    "peer:wrong-last-byte", "peer:too-short", "peer:too-long", "peer:wrong-range",
    "peer:status-503", "peer:garbage", "peer:endless-headers", "peer:lacks-all",
    "peer:false-hash", "peer:a-million-files", "peer:another-file@signature",
    "peer:status-404@signature", "owner:stalls-after-headers", "owner:wrong-middle-byte",
    "owner:drips", "mirror:refused", "mirror:blackholed", "mirror:stalls-in-body", "mirror:drips",
    "mirror:wrong-middle-byte", "mirror:status-404", "mirror:garbage", "mirror:drips@database",
    "peer:wrong-slowly:8800", "several:drips-from:500:8192:2200", "crowd:silent:1000",
    "crowd:wrong-from:0:8000", "owners:drips-from:0:2048:2400", "mirror:drips-from:500:8192:2200",
    "peer:late:8000@signature", "crowd:chunks:1:10@inventory", "mirror:silent:500@database",
)  # fmt: skip


class Lane:
    """A LAN with one host that asks, one that misbehaves and a mirror that works."""

    def __init__(self, goods: Goods, *, mirrors: Sequence[str] = (FAULTY,)) -> None:
        self.goods = goods
        self.lan = Lan()
        self.lan.keyring = goods.keyring
        self.lan.repositories = [one.name for one in goods.repositories]
        self.asker = self.lan.host("asker", ASKER)
        self.faulty = self.lan.host("faulty", FAULTY)
        for address in MORE:
            self.faulty.ip("addr", "add", f"{address}/24", "dev", "eth0")
        self._good = Mirror(self.lan.host("mirror", MIRROR_ADDRESS))
        self._good.root = goods.root
        self._good.start()
        run = self.asker.pacman("-Sy", node=False)
        if run.returncode:
            raise AssertionError(run.output)
        self._databases = self.lan.folder / "databases"
        shutil.copytree(self.asker.database_path / "sync", self._databases)
        self.baseline = 0.0

    def close(self) -> None:
        self.lan.close()

    def measure(self) -> None:
        """Learn how long pacman takes where nothing fails."""
        self.clear()
        self.asker.node()
        self.baseline = self.download().seconds

    def clear(self) -> None:
        """End the node and the faults; the asker has its databases and nothing else."""
        self.asker.end_processes()
        self.faulty.end_processes()
        for folder in (self.asker.cache, self.asker.store):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        # A pacman that was not waited for any longer leaves its lock behind.
        (self.asker.database_path / "db.lck").unlink(missing_ok=True)
        for path in self._databases.iterdir():
            shutil.copy2(path, self.asker.database_path / "sync")
        for path in self.asker.folder.glob("node-*"):
            path.unlink()

    def misbehave(self, roles: Iterable[str]) -> Path:
        """Start ``faults`` with these roles; return where it tells what it answered."""
        log = self.faulty.folder / "faults.log"
        log.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.lan.hostile", "--root", str(self.goods.root)]
        self.faulty.start([*command, *roles], log=log)
        return log

    def replay(self, roles: Iterable[str]) -> str:
        """Return the line that starts the same faults again."""
        words = " ".join(roles)
        return f"python -m tests.lan.hostile --root MIRROR_ROOT {words}"

    def download(self, *options: str) -> PacmanRun:
        names = [package.name for package in self.goods.packages]
        try:
            return self.asker.pacman(*(options or ("-Sw",)), *names, timeout=LONGEST)
        except subprocess.TimeoutExpired as error:
            said = (error.output or b"").decode(errors="replace")
            return PacmanRun(-1, f"{said}error: still not done after {LONGEST:g} s\n", LONGEST)

    def run(self, cell: Cell) -> Result:
        """Run one cell and check all that is expected of it."""
        node, log = self.arrange(cell)
        options = []
        if cell.kind == "mirror" and cell.fault.endswith(("@database", "@any")):
            options = ["-Syyw"]
        run = self.download(*options)
        asked = sum(cell.fault.partition("@")[0] in line for line in _reads(log).splitlines()[1:])
        problems = self.problems(run, node)
        if not asked and cell.fault.partition("@")[0] not in SILENT:
            problems.append("the fault was never met")
        if not problems and run.seconds > self.baseline + MOST_DELAY:
            # pacman also checks signatures, on a machine that may be busy: what did each file take?
            problems = self._slow(cell)
        if problems:
            logs = f"{node.log_text}\n{_reads(log)}\n{run.output}"
            Path(tempfile.gettempdir(), f"flocon-matrix-{cell.name}.log").write_text(logs)
        return Result(cell.name, run.seconds, asked, tuple(problems))

    def arrange(self, cell: Cell) -> tuple[Node, Path]:
        """Start a new node and what fails; return it, and where the faults tell what they did."""
        self.clear()
        self.lan.mirrors = [FAULTY, MIRROR_ADDRESS] if cell.kind == "mirror" else [MIRROR_ADDRESS]
        node = self.asker.start_node(arguments=["--debug"])
        log = self.misbehave(cell.roles)
        node.wait_ready()
        wait_until(lambda: _reads(log).startswith("ready"), 20, "faults are played")
        if cell.kind != "mirror":
            self._wait_for_peer(node, cell, log)
        return node, log

    def _slow(self, cell: Cell) -> list[str]:
        """Return which files a look-up delayed for too long, the whole cell done once more."""
        self.arrange(cell)
        client = PacmanLike(self.asker, random.Random(cell.name))
        client.download(self.goods.repositories)
        late = {name: took for name, took in client.seconds.items() if took > MOST_DELAY + NOISE}
        return [f"{name} took {took:.1f} s" for name, took in late.items()] + client.complaints

    def _wait_for_peer(self, node: Node, cell: Cell, log: Path) -> None:
        """Wait until the node knows the peer and its inventory, or has seen what it is worth."""
        wait_until(lambda: FAULTY in node.peers(), 10, "the peer is known")
        if cell.kind in {"owner", "owners"} or cell.fault in {"refused", "blackholed"}:
            return
        if cell.fault == "a-million-files" or cell.fault.endswith("@inventory"):
            wait_until(lambda: "/inventory" in _reads(log), 10, "the inventory was asked for")
            return
        count = len(self.goods.packages)
        wait_until(lambda: node.peers()[FAULTY]["files_known"] == count, 10, "its files are known")

    def problems(self, run: PacmanRun, node: Node) -> list[str]:
        """Return what is wrong with a run of pacman for all packages, and with the node's log."""
        problems = []
        if run.returncode:
            problems.append(f"pacman ended with {run.returncode}")
        problems += run.complaints
        for package in self.goods.packages:
            for path in (package.path, package.signature):
                copy = self.asker.cache / path.name
                if not copy.exists():
                    problems.append(f"{path.name} is missing")
                elif copy.read_bytes() != path.read_bytes():
                    problems.append(f"{path.name} is another")
        return problems + self.node_problems(node)

    def node_problems(self, node: Node) -> list[str]:
        """Return what is wrong with a node itself: surprises in its log, or its end."""
        problems = surprises(node.log_text)
        if node.process.poll() is not None:
            problems.append("the node has ended")
        return problems


def _reads(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def surprises(text: str) -> list[str]:
    """Return what a node did not expect, by its log: the first of it."""
    lines = text.splitlines()
    at = next((number for number, line in enumerate(lines) if _SURPRISES.search(line)), None)
    if at is None:
        return []
    return [f"the node was surprised: {' | '.join(lines[at : at + 3] + lines[-2:])}"]


def on_lanes(goods: Goods, tasks: Iterable[T], lanes: int, one: Callable[[Lane, T], None]) -> None:
    """Call ``one`` for each task, on several lanes at once."""
    waiting: queue.SimpleQueue[T] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)

    def work() -> None:
        lane = Lane(goods)
        try:
            with contextlib.suppress(queue.Empty):
                while True:
                    one(lane, waiting.get_nowait())
        finally:
            lane.close()

    threads = [threading.Thread(target=work) for _ in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def run_cells(
    goods: Goods, chosen: Iterable[Cell], lanes: int, told: Callable[[Result], None]
) -> list[Result]:
    """Run cells on several lanes at once; ``told`` hears of each as it ends."""
    results: list[Result] = []

    def one(lane: Lane, cell: Cell) -> None:
        if not lane.baseline:
            lane.measure()
        try:
            result = lane.run(cell)
        except Exception as error:  # noqa: BLE001 - a cell that breaks is a failed cell
            result = Result(cell.name, 0.0, 0, (f"{type(error).__name__}: {error}",))
        results.append(result)
        told(result)

    on_lanes(goods, chosen, lanes, one)
    return results


def line(result: Result) -> str:
    """Return a cell's line of the table."""
    state = "FAILED " + "; ".join(result.problems[:4]) if result.problems else "ok"
    return f"{result.name:44} {result.seconds:6.2f} s {result.asked:4} met  {state}"


def main(arguments: list[str]) -> int:
    """Run the matrix and print it; 1 where a cell failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.lan.matrix", description=__doc__)
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--few", action="store_true", help="what CI runs")
    parser.add_argument("cells", nargs="*", metavar="CELL", help="a cell, or the start of some")
    given = parser.parse_args(arguments)
    wanted = tuple(given.cells) or (FEW if given.few else ("",))
    match = str.startswith if given.cells or not given.few else str.__eq__
    chosen = [cell for cell in cells() if any(match(cell.name, word) for word in wanted)]
    folder = working_folder()
    began = time.monotonic()
    goods = Goods(folder)
    try:
        tell = functools.partial(print, flush=True)
        results = run_cells(goods, chosen, given.lanes, lambda one: tell(line(one)))
    finally:
        goods.close()
        shutil.rmtree(folder, ignore_errors=True)
    failed = [one.name for one in results if one.problems]
    print(f"{len(results)} cells, {len(failed)} failed, {time.monotonic() - began:.0f} s")
    if failed:
        print(f"again: python -m tests.lan.matrix {' '.join(failed)}")
    return 1 if failed or len(results) != len(chosen) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
