"""Claims 4 and 5: one package of 140 MB from several holders behind links of 100 Mbit/s.

Times are from the request to the last byte at a client's loopback face; every run starts a node
that has nothing. Beside one holder and three of them: two good ones with a third that has a tenth
of their speed, and two good ones with a third that is killed midway.
"""

from __future__ import annotations

import hashlib
import http.client
import threading
import time
from typing import TYPE_CHECKING

from bench.common import (
    REPOSITORY,
    Laboratory,
    Row,
    interleave,
    knows,
    main,
    ratio,
)
from tests.lan.lan import LOOPBACK_PORT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.lan.lan import Host, Node
    from tests.lan.repository import Package

SIZE = 140_000_000
LINK, SLOW_LINK = "100mbit", "10mbit"
#: Seconds into a download at which a holder dies: two good ones need six.
DEATH = 2.0


def get(host: Host, package: Package) -> float:
    """Ask a host's own node for a package; return the seconds until it was there, and right."""
    connection = http.client.HTTPConnection("127.0.0.1", LOOPBACK_PORT, timeout=120)
    connection.sock = host.connect("127.0.0.1", LOOPBACK_PORT, timeout=120)
    digest = hashlib.sha256()
    began = time.monotonic()
    connection.request("GET", f"/{REPOSITORY}/os/x86_64/{package.file_name}")
    response = connection.getresponse()
    while data := response.read(1 << 20):
        digest.update(data)
    seconds = time.monotonic() - began
    connection.close()
    if response.status != http.client.OK or digest.hexdigest() != package.sha256:
        raise RuntimeError(f"{package.file_name}: status {response.status}, or wrong bytes")
    return seconds


class Holders:
    """A client, and holders that are started for each download."""

    def __init__(self, laboratory: Laboratory) -> None:
        self._laboratory = laboratory
        self._client = laboratory.host("client", 1)
        self._hosts = [laboratory.host(f"holder{one}", 1 + one) for one in (1, 2, 3)]
        self._package = laboratory.package("several", SIZE)
        for host in self._hosts:
            host.cache.mkdir(exist_ok=True)
            laboratory.hold(host, [self._package])

    def download(
        self, links: Sequence[str], *, during: Callable[[list[Node]], None] | None = None
    ) -> float:
        """Time a download from as many holders as ``links``."""
        nodes = []
        for host, link in zip(self._hosts, links, strict=False):
            host.unlimit()
            host.limit(link)
            nodes.append(self._laboratory.node(host, files=self._files(host)))
        client = self._laboratory.fresh_node(self._client)
        for node in nodes:
            # Counts differ where the folders of another benchmark are reused.
            knows(client, len(nodes), self._files(node.host))
        helper = threading.Thread(target=during, args=(nodes,)) if during else None
        if helper:
            helper.start()
        seconds = get(self._client, self._package)
        if helper:
            helper.join()
        for node in [client, *nodes]:
            if node.process.poll() is None:
                self._laboratory.end(node)
        for host in self._hosts:
            host.nodes.clear()
            host.unlimit()
        return seconds

    def _files(self, host: Host) -> int:
        return len(list(host.cache.glob("*.zst")))


def _kill_last(nodes: list[Node]) -> None:
    time.sleep(DEATH)
    nodes[-1].kill()


def run(laboratory: Laboratory) -> list[Row]:
    """Measure all five arrangements in turn."""
    holders = Holders(laboratory)
    times = interleave(
        {
            "one": lambda: holders.download([LINK]),
            "two": lambda: holders.download([LINK] * 2),
            "three": lambda: holders.download([LINK] * 3),
            "two and a slow one": lambda: holders.download([LINK, LINK, SLOW_LINK]),
            "two and a dying one": lambda: holders.download([LINK] * 3, during=_kill_last),
        },
        3,
    )
    one, two = times["one"], times["two"]
    slow, dying = times["two and a slow one"], times["two and a dying one"]
    return [
        ratio("4 140 MB from three, to from one", times["three"], one, "s", "<= 0.37"),
        ratio("5 two and one at a tenth, to two", slow, two, "s", "<= 1.15"),
        ratio("5 two and one that dies, to two", dying, two, "s", "<= 1.15"),
        laboratory.longest_hold("several holders"),
    ]


if __name__ == "__main__":
    main(run, __doc__)
