"""Peers and mirrors that speak the protocols and misbehave on command.

One program plays any number of them, each on an address of its own:

    python -m tests.lan.faults --root MIRROR_ROOT peer@10.77.0.2=stalls-body mirror@10.77.0.3=seed:7

A role is ``KIND@ADDRESS=FAULT``; ``FAULT@PLACE`` says what to misbehave with: ``package`` (also
what an owner relays; the default), ``signature``, ``inventory``, ``database`` or ``any``. With
``KIND@ADDRESS*COUNT`` that many peers speak at the address, each with an id and a port of its own.
``seed:N`` changes the fault every few seconds, as N and the role decide and nothing else, so that
the command line replays it. A peer announces all packages below the root every second; with
``owner:`` before its fault it announces none, but fetches for others. One that misbehaves with
databases gives its own away.

Every answer is told on standard output as ``ROLE FAULT PATH``. Nothing of a node runs here but the
formats of what it reads.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import itertools
import random
import re
import signal
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

from flocon.datagrams.messages import Announcement, Kind, encode
from flocon.files import Content, is_package
from flocon.holdings.inventory import Change
from flocon.neighbours.inventory_text import format_inventory

GROUP, LAN_PORT, MIRROR_PORT = "228.0.2.35", 19432, 80
#: Of the second and further peers at one address.
FURTHER_PORTS = 19_500
BEAT = 1.0
NEVER = 3_600.0
_RANGE = re.compile(r"Range: bytes=(\d+)-(\d*)")


class Files:
    """What lies below a mirror's root, by name, with what an inventory says of it."""

    def __init__(self, root: Path, only: Sequence[str] = ()) -> None:
        """Read what lies there; of packages those whose names begin so, where ``only`` says how."""
        paths = [path for path in sorted(root.rglob("*")) if path.is_file()]
        if only:
            begins = tuple(only)
            paths = [
                path
                for path in paths
                if ".pkg.tar" not in path.name or path.name.startswith(begins)
            ]
        self.contents = {path.name: path.read_bytes() for path in paths}
        self.modified = {path.name: formatdate(path.stat().st_mtime, usegmt=True) for path in paths}
        self.changes = [
            Change(name, Content(len(content), hashlib.sha256(content).digest()))
            for name, content in self.contents.items()
            if is_package(name)
        ]
        self.databases = tuple(
            (name.removesuffix(".db"), hashlib.sha256(content).hexdigest()[:16])
            for name, content in self.contents.items()
            if name.endswith(".db")
        )

    def another_signature(self, name: str) -> bytes:
        """Return the right signature of a package that is not this one."""
        others = (one for one in self.contents if one.endswith(".sig") and one != name)
        return next((self.contents[one] for one in others), b"")


