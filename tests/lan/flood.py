"""A flood on 19432 from another machine, while pacman downloads: how much longer it takes.

    python -m tests.lan.flood [--runs 3]

``python -m tests.lan.flood ADDRESS`` is the flood itself: for as long as it runs, up to 5,000
datagrams a second (hellos of ever new nodes, mutated ones, to the group and to the address), and
as many connections as the node lets it have, which ask, ask nothing, or read nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import socket
import statistics
import sys
import time

from flocon.datagrams.messages import Announcement, Kind, encode
from tests.fuzz import mutate
from tests.lan.faults import GROUP
from tests.lan.lan import LAN_PORT, working_folder
from tests.lan.matrix import ASKER, FAULTY, Goods, Lane

#: A bounded flood: the machine that tests has to download at the same time.
DATAGRAMS_PER_SECOND = 5_000
CONNECTIONS_PER_SECOND = 200
TICK = 0.02
#: Times as long as without the flood, at most; and seconds that two busy cores add.
MOST_SLOWER, NOISE = 2.0, 0.5


def flood(address: str) -> None:
    """Flood until killed."""
    dice = random.Random(0)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(FAULTY))
    sock.bind((FAULTY, 0))
    connections: list[socket.socket] = []
    while True:
        began = time.monotonic()
        for number in range(int(DATAGRAMS_PER_SECOND * TICK)):
            data = _hello(dice)
            data = mutate(dice, data) if number % 3 == 0 else data
            with contextlib.suppress(OSError):
                sock.sendto(data, (address if number % 2 else GROUP, LAN_PORT))
        for _ in range(int(CONNECTIONS_PER_SECOND * TICK)):
            with contextlib.suppress(OSError):
                connections.append(_connect(address, dice))
        while len(connections) > 100:
            connections.pop(0).close()
        time.sleep(max(0.0, TICK - (time.monotonic() - began)))


def _hello(dice: random.Random) -> bytes:
    node = f"{dice.getrandbits(64):016x}"
    files = dice.randrange(10_000)
    return encode(
        Announcement(
            Kind.HELLO,
            node,
            node[:8],
            1,
            "flood",
            LAN_PORT,
            "arch",
            ("x86_64",),
            30.0,
            files,
            files,
        )
    )


def _connect(address: str, dice: random.Random) -> socket.socket:
    sock = socket.create_connection((address, LAN_PORT), 0.2)
    sock.setblocking(False)
    request = dice.choice((b"/inventory", b"/pkg/none-1-1-any.pkg.tar.zst", b"/relay/a/b/c", b""))
    sock.send(b"GET " + request + b" HTTP/1.1\r\nHost: x\r\n" + b"\r\n" * bool(request))
    return sock


def compare(lane: Lane, runs: int) -> tuple[float, float, list[str]]:
    """Return the median seconds of pacman without and with the flood, and what went wrong."""
    quiet: list[float] = []
    flooded: list[float] = []
    problems: list[str] = []
    for _ in range(runs):
        for times, with_flood in ((quiet, False), (flooded, True)):
            lane.clear()
            node = lane.asker.node()
            if with_flood:
                command = [sys.executable, "-m", "tests.lan.flood", ASKER]
                lane.faulty.start(command, log=lane.faulty.folder / "flood.log")
                time.sleep(1)
            run = lane.download()
            times.append(run.seconds)
            problems += lane.problems(run, node)
            if with_flood and not node.status()["dropped_datagrams"]:
                problems.append("the flood did not arrive")
    return statistics.median(quiet), statistics.median(flooded), problems


def main(arguments: list[str]) -> int:
    """Compare, or flood."""
    parser = argparse.ArgumentParser(prog="python -m tests.lan.flood", description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("address", nargs="?")
    given = parser.parse_args(arguments)
    if given.address:
        flood(given.address)
    folder = working_folder()
    goods = Goods(folder)
    try:
        lane = Lane(goods)
        try:
            quiet, flooded, problems = compare(lane, given.runs)
        finally:
            lane.close()
    finally:
        goods.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(
        f"{quiet:.2f} s, under the flood {flooded:.2f} s: {flooded / quiet:.2f} times; {problems}"
    )
    return 1 if problems or flooded > MOST_SLOWER * quiet + NOISE else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
