"""Everything that can be set, with its default: values alone, checked before they get here.

No file is read here, no command line and no machine: what is set nowhere has what stands here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING

from flocon.asking.proxies import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Mapping

LAN_PORT = 19432
LOOPBACK_PORT = 19433
MIRROR_PORT = 19434
DEFAULT_PACMAN_CONF = Path("/etc/pacman.conf")
DEFAULT_CONFIG = Path("/etc/flocon.toml")
SYSTEM_STORE = Path("/var/cache/flocon")
#: Both families on one socket; service falls back to IPv4 where there is no IPv6.
DEFAULT_LAN = rf"tcp6:{LAN_PORT}:interface=\:\:"
DEFAULT_MIRROR = (rf"tcp6:{MIRROR_PORT}:interface=\:\:",)
DEFAULT_LOOPBACK = (
    f"tcp:{LOOPBACK_PORT}:interface=127.0.0.1",
    rf"tcp6:{LOOPBACK_PORT}:interface=\:\:1",
)
#: What stands before the name of the node whose state of databases is followed.
NODE = "node:"
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Presence:
    """Where and how often this node makes itself known."""

    group: str = "228.0.2.35"
    group6: str = "ff02::4be8"
    port: int = LAN_PORT
    #: Seconds between two beats of a small LAN; a large one beats more slowly.
    beat: float = 30.0
    #: Names or addresses; empty means every multicast-capable interface.
    interfaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Store:
    """flocon's own folder of packages; ``max_size`` in bytes.

    ``adopt`` are other tools' folders of packages, which are read and never written to.
    """

    path: Path = SYSTEM_STORE
    max_size: int = 10 << 30
    adopt: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Peers:
    """What is done for peers.

    ``relays`` files are fetched at once for them; ``bandwidth`` is in bytes per second to all of
    them together, 0 for no bound. ``networks`` may ask beside those of this machine's own links.
    Nothing is told of ``private`` repositories. ``relayed_per_day`` bytes are fetched for one of
    them in a day, and four times as many for all; 0 for no bound. ``static`` are nodes that are
    greeted by unicast: HOST, HOST:PORT, [ADDRESS]:PORT, or "srv:DOMAIN" for what DNS lists there.
    ``far`` tells whether nodes of other networks fetch for this one: "owners" or "no owners".
    """

    relays: int = 16
    bandwidth: int = 0
    networks: tuple[Network, ...] = ()
    relayed_per_day: int = 16 << 30
    private: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    far: str = "owners"


@dataclass(frozen=True, slots=True)
class Parent:
    """A caching proxy of this LAN, asked before the mirrors.

    ``url`` is as a ``Server`` value of pacman's; ``kind`` is the tool's name, "proxy" for another
    one, or "auto" for what its address tells.
    """

    url: str
    kind: str = "auto"


@dataclass(frozen=True, slots=True)
class Foreign:
    """Other tools' machines as holders of packages.

    ``hosts`` are asked beside those that are found: HOST or HOST:PORT for pacredir's server, an
    address like http://HOST:15678/ for a pacserve.
    """

    pacredir: bool = True
    pacserve: bool = True
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Standins:
    """Faces in place of other tools, as endpoints; none is open where they are empty.

    ``pacserve`` is for its peers and its clients, usually ``tcp:15678``; ``pacredir`` for this
    machine's pacman, usually ``tcp:7077:interface=127.0.0.1``; ``pacredir_lan`` for its peers,
    usually ``tcp:7078``. ``networks`` may ask beside those of this machine's own links.
    """

    pacserve: tuple[str, ...] = ()
    pacredir: tuple[str, ...] = ()
    pacredir_lan: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()

    @property
    def faces(self) -> list[tuple[str, ...]]:
        """The endpoints of each face that is to be open."""
        return [one for one in (self.pacserve, self.pacredir, self.pacredir_lan) if one]


@dataclass(frozen=True, slots=True)
class Mirror:
    """What clients without a node are served, and the state of the LAN's databases.

    Times are in seconds. ``repositories`` and ``architectures`` are pacman's where they are empty;
    ``upstream`` has servers by architecture, as ``Server`` values with $repo and $arch, where they
    are not pacman's or those of ``mirrors``. ``paths`` has other tools' layouts by their names.
    """

    serve: bool = False
    listen: tuple[str, ...] = DEFAULT_MIRROR
    #: Networks that may ask beside those of this machine's own links.
    networks: tuple[Network, ...] = ()
    repositories: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    upstream: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    #: Seconds between two looks at the mirror, or times of day; empty: by hand alone.
    refresh: float | tuple[str, ...] = 3_600.0
    #: When a new state is given to clients: with all that is wanted of it ("complete"), or at once.
    publish: str = "complete"
    #: Seconds for which what is wanted is waited for.
    publish_within: float = 6 * 3_600.0
    #: Seconds for which what was asked for once is wanted.
    unused: float = 30 * 86_400.0
    #: Packages, and groups of them, that are wanted whoever asks.
    pins: tuple[str, ...] = ()
    #: Versions of each package that stay, beside those that are wanted; 0 for no bound.
    keep: int = 2
    #: Seconds after which an unused package goes; 0 for never.
    max_age: float = 0.0
    #: Seconds for which a state may be held back.
    hold_at_most: float = 30 * 86_400.0
    #: An archive of states by date, as a ``Server`` value with $date, $repo and $arch.
    archive: str = ""


@dataclass(frozen=True, slots=True)
class Repo:
    """Own repositories: whose keys are trusted here, and what this machine itself publishes.

    ``keys`` has a file NAME.gpg for each repository that was joined; ``published`` is where this
    machine's signer leaves what it signed, ``signer`` its socket.
    """

    keys: Path = Path("/etc/flocon/repositories")
    published: Path = Path("/var/lib/flocon-repository")
    signer: str = "/run/flocon-sign/socket"
    #: Versions of each package that stay to go back to.
    keep: int = 3
    #: Whether packages of debugging symbols are published as well.
    debug: bool = False
    #: Nodes beside the one that publishes which keep each package of it.
    copies: int = 2


@dataclass(frozen=True, slots=True)
class Build:
    """What is built from recipes, and who says that it may be. Times are in seconds."""

    #: Where what is watched, its history and logs are kept.
    state: Path = Path("/var/lib/flocon/builds")
    #: Into which of this machine's own repositories it goes; the only one where this is empty.
    repository: str = ""
    #: The socket of this machine's builder.
    builder: str = "/run/flocon-build/socket"
    aur: str = "https://aur.archlinux.org"
    #: A copy of the AUR's recipes, one branch for each, for when the AUR is away; empty for none.
    aur_copy: str = "https://github.com/archlinux/aur"
    #: Seconds between two looks at the AUR.
    poll: float = 3_600.0
    #: What is approved by rule: plain new versions ("bump"), or nothing ("never").
    auto: str = "bump"
    #: Seconds that a new commit waits before a rule approves it.
    wait: float = 2 * 86_400.0
    #: Maintainers whose changes of a recipe's text a rule approves too.
    trust: tuple[str, ...] = ()
    #: Private networks from which sources may be fetched.
    networks: tuple[Network, ...] = ()
    #: Packages whose build() may ask the network, by a person's word.
    online: tuple[str, ...] = ()
    #: Where a package is built: in a root of its own ("clean"), over this machine's own system
    #: ("machine"), or in the one of the two that can be had ("auto").
    root: str = "auto"
    check: bool = True
    #: Bounds of one build: bytes of memory and of disk, processes, seconds.
    memory: int = 8 << 30
    disk: int = 20 << 30
    processes: int = 4_096
    time: float = 4 * 3_600.0
    #: Who is told what waits for a person: a program and its words, a URL, a mail address.
    notify_command: tuple[str, ...] = ()
    notify_url: str = ""
    notify_mail: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, with its default."""

    config: Path | None = None
    #: Where each key was set that was: an option's name, or a file's and the key's.
    places: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    name: str = ""
    pacman_conf: Path = DEFAULT_PACMAN_CONF
    lan: str = DEFAULT_LAN
    loopback: tuple[str, ...] = DEFAULT_LOOPBACK
    #: Networks that may ask on the loopback face as this machine does: containers, mostly.
    loopback_clients: tuple[Network, ...] = ()
    #: Further names by which this machine is asked for, on both faces.
    names: tuple[str, ...] = ()
    #: Mirrors of a machine without pacman, as ``Server`` values with $repo and $arch.
    mirrors: tuple[str, ...] = ()
    #: The proxy for mirrors; empty for none, or what ``asking.proxies`` calls ENVIRONMENT.
    proxy: str = field(default=ENVIRONMENT, repr=False)
    debug: bool = False
    #: Whether this node fetches from its mirrors for others; not on a metered link.
    relay: bool = True
    #: What of an upgrade is fetched before pacman asks: what peers hold ("lan"), "all", or "off".
    prefetch: str = "lan"
    #: Where databases come from: "mirror"; "lan" for the LAN's state, or the newest that a peer
    #: has; "node:NAME" for the state of one node, by its name or address.
    databases: str = "mirror"
    #: How pacman gets what a peer holds: by this node, verified ("relay"), or itself ("redirect").
    transfer: str = "relay"
    #: The Unix socket for whatever changes state; empty for the usual place.
    control: str = ""
    store: Store = field(default_factory=Store)
    presence: Presence = field(default_factory=Presence)
    peers: Peers = field(default_factory=Peers)
    mirror: Mirror = field(default_factory=Mirror)
    repo: Repo = field(default_factory=Repo)
    build: Build = field(default_factory=Build)
    parents: tuple[Parent, ...] = ()
    foreign: Foreign = field(default_factory=Foreign)
    standins: Standins = field(default_factory=Standins)
    #: Whether this node is announced by mDNS, and others found, where python-zeroconf is installed.
    mdns: bool = True

    def place(self, key: str, option: str) -> str:
        """Return where a dotted ``key`` was set, or the ``option`` by which it can be."""
        return self.places.get(key, f"flocon, default of {option}")