@dataclass
class Exchange:
    """One request and the connection it came on; ``content`` is what an honest answer brings.

    Asked for are the bytes from ``start`` up to ``stop`` (None: all the rest).
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    files: Files
    path: str
    name: str
    start: int
    content: bytes
    dice: random.Random
    ended: bool = field(default=False)
    stop: int | None = field(default=None)

    @property
    def body(self) -> bytes:
        return self.content[self.start : self.stop]

    @property
    def ranged(self) -> bool:
        return self.start > 0 or self.stop is not None

    def head(self, length: int | None, **headers: str) -> bytes:
        status = "206 Partial Content" if self.ranged else "200 OK"
        fields = {"Last-Modified": self.files.modified.get(self.name, "")}
        if length is not None:
            fields["Content-Length"] = str(length)
        if self.ranged:
            size = len(self.content)
            last = min(self.stop or size, size) - 1
            fields["Content-Range"] = f"bytes {self.start}-{last}/{size}"
        fields.update({key.replace("_", "-"): value for key, value in headers.items()})
        lines = "".join(f"{key}: {value}\r\n" for key, value in fields.items())
        return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def hang(self) -> None:
        """Say nothing more until the client leaves."""
        with contextlib.suppress(OSError):
            while await self.reader.read(1 << 16):
                pass
        self.ended = True

    def close(self) -> None:
        self.ended = True

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        self.ended = True

    async def drip(self, data: bytes, pause: float = 1.0) -> None:
        for byte in data:
            await self.send(bytes([byte]))
            await asyncio.sleep(pause)


Misbehaviour = Callable[[Exchange], Awaitable[None]]
FAULTS: dict[str, Misbehaviour] = {}
#: Faults that come in sizes: ``drips-by:8192:2200`` is called with these numbers.
SIZED: dict[str, Callable[..., Misbehaviour]] = {}


def fault(function: Misbehaviour) -> Misbehaviour:
    """Enter a coroutine into FAULTS under its own name, with hyphens."""
    FAULTS[function.__name__.replace("_", "-")] = function
    return function


def behaviour(name: str) -> Misbehaviour | None:
    """Return what is done under this name, which may carry numbers; None where there is none."""
    word, *numbers = name.split(":")
    if word in SIZED and all(number.isdigit() for number in numbers):
        return SIZED[word](*map(int, numbers))
    return FAULTS.get(name)


@fault
async def none(x: Exchange) -> None:
    await x.send(x.head(len(x.body)) + x.body)


@fault
async def dies_before_headers(x: Exchange) -> None:
    x.close()


@fault
async def resets_before_headers(x: Exchange) -> None:
    x.reset()


@fault
async def dies_in_headers(x: Exchange) -> None:
    await x.send(x.head(len(x.body))[:40])
    x.close()


@fault
async def dies_in_body(x: Exchange) -> None:
    await x.send(x.head(len(x.body)) + x.body[: len(x.body) // 2])
    x.close()


@fault
async def resets_in_body(x: Exchange) -> None:
    await x.send(x.head(len(x.body)) + x.body[: len(x.body) // 2])
    x.reset()


@fault
async def stalls_before_headers(x: Exchange) -> None:
    await x.hang()


@fault
async def stalls_in_headers(x: Exchange) -> None:
    await x.send(x.head(len(x.body))[:40])
    await x.hang()


@fault
async def stalls_after_headers(x: Exchange) -> None:
    await x.send(x.head(len(x.body)))
    await x.hang()


@fault
async def stalls_in_body(x: Exchange) -> None:
    await x.send(x.head(len(x.body)) + x.body[: len(x.body) // 2])
    await x.hang()


@fault
async def stalls_before_last(x: Exchange) -> None:
    await x.send(x.head(len(x.body)) + x.body[:-1])
    await x.hang()


@fault
async def drips(x: Exchange) -> None:
    await x.send(x.head(len(x.body)))
    await x.drip(x.body)


@fault
async def drips_headers(x: Exchange) -> None:
    await x.drip(x.head(len(x.body)))
    await x.send(x.body)


@fault
async def drips_after_half(x: Exchange) -> None:
    half = len(x.body) // 2
    await x.send(x.head(len(x.body)) + x.body[:half])
    await x.drip(x.body[half:])


async def _wrong(x: Exchange, at: int) -> None:
    content = bytearray(x.content)
    if content:
        content[at] ^= 1
    await x.send(x.head(len(x.body)) + bytes(content[x.start : x.stop]))


@fault
async def wrong_first_byte(x: Exchange) -> None:
    await _wrong(x, min(x.start, len(x.content) - 1))


@fault
async def wrong_middle_byte(x: Exchange) -> None:
    await _wrong(x, (x.start + len(x.content)) // 2)


@fault
async def wrong_last_byte(x: Exchange) -> None:
    await _wrong(x, -1)


@fault
async def wrong_everywhere(x: Exchange) -> None:
    await x.send(x.head(len(x.body)) + x.dice.randbytes(len(x.body)))


@fault
async def too_short(x: Exchange) -> None:
    body = x.body[: max(0, len(x.body) - 100)]
    await x.send(x.head(len(body)) + body)


@fault
async def empty(x: Exchange) -> None:
    await x.send(x.head(0))


@fault
async def too_long(x: Exchange) -> None:
    await x.send(x.head(len(x.body) + 100) + x.body + bytes(100))


@fault
async def more_than_promised(x: Exchange) -> None:
    await x.send(x.head(len(x.body)) + x.body + bytes(100_000))
    x.close()


@fault
async def no_length(x: Exchange) -> None:
    await x.send(x.head(None, Connection="close") + x.body)
    x.close()


@fault
async def no_length_and_short(x: Exchange) -> None:
    await x.send(x.head(None, Connection="close") + x.body[: len(x.body) // 2])
    x.close()


@fault
async def endless_body(x: Exchange) -> None:
    await x.send(x.head(None, Connection="close") + x.body)
    while True:
        await x.send(bytes(1 << 14))


@fault
async def wrong_range(x: Exchange) -> None:
    size = len(x.content)
    body = x.content[7:]
    lines = f"Content-Range: bytes 7-{size - 1}/{size}\r\nContent-Length: {len(body)}\r\n"
    await x.send(f"HTTP/1.1 206 Partial Content\r\n{lines}\r\n".encode() + body)


@fault
async def ignores_range(x: Exchange) -> None:
    x.start, x.stop = 0, None
    await none(x)


def _status(number: int) -> None:
    async def answer(x: Exchange) -> None:
        text = b"no\n" * 400
        await x.send(f"HTTP/1.1 {number} No\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text)

    FAULTS[f"status-{number}"] = answer


for _number in (403, 404, 416, 429, 500, 503):
    _status(_number)


@fault
async def endless_error(x: Exchange) -> None:
    await x.send(b"HTTP/1.1 503 No\r\n\r\n")
    while True:
        await x.send(bytes(1 << 14))


@fault
async def garbage(x: Exchange) -> None:
    await x.send(x.dice.randbytes(3_000))
    x.close()


@fault
async def garbage_for_status(x: Exchange) -> None:
    await x.send(b"HTTP/1.1 two hundred\r\nContent-Length: \xff\xfe\r\n\r\n")
    await x.hang()


@fault
async def bad_length(x: Exchange) -> None:
    await x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9" + b"9" * 400 + b"\r\n\r\n" + x.body)
    await x.hang()


@fault
async def two_lengths(x: Exchange) -> None:
    lines = f"Content-Length: {len(x.body)}\r\nContent-Length: 3\r\n"
    await x.send(f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode() + x.body)
    await x.hang()


@fault
async def bad_chunks(x: Exchange) -> None:
    await x.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + x.body)
    await x.hang()


@fault
async def redirect_to_itself(x: Exchange) -> None:
    lines = f"Location: {x.path}\r\nContent-Length: 0\r\n"
    await x.send(f"HTTP/1.1 302 Found\r\n{lines}\r\n".encode())


@fault
async def redirect_to_nowhere(x: Exchange) -> None:
    lines = f"Location: http://10.77.0.199:81{x.path}\r\nContent-Length: 0\r\n"
    await x.send(f"HTTP/1.1 302 Found\r\n{lines}\r\n".encode())


@fault
async def endless_headers(x: Exchange) -> None:
    await x.send(b"HTTP/1.1 200 OK\r\n")
    for number in itertools.count():
        await x.send(b"X-Header-%d: %s\r\n" % (number, b"x" * 200) * 40)


@fault
async def endless_header_line(x: Exchange) -> None:
    await x.send(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        await x.send(b"x" * 8_000)


@fault
async def endless_interim_answers(x: Exchange) -> None:
    while True:
        await x.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
        await asyncio.sleep(0.01)


@fault
async def another_file(x: Exchange) -> None:
    """Answer with the signature of another package, or another file of that length."""
    if x.name.endswith(".sig"):
        x.content = x.files.another_signature(x.name)
    else:
        x.content = x.dice.randbytes(len(x.content))
    await none(x)


@fault
async def garbled(x: Exchange) -> None:
    x.content = x.dice.randbytes(len(x.content))
    await none(x)


@fault
async def another_date(x: Exchange) -> None:
    """Answer rightly, with a date far ahead; a HEAD had told another."""
    await x.send(x.head(len(x.body), Last_Modified="Tue, 19 Jan 2038 03:14:07 GMT") + x.body)


#: Faults of the listening socket: nothing is ever answered.
AT_THE_DOOR = ("refused", "blackholed")
#: Faults of what a peer announces; its answers are honest, but for files it does not have.
IN_THE_INVENTORY = ("false-hash", "false-size", "a-million-files", "lacks-all", "gone")
PLACES = ("package", "signature", "inventory", "database", "any")
#: What a schedule chooses from.
SCHEDULED = tuple(FAULTS) + AT_THE_DOOR


@dataclass(frozen=True, slots=True)
class Phase:
    """From ``start`` on (seconds since the program began) this is what goes wrong, and where."""

    start: float
    fault: str
    place: str


def schedule(role: str, seed: int) -> list[Phase]:
    """Return what goes wrong when, for two minutes; about a third of the time nothing does."""
    dice = random.Random(f"{seed} {role}")
    phases, now = [], 0.0
    while now < 120:
        wrong = dice.random() < 0.65
        places = ("package", "package", "signature", "inventory", "any")
        # A mirror's signatures and databases are believed: nobody could tell wrong from right.
        place = dice.choice(places) if role.startswith("peer") else "package"
        phases.append(Phase(now, dice.choice(SCHEDULED) if wrong else "none", place))
        now += dice.uniform(0.2, 4.0)
    return phases


@dataclass
class Role:
    """One peer or mirror."""

    kind: str
    address: str
    owner: bool
    phases: list[Phase]
    files: Files
    words: str
    number: int = 0
    began: float = 0.0
    gone: bool = False

    def now(self) -> Phase:
        passed = asyncio.get_running_loop().time() - self.began
        return next(phase for phase in reversed(self.phases) if phase.start <= passed)

    @property
    def port(self) -> int:
        if self.kind == "mirror":
            return MIRROR_PORT
        return LAN_PORT if not self.number else FURTHER_PORTS + self.number

    @property
    def node(self) -> str:
        words = f"{self.words} {self.number}" if self.number else self.words
        return hashlib.sha256(words.encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        return f"{self.address}/{self.number}" if self.number else self.address


def parse_role(words: str, files: Files) -> list[Role]:
    """Read ``KIND@ADDRESS[*COUNT]=FAULT[@PLACE]``; raise ValueError."""
    match = re.fullmatch(
        r"(peer|mirror)@([\d.]+)(?:\*(\d+))?=(owner:)?([a-z0-9:-]+?)(?:@([a-z]+))?", words
    )
    if match is None:
        raise ValueError(f"{words!r} is no KIND@ADDRESS=FAULT")
    kind, address, count, owner, name, place = match.groups()
    place = place or "package"
    if name.startswith("seed:"):
        phases = schedule(f"{kind}@{address}", int(name.removeprefix("seed:")))
    elif (behaviour(name) or name in {*AT_THE_DOOR, *IN_THE_INVENTORY}) and place in PLACES:
        phases = [Phase(0, name, place)]
    else:
        raise ValueError(f"{words!r}: no such fault, or no such place")
    numbers = range(int(count or 1))
    return [Role(kind, address, bool(owner), phases, files, words, one) for one in numbers]


class Server:
    """Answers for one role, and opens and closes its door as its phases say."""

    def __init__(self, role: Role) -> None:
        self.role = role
        #: Set once its door is as it should be.
        self.ready = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._blocked: list[socket.socket] = []
        self._dice = random.Random(f"{role.words} {role.number}")
        #: What it does in each phase; some of it remembers what it did.
        self._behaviours = {one.fault: behaviour(one.fault) for one in role.phases}
        self._epoch = f"{self._dice.getrandbits(32):08x}"

    async def run(self) -> None:
        """Follow the phases until cancelled."""
        door = ""
        while True:
            phase = self.role.now().fault
            wanted = phase if phase in AT_THE_DOOR else "open"
            if self.role.gone:
                wanted = "refused"
            if wanted != door:
                await self._set_door(wanted)
                door = wanted
                self.ready.set()
            await asyncio.sleep(0.05)

    async def _set_door(self, door: str) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for sock in self._blocked:
            sock.close()
        self._blocked = []
        if door == "open":
            self._server = await asyncio.start_server(
                self._connected, self.role.address, self.role.port, reuse_address=True
            )
        elif door == "blackholed":
            self._block()

    def _block(self) -> None:
        """Listen without accepting, with a full queue: further SYNs are dropped."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((self.role.address, self.role.port))
        listening.listen(0)
        self._blocked = [listening]
        for _ in range(3):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex((self.role.address, self.role.port))
            self._blocked.append(sock)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        path = request.split(" ")[1].replace("%3A", ":").replace("%2B", "+")
        name = path.partition("?")[0].rpartition("/")[2]
        if path.startswith("/content/"):
            name = name.replace(".tar", ".pkg.tar")
        phase = self.role.now()
        if self.role.kind == "peer" and name == "inventory":
            await self._inventory(reader, writer, path, phase)
            return True
        content = self.role.files.contents.get(name)
        match = _RANGE.search(request)
        start = int(match[1]) if match else 0
        stop = int(match[2]) + 1 if match and match[2] else None
        misbehave = FAULTS["none"]
        chosen = "none"
        if content is None or start >= max(len(content), 1) or phase.fault == "lacks-all":
            misbehave, content, chosen = FAULTS["status-404"], b"", "status-404"
        elif _place(name) == phase.place or phase.place == "any":
            chosen = phase.fault
            misbehave = self._behaviours[phase.fault] or misbehave
        exchange = Exchange(
            reader, writer, self.role.files, path, name, start, content, self._dice, stop=stop
        )
        if request.startswith("HEAD ") and content:
            await exchange.send(exchange.head(len(content)))
            return True
        print(self.role.words, chosen, path, flush=True)
        await misbehave(exchange)
        return not exchange.ended

    async def _inventory(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, phase: Phase
    ) -> None:
        print(self.role.words, phase.fault, path, flush=True)
        changes = [] if self.role.owner else announced(self.role, phase.fault)
        generation = len(self.role.files.changes)
        if phase.fault == "a-million-files":
            await self._million(writer, generation)
            return
        body = b"".join(format_inventory(self._epoch, generation, changes, whole=True))
        exchange = Exchange(reader, writer, self.role.files, path, "inventory", 0, body, self._dice)
        if phase.place in {"inventory", "any"}:
            await (self._behaviours[phase.fault] or none)(exchange)
        else:
            await none(exchange)
        if phase.fault == "gone":
            self.role.gone = True

    async def _million(self, writer: asyncio.StreamWriter, generation: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        lines = format_inventory(self._epoch, generation, _million(), whole=True)
        while batch := b"".join(itertools.islice(lines, 2_000)):
            writer.write(batch)
            await writer.drain()
        writer.close()

    async def announce(self, sock: socket.socket) -> None:
        """Say every second that this peer is there."""
        for sequence in itertools.count(1):
            files = len(self.role.files.changes)
            abilities = {"store", "relay"} if self.role.owner else {"store"}
            if self.role.phases[0].place == "database":
                abilities.add("databases")
            if self.role.phases[0].fault == "a-million-files":
                files = 1_000_000
            said = Announcement(
                Kind.BEAT if sequence > 1 else Kind.HELLO,
                self.role.node,
                self._epoch,
                sequence,
                self.role.name,
                self.role.port,
                "arch",
                ("x86_64",),
                BEAT * 3,
                len(self.role.files.changes),
                files,
                self.role.files.databases,
                frozenset(abilities),
            )
            with contextlib.suppress(OSError):
                sock.sendto(encode(said), (GROUP, LAN_PORT))
            await asyncio.sleep(BEAT if sequence > 3 else 0.2)


def _place(name: str) -> str:
    if name.endswith(".sig"):
        return "signature"
    return "package" if ".pkg.tar" in name else "database"


def announced(role: Role, fault_name: str) -> list[Change]:
    """Return the inventory of a peer, with the lies of ``fault_name``."""
    changes = role.files.changes
    match fault_name:
        case "false-hash":
            digests = [hashlib.sha256(one.content.sha256).digest() for one in changes]
            return [
                Change(one.file_name, Content(one.content.size, digest))
                for one, digest in zip(changes, digests, strict=True)
            ]
        case "false-size":
            return [
                Change(one.file_name, Content(one.content.size + 1, one.content.sha256))
                for one in changes
            ]
        case _:
            return changes


def _million() -> Iterator[Change]:
    for number in range(1_000_000):
        content = Content(number, number.to_bytes(32))
        yield Change(f"package{number}-1-1-any.pkg.tar.zst", content)


def _speaking_socket(address: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
    sock.bind((address, 0))
    sock.setblocking(False)
    return sock


async def play(roles: list[Role]) -> None:
    """Play all roles until SIGTERM."""
    loop = asyncio.get_running_loop()
    tasks = []
    servers = [Server(role) for role in roles]
    for server in servers:
        server.role.began = loop.time()
        tasks.append(loop.create_task(server.run()))
    # Who is announced is asked at once.
    for server in servers:
        await server.ready.wait()
    for server in servers:
        if server.role.kind == "peer":
            sock = _speaking_socket(server.role.address)
            tasks.append(loop.create_task(server.announce(sock)))
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    stopping = loop.create_task(stopped.wait())
    print("ready", flush=True)
    done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in done - {stopping}:
        task.result()


def main(arguments: list[str]) -> None:
    """Read the command line and play."""
    parser = argparse.ArgumentParser(prog="python -m tests.lan.faults", description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("roles", nargs="+", metavar="KIND@ADDRESS=FAULT")
    given = parser.parse_args(arguments)
    files = Files(given.root, given.only)
    asyncio.run(play([role for words in given.roles for role in parse_role(words, files)]))


if __name__ == "__main__":
    main(sys.argv[1:])
