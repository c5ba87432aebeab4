"""Who asks, by what a request says of itself and where it comes from. No sockets, no clock.

A browser asks whatever a page tells it to, of any machine that it reaches. Three things give such a
request away: it was sent to a name that this machine does not have (a name of the page's own that
suddenly means this address: DNS rebinding), it says which page sent it, or it comes from a browser
where no browser has any business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from ipaddress import IPv4Network, IPv6Network

    from flocon.machine.links import Link

#: Names of this machine that nobody can make mean another one.
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
LOOPBACK_ADDRESSES = frozenset({"127.0.0.1", "::1"})
#: The value of a ``Host`` header: an IPv6 address in brackets, with its zone if it has one, or a
#: name; and a port.
_HOST = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9._~-]+)?)\]|(?P<name>[A-Za-z0-9._-]+))"
    r"(?::[0-9]{0,5})?"
)
#: By which containers name the machine that they run on; the Internet gives none such away.
_CONTAINERS_NAMES = ("host.docker.internal", "host.containers.internal")
#: Endings under which a LAN names its machines, and under which the Internet's name servers give no
#: names away (RFC 6762, 8375 and ICANN's list of what is kept back).
_PRIVATE_ENDINGS = (
    *("lan", "home", "local", "localdomain", "internal", "intranet", "private", "corp"),
    *("home.arpa", "fritz.box"),
)
#: What browsers say of a request that no page of another site made (Fetch Metadata, W3C).
_OWN_SITES = {"none", "same-origin"}
#: What every browser's ``User-Agent`` begins with, and no page can change without asking first.
_BROWSER = "Mozilla/"


@dataclass(frozen=True, slots=True)
class Names:
    """By which names a face may be asked for: ``own`` ones and, if ``literal``, any address.

    A name without a dot, and one under ``.local``, is the LAN's own; both count where addresses do.
    """

    own: frozenset[str]
    literal: bool = False

    def know(self, host: str) -> bool:
        """Whether the value of a ``Host`` header names this machine."""
        name = host_name(host)
        if name in self.own:
            return True
        return self.literal and (_is_address(name) or _is_local(name))


def loopback_names(more: Iterable[str] = ()) -> Names:
    """Return the names of the loopback face; ``more`` are the operator's own."""
    return Names(LOOPBACK_NAMES | {one.lower() for one in more})


def lan_names(machine: str, more: Iterable[str] = ()) -> Names:
    """Return the names of the LAN face of a ``machine``; ``more`` are the operator's own."""
    label = machine.lower().partition(".")[0]
    names = {f"{label}.{ending}" for ending in _PRIVATE_ENDINGS} if label else set()
    return Names(
        LOOPBACK_NAMES | names | {machine.lower()} - {""} | {one.lower() for one in more},
        literal=True,
    )


def mirror_names(machine: str, more: Iterable[str] = ()) -> Names:
    """Return the names of the face for machines without a node, containers among them."""
    return lan_names(machine, (*more, *_CONTAINERS_NAMES))


def host_name(host: str) -> str:
    """Return the name in the value of a ``Host`` header, lower case, without brackets and port.

    Empty where it is no such value (RFC 9110, 7.2): somebody else may read another name in it.
    """
    match = _HOST.fullmatch(host.strip(" \t"))
    return (match["six"] or match["name"]).lower() if match else ""


@lru_cache(maxsize=64)
def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_local(name: str) -> bool:
    words = name.removesuffix(".local").split("-")
    return all(one.isascii() and one.replace("_", "").isalnum() for one in words)


def forwarded_for(address: str, told: Sequence[str]) -> str:
    """Return the address for which a proxy on this machine asks; else who asks itself.

    ``told`` are the values of ``X-Forwarded-For``, to which each proxy adds one at the end.
    """
    last = ",".join(told).rpartition(",")[2].strip()
    return last if last and is_loopback(address) and _is_address(last) else address


def is_loopback(address: str) -> bool:
    """Whether an address is one of this machine's own that nobody else reaches."""
    return _is_address(address) and ip_address(address).is_loopback


def is_foreign_page(
    sites: Sequence[str], origins: Sequence[str], referers: Sequence[str], hosts: Sequence[str]
) -> bool:
    """Whether another site's page had a browser ask.

    The values are those of ``Sec-Fetch-Site``, ``Origin``, ``Referer`` and ``Host``.
    """
    own = hosts[0].strip().lower() if len(hosts) == 1 else ""
    return any(site not in _OWN_SITES for site in sites) or any(
        _place(url) != own for url in (*origins, *referers)
    )


def _place(url: str) -> str:
    try:
        return urlsplit(url.strip().lower()).netloc
    except ValueError:
        return ""


def is_browser(agents: Sequence[str]) -> bool:
    """Whether the values of ``User-Agent`` are a browser's."""
    return any(agent.startswith(_BROWSER) for agent in agents)


class Admission:
    """From which addresses a face may be asked: this machine's own, its links', and named ones.

    A node answers where it is present: on the networks of the links that it announces itself on.
    ``networks`` are further ones, which the operator names.
    """

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network] = ()) -> None:
        self.networks = tuple(networks)
        self.links: tuple[Link, ...] = ()
        #: Whether an address may ask that is in none of them: a node's of another network.
        self.also: Callable[[str], bool] = lambda _: False

    def is_near(self, host: str) -> bool:
        """Whether ``host`` is this machine, or on a network of its links; empty is no network."""
        return not host or is_loopback(host) or any(link.reaches(host) for link in self.links)

    def admits(self, host: str) -> bool:
        """Whether ``host``, an address with its zone if it has one, may ask; empty is no network.

        What comes over a Unix socket has no address; there the file's permissions decide.
        """
        return self.belongs(host) or self.also(host)

    def belongs(self, host: str) -> bool:
        """Whether ``host`` is in one of the networks themselves; somebody may only tell of others.

        To be asked by someone is one thing, to be sent to ask there another.
        """
        if not host:
            return True
        try:
            address = ip_address(host)
        except ValueError:
            return False
        if address.is_loopback or any(link.reaches(host) for link in self.links):
            return True
        plain = ip_address(host.partition("%")[0])
        return any(plain in network for network in self.networks)
