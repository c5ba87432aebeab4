"""What is announced by mDNS, as values: names, texts, and services that were found.

Nothing that was found is proved: any machine of the link can announce anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from ipaddress import IPv4Network, IPv6Network

    from flocon.machine.links import Link

    Network = IPv4Network | IPv6Network

#: What pacredir's servers announce and look for, and what nodes do.
PACSERVE = "_pacserve._tcp.local."
FLOCON = "_flocon._tcp.local."
#: The key by which nodes know each other among pacserves.
NODE_KEY = "flocon"
#: Seconds for which what is announced may be remembered.
TTL = 120
#: Bytes of one label, strings of a TXT record that are read, and addresses of one service.
LONGEST_LABEL = 63
MOST_TEXTS = 32
MOST_ADDRESSES = 4
LARGEST_PORT = 65_535
#: RFC 1918, and the unique local addresses of RFC 4193.
PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
_HOST = re.compile(r"[^A-Za-z0-9-]+")
_SUFFIX = "-flocon"
#: What programs call the links that they make within a machine.
_WITHIN = re.compile(
    r"(docker|podman|cni-podman|virbr|lxcbr|lxdbr|incusbr|vboxnet|vmnet|waydroid)\d+|br-[0-9a-f]{12}"
)


@dataclass(frozen=True, slots=True)
class Found:
    """A service that somebody announces on a link of ours: a hint.

    ``addresses`` are numeric, see ``in_reach``, and none of our own: IPv4 first, link-local IPv6
    with ``%`` and the link's name. ``host`` is the name they belong to, without its last dot.
    """

    instance: str
    host: str
    addresses: tuple[str, ...]
    port: int
    texts: tuple[str, ...]

    def values(self, key: str) -> tuple[str, ...]:
        """Return what the texts say for a key, which may stand there several times."""
        prefix = f"{key.lower()}="
        return tuple(text[len(prefix) :] for text in self.texts if text.lower().startswith(prefix))

    @property
    def is_node(self) -> bool:
        """Whether it says of itself that it is a node."""
        return bool(self.values(NODE_KEY))


@dataclass(frozen=True, slots=True)
class Own:
    """What this node says of itself; ``port`` is that of its LAN face, ``system`` os-release's."""

    node: str
    epoch: str
    name: str
    port: int
    system: str
    architectures: tuple[str, ...]

    def texts(self, kind: str) -> tuple[str, ...]:
        """Return the strings of TXT for a type of service."""
        if kind == FLOCON:
            return (f"node={self.node}", f"epoch={self.epoch}")
        return (
            f"id={self.system}",
            *(f"arch={one}" for one in self.architectures),
            f"{NODE_KEY}={self.node}",
        )


@dataclass(frozen=True, slots=True)
class Wish:
    """Where mDNS is to be present, and what it is to say; nothing is announced without ``own``.

    ``networks`` are further ones whose services may be asked.
    """

    links: tuple[Link, ...] = ()
    own: Own | None = None
    networks: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Names:
    """How this node is called: ``instance`` is a label for people, ``host`` one for addresses."""

    instance: str
    host: str

    @property
    def target(self) -> str:
        return f"{self.host}.local."

    def of(self, kind: str) -> str:
        """Return the name of this node's service of a type."""
        return f"{self.instance}.{kind}"


def names_of(own: Own, *, clashed: bool) -> Names:
    """Return the names that a node bears: with its id in them once another machine has the same.

    The host is no machine's own name: pacredir knows a machine's services by that alone, and takes
    one of two.
    """
    plain = _HOST.sub("-", own.name.partition(".")[0]).strip("-").lower() or "node"
    mark = own.node[:8] if clashed else ""
    ending = f"-{mark}{_SUFFIX}" if mark else _SUFFIX
    host = plain[: LONGEST_LABEL - len(ending)].rstrip("-") + ending
    shown = plain[: LONGEST_LABEL - len("flocon on  ()") - len(mark)]
    return Names(f"flocon on {shown} ({mark})" if mark else f"flocon on {shown}", host)


def packed(texts: Iterable[str]) -> bytes:
    """Return texts as the data of a TXT record: each with its length before it."""
    record = b""
    for text in texts:
        data = text.encode("utf-8", "replace")[:255]
        record += bytes([len(data)]) + data
    return record


