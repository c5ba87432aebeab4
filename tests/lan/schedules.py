"""Random fault schedules: peers, owners and mirrors that change what they do wrong as they go.

    python -m tests.lan.schedules [--lanes 3] [--seeds 500] [--first 0] [--minutes 0]

Each seed decides who is there, what goes wrong when (see ``faults.schedule``), what pacman has
already, and when it starts; one mirror, the last of three, works. Most seeds are downloaded by a
client that does what pacman does, in pacman's order and within pacman's time limits, every tenth
by pacman itself. Expected: the node never gives an error, a wrong byte or a surprised log. What
fails is told with the line that replays it.
"""

from __future__ import annotations

import hashlib
import random
import sys
import time
from dataclasses import dataclass

from tests.lan.client import PacmanLike
from tests.lan.lan import MIRROR_ADDRESS, wait_until
from tests.lan.lanes import Seeds
from tests.lan.matrix import FAULTY, MORE, Lane

#: One seed in so many is downloaded by pacman itself.
SAMPLE = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """What one seed decides."""

    seed: int
    roles: tuple[str, ...]
    pause: float
    real: bool


def plan(seed: int) -> Plan:
    """Return what ``seed`` stands for."""
    dice = random.Random(seed)
    peers = [f"peer@{address}=seed:{seed}" for address in MORE[: dice.randrange(4)]]
    owners = [f"peer@{address}=owner:seed:{seed}" for address in MORE[3 : 3 + dice.randrange(3)]]
    mirrors = [f"mirror@{address}=seed:{seed}" for address in _mirrors(seed)]
    return Plan(seed, (*peers, *owners, *mirrors), dice.uniform(0, 2), seed % SAMPLE == 0)


def _mirrors(seed: int) -> list[str]:
    return [FAULTY, MORE[5]][: random.Random(f"mirrors {seed}").randrange(3)]


def run_seed(lane: Lane, seed: int) -> list[str]:
    """Run one schedule; return what went wrong."""
    chosen = plan(seed)
    lane.clear()
    lane.lan.mirrors = [*_mirrors(seed), MIRROR_ADDRESS]
    node = lane.asker.start_node()
    if chosen.roles:
        log = lane.misbehave(chosen.roles)
        wait_until(lambda: log.exists() and "ready" in log.read_text(), 20, "faults are played")
    node.wait_ready()
    known = sum(role.startswith("peer") for role in chosen.roles)
    wait_until(lambda: len(node.peers()) == known, 10, "all peers are known")
    time.sleep(chosen.pause)
    if chosen.real:
        return lane.problems(lane.download(), node)
    client = PacmanLike(lane.asker, random.Random(seed), resumed=0.15)
    client.download(lane.goods.repositories)
    return [*client.complaints, *lane.node_problems(node), *wrong_in_store(lane)]


def wrong_in_store(lane: Lane) -> list[str]:
    """Return which packages in the asker's store are not what they should be."""
    right = {package.file_name: package.sha256 for package in lane.goods.packages}
    return [
        f"{path.name} in the store is another"
        for path in lane.asker.store.rglob("*.pkg.tar.zst")
        if hashlib.sha256(path.read_bytes()).hexdigest() != right.get(path.name)
    ]


SEEDS = Seeds("schedules", 3, run_seed, lambda seed: plan(seed).roles)


if __name__ == "__main__":
    sys.exit(SEEDS.main(sys.argv[1:], __doc__))
