"""What Twisted's endpoint descriptions name: ports, and where they listen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# A rush of a thousand is taken whole. systemd's sockets have 4096.
BACKLOG = 1024


def hosts_of(endpoints: Sequence[str]) -> list[str]:
    """Return the addresses and names of interfaces that endpoint descriptions give."""
    hosts = []
    for endpoint in endpoints:
        # A colon within a value is escaped.
        parts = endpoint.replace("\\:", "\0").split(":")
        hosts += [part[10:].replace("\0", ":") for part in parts if part.startswith("interface=")]
    return hosts


def as_tcp(endpoint: str) -> str:
    """Return a description that means the same, as ``tcp`` where it is ``tcp6``.

    Twisted itself knows ``tcp`` and looks through all plugins for ``tcp6``: 0.4 MB, for good.
    """
    kind, *words = endpoint.replace("\\:", "\0").split(":")
    if kind != "tcp6" or not all("=" in word for word in words[1:]):
        return endpoint
    if not any(word.startswith("interface=") for word in words):
        words.append("interface=\0\0")
    return ":".join(["tcp", *words]).replace("\0", "\\:")


def with_backlog(endpoint: str) -> str:
    """Return a description that says how many connections may wait to be taken, where it says none.

    Twisted says 50. Of a rush, which one host alone can make, what is beyond that has to knock
    again, after 1 s, 3 s, 7 s and so on, and so has everybody else: the kernel answers none.
    """
    kind, *words = endpoint.replace("\\:", "\0").split(":")
    said = [word for word in words[1:] if "=" not in word or word.startswith("backlog=")]
    if kind not in {"tcp", "tcp6", "ssl"} or said:
        return endpoint
    return f"{endpoint}:backlog={BACKLOG}"


def ports_of(endpoints: Sequence[str]) -> list[int]:
    """Return the TCP ports that endpoint descriptions name."""
    ports = []
    for endpoint in endpoints:
        kind, _, rest = endpoint.partition(":")
        number = rest.partition(":")[0].removeprefix("port=")
        if kind.startswith("tcp") and number.isdigit():
            ports.append(int(number))
    return ports
