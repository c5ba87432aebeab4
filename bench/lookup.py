"""Claim 6: from request to decision with 100 peers of 3,000 files, and to the first byte.

The decision is timed within this process, on a node's own objects, 20 of the peers held for dead.
The first byte is timed at a real node with the same crowd around it, 20 of whose peers do not
answer: a package of 100 KB that it holds itself, and one that a real peer holds.
"""

from __future__ import annotations

import gzip
import io
import random
import statistics
import sys
import time
from ipaddress import IPv4Interface
from typing import TYPE_CHECKING, Any

from twisted.internet import reactor

from bench.common import (
    DEAD,
    FILES,
    PEERS,
    REPOSITORY,
    Crowd,
    Laboratory,
    Listing,
    Row,
    forget_downloads,
    main,
    plain,
    write_database,
)
from flocon.datagrams.messages import Announcement, Kind, encode
from flocon.files import parse_path
from flocon.holdings.inventory import Change
from flocon.machine.links import Link
from flocon.node.service import Node
from flocon.pacman.entries import PackedEntries
from flocon.pacman.listing import Database
from flocon.pacman.listing import Listing as Listed
from flocon.pacman.syncdb import read_entries
from flocon.settings.settings import Settings, Store
from tests.lan.lan import wait_until
from tests.lan.repository import Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flocon.pacman.entries import Entry

LOOKUPS = 20_000
PACKAGES = 40
SIZE = 100_000


class Decider:
    """A node that is not started, told of a crowd of peers."""

    def __init__(self, entries: Sequence[Entry], packed: Database, folder: Path) -> None:
        conf = folder / "pacman.conf"
        conf.write_text("[options]\nArchitecture = x86_64\n")
        self._node: Any = Node(
            reactor, Settings(name="bench", pacman_conf=conf, store=Store(folder / "store"))
        )
        # Its parts are its own; nothing but a benchmark looks at them one by one.
        self._node.parts.pacman._databases.listing = Listed((packed,))  # noqa: SLF001
        presence = self._node.parts.presence
        dice = random.Random(2)
        presence.start(0.0)
        presence.networks_changed(0.0, [Link("eth0", 2, (IPv4Interface("10.0.0.254/24"),))])
        self.unheld = {entry.file_name for entry in entries}
        for number in range(PEERS):
            node = f"{number:016x}"
            said = Announcement(
                Kind.HELLO,
                node,
                "0123abcd",
                1,
                f"peer{number}",
                19432,
                "arch",
                ("x86_64",),
                3600.0,
                FILES,
                FILES,
                ((REPOSITORY, "0" * 16),),
                frozenset({"relay"}),
            )
            presence.receive(float(number), f"10.0.0.{1 + number % 100}", encode(said))
            chosen = dice.sample(entries, FILES)
            changes = [Change(entry.file_name, entry.content) for entry in chosen]
            self._node.parts.neighbourhood.holders.replace(node, FILES, changes)
            self.unheld -= {entry.file_name for entry in chosen}
            if number < DEAD:
                self._node.parts.standing.failed(node, time.monotonic())
        if len(presence.peers()) != PEERS:
            raise RuntimeError(f"{len(presence.peers())} peers are known")

    def decide(self, path: bytes) -> float:
        """Return the seconds from a request's path to whom to ask."""
        desk, offering = self._node.parts.desk, self._node.parts.holdings.offering
        began = time.perf_counter()
        asked = parse_path(path)
        assert asked is not None
        entry = desk.listed.entry(asked)
        held = offering.find(asked.file.subject)
        candidates = desk.candidates.all(asked.file.text, ("http://mirror/bench/os/x86_64",), entry)
        source = next(candidates)
        seconds = time.perf_counter() - began
        assert held is None
        assert source
        return seconds


def decisions(folder: Path) -> list[Row]:
    """Measure the decision for packages that peers hold, and for those that nobody does."""
    path = folder / "crowd.db"
    held = write_database(path, [])
    nobodys = write_database(path, held, count=len(held) + 2_000)[len(held) :]
    entries, packed = _read(path)
    alone = {one.file_name for one in nobodys}
    decider = Decider([entry for entry in entries if entry.file_name not in alone], packed, folder)
    rows = []
    for claim, names in (
        ("hit", [one.file_name for one in held if one.file_name not in decider.unheld]),
        ("miss", [one.file_name for one in nobodys]),
    ):
        dice = random.Random(4)
        paths = [
            f"/{REPOSITORY}/os/x86_64/{dice.choice(names)}".encode("ascii") for _ in range(LOOKUPS)
        ]
        times = sorted(decider.decide(one) * 1_000 for one in paths)
        rows += [
            plain(f"6 decision, {claim}, median", times[len(times) // 2], "ms"),
            plain(f"6 decision, {claim}, p99", times[len(times) * 99 // 100], "ms", "< 1"),
        ]
    return rows


def _read(path: Path) -> tuple[list[Entry], Database]:
    data = io.BytesIO(gzip.decompress(path.read_bytes()))
    entries = list(read_entries(REPOSITORY, data))
    return entries, Database(REPOSITORY, "0" * 16, 0.0, PackedEntries(REPOSITORY, entries))


def first_bytes(laboratory: Laboratory) -> list[Row]:
    """Measure from the request to the first byte of the body at a real node."""
    client, holder = laboratory.host("client", 1), laboratory.host("holder", 2)
    crowd_host = laboratory.host("crowd", 99)
    packages = laboratory.many(
        [Recipe(f"little{number:02}", "1.0-1", SIZE) for number in range(PACKAGES)]
    )
    laboratory.hold(holder, packages)
    path = laboratory.lan.folder / "crowd.db"
    write_database(path, [Listing(one.file_name, one.size, one.sha256) for one in packages])
    node = laboratory.node(holder, database=path)
    crowd = Crowd(crowd_host, path)
    forget_downloads(client)
    asker = laboratory.fresh_node(client, database=path)

    def met() -> bool:
        peers = asker.status()["peers"]
        return len(peers) == PEERS + 1 and all(peer["files_known"] for peer in peers)

    wait_until(met, 120, "the crowd is known")
    crowd.die()
    names = [package.file_name for package in packages]
    command = [sys.executable, "-m", "bench.first_byte", REPOSITORY, *names]
    rows = []
    # The first time round the holder has them, the second time this node.
    for claim in ("held by a peer", "held here"):
        status, output = client.run(command)
        if status:
            raise RuntimeError(output)
        times = [float(line) * 1_000 for line in output.split()]
        rows.append(plain(f"6 first byte, {claim}, median", statistics.median(times), "ms", "< 5"))
        wait_until(lambda: asker.status()["inventory"]["files"] == PACKAGES, 30, "all are held")
    laboratory.end(asker)
    laboratory.end(node)
    crowd_host.reset()
    rows.append(laboratory.longest_hold("100 peers of 3,000 files"))
    return rows


def run(laboratory: Laboratory) -> list[Row]:
    """Measure both."""
    folder = laboratory.lan.folder / "decider"
    folder.mkdir()
    return decisions(folder) + first_bytes(laboratory)


if __name__ == "__main__":
    main(run, __doc__)
