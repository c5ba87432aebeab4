"""Peers that only announce themselves and answer ``GET /inventory``: a large LAN at little cost.

``python -m bench.fake_peers COUNT FILES DATABASE ADDRESS...`` plays COUNT peers, spread evenly over
the addresses, each holding FILES random packages of the sync database. They speak once, and promise
to be silent for an hour; "ready" is printed once they listen. They die when their address does.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import random
import socket
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flocon.datagrams.messages import LONGEST_BEAT, Announcement, Kind, encode
from flocon.holdings.inventory import Change
from flocon.neighbours.inventory_text import format_inventory
from flocon.pacman.syncdb import read_entries
from tests.lan.lan import LAN_PORT

if TYPE_CHECKING:
    from flocon.pacman.entries import Entry

GROUP = "228.0.2.35"
FIRST_PORT = 20_000


async def _answer(body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while request := await reader.readuntil(b"\r\n\r\n"):
            known = request.startswith(b"GET /inventory")
            status = "200 OK" if known else "404 Not Found"
            content = body if known else b""
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n\r\n"
            writer.write(head.encode("ascii") + content)
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        writer.close()


def _announcement(number: int, epoch: str, files: int, sequence: int) -> bytes:
    node = hashlib.sha256(b"%d" % number).hexdigest()[:16]
    said = Announcement(
        Kind.HELLO,
        node,
        epoch,
        sequence,
        f"fake{number}",
        FIRST_PORT + number,
        "arch",
        ("x86_64",),
        LONGEST_BEAT,
        files,
        files,
        (("bench", "0" * 16),),
        frozenset({"relay"}),
    )
    return encode(said)


async def _main(count: int, files: int, entries: list[Entry], addresses: list[str]) -> None:
    epoch = "0123abcd"
    dice = random.Random(1)
    for number in range(count):
        chosen = dice.sample(entries, min(files, len(entries)))
        changes = [Change(entry.file_name, entry.content) for entry in chosen]
        body = b"".join(format_inventory(epoch, len(changes), changes, whole=True))
        address = addresses[number % len(addresses)]
        await asyncio.start_server(partial(_answer, body), address, FIRST_PORT + number)
    print("ready", flush=True)
    for sequence in (1, 2, 3):
        for number in range(count):
            address = addresses[number % len(addresses)]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.setsockopt(
                    socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address)
                )
                sock.bind((address, 0))
                said = _announcement(number, epoch, min(files, len(entries)), sequence)
                sock.sendto(said, (GROUP, LAN_PORT))
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
    await asyncio.Event().wait()


if __name__ == "__main__":
    listed = io.BytesIO(gzip.decompress(Path(sys.argv[3]).read_bytes()))
    known = list(read_entries("bench", listed))
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2]), known, sys.argv[4:]))
