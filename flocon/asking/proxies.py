"""Which proxy a mirror is asked through, as curl reads the environment (curl(1), ENVIRONMENT).

``http_proxy`` counts in lower case only: a web server would set the other for its scripts.
Peers are never asked through one.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

from flocon.asking.addresses import Credentials, parse_address

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Stands for the proxies that the environment names.
ENVIRONMENT = "environment"
#: The port of a proxy that names none: curl's.
DEFAULT_PORT = 1080


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy; ``scheme`` is how it is spoken to itself, http or https."""

    scheme: str
    host: str
    port: int
    credentials: Credentials | None = None


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies of http and of https mirrors, and who is asked without one."""

    http: Proxy | None = None
    https: Proxy | None = None
    exempt: tuple[str, ...] = ()

    def find(self, scheme: str, host: str) -> Proxy | None:
        """Return the proxy for a mirror, None where it is asked directly."""
        proxy = self.https if scheme == "https" else self.http
        if proxy is None or any(_covers(one, host) for one in self.exempt):
            return None
        return proxy


def parse_proxy(text: str) -> Proxy:
    """Read ``[http[s]://][USER:PASSWORD@]HOST[:PORT]``; raise ValueError without its text."""
    url = text if "://" in text else f"http://{text}"
    address = parse_address(url)
    place = address.url.partition("://")[2].partition("/")[0]
    named = place.rpartition(":")[2].isdecimal() and not place.endswith("]")
    port = address.port if named else DEFAULT_PORT
    return Proxy(address.scheme, address.host, port, address.credentials)


def read_proxies(
    environment: Mapping[str, str], configured: str = ENVIRONMENT
) -> tuple[Proxies, list[str]]:
    """Return the proxies, and the names of variables that cannot be used.

    ``configured`` is the operator's own for both schemes; empty for none at all, ENVIRONMENT for
    what the environment says.
    """
    unusable: list[str] = []

    def first(*names: str) -> Proxy | None:
        for name in names:
            if text := environment.get(name):
                try:
                    return parse_proxy(text)
                except ValueError:
                    unusable.append(name)
        return None

    exempt = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    names = tuple(exempt.replace(",", " ").split())
    if configured != ENVIRONMENT:
        proxy = parse_proxy(configured) if configured else None
        return Proxies(proxy, proxy, names), []
    every = ("all_proxy", "ALL_PROXY")
    proxies = Proxies(
        first("http_proxy", *every), first("https_proxy", "HTTPS_PROXY", *every), names
    )
    return proxies, list(dict.fromkeys(unusable))


def _covers(exempt: str, host: str) -> bool:
    """Whether a word of ``no_proxy`` means ``host``: a name, a domain, an address or a network."""
    if exempt == "*":
        return True
    address = literal(host)
    if address is not None:
        try:
            return address in ip_network(exempt.strip("[]"), strict=False)
        except ValueError:
            return False
    domain = exempt.lower().strip(".")
    name = host.lower().rstrip(".")
    return bool(domain) and (name == domain or name.endswith("." + domain))


def literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None
