"""The caching proxies that there are: named in the settings, or by a line of pacman.conf.

One counts only while all that its name means are addresses of this LAN: no mirror of the Internet
is ever taken for one. Names are looked up by what was given for that, when one is needed and what
was found is old; nothing ticks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flocon.asking.addresses import network_location, tool_of, without_user
from flocon.asking.proxies import literal
from flocon.parents.nearness import is_near
from flocon.parents.records import LEADS_BACK, Records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from twisted.internet.defer import Deferred

    from flocon.machine.links import Link
    from flocon.settings.settings import Network, Parent

#: What an address alone is to tell, and another kind than those that are known.
AUTO, PROXY = "auto", "proxy"
#: Seconds after which a name is looked up again, and one that was not found.
RESOLVED_FOR = 300.0
UNRESOLVED_FOR = 15.0
OWN = frozenset({"127.0.0.1", "::1"})
#: Why one is not asked.
NO_NAME = "its name cannot be looked up, so it is not asked"
NOT_NEAR = "its address is not on this LAN, so it is not asked as a parent"
_REMEDIES = {
    NO_NAME: "name its address in parents of /etc/flocon.toml, or give it a name in /etc/hosts",
    NOT_NEAR: "name its network in peers.networks of /etc/flocon.toml, or take it out of parents",
    LEADS_BACK: "take it out of parents of /etc/flocon.toml, or out of pacman.conf",
}
_LOOK = "look whether it runs, reaches its mirrors, and has whole files in its cache"
#: Hosts of which addresses are remembered, and servers of which is remembered what they are.
MOST_HOSTS, MOST_SERVERS = 128, 512


@dataclass(slots=True)
class _Host:
    """``addresses`` are those found last; ``due`` is when they are looked up again."""

    addresses: tuple[str, ...] = ()
    due: float = float("-inf")
    asked: bool = False


class Parents:
    """Knows which servers are parents; ``look_up`` finds a name's addresses, none where it cannot.

    ``named`` are those of the settings, ``servers`` gives those of pacman.conf.
    """

    def __init__(
        self,
        clock: Any,
        *,
        look_up: Callable[[str], Deferred[list[str]]],
        servers: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._clock = clock
        self._look_up = look_up
        self._servers = servers
        self._named: dict[str, str] = {}
        self._urls: tuple[str, ...] = ()
        #: Places of those that are in the settings alone.
        self._only_named: frozenset[str] = frozenset()
        self._links: Sequence[Link] = ()
        self._networks: Sequence[Network] = ()
        self._hosts: dict[str, _Host] = {}
        self._kinds: dict[str, str] = {}
        self.records = Records()

    def set_named(self, named: Sequence[Parent]) -> None:
        """Take these as the operator's."""
        self._urls = tuple(dict.fromkeys(parent.url.rstrip("/") for parent in named))
        self._named = {
            network_location(parent.url): _kind_named(parent) for parent in reversed(named)
        }
        self.look_anew()

    def set_near(self, *, links: Sequence[Link], networks: Sequence[Network]) -> None:
        """Count these to the LAN, beside what is private anyhow."""
        if links != self._links:
            # Names may be known there that were not, or lead elsewhere.
            for name, host in self._hosts.items():
                if _literal(name) is None:
                    host.due = float("-inf")
        self._links, self._networks = links, networks

    def look_anew(self) -> None:
        """Find out again what is one: the settings, or pacman.conf, are different."""
        self._kinds.clear()
        servers = tuple(self._servers())
        self._only_named = frozenset(self._named) - set(map(network_location, servers))
        for server in (*self._urls, *servers):
            self.kind(server)

    def is_only_named(self, server: str) -> bool:
        """Whether pacman does not ask a server itself: what it lacks is nothing to tell pacman."""
        return network_location(server) in self._only_named

    def kind(self, server: str) -> str:
        """Return what kind of parent a server is, "" where it is none, or not known to be one."""
        kind = self._kinds.get(server)
        if kind is None:
            kind = self._named.get(network_location(server)) or tool_of(server)
            if len(self._kinds) >= MOST_SERVERS:
                self._kinds.clear()
            self._kinds[server] = kind
        return kind if kind and self._is_near(server) else ""

    def for_packages(self, repository: str, architecture: str) -> tuple[str, ...]:
        """Return the operator's own that may be asked, each complete but for the file's name."""
        filled = (
            url.replace("$repo", repository).replace("$arch", architecture) for url in self._urls
        )
        return tuple(url for url in filled if self.kind(url))

    def near(self, addresses: Iterable[str]) -> list[str]:
        """Return those of these addresses that are on the LAN."""
        return [one for one in addresses if is_near(one, self._links, self._networks)]

    def is_at(self, place: str, address: str) -> bool:
        """Whether the parent at ``HOST:PORT``, or any where that is "", has this address.

        Not where it is this machine's own: others on it ask from there too.
        """
        asker = address.partition("%")[0].removeprefix("::ffff:")
        if asker in OWN:
            return False
        places = [place] if place else [network_location(server) for server, *_ in self._all()]
        hosts = (self._hosts.get(_host_of(f"http://{one}")) for one in places)
        return any(host is not None and asker in host.addresses for host in hosts)

    def is_left_alone(self, server: str) -> bool:
        """Whether one sent what is wrong lately."""
        return self.records.is_left_alone(network_location(server), self._clock.seconds())

    def _is_near(self, server: str) -> bool:
        addresses = self._addresses(server).addresses
        return bool(addresses) and len(self.near(addresses)) == len(addresses)

    def _addresses(self, server: str) -> _Host:
        """Return what is known of a server's host, and have it looked up where that is old."""
        name = _host_of(server)
        host = self._hosts.get(name)
        if host is None:
            if len(self._hosts) >= MOST_HOSTS:
                del self._hosts[next(iter(self._hosts))]
            host = self._hosts[name] = _literal(name) or _Host()
        now = self._clock.seconds()
        if now >= host.due and not host.asked and name:
            host.asked = True
            looked_up = self._look_up(name)
            looked_up.addCallback(self._found, host)
            looked_up.addErrback(lambda _: self._found([], host))
        return host

    def _found(self, addresses: Sequence[str], host: _Host) -> None:
        host.asked = False
        found = tuple(dict.fromkeys(one.partition("%")[0] for one in addresses))
        if found:
            host.addresses = found
        # What was found before counts on while a name server is away.
        host.due = self._clock.seconds() + (RESOLVED_FOR if found else UNRESOLVED_FOR)

    # What a person sees

    def _all(self) -> Iterator[tuple[str, str, str]]:
        """Yield each parent once: a server, its kind, and where it is named."""
        seen: set[str] = set()
        for whence, servers in (("setting", self._urls), ("pacman.conf", self._servers())):
            for server in servers:
                place = network_location(server)
                kind = self._named.get(place) or tool_of(server)
                # What pacman.conf has far away is a mirror, whatever its port.
                if not kind or place in seen or (whence == "pacman.conf" and not self.kind(server)):
                    continue
                seen.add(place)
                yield server, kind, whence

    def describe(self) -> list[dict[str, Any]]:
        """Return what ``/status.json`` says of each."""
        told = []
        for server, kind, whence in self._all():
            place = network_location(server)
            values = asdict(self.records.of(place))
            del values["left_alone_until"]
            state, why = self._state(server)
            told.append(
                {
                    "name": place,
                    "url": without_user(server),
                    "kind": kind,
                    "from": whence,
                    **values,
                    "state": state,
                    "why": why,
                }
            )
        return told

    def _state(self, server: str) -> tuple[str, str]:
        """Return how a parent is: "good", "failing" or "unknown", and in words why it is not."""
        host = self._addresses(server)
        if not host.addresses:
            looked = host.due > float("-inf")
            return ("failing", NO_NAME) if looked else ("unknown", "its name is being looked up")
        if not self._is_near(server):
            return "failing", NOT_NEAR
        record = self.records.of(network_location(server))
        if record.problem:
            return "failing", record.problem
        return ("good", "") if record.files or record.missing else ("unknown", "")

    def tell(self) -> Iterator[dict[str, Any]]:
        """Yield what the doctor is to tell of them."""
        for one in self.describe():
            if one["state"] == "failing":
                yield {
                    "check": "parents",
                    "wrong": False,
                    "reason": f"{one['name']} ({one['kind']}): {one['why']}",
                    "remedy": _REMEDIES.get(one["why"], _LOOK),
                }


def _kind_named(parent: Parent) -> str:
    return parent.kind if parent.kind != AUTO else tool_of(parent.url) or PROXY


def _host_of(server: str) -> str:
    try:
        return urlsplit(server).hostname or ""
    except ValueError:
        return ""


def _literal(host: str) -> _Host | None:
    """Return what is known of a host that is an address itself."""
    if literal(host) is None:
        return None
    return _Host((host.partition("%")[0],), float("inf"))
