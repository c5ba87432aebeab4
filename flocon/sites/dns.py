"""The hosts that DNS lists as the nodes of a domain: SRV records, by the system's name servers.

Asked in a thread of its own, which keeps no node from ending: what Twisted has for it writes five
lines into the log for each question.
"""

from __future__ import annotations

import errno
import secrets
import socket
import struct
import time
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.names import dns
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Server = tuple[str, int]

#: The service and its protocol, before the domain.
SERVICE = "_flocon._tcp."
#: Seconds for which each name server is waited for, one after the other, and then once more.
TIMEOUTS = (1.0, 3.0)
#: As many name servers as the system's own resolver asks.
MOST_SERVERS = 3
PORT = 53
_RESOLV_CONF = Path("/etc/resolv.conf")
_MOST_BYTES = 4_096
_LENGTH = struct.Struct("!H")


async def hosts_listed(
    reactor: Any, domain: str, servers: Sequence[Server] | None = None
) -> list[str]:
    """Return the hosts, the best first; raise OSError where no name server knows of any.

    Without ``servers`` those of resolv.conf are asked.
    """
    looked_up: Deferred[list[dns.RRHeader]] = Deferred()

    def look_up() -> None:
        try:
            found: Any = _look_up(domain, servers)
        except Exception:  # noqa: BLE001 - whatever it is, who asked is told
            found = Failure()
        reactor.callFromThread(looked_up.callback, found)

    Thread(target=look_up, name="DNS", daemon=True).start()
    answers = await looked_up
    listed: list[Any] = [one.payload for one in answers if one.type == dns.SRV]
    listed.sort(key=lambda one: (one.priority, -one.weight))
    hosts = [str(one.target.name.decode("ascii", "replace")).rstrip(".") for one in listed]
    # A root target means that there is none (RFC 2782).
    return [one for one in dict.fromkeys(hosts) if one]


def _look_up(domain: str, servers: Sequence[Server] | None) -> list[dns.RRHeader]:
    name = SERVICE + domain.rstrip(".")
    asked = list(_system_servers() if servers is None else servers)[:MOST_SERVERS]
    why = "no name server is set"
    for patience in TIMEOUTS:
        for server in asked:
            try:
                answer = _ask(server, name, patience)
            except OSError as error:
                why = f"{server[0]}: {error.strerror or 'no answer'}"
                continue
            if answer.answers:
                return list(answer.answers)
            if answer.rCode in {dns.OK, dns.ENAME}:
                raise OSError(errno.ENOENT, f"DNS lists no {name}")
            why = f"{server[0]}: refused with code {answer.rCode}"
    raise OSError(errno.ENOENT, f"DNS does not tell of {name} ({why})")


def _system_servers() -> Iterator[Server]:
    found = False
    for line in _RESOLV_CONF.read_text(errors="replace").splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            found = True
            yield words[1], PORT
    if not found:
        yield "127.0.0.1", PORT


def _ask(server: Server, name: str, patience: float) -> dns.Message:
    """Return what one name server answers; raise OSError where it does not."""
    question = dns.Message(secrets.randbelow(1 << 16), recDes=1)
    question.addQuery(name.encode(), dns.SRV)
    sent = question.toStr()
    deadline = time.monotonic() + patience
    family, _, _, _, address = socket.getaddrinfo(*server, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
        # Connected: nobody else is heard there.
        datagrams.connect(address)
        datagrams.send(sent)
        while True:
            datagrams.settimeout(max(0.001, deadline - time.monotonic()))
            answer = _read(datagrams.recv(_MOST_BYTES))
            if answer is not None and _answers(answer, question):
                break
    return _ask_by_tcp(address, family, sent, question, patience) if answer.trunc else answer


def _ask_by_tcp(
    address: Any, family: int, sent: bytes, question: dns.Message, patience: float
) -> dns.Message:
    """Ask again where an answer is too long for a datagram."""
    deadline = time.monotonic() + patience
    with socket.socket(family, socket.SOCK_STREAM) as stream:
        stream.settimeout(patience)
        stream.connect(address)
        stream.sendall(_LENGTH.pack(len(sent)) + sent)
        (length,) = _LENGTH.unpack(_receive(stream, _LENGTH.size, deadline))
        answer = _read(_receive(stream, length, deadline))
    if answer is None or not _answers(answer, question):
        raise OSError(errno.EPROTO, "answered something else")
    return answer


def _receive(stream: socket.socket, length: int, deadline: float) -> bytes:
    received = b""
    while len(received) < length:
        stream.settimeout(max(0.001, deadline - time.monotonic()))
        part = stream.recv(length - len(received))
        if not part:
            raise OSError(errno.EPROTO, "broke off")
        received += part
    return received


def _read(data: bytes) -> dns.Message | None:
    message = dns.Message()
    try:
        message.fromStr(data)
    except (EOFError, ValueError, KeyError, IndexError, struct.error):
        return None
    return message


def _answers(answer: dns.Message, question: dns.Message) -> bool:
    return bool(answer.answer) and answer.id == question.id and answer.queries == question.queries
