"""One place to ask for one file, and how what it sends came.

Whom to ask, and in which order, is decided in ``sources``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from ipaddress import ip_address
from urllib.parse import urlsplit


class Origin(Enum):
    """What kind of source bytes come from."""

    PEER = "peer"
    MIRROR = "mirror"


class Came(Enum):
    """How bytes came here: held on the LAN, fetched for us by a peer, or by this node itself."""

    PEER = "peer"
    OWNER = "owner"
    MIRROR = "mirror"


#: What ``Flocon-Source`` says behind a peer's address that fetched the file for us.
FOR_US = " for us"
#: What ``Flocon-Source`` says between another tool's name and its machine's address.
AT = " at "


class Kind(Enum):
    """What a source is to this file."""

    HOLDER = "holder"
    OWNER = "owner"
    PARENT = "parent"
    MIRROR = "mirror"


#: Those that may be fetching it themselves, over the WAN that all share.
FETCHING = frozenset({Kind.OWNER, Kind.PARENT})


def _is_far(url: str) -> bool:
    """Whether a URL has an address that is on no LAN; a name tells nothing of where it is."""
    try:
        return ip_address(urlsplit(url).hostname or "").is_global
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Source:
    """One place to ask for one file.

    ``key`` names it in ``Standing`` by what it cannot choose (a peer's address, or a mirror's
    network location), ``node`` is the id that a peer gives itself, ``label`` is what
    ``Flocon-Source`` says behind the kind, ``url`` is where the file is. ``relayed`` tells that the
    peer is asked as the file's owner: it does not hold the file, but fetches it; ``only_if_cached``
    that it shall not begin to. ``is_cache`` tells that a mirror is one of pacman's CacheServers:
    asked before the others, and its failure means nothing. ``parent`` is the kind of caching proxy
    on the LAN that is asked as one; ``whole`` tells that it is asked for no part of a file.
    ``tool`` is what runs at a peer that is no node, as "pacredir".
    """

    origin: Origin
    key: str
    label: str
    url: str
    relayed: bool = False
    only_if_cached: bool = False
    node: str = ""
    is_cache: bool = False
    parent: str = ""
    whole: bool = False
    tool: str = ""

    @property
    def kind(self) -> Kind:
        if self.parent:
            return Kind.PARENT
        if self.origin is Origin.MIRROR:
            return Kind.MIRROR
        return Kind.OWNER if self.relayed else Kind.HOLDER

    @property
    def is_mirror(self) -> bool:
        """Whether its bytes may go on before all are verified, as pacman would take them."""
        return self.origin is Origin.MIRROR and not self.parent

    @property
    def takes_heads(self) -> bool:
        """Whether a HEAD costs it no more than its answer; most parents fetch the whole file."""
        return self.parent in {"", "proxy"}

    def elsewhere(self, place: str) -> Source:
        """Return what a parent is that sent this node to ``place``: no place of the LAN."""
        label = f"{place}, where {self.label} sends to"
        return replace(self, label=label, is_cache=False, parent="", whole=False)

    def __str__(self) -> str:
        if self.tool:
            return f"{self.tool}{AT}{self.label}"
        kind = "parent" if self.parent else self.origin.value
        return f"{kind} {self.label}{FOR_US if self.relayed else ''}"

    @property
    def came(self) -> Came:
        """How what it sends came; a parent, or a CacheServer, is a holder on the LAN."""
        if self.parent:
            return Came.PEER
        if self.origin is Origin.MIRROR:
            return Came.PEER if self.is_cache and not _is_far(self.url) else Came.MIRROR
        return Came.OWNER if self.relayed else Came.PEER
