"""What is ready before Enter where holders fail, and where nobody holds anything.

First the 371 MB of ``bench.ahead`` with three holders, each at 1 Gbit/s, of which one is slow and
one dies while it comes. Then eight machines that learn of them at once, with ``prefetch = "all"``
and an empty LAN: each package crosses the WAN once. Every machine's download phase is compared with
pacman straight to a holder's nginx. ``python -m bench.ahead_together [SET...]`` measures one only.
"""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bench.ahead import Upgrading
from bench.common import REST, Laboratory, Row, main, plain, ratio, running, static_nginx
from tests.lan.lan import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.lan.lan import Host
    from tests.lan.repository import Package

RATE, SLOW = "1gbit", "100mbit"
ROUNDS = 3
MACHINES = 8
#: Of the packages, how many are ready when a holder dies.
DEATH = 5


def disturbed(laboratory: Laboratory) -> list[Row]:
    """Measure three holders, one of them slow, and one that dies."""
    client = laboratory.host("client", 1)
    holders = [laboratory.host(f"holder{one}", 1 + one) for one in (1, 2, 3)]
    packages = laboratory.packages()
    laboratory.publish(laboratory.mirror())
    for host, rate in zip(holders, (RATE, SLOW, RATE), strict=True):
        laboratory.hold(host, packages)
        host.limit(rate)
    upgrading = Upgrading(laboratory, client, packages, len(holders))
    direct, ready = [], []
    with running(static_nginx(holders[0])):
        for _ in range(ROUNDS):
            time.sleep(REST)
            direct.append(upgrading.direct(holders[0]))
            time.sleep(REST)
            ready.append(_with_a_death(laboratory, upgrading, holders, packages))
    claim = "13 371 MB of three holders, one slow, one dies"
    return [ratio(f"{claim}, all ahead, to nginx", ready, direct, "s", "<= 0.25")]


def _with_a_death(
    laboratory: Laboratory,
    upgrading: Upgrading,
    holders: Sequence[Host],
    packages: Sequence[Package],
) -> float:
    nodes = [
        laboratory.node(host, files=len(packages), settings={"prefetch": "off"}) for host in holders
    ]
    node = upgrading.node("lan")
    upgrading.learn()
    wait_until(lambda: node.status()["ahead"]["ready"] >= DEATH, 60, "some of it is ready")
    nodes.pop().kill()
    upgrading.wait_ready(node)
    seconds = upgrading.upgrade(node)
    for one in nodes:
        laboratory.end(one)
    holders[-1].nodes.clear()
    return seconds


def eight(laboratory: Laboratory) -> list[Row]:
    """Measure eight machines that learn of the upgrade at once."""
    hosts = [laboratory.host(f"machine{one}", 10 + one) for one in range(1, MACHINES + 1)]
    packages = laboratory.packages()
    mirror = laboratory.mirror()
    laboratory.publish(mirror, packages)
    upgradings = [Upgrading(laboratory, host, packages, 0) for host in hosts]
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(MACHINES))
        nodes = [one.node("all") for one in upgradings]
        wait_until(
            lambda: all(len(node.peers()) == MACHINES - 1 for node in nodes), 20, "all have met"
        )
        mirror.limit("200mbit")
        began = time.monotonic()
        list(pool.map(Upgrading.learn, upgradings))
        for one, node in zip(upgradings, nodes, strict=True):
            one.wait_ready(node)
        took = time.monotonic() - began
        crossed = sum(node.status()["traffic"]["from_mirrors_bytes"] for node in nodes)
        holder = laboratory.host("holder", 2)
        laboratory.hold(holder, packages)
        stack.enter_context(running(static_nginx(holder)))
        holder.limit(RATE)
        ready, direct = [], []
        for one, node in zip(upgradings, nodes, strict=True):
            time.sleep(REST)
            ready.append(one.upgrade(node))
            time.sleep(REST)
            direct.append(one.direct(holder))
    whole = sum(one.size + one.signature.stat().st_size for one in packages)
    claim = f"13 {MACHINES} machines, nobody holds anything"
    return [
        plain(f"{claim}: bytes from the WAN, of the set", crossed / whole, "", "<= 1.02"),
        plain("  until all is ready everywhere", took, "s"),
        ratio("  all ahead, to nginx", ready, direct, "s", "<= 0.25"),
    ]


PARTS = {"disturbed": disturbed, "eight": eight}


def run(laboratory: Laboratory, names: Sequence[str] = tuple(PARTS)) -> list[Row]:
    """Measure these."""
    rows = []
    for name in names:
        laboratory.lan.reset()
        rows += PARTS[name](laboratory)
    return rows


if __name__ == "__main__":
    main(run, __doc__, PARTS)
