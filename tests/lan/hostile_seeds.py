"""Random hostile peers: dice decide what each request is answered, byte by byte, pause by pause.

    python -m tests.lan.hostile_seeds [--lanes 2] [--seeds 500] [--first 0] [--minutes 0]

Each seed decides how many peers there are, with how many ids, whether they hold or fetch, and what
they misbehave with; what they answer is ``hostile``'s ``improvised``. One mirror works. Every
fifth seed is downloaded by pacman itself, the others by a client that does what pacman does.
Expected: no complaint, right bytes, and no file that takes longer than peers may hold it up. What
fails is told with the line that replays it.
"""

from __future__ import annotations

import argparse
import math
import random
import shutil
import sys
import time
from dataclasses import dataclass

from tests.lan.client import CONNECTIONS, PacmanLike
from tests.lan.lan import MIRROR_ADDRESS, wait_until, working_folder
from tests.lan.matrix import CROWD, MORE, MOST_DELAY, NOISE, Goods, Lane, on_lanes
from tests.lan.schedules import wrong_in_store

#: One seed in so many is downloaded by pacman itself.
SAMPLE = 5
#: Seconds within which who means no harm to its own announcements is known.
HEARING = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What one seed decides."""

    seed: int
    roles: tuple[str, ...]
    pause: float
    real: bool


def plan(seed: int) -> Plan:
    """Return what ``seed`` stands for."""
    dice = random.Random(f"hostile {seed}")
    roles = []
    for address in MORE[: dice.choice((1, 1, 2, 3))]:
        ids = dice.choice((1, 1, 3, CROWD))
        fetches = dice.choice(("", "", "owner:"))
        place = dice.choice(("package", "package", "package", "signature", "inventory", "any"))
        roles.append(f"peer@{address}*{ids}={fetches}improvised:{seed}@{place}")
    return Plan(seed, tuple(roles), dice.uniform(0.0, 1.5), seed % SAMPLE == 0)


def run_seed(lane: Lane, seed: int) -> list[str]:
    """Run one seed; return what went wrong."""
    if not lane.baseline:
        lane.measure()
    chosen = plan(seed)
    lane.clear()
    lane.lan.mirrors = [MIRROR_ADDRESS]
    node = lane.asker.start_node()
    log = lane.misbehave(chosen.roles)
    wait_until(lambda: log.exists() and "ready" in log.read_text(), 20, "the peers are there")
    node.wait_ready()
    wait_until(node.peers, HEARING, "a peer is known")
    time.sleep(chosen.pause)
    if chosen.real:
        run = lane.download()
        problems = lane.problems(run, node)
        # Five files at a time, each held up for as long as peers may.
        rounds = math.ceil(len(lane.goods.packages) / CONNECTIONS)
        if run.seconds > 1.5 * lane.baseline + MOST_DELAY * rounds:
            problems.append(f"pacman took {run.seconds:.1f} s")
        return problems
    client = PacmanLike(lane.asker, random.Random(seed))
    client.download(lane.goods.repositories)
    late = {name: took for name, took in client.seconds.items() if took > MOST_DELAY + NOISE}
    slow = [f"{name} took {took:.1f} s" for name, took in late.items()]
    return [*client.complaints, *slow, *lane.node_problems(node), *wrong_in_store(lane)]


def run_seeds(goods: Goods, seeds: range, lanes: int, minutes: float = 0.0) -> dict[int, list[str]]:
    """Run seeds on several lanes, no longer than ``minutes`` (0: all); return what went wrong."""
    deadline = time.monotonic() + minutes * 60 if minutes else float("inf")
    results: dict[int, list[str]] = {}

    def one(lane: Lane, seed: int) -> None:
        if time.monotonic() > deadline:
            return
        try:
            results[seed] = run_seed(lane, seed)
        except Exception as error:  # noqa: BLE001 - a seed that breaks has failed
            results[seed] = [f"{type(error).__name__}: {error}"]
        _tell(lane, seed, results)

    on_lanes(goods, seeds, lanes, one)
    return results


def _tell(lane: Lane, seed: int, results: dict[int, list[str]]) -> None:
    if len(results) % 50 == 0:
        print(f"{len(results)} seeds so far", flush=True)
    for problem in results[seed]:
        print(f"seed {seed}: {problem}", flush=True)
    if results[seed]:
        print(f"  again: python -m tests.lan.hostile_seeds --first {seed} --seeds 1")
        print(f"  peers: {lane.replay(plan(seed).roles)}", flush=True)


def main(arguments: list[str]) -> int:
    """Run seeds and tell how many failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.lan.hostile_seeds", description=__doc__)
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=0.0)
    given = parser.parse_args(arguments)
    folder = working_folder()
    began = time.monotonic()
    goods = Goods(folder)
    try:
        seeds = range(given.first, given.first + given.seeds)
        results = run_seeds(goods, seeds, given.lanes, given.minutes)
    finally:
        goods.close()
        shutil.rmtree(folder, ignore_errors=True)
    failed = sorted(seed for seed, problems in results.items() if problems)
    seconds = time.monotonic() - began
    print(f"{len(results)} seeds, {len(failed)} failed {failed}, {seconds:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
