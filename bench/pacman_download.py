"""Claims 2 and 3: real pacman's download phase, from one holder, by each way there is.

pacman asks the holder's nginx itself; a redirector; an nginx that relays and caches; a bare relay,
the least that a verifying one can do; and flocon, whose node fetches from the holder's node,
verifies, keeps, and serves, or sends pacman there.
"""

from __future__ import annotations

import time
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
    ratio,
    redirector,
    running,
    static_nginx,
)
from tests.lan.lan import LOOPBACK_PORT
from tests.lan.repository import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.lan.lan import Host
    from tests.lan.repository import Package

REDIRECTOR_PORT = 8001
CACHING_PORT = 8002
BARE_PORT = 8003
#: A transaction of very many very small packages.
MANY, MANY_SIZE = 300, 40_000
#: Seconds that machines rest between two downloads: nobody updates in a hot loop.
REST = 1.5


class Ways:
    """The ways from a holder to pacman on a client."""

    def __init__(self, laboratory: Laboratory, client: Host, holder: Host, files: int) -> None:
        self._laboratory = laboratory
        self._client = client
        self._holder = holder
        self._files = files

    def direct(self, packages: Sequence[Package]) -> float:
        return download(self._client, f"http://{self._holder.address}/pkg", packages)

    def redirected(self, packages: Sequence[Package]) -> float:
        with running(redirector(self._client, [self._holder], REDIRECTOR_PORT)):
            return download(self._client, f"http://127.0.0.1:{REDIRECTOR_PORT}", packages)

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
        return {
            "pacman to nginx": lambda: self.direct(packages),
            "redirector": lambda: self.redirected(packages),
            "caching nginx": lambda: self.relayed(packages),
            "flocon": lambda: self.flocon(packages),
            "flocon, redirecting": lambda: self.flocon(packages, "redirect"),
        }


def rows(
    claim: str, results: Mapping[str, Sequence[float]], bars: Mapping[str, str]
) -> Iterator[Row]:
    """Yield what flocon takes against each rival; then, against the best, what else was tried."""
    for rival in ("pacman to nginx", "redirector", "caching nginx"):
        bar = bars.get(rival, "")
        yield ratio(f"{claim}, to {rival}", results["flocon"], results[rival], "s", bar)
    for way in ("flocon, redirecting", "bare relay"):
        for rival, bar in bars.items() if way in results else ():
            yield ratio(f"{claim}, {way}, to {rival}", results[way], results[rival], "s", bar)


def many(laboratory: Laboratory, client: Host, holder: Host) -> list[Row]:
    """Measure very many very small packages, with rests between."""
    forget_downloads(holder)
    packages = laboratory.many(
        [Recipe(f"many{number:03}", "1.0-1", MANY_SIZE) for number in range(MANY)]
    )
    laboratory.sync(client)
    laboratory.hold(holder, packages)
    ways = Ways(laboratory, client, holder, len(packages))

    def rested(way: Callable[[Sequence[Package]], float]) -> Callable[[], float]:
        def measure() -> float:
            time.sleep(REST)
            return way(packages)

        return measure

    with running(static_nginx(holder)):
        node = laboratory.node(holder, files=len(packages))
        ways_there = {"pacman to nginx": rested(ways.direct), "flocon": rested(ways.flocon)}
        times = interleave(ways_there, 5, warm=1)
        laboratory.end(node)
    claim = f"2 {MANY} packages of {MANY_SIZE // 1_000} KB, to pacman to nginx"
    return [ratio(claim, times["flocon"], times["pacman to nginx"], "s")]


def run(laboratory: Laboratory) -> list[Row]:
    """Measure; small packages on an unlimited link, all of them on both links."""
    client, holder = laboratory.host("client", 1), laboratory.host("holder", 2)
    packages = laboratory.packages()
    laboratory.sync(client)
    laboratory.hold(holder, packages)
    ways = Ways(laboratory, client, holder, len(list(holder.cache.glob("*.zst"))))
    small = packages[:SMALL_COUNT]
    with running(static_nginx(holder)):
        node = laboratory.node(holder, files=len(list(holder.cache.glob("*.zst"))))
        bare = {"bare relay": lambda: ways.bare(small)}
        few = interleave(ways.all(small) | bare, 9, warm=1)
        much = interleave(ways.all(packages), 5)
        holder.limit("1gbit")
        limited = interleave(ways.all(packages), 3)
        holder.unlimit()
        laboratory.end(node)
    most = many(laboratory, client, holder)
    return [
        *most,
        *rows("2 56 small packages", few, {"pacman to nginx": "<= 1.35", "redirector": "<= 0.8"}),
        *rows("3 371 MB at 1 Gbit/s", limited, {"pacman to nginx": "<= 1.03"}),
        *rows("3 371 MB unlimited", much, {"pacman to nginx": "<= 1.4"}),
        laboratory.longest_hold("pacman downloads"),
    ]


if __name__ == "__main__":
    main(run, __doc__)
