"""Claim 7: memory at rest, with 100 peers and in 20 transfers at once; processor time at rest."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from bench.common import (
    PEERS,
    REPOSITORY,
    Crowd,
    Laboratory,
    Listing,
    Row,
    cpu_seconds,
    main,
    memory,
    plain,
    switches,
    write_database,
)
from tests.lan.lan import LOOPBACK_PORT, wait_until

if TYPE_CHECKING:
    from tests.lan.lan import Host, Node
    from tests.lan.repository import Package

SIZE = 140_000_000
TRANSFERS = 20
REST = 30.0
SETTLE = 10.0


def copies(holder: Host, package: Package) -> list[Listing]:
    """Hold the same bytes under so many names, which takes the room of one."""
    listed = []
    for number in range(TRANSFERS):
        name = f"copy{number:02}-1.0-1-x86_64.pkg.tar.zst"
        for suffix in ("", ".sig"):
            link = holder.cache / (name + suffix)
            if not link.exists():
                os.link(f"{package.path}{suffix}", link)
        listed.append(Listing(name, package.size, package.sha256))
    return listed


def at_rest(node: Node) -> list[Row]:
    """Let a node be for half a minute; return what it did meanwhile."""
    time.sleep(SETTLE)
    work, woken = cpu_seconds(node.pid), switches(node.pid)
    time.sleep(REST)
    return [
        plain("7 wake-ups at rest", (switches(node.pid) - woken) / REST, "/s", "< 1"),
        plain("7 processor time at rest", (cpu_seconds(node.pid) - work) / REST * 1e3, "ms/s"),
    ]


def transfers(client: Host, node: Node, names: list[str]) -> float:
    """Ask for all files at once; return the most memory that was seen, in MB."""
    drain = [sys.executable, "-m", "bench.drain", "1", "localhost", str(LOOPBACK_PORT)]
    running = [client.start([*drain, f"/{REPOSITORY}/os/x86_64/{name}"]) for name in names]
    most = 0.0
    while any(process.poll() is None for process in running):
        most = max(most, memory(node.pid))
        time.sleep(0.05)
    if any(process.returncode for process in running):
        raise RuntimeError("a download failed")
    return most


def run(laboratory: Laboratory) -> list[Row]:
    """Measure one node after the other: at rest, with a crowd, at work."""
    client, holder = laboratory.host("client", 1), laboratory.host("holder", 2)
    crowd_host = laboratory.host("crowd", 99)
    listed = copies(holder, laboratory.package("several", SIZE))
    path = laboratory.lan.folder / "crowd.db"
    write_database(path, listed)
    giver = laboratory.node(holder, database=path)
    node = laboratory.fresh_node(client, database=path)
    rows = at_rest(node)
    idle = memory(node.pid)
    rows.append(plain("7 memory, idle, 14,000 packages listed", idle, "MB", "< 60"))
    most = transfers(client, node, [one.file_name for one in listed])
    rows.append(plain("7 memory, added by 20 transfers of 140 MB", most - idle, "MB", "< 30"))
    laboratory.end(node)
    rows.append(laboratory.longest_hold("20 transfers of 140 MB"))
    Crowd(crowd_host, path)
    crowded = laboratory.fresh_node(client, database=path)

    def met() -> bool:
        peers = crowded.status()["peers"]
        return len(peers) == PEERS + 1 and all(peer["files_known"] for peer in peers)

    wait_until(met, 120, "the crowd is known")
    time.sleep(SETTLE)
    rows.append(plain("7 memory, 100 peers of 3,000 files", memory(crowded.pid), "MB", "< 100"))
    laboratory.end(crowded)
    laboratory.end(giver)
    crowd_host.reset()
    rows.append(laboratory.longest_hold("reading 100 inventories"))
    return rows


if __name__ == "__main__":
    main(run, __doc__)
