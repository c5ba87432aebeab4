"""What is ready before Enter: pacman's download phase where its node fetches ahead.

60 packages are installed on the client and the holder has newer ones. pacman runs ``-Sy``, then
``-Suw`` once all has come ahead; or ``-Syuw``, whose question is answered after a pause. It is
compared with pacman straight to the holder's nginx, and with a node that does not fetch ahead.
``python -m bench.ahead [SET...]`` measures some of the sets only.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bench.common import (
    SMALL_COUNT,
    Laboratory,
    Row,
    forget_downloads,
    install_earlier,
    interleave,
    knows,
    main,
    pacman_conf,
    ratio,
    rested,
    running,
    static_nginx,
    transaction,
)
from tests.lan.lan import wait_until
from tests.lan.repository import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.lan.lan import Host, Node
    from tests.lan.repository import Package

#: Seconds that a person takes to answer.
PAUSES = (0.0, 1.0, 2.0, 5.0)
#: Seconds until all must have come ahead.
PATIENCE = 90.0
NGINX, OFF, READY = "pacman to nginx", "not ahead", "all ahead"
MANY, MANY_SIZE = 300, 40_000


@dataclass(frozen=True, slots=True)
class Set:
    """What is upgraded, on what link: ``title`` is the curve's, bars are those of the aims."""

    title: str
    rate: str
    bar: str
    rounds: int


SETS = {
    "gigabit": Set("371 MB in 60 packages, LAN of 1 Gbit/s", "1gbit", "<= 0.25", 3),
    "unlimited": Set("371 MB in 60 packages, link without a limit", "", "<= 1.0", 5),
    "small": Set("56 small packages, 19 MB, link without a limit", "", "<= 1.35", 7),
    "many": Set(f"{MANY} packages of {MANY_SIZE // 1_000} KB", "", "<= 1.5", 5),
}


def packages_of(laboratory: Laboratory, name: str) -> list[Package]:
    if name == "many":
        recipes = [Recipe(f"many{number:03}", "1.0-1", MANY_SIZE) for number in range(MANY)]
        return laboratory.many(recipes)
    packages = laboratory.packages()
    return packages[:SMALL_COUNT] if name == "small" else packages


class Upgrading:
    """A client on which packages are installed that a mirror's database has newer ones of."""

    def __init__(
        self, laboratory: Laboratory, client: Host, packages: Sequence[Package], holders: int = 1
    ) -> None:
        self._laboratory = laboratory
        self._client = client
        self._packages = packages
        self._holders = holders
        self._earlier = laboratory.earlier(packages)
        install_earlier(client, packages)

    def direct(self, holder: Host) -> float:
        """Upgrade straight from the holder's nginx."""
        forget_downloads(self._client)
        self._laboratory.sync(self._client)
        conf = pacman_conf(self._client, f"http://{holder.address}/pkg")
        return transaction(self._client, conf, self._packages, "-Suw")

    def unready(self) -> float:
        """Upgrade by a node that fetches nothing ahead, without a pause."""
        return self.paused(0.0, prefetch="off")

    def paused(self, pause: float, prefetch: str = "lan") -> float:
        """Upgrade by ``-Syuw`` and answer after a pause; 0 is ``--noconfirm``."""
        node = self.node(prefetch)
        conf = self._client.pacman_conf()
        seconds = transaction(self._client, conf, self._packages, "-Syuw", pause=pause or None)
        self.end(node)
        return seconds

    def ready(self) -> float:
        """Upgrade once all has come ahead."""
        node = self.node("lan")
        self.prepare(node)
        return self.upgrade(node)

    def upgrade(self, node: Node) -> float:
        """Upgrade by a node that must have all of it; return the download phase."""
        seconds = transaction(self._client, self._client.pacman_conf(), self._packages, "-Suw")
        traffic = node.status()["traffic"]
        # What it fetched for a peer, as an owner, is held here as well.
        here = traffic["ready_ahead_bytes"] + traffic["held_here_bytes"]
        if here < sum(package.size for package in self._packages):
            raise RuntimeError(f"only {here} bytes were here")
        self.end(node)
        return seconds

    def node(self, prefetch: str) -> Node:
        """Start a node whose machine has nothing of the upgrade, and knows nothing of it."""
        settings = {"prefetch": prefetch}
        node = self._laboratory.fresh_node(self._client, database=self._earlier, settings=settings)
        knows(node, self._holders, len(self._packages))
        return node

    def prepare(self, node: Node) -> float:
        """Run ``pacman -Sy``; return the seconds until all of the upgrade is here."""
        self.learn()
        began = time.monotonic()
        self.wait_ready(node)
        return time.monotonic() - began

    def learn(self) -> None:
        """Have pacman learn of the upgrade."""
        synced = self._client.pacman("-Sy")
        if synced.returncode:
            raise RuntimeError(f"pacman -Sy failed:\n{synced.output}")

    def wait_ready(self, node: Node) -> None:
        wait_until(lambda: _is_ready(node, len(self._packages)), PATIENCE, "all has come ahead")

    def end(self, node: Node) -> None:
        self._laboratory.end(node)
        forget_downloads(self._client)


def _is_ready(node: Node, count: int) -> bool:
    told = node.status()["ahead"]
    return bool(told["wanted"] == told["ready"] == count)


def measure(laboratory: Laboratory, name: str) -> list[Row]:
    """Measure one set: all ways take turns, and machines rest between."""
    chosen = SETS[name]
    laboratory.lan.reset()
    client, holder = laboratory.host("client", 1), laboratory.host("holder", 2)
    packages = packages_of(laboratory, name)
    laboratory.publish(laboratory.mirror())
    laboratory.hold(holder, packages)
    upgrading = Upgrading(laboratory, client, packages)
    ways: dict[str, Callable[[], float]] = {
        NGINX: partial(upgrading.direct, holder),
        OFF: upgrading.unready,
        READY: upgrading.ready,
        **{f"{pause:g} s": partial(upgrading.paused, pause) for pause in PAUSES},
    }
    with running(static_nginx(holder)):
        node = laboratory.node(holder, files=len(packages), settings={"prefetch": "off"})
        if chosen.rate:
            holder.limit(chosen.rate)
        times = interleave({way: rested(go) for way, go in ways.items()}, chosen.rounds, warm=1)
        laboratory.end(node)
    print(curve(chosen.title, times), file=sys.stderr, flush=True)
    return [
        ratio(
            f"13 {chosen.title}, all ahead, to nginx", times[READY], times[NGINX], "s", chosen.bar
        ),
        ratio(
            "  no pause, to a node that fetches nothing ahead",
            times["0 s"],
            times[OFF],
            "s",
            "<= 1.03",
        ),
        *(
            ratio(
                f"  answered after {pause:g} s, to nginx", times[f"{pause:g} s"], times[NGINX], "s"
            )
            for pause in PAUSES
        ),
    ]


def curve(title: str, times: Mapping[str, Sequence[float]]) -> str:
    """Return the medians as ``bench/ahead.toml`` has them."""
    names = (NGINX, OFF, READY, *(f"{pause:g} s" for pause in PAUSES))
    lines = [f'"{name}" = {statistics.median(times[name]):.3g}' for name in names]
    return "\n".join([f'["{title}"]', *lines, ""])


def run(laboratory: Laboratory, names: Sequence[str] = tuple(SETS)) -> list[Row]:
    """Measure these sets."""
    rows = [row for name in names for row in measure(laboratory, name)]
    return [*rows, laboratory.longest_hold("fetching ahead")]


if __name__ == "__main__":
    main(run, __doc__, SETS)
