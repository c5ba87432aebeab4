"""What is said in the group that pacserve and paclan share: who is there, and what we say. No I/O.

pacserve says ``PREFIX URL``, plain text, where the URL's host is a place holder: the sender's own
address is meant. paclan says a JSON object. Anybody can say either, in anybody's name.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from flocon.foreign.place import UNTOLD_PORT, Tool

GROUP, GROUP_PORT = "224.3.45.67", 15_679
#: What the newest pacserve known calls itself, in datagrams and as HTTP's ``Server``.
PREFIX = "ThreadedServers.Pacserve/2013.05.12"
#: Bytes of a datagram that is read: a pacserve's has 59, and paclan reads 256 of its own.
LARGEST = 512
#: The host in the URLs that nodes send: who hears it leaves a node's stand-in to its own ways.
OF_A_NODE = "flocon"
_PREFIX = re.compile(r"[!-~]{1,64}")
_IDENTITY = re.compile(r"[0-9a-fA-F]{8,64}")
PING, PONG = "PING", "PONG"


@dataclass(frozen=True, slots=True)
class Heard:
    """Who is there, by one datagram: its port, at the sender's address.

    ``prefix`` is what a pacserve calls itself, ``identity`` what a paclan shows over HTTP too; it
    ``asks`` to be told who else is there.
    """

    tool: Tool
    port: int
    prefix: str = ""
    identity: str = ""
    asks: bool = False


def read(data: bytes) -> Heard | None:
    """Tell what a datagram says; None where it says nothing, or is a node's own stand-in's."""
    if not 0 < len(data) <= LARGEST or not data.isascii():
        return None
    text = data.decode("ascii")
    return _paclan(text) if text.lstrip().startswith("{") else _pacserve(text)


def _pacserve(text: str) -> Heard | None:
    prefix, space, url = text.strip("\r\n").partition(" ")
    if not space or not is_prefix(prefix):
        return None
    port = port_of(url)
    return None if port is None else Heard(Tool.PACSERVE, port, prefix=prefix)


def port_of(url: str) -> int | None:
    """Return the port of an announced or nudged URL; None where it cannot be asked, or is ours."""
    try:
        parts = urlsplit(url)
        port = UNTOLD_PORT if parts.port is None else parts.port
    except ValueError:
        return None
    is_ours = parts.hostname == OF_A_NODE
    return port if parts.scheme == "http" and parts.hostname and port and not is_ours else None


def _paclan(text: str) -> Heard | None:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    match told:
        case {"BY": _}:
            return None
        case {"TYPE": str(kind), "PORT": str() | int() as port, "ID": str(identity)}:
            number = int(port) if re.fullmatch(r"[0-9]{1,5}", str(port)) else 0
            if kind in {PING, PONG} and 0 < number < 1 << 16 and _IDENTITY.fullmatch(identity):
                return Heard(Tool.PACLAN, number, identity=identity, asks=kind == PING)
    return None


def is_prefix(text: str) -> bool:
    """Whether this can be what a pacserve calls itself."""
    return _PREFIX.fullmatch(text) is not None


def own_url(port: int) -> str:
    """Return what we tell a pacserve of a face of ours."""
    return f"http://{OF_A_NODE}:{port}/"


def announcement(prefix: str, port: int) -> bytes:
    """Return the datagram that tells pacserves of a face of ours at ``port``."""
    return f"{prefix} {own_url(port)}".encode("ascii")


def paclan_word(kind: str, identity: str, port: int, nonce: str) -> bytes:
    """Return the datagram that tells paclans of a face of ours; they read 256 bytes.

    ``BY`` has none of theirs: who hears it leaves a node's stand-in to its own ways.
    """
    told = {"TYPE": kind, "PORT": str(port), "ID": identity, "NONCE": nonce, "PEERS": []}
    return json.dumps({**told, "BY": OF_A_NODE}).encode("ascii")
