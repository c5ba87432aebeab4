"""The head of a request to a proxy (RFC 9110): where it leads, and what is sent there. No I/O.

Two kinds are understood: ``CONNECT HOST:PORT``, and an absolute ``http://`` address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

#: Bytes of a head.
LONGEST_HEAD = 32 << 10
_METHOD = re.compile(r"[A-Z]{1,16}")
#: A name as resolvers take it: letters, digits, hyphens, underscores.
#: There is one way to read each: a job chooses them, and this program does nothing else meanwhile.
_NAME = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_][A-Za-z0-9_-]{0,62}(?:\.[A-Za-z0-9_-]{1,63})*\.?", re.ASCII
)
#: Between us and who asks, and nobody else's business (RFC 9110, 7.6.1).
_OURS = {b"proxy-connection", b"proxy-authorization", b"connection", b"keep-alive"}
_LAST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Asked:
    """``head`` is sent to the server first; a tunnel has none, and is answered first."""

    host: str
    port: int
    head: bytes = b""

    @property
    def is_tunnel(self) -> bool:
        return not self.head


def read_head(head: bytes) -> Asked | None:
    """Take a head apart, without the empty line at its end; None where it is not understood."""
    first, *fields = head.split(b"\r\n")
    try:
        method, target, version = first.decode("ascii").split(" ")
    except ValueError:
        return None
    if version not in {"HTTP/1.0", "HTTP/1.1"} or not _METHOD.fullmatch(method):
        return None
    if method == "CONNECT":
        host, colon, port = target.rpartition(":")
        return _place(host, port) if colon else None
    return _absolute(method, target, version, fields)


def _absolute(method: str, target: str, version: str, fields: list[bytes]) -> Asked | None:
    if not target.isprintable() or "#" in target:
        return None
    try:
        parts = urlsplit(target)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme != "http" or not parts.hostname or port == 0:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    place = _place(host, str(port or 80))
    if place is None:
        return None
    path = parts._replace(scheme="", netloc="").geturl() or "/"
    if not path.startswith("/"):
        path = "/" + path
    kept = [one for one in fields if one.partition(b":")[0].strip().lower() not in _OURS]
    lines = [f"{method} {path} {version}".encode("ascii"), *kept, b"Connection: close"]
    return Asked(place.host, place.port, b"\r\n".join(lines) + b"\r\n\r\n")


def _place(host: str, port: str) -> Asked | None:
    if not (port.isascii() and port.isdigit()) or not 0 < int(port[:6]) <= _LAST_PORT:
        return None
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        try:
            ip_address(host)
        except ValueError:
            return None
    elif not _NAME.fullmatch(host):
        return None
    return Asked(host.rstrip(".").lower(), int(port))