def unpacked(record: bytes) -> tuple[str, ...]:
    """Return the texts of a TXT record that can be read, the first few of them."""
    return tuple(_texts(record))


def _texts(record: bytes) -> Iterator[str]:
    at, count = 0, 0
    while at < len(record) and count < MOST_TEXTS:
        end = at + 1 + record[at]
        text = record[at + 1 : end].decode("utf-8", "replace")
        if end <= len(record) and text.isprintable():
            count += 1
            yield text
        at = end


def label(name: str, kind: str) -> str:
    """Return the instance's own part of its name, shown to people: printable, bounded."""
    text = name[: -len(kind) - 1] if name.lower().endswith(f".{kind}") else name
    return "".join(one if one.isprintable() else "?" for one in text)[:LONGEST_LABEL]


def in_reach(
    addresses: Iterable[str],
    links: Sequence[Link],
    networks: Sequence[Network] = (),
    *,
    far: bool = False,
) -> tuple[str, ...]:
    """Return those of addresses that may be asked, of neighbours on the links; IPv4 first.

    After them those in ``networks``, which the operator names; with ``far`` all of private
    networks, as a router may reflect mDNS from one to another.
    """
    own = {str(one.ip) for link in links for one in link.addresses}
    barred = own | _edges(links)
    near: list[str] = []
    others: list[str] = []
    for address in addresses:
        host, _, scope = address.partition("%")
        if host in barred:
            continue
        for link in links:
            if link.reaches(address):
                near.append(f"{host}%{link.name}" if scope else host)
                break
        else:
            # A machine tells all its addresses, that of its containers' bridge too.
            others += [host] if not scope and _is_reachable(host, networks, far=far) else []
    told = [*sorted(near, key=_is_ipv6), *sorted(others, key=_is_ipv6)]
    return tuple(dict.fromkeys(told))[:MOST_ADDRESSES]


def _is_ipv6(address: str) -> bool:
    return ":" in address


def _is_reachable(host: str, networks: Sequence[Network], *, far: bool) -> bool:
    """Whether an address on no link of ours may be asked all the same."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if address.is_multicast or address.is_loopback or address.is_link_local:
        return False
    private = PRIVATE if far else ()
    return any(address in one for one in (*networks, *private) if one.version == address.version)


def _edges(links: Sequence[Link]) -> set[str]:
    """Return the addresses of IPv4 networks that are no machine's: the network's, and all's."""
    networks = [one.network for link in links for one in link.of_family(4)]
    return {
        str(edge)
        for network in networks
        if network.num_addresses > 2  # noqa: PLR2004 - others have none
        for edge in (network.network_address, network.broadcast_address)
    }


def is_within(link: Link) -> bool:
    """Whether a link leads to containers or virtual machines of this machine alone."""
    return _WITHIN.fullmatch(link.name) is not None


def announced_addresses(links: Sequence[Link]) -> tuple[str, ...]:
    """Return the addresses of this machine that others are told.

    Link-local ones only where there is nothing else: a name has no room for the link. So it is with
    those of bridges to containers and virtual machines: who is elsewhere would wait there in vain.
    """
    shared = [link for link in links if not is_within(link)] or links
    every = [one.ip for link in shared for one in link.addresses if not one.ip.is_loopback]
    wide = [one for one in every if one.version == 4 or not one.is_link_local]  # noqa: PLR2004
    return tuple(dict.fromkeys(str(one) for one in wide or every))


def interfaces_of(links: Sequence[Link]) -> tuple[str | int, ...]:
    """Return where to listen: an address of each link for IPv4, its number for IPv6."""
    places: list[str | int] = []
    for link in links:
        places += [str(one.ip) for one in link.of_family(4)[:1]]
        places += [link.index] if link.of_family(6) else []
    return tuple(places)


def lasting(before: Sequence[Link], now: Sequence[Link]) -> tuple[Link, ...]:
    """Return those of the links now that were there before: a link made anew has another number."""
    numbers = {link.index for link in before}
    return tuple(link for link in now if link.index in numbers)


def differences(
    before: Sequence[Found], now: Sequence[Found]
) -> tuple[tuple[str, ...], tuple[Found, ...]]:
    """Return the instances that left, and what came or is not what it was."""
    there = {one.instance for one in now}
    known = set(before)
    left = tuple(one.instance for one in before if one.instance not in there)
    return left, tuple(one for one in now if one not in known)
