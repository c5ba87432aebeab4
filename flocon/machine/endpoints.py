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


def ports_of(endpoints: Sequence[str]) -> list[int]:
    """Return the TCP ports that endpoint descriptions name."""
    ports = []
    for endpoint in endpoints:
        kind, _, rest = endpoint.partition(":")
        number = rest.partition(":")[0].removeprefix("port=")
        if kind.startswith("tcp") and number.isdigit():
            ports.append(int(number))
    return ports
