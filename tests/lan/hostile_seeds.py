"""Random hostile peers: dice decide what each request is answered, byte by byte, pause by pause.

    python -m tests.lan.hostile_seeds [--lanes 2] [--seeds 500] [--first 0] [--minutes 0]

Each seed decides how many peers there are, with how many ids, whether they hold or fetch, and what
they misbehave with; what they answer is ``hostile``'s ``improvised``. One mirror works. Every
fifth seed is downloaded by pacman itself, the others by a client that does what pacman does.
Expected: no complaint, right bytes, and no file that takes longer than peers may hold it up. What
fails is told with the line that replays it.
"""

from __future__ import annotations

import math
import random
import sys
import time
from dataclasses import dataclass

from tests.lan.client import CONNECTIONS, PacmanLike
from tests.lan.lan import MIRROR_ADDRESS, wait_until
from tests.lan.lanes import Seeds
from tests.lan.matrix import CROWD, MORE, MOST_DELAY, NOISE, Lane
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
    """Run one seed; return what went wrong. What was late alone must be so twice."""
    if not lane.baseline:
        lane.measure()
    wrong, late = _run_once(lane, plan(seed))
    if late and not wrong:
        # The machine may have been busy with something else; the plan is the same.
        wrong, late = _run_once(lane, plan(seed))
    return [*wrong, *late]


def _run_once(lane: Lane, chosen: Plan) -> tuple[list[str], list[str]]:
    """Return what went wrong, and what took too long."""
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
        # Five files at a time, each held up for as long as peers may.
        rounds = math.ceil(len(lane.goods.packages) / CONNECTIONS)
        is_late = run.seconds > 1.5 * lane.baseline + MOST_DELAY * rounds
        late = [f"pacman took {run.seconds:.1f} s"] if is_late else []
        return lane.problems(run, node), late
    client = PacmanLike(lane.asker, random.Random(chosen.seed))
    client.download(lane.goods.repositories)
    late = [
        f"{name} took {took:.1f} s"
        for name, took in client.seconds.items()
        if took > MOST_DELAY + NOISE
    ]
    return [*client.complaints, *lane.node_problems(node), *wrong_in_store(lane)], late


SEEDS = Seeds("hostile_seeds", 2, run_seed, lambda seed: plan(seed).roles)


if __name__ == "__main__":
    sys.exit(SEEDS.main(sys.argv[1:], __doc__))
