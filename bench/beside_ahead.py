"""Claim 4 of fetching ahead: pacman is not slowed by what nobody waits for, on either side.

A client's pacman downloads what it has not, while its node fetches the next upgrade ahead from the
same holder; and a holder's own pacman downloads, while other machines fetch theirs from it. Both
are compared with the same download when nothing is fetched ahead.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from bench.common import (
    REPOSITORY,
    Laboratory,
    Row,
    download,
    forget_downloads,
    install_earlier,
    interleave,
    knows,
    main,
    ratio,
)
from tests.lan.lan import LOOPBACK_PORT, wait_until
from tests.lan.repository import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lan.lan import Host, Node

SERVER = f"http://localhost:{LOOPBACK_PORT}/{REPOSITORY}/os/x86_64"
#: What is installed in an older version, and comes ahead.
AHEAD, AHEAD_SIZE = 10, 100_000_000
#: Bytes that must have come ahead before pacman begins.
BEGUN = 2_000_000
#: Machines that fetch ahead from a holder while its own pacman downloads, files each.
ASKERS, ASKED_AT_ONCE = 2, 4
#: Seconds that machines rest between two downloads.
REST = 1.5
ROUNDS = 7

#: Asks for packages in turn, several at a time, and says that nobody waits for them.
ASKER = """
import http.client, itertools, sys, threading
address, count, *paths = sys.argv[1:]
def ask(paths):
    for path in itertools.cycle(paths):
        connection = http.client.HTTPConnection(address, 19432, timeout=300)
        try:
            connection.request("GET", path, headers={"Priority": "u=7"})
            answer = connection.getresponse()
            while answer.read(1 << 18):
                pass
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
for number in range(int(count)):
    threading.Thread(target=ask, args=(paths[number:] + paths[:number],)).start()
"""


def transferred(host: Host, direction: str) -> int:
    """Return the bytes that a host's link has received ("rx") or sent ("tx")."""
    told = json.loads(host.ip("-s", "-j", "link", "show", "eth0"))
    return int(told[0]["stats64"][direction]["bytes"])


class Sides:
    """A client and two holders; ``ahead`` is what the client's upgrade needs."""

    def __init__(self, laboratory: Laboratory) -> None:
        self._laboratory = laboratory
        self._client = laboratory.host("client", 1)
        self._holder = laboratory.host("holder", 2)
        self._other = laboratory.host("other", 3)
        self._ahead = laboratory.many(
            [Recipe(f"ahead{number:02}", "1.0-1", AHEAD_SIZE) for number in range(AHEAD)]
        )
        self._cold = laboratory.packages()
        laboratory.hold(self._other, self._cold)
        install_earlier(self._client, self._ahead)

    def client_side(self, rate: str, *, ahead: bool) -> float:
        """Time a download by the client, beside fetching ahead or not."""
        files = len(self._ahead) + len(self._cold)
        self._laboratory.hold(self._holder, [*self._ahead, *self._cold])
        holder = self._laboratory.node(self._holder, files=files)
        self._limit(self._holder, rate)
        client = self._laboratory.fresh_node(
            self._client, settings={"prefetch": "lan" if ahead else "off"}
        )
        knows(client, 1, files)
        before = transferred(self._client, "rx")
        if ahead:
            wait_until(
                lambda: transferred(self._client, "rx") > before + BEGUN, 60, "it comes ahead"
            )
        time.sleep(0 if ahead else REST)
        seconds = download(self._client, SERVER, self._cold)
        come = sum((self._client.store / one.file_name).exists() for one in self._ahead)
        if come == len(self._ahead):
            raise RuntimeError("all had come ahead before pacman ended: nothing was measured")
        self._end(client, holder)
        return seconds

    def holder_side(self, rate: str, *, ahead: bool) -> float:
        """Time a download by a holder's own pacman, while others fetch ahead from it or not."""
        other = self._laboratory.node(self._other, files=len(self._cold))
        forget_downloads(self._holder, self._ahead)
        self._laboratory.hold(self._holder, self._ahead)
        holder = self._laboratory.node(self._holder, files=len(self._ahead))
        knows(holder, 1, len(self._cold))
        self._limit(self._holder, rate)
        self._limit(self._other, rate)
        if ahead:
            paths = [f"/pkg/{package.file_name}" for package in self._ahead]
            command = [sys.executable, "-c", ASKER, self._holder.address, str(ASKED_AT_ONCE)]
            before = transferred(self._holder, "tx")
            for _ in range(ASKERS):
                self._client.start([*command, *paths])
            wait_until(lambda: transferred(self._holder, "tx") > before + BEGUN, 60, "it is given")
        time.sleep(0 if ahead else REST)
        seconds = download(self._holder, SERVER, self._cold, self._ahead)
        self._client.end_processes()
        self._end(holder, other)
        return seconds

    def _limit(self, host: Host, rate: str) -> None:
        host.unlimit()
        if rate:
            host.limit(rate)

    def _end(self, *nodes: Node) -> None:
        for node in nodes:
            self._laboratory.end(node)
        for host in (self._client, self._holder, self._other):
            host.unlimit()


def run(laboratory: Laboratory) -> list[Row]:
    """Measure both sides, at 1 Gbit/s and on an unlimited link."""
    sides = Sides(laboratory)
    rows = []
    for way, claim in (
        (sides.client_side, "pacman beside its node's fetching ahead, to without"),
        (sides.holder_side, "a holder's own pacman beside others', to without"),
    ):
        for rate, called in (("1gbit", "1 Gbit/s"), ("", "unlimited")):
            rows.append(_compare(f"4 {claim}, {called}", way, rate))
    return rows


def _compare(claim: str, way: Callable[..., float], rate: str) -> Row:
    times = interleave(
        {
            "without": lambda: way(rate, ahead=False),
            "beside": lambda: way(rate, ahead=True),
        },
        ROUNDS,
        warm=1,
    )
    return ratio(claim, times["beside"], times["without"], "s", "<= 1.05")


if __name__ == "__main__":
    main(run, __doc__)
