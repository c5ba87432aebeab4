"""Claim 9: a mirror for the LAN reads the databases of two architectures, again and again."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import time
from typing import TYPE_CHECKING

from bench.common import (
    MIRROR_ADDRESS,
    Laboratory,
    Row,
    main,
    memory,
    nginx,
    plain,
    wait_for_port,
    write_database,
)
from tests.lan.lan import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lan.lan import Node

ARCHITECTURES = ("x86_64", "aarch64")
#: Entries of each database: 28,000 in all.
COUNTS = {"core": 300, "extra": 13_400, "multilib": 300}
#: States that follow each other; all databases are others in each.
STATES = 6
SETTLE = 3.0


class _Socket(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=120)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def write_state(root: Path, number: int) -> None:
    """Write all databases anew, as a mirror that has just been synced."""
    moment = time.time() - 3_600 + number
    for architecture in ARCHITECTURES:
        for repository, count in COUNTS.items():
            folder = root / repository / "os" / architecture
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{repository}.db"
            write_database(path, (), count, seed=number, architecture=architecture)
            os.utime(path, (moment, moment))
    (root / "lastupdate").write_text(f"{int(moment)}\n")


def refresh(node: Node) -> str:
    """Have the node read its mirror; return what it says came of it."""
    connection = _Socket(node.status()["control"])
    connection.request("POST", "/mirror/refresh")
    answer = connection.getresponse()
    told = answer.read().decode()
    if answer.status != http.client.OK:
        raise RuntimeError(told)
    return told


def run(laboratory: Laboratory) -> list[Row]:
    """Measure a node while its mirror moves on, and afterwards."""
    mirror, host = laboratory.mirror(), laboratory.host("nas", 3)
    root = mirror.folder / "states"
    write_state(root, 0)
    nginx(mirror, "states", f"server {{ listen 80; root {root}; }}")
    wait_for_port(mirror, 80)
    server = f"http://{MIRROR_ADDRESS}/$repo/os/$arch"
    laboratory.package("listed", 1_000)
    laboratory.sync(host)
    settings = {
        "mirror": {
            "serve": True,
            "repositories": list(COUNTS),
            "architectures": list(ARCHITECTURES),
            "refresh": "off",
            "publish": "at once",
        },
        "mirror.upstream": {one: [server] for one in ARCHITECTURES},
    }
    plain_node = host.node()
    time.sleep(SETTLE)
    before = memory(plain_node.pid)
    laboratory.end(plain_node)
    laboratory.holds.clear()
    laboratory.nodes_ended = laboratory.long_holds = 0
    shutil.rmtree(host.store)
    host.store.mkdir()
    node = host.node(settings=settings)
    most, took = 0.0, []
    for number in range(STATES):
        if number:
            write_state(root, number)
        began = time.monotonic()
        told = refresh(node)
        took.append(time.monotonic() - began)
        # The first state is read by the node itself, maybe just before.
        if number and "6 of 6 databases are new" not in told:
            raise RuntimeError(told)
        most = max(most, memory(node.pid))
    wait_until(lambda: node.check() != b"", 5, "the node answers")
    time.sleep(SETTLE)
    rest = memory(node.pid)
    entries = sum(COUNTS.values()) * len(ARCHITECTURES)
    claim = f"9 memory, mirror of {entries:,} entries, {STATES} states later"
    unchanged = refresh(node), refresh(node)
    if not all("nothing new" in one for one in unchanged):
        raise RuntimeError(unchanged[-1])
    laboratory.end(node)
    return [
        plain("9 memory, a node that is no mirror", before, "MB"),
        plain(claim, rest, "MB", "< 90"),
        plain("9 the most that was seen after a state", most, "MB"),
        plain("9 a state read and published, the longest", max(took), "s"),
        laboratory.longest_hold("a mirror's states"),
    ]


if __name__ == "__main__":
    main(run, __doc__)
