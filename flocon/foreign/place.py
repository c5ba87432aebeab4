"""One machine of another tool, and where it has a file. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from flocon.files import escape

#: The port that a pacserve means by a URL without one.
UNTOLD_PORT = 8_000


class Tool(Enum):
    """What runs there, by the name that a person knows it by."""

    PACREDIR = "pacredir"
    PACSERVE = "pacserve"
    PACLAN = "paclan"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one listens; ``address`` is a literal one, IPv6 with its zone if it has one."""

    tool: Tool
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.tool.value} at {self.address}"

    @property
    def root(self) -> str:
        """Its URL, ending in a slash."""
        host = self.address
        # As asking.agents.literal_host writes one (RFC 6874).
        literal = f"[{host.replace('%', '%25')}]" if ":" in host else host
        return f"http://{literal}:{self.port}/"

    def url(self, file_name: str) -> str:
        """Return where it has a file, if it has it: its name raw, as they all take it."""
        return f"{self.root}pkg/{escape(file_name)}"

    @property
    def node(self) -> str:
        """Return what stands in the place of a node's id; no node has such a one."""
        return f"{self.tool.value}:{self.address}"


def named_by(url: str) -> tuple[str, int, str] | None:
    """Return address, port and path of an http URL of a literal address; None for another one."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if parts.scheme != "http" or port == 0 or "@" in parts.netloc:
        return None
    spelled = host if isinstance(address, IPv6Address) else str(address)
    return spelled, port or UNTOLD_PORT, parts.path
