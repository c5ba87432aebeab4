"""Where a file is at each kind of source: a holder, an owner, a peer's database, a mirror.

Only addresses are made here; who is asked, and when, is decided elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.asking.addresses import network_location
from flocon.asking.agents import literal_host
from flocon.asking.source import Origin, Source
from flocon.files import escape, parse_file_name

if TYPE_CHECKING:
    from flocon.foreign.place import Place
    from flocon.pacman.entries import Entry
    from flocon.presence.peer import Peer

#: Caching proxies that heed no range, or send whoever asks for one elsewhere.
WHOLE = frozenset({"flexo", "pkgstash"})


def holder_source(peer: Peer, file_name: str) -> Source:
    return _of_peer(peer, f"/pkg/{escape(file_name)}")


def foreign_source(place: Place, file_name: str) -> Source:
    """Return what another tool's machine is for a file that it has: a peer that is no node."""
    return Source(
        Origin.PEER,
        place.address,
        place.address,
        place.url(file_name),
        node=place.node,
        tool=place.tool.value,
    )


def owner_source(peer: Peer, entry: Entry) -> Source:
    # The architecture only matters to nodes whose mirrors are not resolved by pacman.conf.
    architecture = _architecture(entry.file_name)
    path = f"/relay/{entry.repository}/{architecture}/{escape(entry.file_name)}"
    return _of_peer(peer, path, relayed=True)


def database_source(peer: Peer, file_name: str) -> Source:
    return _of_peer(peer, f"/db/{escape(file_name)}")


def state_url(address: str, port: int) -> str:
    """Return where a node tells of the state that it gives to the LAN."""
    return f"http://{literal_host(address)}:{port}/state"


def state_file_url(
    address: str, port: int, identity: str, architecture: str, file_name: str
) -> str:
    """Return where a file of one state is."""
    return f"{state_url(address, port)}/{identity}/{architecture}/{escape(file_name)}"


def own_url(
    address: str, port: int, name: str, sequence: int | None = None, file_name: str = ""
) -> str:
    """Return where a node tells of an own repository, or a file of it is: its key, without number.

    ``name`` may have what has to be escaped, as a package's may.
    """
    parts = (escape(name), sequence or "", escape(file_name))
    path = "/".join(str(part) for part in parts if part)
    return f"http://{literal_host(address)}:{port}/own/{path}"


def mirror_source(
    server: str, file_name: str, *, is_cache: bool = False, parent: str = ""
) -> Source:
    """Return where a file is at a mirror, or at a ``parent`` of that kind."""
    place = network_location(server)
    url = f"{server.rstrip('/')}/{escape(file_name)}"
    whole = parent in WHOLE
    return Source(Origin.MIRROR, place, place, url, is_cache=is_cache, parent=parent, whole=whole)


def _of_peer(peer: Peer, path: str, *, relayed: bool = False) -> Source:
    url = f"http://{literal_host(peer.address)}:{peer.port}{path}"
    return Source(Origin.PEER, peer.address, peer.address, url, relayed=relayed, node=peer.node)


def _architecture(file_name: str) -> str:
    file = parse_file_name(file_name)
    return file.architecture if file else "any"
