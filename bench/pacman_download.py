"""Claims 2 and 3: real pacman's download phase, from one holder, by each way there is.

pacman asks the holder's nginx itself; a redirector that asks one, five or twenty peers, of which
two are dead; an nginx that relays and caches; a bare relay, the least that a verifying one can do;
and flocon, whose node fetches from the holder's node, verifies, keeps, and serves, or sends pacman
there. Machines rest between two downloads. A redirector runs through all rounds, as a daemon does,
so that it knows its dead peers; "found dead" is one that has just been started and does not.
``python -m bench.pacman_download [SET...]`` measures some of the sets only.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bench.common import (
    REPOSITORY,
    SMALL_COUNT,
    Laboratory,
    Row,
    bare_relay,
    caching_nginx,
    download,
    forget_downloads,
    interleave,
    knows,
    main,
    nginx,
    ratio,
    redirector,
    rested,
    running,
    static_nginx,
    wait_for_port,
)
from tests.lan.lan import LOOPBACK_PORT
from tests.lan.repository import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.lan.lan import Host
    from tests.lan.repository import Package

CACHING_PORT = 8002
BARE_PORT = 8003
#: The redirectors' ports, by how many peers each asks; and that of one just started.
REDIRECTOR_PORTS = {1: 8011, 5: 8015, 20: 8020}
FRESH_PORT = 8005
DEAD = 2
#: A transaction of very many very small packages.
MANY, MANY_SIZE = 300, 40_000


def redirector_name(peers: int) -> str:
    return f"redirector, {peers} peer{'s' if peers > 1 else ''}"


NGINX = "pacman to nginx"


class Ways:
    """The ways from a holder to pacman on a client."""

    def __init__(self, laboratory: Laboratory, client: Host, holder: Host, files: int) -> None:
        self._laboratory = laboratory
        self._client = client
        self._holder = holder
        self._others = laboratory.host("others", 3)
        self._files = files

    def direct(self, packages: Sequence[Package]) -> float:
        return download(self._client, f"http://{self._holder.address}/pkg", packages)

    def redirected(self, packages: Sequence[Package], port: int) -> float:
        return download(self._client, f"http://127.0.0.1:{port}", packages)

    def redirected_by_a_fresh_one(self, packages: Sequence[Package]) -> float:
        with running(redirector(self._client, self._peers(20), FRESH_PORT)):
            return self.redirected(packages, FRESH_PORT)

    def _peers(self, count: int) -> list[str]:
        """Return the addresses of a holder, of others that hold nothing, and of two dead ones."""
        others = [f"10.77.0.{100 + one}" for one in range(max(0, count - 1 - DEAD))]
        for address in others:
            self._others.ip("addr", "replace", f"{address}/24", "dev", "eth0")
        dead = [f"10.77.0.{200 + one}" for one in range(min(DEAD, count - 1))]
        return [self._holder.address, *others, *dead]

    @contextlib.contextmanager
    def redirectors(self) -> Iterator[None]:
        """Have all redirectors run, and what they ask."""
        with contextlib.ExitStack() as stack:
            empty = "server { listen 80; location / { return 404; } }"
            stack.enter_context(running(nginx(self._others, "empty", empty)))
            wait_for_port(self._others, 80)
            for count, port in REDIRECTOR_PORTS.items():
                stack.enter_context(running(redirector(self._client, self._peers(count), port)))
            yield

    def relayed(self, packages: Sequence[Package]) -> float:
        with running(caching_nginx(self._client, self._holder, CACHING_PORT)):
            return download(self._client, f"http://127.0.0.1:{CACHING_PORT}/pkg", packages)

    def bare(self, packages: Sequence[Package]) -> float:
        with running(bare_relay(self._client, self._holder, BARE_PORT)):
            return download(self._client, f"http://127.0.0.1:{BARE_PORT}", packages)

    def flocon(self, packages: Sequence[Package], transfer: str = "relay") -> float:
        node = self._laboratory.fresh_node(self._client, settings={"transfer": transfer})
        knows(node, 1, self._files)
        server = f"http://localhost:{LOOPBACK_PORT}/{REPOSITORY}/os/x86_64"
        seconds = download(self._client, server, packages)
        told = node.status()
        traffic, answers = told["traffic"], told["answers"]
        if traffic["from_mirrors_bytes"] or answers.get("peer") != len(packages):
            raise RuntimeError(f"not from the holder: {traffic} {answers}")
        if bool(traffic["from_peers_bytes"]) is (transfer == "redirect"):
            raise RuntimeError(f"not by way of {transfer}: {traffic}")
        self._laboratory.end(node)
        forget_downloads(self._client)
        return seconds

    def all(self, packages: Sequence[Package]) -> dict[str, Callable[[], float]]:
        ways = {
            NGINX: partial(self.direct, packages),
            **{
                redirector_name(count): partial(self.redirected, packages, port)
                for count, port in REDIRECTOR_PORTS.items()
            },
            "caching nginx": partial(self.relayed, packages),
            "flocon": partial(self.flocon, packages),
            "flocon, redirecting": partial(self.flocon, packages, "redirect"),
        }
        return {name: rested(way) for name, way in ways.items()}


def rows(
    claim: str, results: Mapping[str, Sequence[float]], bars: Mapping[str, str]
) -> Iterator[Row]:
    """Yield what flocon takes against each rival; then, against the best, what else was tried."""
    ours = {"flocon", "flocon, redirecting", "bare relay"}
    for rival in [name for name in results if name not in ours]:
        bar = bars.get(rival, "")
        yield ratio(f"{claim}, to {rival}", results["flocon"], results[rival], "s", bar)
    for way in ("flocon, redirecting", "bare relay"):
        for rival, bar in bars.items() if way in results else ():
            yield ratio(f"{claim}, {way}, to {rival}", results[way], results[rival], "s", bar)


def many(laboratory: Laboratory, client: Host, holder: Host) -> list[Row]:
    """Measure very many very small packages."""
    forget_downloads(holder)
    packages = laboratory.many(
        [Recipe(f"many{number:03}", "1.0-1", MANY_SIZE) for number in range(MANY)]
    )
    laboratory.sync(client)
    laboratory.hold(holder, packages)
    ways = Ways(laboratory, client, holder, len(packages))
    with running(static_nginx(holder)):
        node = laboratory.node(holder, files=len(packages))
        ways_there = {
            NGINX: rested(partial(ways.direct, packages)),
            "flocon": rested(partial(ways.flocon, packages)),
        }
        times = interleave(ways_there, 5, warm=1)
        laboratory.end(node)
    claim = f"2 {MANY} packages of {MANY_SIZE // 1_000} KB"
    return list(rows(claim, times, {NGINX: "<= 2.4"}))


@dataclass(frozen=True, slots=True)
class Set:
    """What is downloaded, on what link, how often; and the aims, by rival."""

    claim: str
    rate: str
    rounds: int
    bars: Mapping[str, str]


SETS = {
    "small": Set(
        "2 56 small packages",
        "",
        9,
        {NGINX: "", redirector_name(1): "<= 0.7", redirector_name(20): "<= 0.3"},
    ),
    "unlimited": Set("3 371 MB unlimited", "", 5, {NGINX: "<= 1.4"}),
    "gigabit": Set("3 371 MB at 1 Gbit/s", "1gbit", 3, {NGINX: "<= 1.04"}),
}


def measure(laboratory: Laboratory, ways: Ways, holder: Host, name: str) -> list[Row]:
    """Measure one set by all ways."""
    chosen, packages = SETS[name], laboratory.packages()
    contenders = ways.all(packages)
    if name == "small":
        packages = packages[:SMALL_COUNT]
        contenders = ways.all(packages) | {
            "redirector, 20 peers, found dead": rested(
                partial(ways.redirected_by_a_fresh_one, packages)
            ),
            "bare relay": rested(partial(ways.bare, packages)),
        }
    if chosen.rate:
        holder.limit(chosen.rate)
    times = interleave(contenders, chosen.rounds, warm=1)
    holder.unlimit()
    return list(rows(chosen.claim, times, chosen.bars))


def run(laboratory: Laboratory, names: Sequence[str] = (*SETS, "many")) -> list[Row]:
    """Measure; small packages on an unlimited link, all of them on both links."""
    client, holder = laboratory.host("client", 1), laboratory.host("holder", 2)
    packages = laboratory.packages()
    laboratory.sync(client)
    laboratory.hold(holder, packages)
    ways = Ways(laboratory, client, holder, len(packages))
    found = []
    with running(static_nginx(holder)), ways.redirectors():
        node = laboratory.node(holder, files=len(packages))
        for name in names:
            found += measure(laboratory, ways, holder, name) if name in SETS else []
        laboratory.end(node)
    if "many" in names:
        found += many(laboratory, client, holder)
    return [*found, laboratory.longest_hold("pacman downloads")]


if __name__ == "__main__":
    main(run, __doc__, (*SETS, "many"))
