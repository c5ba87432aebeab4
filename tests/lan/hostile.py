"""Peers and mirrors that mean harm: what ``faults`` plays, done on purpose and with patience.

    python -m tests.lan.hostile --root MIRROR_ROOT [--only NAME ...] peer@10.77.0.2*16=silent:0

The command line is that of ``faults``, and all its faults are there; those here come in sizes, as
``drips-by:BYTES:MILLISECONDS``. A place in a file is told in per mille of its bytes, so that each
can be done before the first byte (0), in the middle (500) and at the end (1000: before the last).
``improvised:SEED`` chooses anew what to do with each request, byte by byte and pause by pause, as
the seed, the role and how many requests came before decide, and nothing else.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import sys
from typing import TYPE_CHECKING, TypeVar

from tests.lan import faults
from tests.lan.faults import FAULTS, GROUP, LAN_PORT, SIZED, Exchange, Misbehaviour

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T", bound="Callable[..., Misbehaviour]")

#: Bytes of a file that come as its last part.
LAST_PART = 1_000
#: So many bytes each so many milliseconds were once enough not to be given up.
STEP, KEPT_ALIVE = 8_192, 2_200
#: The longest that an improvised answer pauses at a time, in seconds; pacman's patience is ten.
LONGEST_PAUSE = 12.0


def sized(function: T) -> T:
    """Enter a maker of faults into SIZED under its own name, with hyphens."""
    SIZED[function.__name__.replace("_", "-")] = function
    return function


def at(body: bytes, per_mille: int) -> int:
    """Return which byte of ``body`` that is; 1000 is the last one, not behind it."""
    return max(0, min(len(body) * per_mille // 1_000, len(body) - 1))


@sized
def wrong_late(milliseconds: int) -> Misbehaviour:
    """Wrong bytes of the right length at once, the last part after a while."""

    async def answer(x: Exchange) -> None:
        wrong = x.dice.randbytes(len(x.body))
        cut = max(0, len(wrong) - LAST_PART)
        await x.send(x.head(len(wrong)) + wrong[:cut])
        await asyncio.sleep(milliseconds / 1_000)
        await x.send(wrong[cut:])

    return answer


@sized
def wrong_slowly(milliseconds: int) -> Misbehaviour:
    """Wrong bytes of the right length, nearly all at once; then just enough not to be a stall."""

    async def answer(x: Exchange) -> None:
        wrong = x.dice.randbytes(len(x.body))
        steps = max(1, milliseconds // KEPT_ALIVE)
        cut = max(0, len(wrong) - steps * STEP)
        await x.send(x.head(len(wrong)) + wrong[:cut])
        for start in range(cut, len(wrong), STEP):
            await asyncio.sleep(KEPT_ALIVE / 1_000)
            await x.send(wrong[start : start + STEP])

    return answer


@sized
def wrong_from(per_mille: int, milliseconds: int) -> Misbehaviour:
    """Right bytes up to a place, wrong ones from there, the last part after a while."""

    async def answer(x: Exchange) -> None:
        cut = at(x.body, per_mille)
        end = max(cut, len(x.body) - LAST_PART)
        wrong = bytes(byte ^ 0x55 for byte in x.body[cut:])
        await x.send(x.head(len(x.body)) + x.body[:cut] + wrong[: end - cut])
        await asyncio.sleep(milliseconds / 1_000)
        await x.send(wrong[end - cut :])

    return answer


@sized
def drips_by(step: int, milliseconds: int) -> Misbehaviour:
    """Right bytes, so many each so often."""
    return drips_from(0, step, milliseconds)


@sized
def drips_from(per_mille: int, step: int, milliseconds: int) -> Misbehaviour:
    """Right bytes at once up to a place, then so many each so often."""

    async def answer(x: Exchange) -> None:
        cut = at(x.body, per_mille)
        await x.send(x.head(len(x.body)) + x.body[:cut])
        for start in range(cut, len(x.body), step):
            await x.send(x.body[start : start + step])
            await asyncio.sleep(milliseconds / 1_000)

    return answer


@sized
def wrong_drips(step: int, milliseconds: int) -> Misbehaviour:
    """Wrong bytes of the right length, so many each so often."""

    async def answer(x: Exchange) -> None:
        await x.send(x.head(len(x.body)))
        for start in range(0, len(x.body), step):
            await x.send(bytes(byte ^ 0x55 for byte in x.body[start : start + step]))
            await asyncio.sleep(milliseconds / 1_000)

    return answer


@sized
def silent(per_mille: int) -> Misbehaviour:
    """Nothing at all at 0, or right bytes up to a place and then nothing more."""

    async def answer(x: Exchange) -> None:
        if per_mille:
            await x.send(x.head(len(x.body)) + x.body[: at(x.body, per_mille)])
        await x.hang()

    return answer


@sized
def late(milliseconds: int) -> Misbehaviour:
    """Answer right, after a while."""

    async def answer(x: Exchange) -> None:
        await asyncio.sleep(milliseconds / 1_000)
        await x.send(x.head(len(x.body)) + x.body)

    return answer


@sized
def interim(count: int, milliseconds: int) -> Misbehaviour:
    """So many interim answers at a time each so often, without end; at 0 as fast as they go."""

    async def answer(x: Exchange) -> None:
        while True:
            await x.send(b"HTTP/1.1 102 Processing\r\n\r\n" * count)
            await asyncio.sleep(milliseconds / 1_000)

    return answer


@sized
def headers(count: int, milliseconds: int) -> Misbehaviour:
    """One head that never ends: so many fields at a time each so often."""

    async def answer(x: Exchange) -> None:
        await x.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            await x.send(b"X-Field: value\r\n" * count)
            await asyncio.sleep(milliseconds / 1_000)

    return answer


@sized
def chunks(size: int, milliseconds: int) -> Misbehaviour:
    """Send the right bytes in chunks of so many each, and bytes without end behind them."""

    async def answer(x: Exchange) -> None:
        status = b"206 Partial Content" if x.ranged else b"200 OK"
        await x.send(b"HTTP/1.1 " + status + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        position = 0
        while True:
            batch = b""
            for _ in range(256):
                part = x.body[position : position + size] or b"+"
                batch += b"%x\r\n%b\r\n" % (len(part), part)
                position += size
            await x.send(batch)
            await asyncio.sleep(milliseconds / 1_000)

    return answer


@sized
def long_names(count: int) -> Misbehaviour:
    """Answer with an inventory of so many files whose names are as long as can be."""

    async def answer(x: Exchange) -> None:
        lines = [x.body.partition(b"\n")[0]]
        for number in range(count):
            digest = x.dice.randbytes(32).hex()
            lines.append(f"+ 1048576 {digest} {number:0226}-1-1-any.pkg.tar.zst".encode())
        body = b"\n".join([*lines, b"end", b""])
        await x.send(x.head(len(body)) + body)

    return answer


async def odd_header(x: Exchange) -> None:
    """Send a right answer whose header is no ASCII."""
    head = x.head(len(x.body)).replace(b"Last-Modified: ", b"Last-Modified: \xff")
    await x.send(head + x.body)


FAULTS["odd-header"] = odd_header


@sized
def improvised(seed: int) -> Misbehaviour:
    """Whatever a seed thinks of; each request, in the order that they come, is another one."""
    count = 0

    async def answer(x: Exchange) -> None:
        nonlocal count
        count += 1
        await Improvisation(random.Random(f"{seed} {x.name} {count}"), x).play()

    return answer


class Improvisation:
    """One answer that dice decide: a head, then bytes and pauses, then an end."""

    def __init__(self, dice: random.Random, exchange: Exchange) -> None:
        self._dice = dice
        self._x = exchange
        self._position = 0

    async def play(self) -> None:
        x, dice = self._x, self._dice
        await self._pause(0.5)
        ways: list[Callable[[], Awaitable[None]]] = [
            self._honest_head, self._honest_head, self._honest_head, self._odd_head,
        ]  # fmt: skip
        await dice.choice(ways)()
        for _ in range(dice.choice((1, 2, 3, 8, 30, 400))):
            if x.ended or self._position >= len(x.body):
                break
            await self._some_bytes()
            await self._pause(0.4)
        await self._end()

    async def _pause(self, chance: float) -> None:
        if self._dice.random() < chance:
            # Many short ones, and a few that outlast whoever waits.
            await asyncio.sleep(min(self._dice.expovariate(1.0), LONGEST_PAUSE))

    async def _honest_head(self) -> None:
        await self._bytes(self._x.head(len(self._x.body)))

    async def _odd_head(self) -> None:
        x, dice = self._x, self._dice
        right = x.head(len(x.body))
        head = dice.choice(
            (
                x.head(None),
                x.head(len(x.body) + dice.choice((-1, 1, 1 << 20))),
                x.head(len(x.body), ETag='"odd"', Connection="close"),
                right.replace(b"200 OK", b"206 Partial Content"),
                right.replace(b"206 Partial Content", b"200 OK"),
                right.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
                right.replace(b"Last-Modified: ", b"Last-Modified: \xff"),
                b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" * dice.randrange(1, 2_000) + right,
                right[:-2] + b"X-Field: value\r\n" * dice.randrange(1, 5_000) + b"\r\n",
                b"HTTP/1.1 %d No\r\nContent-Length: 3\r\n\r\nno\n" % dice.randrange(100, 600),
                self._garbled(right),
            )
        )
        await self._bytes(head)

    async def _bytes(self, data: bytes) -> None:
        """Send this in one piece, or in pieces with pauses."""
        while data and self._dice.random() < 0.1:
            cut = self._dice.randrange(len(data))
            await self._x.send(data[:cut])
            data = data[cut:]
            await self._pause(0.8)
        await self._x.send(data)

    async def _some_bytes(self) -> None:
        left = len(self._x.body) - self._position
        length = self._dice.choice((1, 16, 2_048, 8_192, left // 2 + 1, left - 1, left))
        part = self._x.body[self._position : self._position + max(0, min(length, left))]
        self._position += len(part)
        if self._dice.random() < 0.15:
            part = self._garbled(part)
        await self._bytes(part)

    def _garbled(self, data: bytes) -> bytes:
        if not data:
            return b"\x00"
        place = self._dice.randrange(len(data))
        return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]

    async def _end(self) -> None:
        x, dice = self._x, self._dice
        if x.ended or (self._position >= len(x.body) and dice.random() < 0.8):
            return
        match dice.randrange(4):
            case 0:
                x.close()
            case 1:
                x.reset()
            case 2:
                await x.hang()
            case _:
                await x.send(x.body[self._position :] + bytes(dice.choice((0, 100))))


def forge(source: str, port: int, data: bytes) -> bytes:
    """Return the IPv4 packet that carries ``data`` to the group in the name of another address."""
    udp = struct.pack("!HHHH", port, LAN_PORT, 8 + len(data), 0) + data
    # The kernel fills in what is 0: length, identification and checksum.
    header = struct.pack(
        "!BBHHHBBH4s4s",
        0x45,
        0,
        0,
        0,
        0,
        1,
        socket.IPPROTO_UDP,
        0,
        socket.inet_aton(source),
        socket.inet_aton(GROUP),
    )
    return header + udp


def forging_socket(own: str) -> socket.socket:
    """Return a raw socket that sends to the group by the interface with this address."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
    return sock


def listening_socket(own: str) -> socket.socket:
    """Return a socket that hears what is said to the group on the interface with this address."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((GROUP, LAN_PORT))
    group = socket.inet_aton(GROUP) + socket.inet_aton(own)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    return sock


if __name__ == "__main__":
    faults.main(sys.argv[1:])
