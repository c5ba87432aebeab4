"""Mutated HTTP to both faces of a running node, over real connections.

    python -m tests.lan.fuzz_http [--seed 0] [--count 100000]

Meanwhile the node has to answer ``/check`` within a second; afterwards its log must be as short as
before, and its memory what it was after the first tenth.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import socket
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fuzz import mutate
from tests.lan.lan import LAN_PORT, LOOPBACK_PORT, in_namespace, working_folder
from tests.lan.matrix import ASKER, Goods, Lane

if TYPE_CHECKING:
    from tests.lan.lan import Node

#: Inputs between two looks at the node.
BATCH = 250
#: Seconds within which ``/check`` is answered meanwhile, on a machine that may be busy.
PATIENCE = 1.0
#: Kilobytes, and lines of the log, that the node may grow by.
MOST_GROWTH, MOST_LINES = 12_000, 20

_NAME = b"core-3-1:3+r1-1-x86_64.pkg.tar.zst"
_HEADERS = b" HTTP/1.1\r\nHost: localhost:19433\r\nUser-Agent: pacman/6.0.2\r\nAccept: */*\r\n"
_IF_MATCH = b'If-Match: "' + b"a" * 64 + b'"'
LOOPBACK = (
    b"GET /core/os/x86_64/" + _NAME + _HEADERS + b"Range: bytes=100-\r\n\r\n",
    b"GET /core/os/x86_64/" + _NAME + b".sig" + _HEADERS + b"\r\n",
    b"GET /core/os/x86_64/core.db" + _HEADERS
    + b"If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT\r\n\r\n",
    b"HEAD /status.json" + _HEADERS + b"\r\n",
    b"POST /check" + _HEADERS + b"Content-Length: 3\r\n\r\nabc",
    b"POST /check" + _HEADERS + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
)  # fmt: skip
LAN = (
    b"GET /pkg/" + _NAME + _HEADERS + b"Range: bytes=0-99\r\n" + _IF_MATCH + b"\r\n\r\n",
    b"GET /pkg/" + _NAME + b".sig" + _HEADERS + b"\r\n",
    b"GET /inventory?since=3" + _HEADERS + b"\r\n",
    b"GET /relay/core/x86_64/none-1-1-any.pkg.tar.zst" + _HEADERS + b"\r\n",
    b"GET /db/core.db" + _HEADERS + b"If-None-Match: *\r\n\r\n",
)  # fmt: skip
_LAST = b"GET /check HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Face:
    """Where the input goes, and what right input looks like."""

    name: str
    address: str
    port: int
    right: tuple[bytes, ...]


FACES = (
    Face("loopback", "127.0.0.1", LOOPBACK_PORT, LOOPBACK),
    Face("lan", ASKER, LAN_PORT, LAN),
)


def run(lane: Lane, node: Node, face: Face, seed: int, count: int) -> list[str]:
    """Send ``count`` inputs; return what went wrong."""
    status = Path(f"/proc/{node.process.pid}/status")
    lines = node.log_text.count("\n")
    memory = 0
    for number in range(0, count, BATCH):
        dice = random.Random(f"{seed} {face.name} {number}")
        wrong = in_namespace(lane.asker.namespace, partial(_batch, face, dice))
        if wrong:
            return [f"{wrong}; again: --seed {seed}, {face.name}, batch {number}"]
        if node.process.poll() is not None:
            return [f"the node ended in batch {number} of {face.name}"]
        if not memory and number >= count // 10:
            memory = _resident(status)
    problems = lane.node_problems(node)
    grown, longer = _resident(status) - memory, node.log_text.count("\n") - lines
    if grown > MOST_GROWTH:
        problems.append(f"{face.name}: the node grew by {grown} kB")
    if longer > MOST_LINES:
        last = node.log_text.splitlines()[-3:]
        problems.append(f"{face.name}: {longer} lines were logged, the last {last}")
    return problems


def _batch(face: Face, dice: random.Random) -> str:
    """Send a batch, from within the namespace; return what went wrong, if anything."""
    for _ in range(BATCH):
        data = b"".join(
            mutate(dice, dice.choice(face.right)) for _ in range(dice.choice((1, 1, 1, 3)))
        )
        answer = _send(face, data, wait=dice.random() < 0.2)
        if b" 500 " in answer.split(b"\r\n")[0]:
            return f"500 for {data[:300]!r}"
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", LOOPBACK_PORT), PATIENCE * 5) as sock:
        sock.sendall(_LAST)
        answer = sock.recv(4_096)
    took = time.monotonic() - began
    if b"200 OK" not in answer or took > PATIENCE:
        return f"/check took {took:.1f} s and answered {answer[:40]!r}"
    return ""


def _send(face: Face, data: bytes, *, wait: bool) -> bytes:
    answer = b""
    with (
        contextlib.suppress(OSError),
        socket.create_connection((face.address, face.port), 5) as sock,
    ):
        sock.sendall(data + _LAST if wait else data)
        if wait:
            sock.settimeout(0.05)
            while len(answer) < 1 << 20 and (more := sock.recv(1 << 16)):
                answer += more
        else:
            # Half of what comes is left unread: a node must bear that too.
            sock.setblocking(False)
            answer = sock.recv(1 << 12)
    return answer


def _resident(status: Path) -> int:
    text = status.read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("VmRSS")))


def arrange(lane: Lane) -> Node:
    """Start a node that holds some packages."""
    lane.clear()
    for package in lane.goods.packages[:6]:
        for path in (package.path, package.signature):
            shutil.copy2(path, lane.asker.cache / path.name)
    return lane.asker.node()


def main(arguments: list[str]) -> int:
    """Fuzz both faces; 1 where something went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.lan.fuzz_http", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=100_000)
    given = parser.parse_args(arguments)
    folder = working_folder()
    goods = Goods(folder)
    problems: list[str] = []
    try:
        lane = Lane(goods)
        try:
            node = arrange(lane)
            for face in FACES:
                began = time.monotonic()
                wrong = run(lane, node, face, given.seed, given.count)
                seconds = time.monotonic() - began
                print(
                    f"{face.name}: {given.count} inputs, {seconds:.0f} s, {wrong or 'ok'}",
                    flush=True,
                )
                problems += wrong
        finally:
            lane.close()
    finally:
        goods.close()
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
