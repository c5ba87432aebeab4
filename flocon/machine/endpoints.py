"""What Twisted's endpoint descriptions name: ports, and where they listen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


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


def ports_of(endpoints: Sequence[str]) -> list[int]:
    """Return the TCP ports that endpoint descriptions name."""
    ports = []
    for endpoint in endpoints:
        kind, _, rest = endpoint.partition(":")
        number = rest.partition(":")[0].removeprefix("port=")
        if kind.startswith("tcp") and number.isdigit():
            ports.append(int(number))
    return ports
