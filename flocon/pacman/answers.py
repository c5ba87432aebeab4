"""What pacman-conf answers, as the configuration that is in force.

It prints "[section]" and "Key = Value" or just "Key", a line for each value.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flocon.errors import ToolError
from flocon.files import is_architecture, is_repository
from flocon.machine.process import run
from flocon.machine.reactor_threads import in_thread
from flocon.pacman.configuration import PacmanConfiguration, Repository, SignatureLevel, fill_in
from flocon.pacman.includes import Scan, scan

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from twisted.internet.interfaces import IReactorThreads

    from flocon.machine.process import ProcessReactor

    class PacmanReactor(ProcessReactor, IReactorThreads):
        """A reactor that also has threads; watching folders needs an IReactorFDSet, too."""


#: Seconds that pacman-conf may take; it reads a few small files.
TIMEOUT = 10.0
#: Where pacredir and pacserve answer this machine's pacman. They are no mirrors: they ask other
#: machines as the node does, and lead to pacman's first server, which is the node.
_OTHER_TOOLS = frozenset({7077, 15678})
_LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "localhost6"})


def configuration_from_mirrors(
    mirrors: Sequence[str], own_ports: Collection[int] = ()
) -> PacmanConfiguration:
    """Return the configuration of a machine without pacman, whose mirrors flocon.toml names."""
    servers, unusable = sort_out(mirrors, own_ports)
    return PacmanConfiguration(general_servers=servers, unusable=unusable)


async def read_configuration(
    reactor: PacmanReactor, pacman_conf: Path, own_ports: Collection[int] = ()
) -> PacmanConfiguration:
    """Return what pacman-conf says, with this node's own lines left out.

    A server on this machine's loopback with a port of ``own_ports`` is this node. Raises
    ToolMissing without pacman-conf, and ToolError with its own words where it fails.
    """
    return await resolve(reactor, await in_thread(reactor, scan, pacman_conf), own_ports)


async def resolve(
    reactor: PacmanReactor, scan: Scan, own_ports: Collection[int]
) -> PacmanConfiguration:
    arguments = ["pacman-conf", "--config", str(scan.pacman_conf)]
    outcome = await run(reactor, arguments, seconds=TIMEOUT)
    if outcome.status:
        lines = outcome.errors.decode("utf-8", "replace").splitlines()
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error")]
        reason = "; ".join(errors)[:1000] or f"ended with status {outcome.status}"
        raise ToolError("pacman-conf", reason)
    text = outcome.output.decode("utf-8", "surrogateescape")
    return configuration_of(sections_of(text), scan, own_ports)


def sections_of(text: str) -> dict[str, dict[str, list[str]]]:
    """Return the values of each key of each section; what is unknown does no harm."""
    sections: dict[str, dict[str, list[str]]] = {"options": defaultdict(list)}
    current = sections["options"]
    for line in text.splitlines():
        if line.startswith("[") and line.endswith("]"):
            current = sections.setdefault(line[1:-1], defaultdict(list))
        else:
            key, _, value = line.partition(" = ")
            current[key.strip()].append(value.strip())
    return sections


def configuration_of(
    sections: Mapping[str, Mapping[str, list[str]]], scan: Scan, own_ports: Collection[int]
) -> PacmanConfiguration:
    options = sections["options"]
    architectures = tuple(filter(is_architecture, options.get("Architecture", ())))
    repositories = []
    unusable: dict[str, None] = {}
    for name, section in sections.items():
        if name == "options" or not is_repository(name):
            continue
        first = [
            fill_in(server, name, architectures[0] if architectures else "")
            for server in scan.first_servers.get(name, ())
        ]
        servers, left_out = sort_out([*first, *section.get("Server", ())], own_ports)
        cache_servers, left_out_too = sort_out(section.get("CacheServer", ()), own_ports)
        unusable.update(dict.fromkeys(left_out + left_out_too))
        levels = section.get("SigLevel", options.get("SigLevel", []))
        package, database = _level("Package", levels), _level("Database", levels)
        others = bool(left_out)
        repositories.append(Repository(name, servers, cache_servers, others, package, database))
    default = PacmanConfiguration()
    return PacmanConfiguration(
        repositories=tuple(repositories),
        cache_directories=tuple(Path(path) for path in options.get("CacheDir", ())),
        database_path=Path(_last(options.get("DBPath")) or default.database_path),
        gpg_directory=Path(_last(options.get("GPGDir")) or default.gpg_directory),
        architectures=architectures,
        files=tuple(scan.stamps),
        unusable=tuple(unusable),
        ignored=tuple(options.get("IgnorePkg", ())),
        ignored_groups=tuple(options.get("IgnoreGroup", ())),
        download_user=_last(options.get("DownloadUser")) or default.download_user,
    )


def _last(values: Sequence[str] | None) -> str:
    return values[-1] if values else ""


def _level(kind: str, values: Collection[str]) -> SignatureLevel:
    """Return the level of ``kind`` ("Package" or "Database"); pacman's default is Optional."""
    level = SignatureLevel.OPTIONAL
    for candidate in SignatureLevel:
        if f"{kind}{candidate.value}" in values:
            level = candidate
    return level


def sort_out(
    servers: Iterable[str], own_ports: Collection[int]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the servers that can be asked, each once, and those that are not http(s).

    Those of this machine's node, pacredir and pacserve are in neither.
    """
    usable: dict[str, None] = {}
    unusable: dict[str, None] = {}
    for server in servers:
        try:
            url = urlsplit(server)
            host, port = url.hostname, url.port
        except ValueError:
            host, port = None, None
        if not host or url.scheme not in {"http", "https"} or not re.fullmatch("[!-~]+", server):
            unusable[server] = None
            continue
        if port is None:
            port = 443 if url.scheme == "https" else 80
        if (port not in own_ports and port not in _OTHER_TOOLS) or not is_loopback(host):
            usable[server.rstrip("/")] = None
    return tuple(usable), tuple(unusable)


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine by any of the ways to write that; nothing is looked up."""
    host = host.rstrip(".")
    if host in _LOOPBACK_NAMES or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))  # 127.1, as curl reads it
        except OSError:
            return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    # Connecting to the unspecified address reaches this machine, too.
    return address.is_loopback or address.is_unspecified
