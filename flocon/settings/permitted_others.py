"""What names other machines: nodes of other networks, caching proxies, other tools' hosts. No I/O.

Each check is as those of ``permitted`` are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from urllib.parse import urlsplit

from flocon.asking.addresses import tool_of
from flocon.settings.permitted import bare, is_http_url, mirror, one_of, refusal, text
from flocon.settings.settings import Parent

#: What a list of machines may have entries.
MOST_HOSTS, MOST_PARENTS = 256, 32
#: What stands before a domain whose nodes DNS lists.
SRV = "srv:"
#: Tools that are parents, "proxy" for another one, and "auto" for what its address tells.
AUTO, PROXY = "auto", "proxy"
KINDS = (AUTO, "pacoloco", "flexo", "cpcache", "pkgstash", PROXY)
_EXAMPLE = "http://HOST:9129/repo/NAME/$repo/os/$arch"
_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*\.?")
_PLACE = re.compile(
    r"(?:\[(?P<six>[^\]]{1,80})\]|(?P<host>[^:\[\]]{1,254}))(?::(?P<port>[0-9]{1,5}))?"
)


def place(said: str) -> tuple[str, int | None] | None:
    """Return the host and port of HOST, HOST:PORT, ADDRESS or [ADDRESS]:PORT; None for neither."""
    if _is(IPv6Address, said):
        return said, None
    match = _PLACE.fullmatch(said)
    if match is None:
        return None
    host = match["six"] or match["host"]
    fits = _is(IPv6Address, host) if match["six"] else _is_host(host)
    port = int(match["port"]) if match["port"] else None
    if not fits or (port is not None and not 0 < port < 1 << 16):
        return None
    return host, port


def static(value: Any, where: str, key: str) -> str:
    """Return a node that is named: its host, with a port or without, or a domain behind "srv:"."""
    said = text(value, where, key)
    domain = said.removeprefix(SRV)
    if said.startswith(SRV) and _NAME.fullmatch(domain):
        return said
    if place(said) is None:
        remedy = 'write "HOST", "HOST:PORT", "[ADDRESS]:PORT", or "srv:DOMAIN" for what DNS lists'
        raise refusal(where, key, f"{said!r} names no node", remedy)
    return said


def foreign_host(value: Any, where: str, key: str) -> str:
    """Return another tool's machine: HOST or HOST:PORT of a pacredir, an address of a pacserve."""
    said = text(value, where, key)
    is_address = said.startswith("http://") and is_http_url(said)
    fits = is_address if "://" in said else place(said) is not None
    if not fits or any(sign.isspace() for sign in said):
        remedy = 'write "HOST" or "HOST:7078" for a pacredir, "http://HOST:15678/" for a pacserve'
        raise refusal(where, key, f"{bare(said)!r} is no machine of another tool", remedy)
    return said


def parents(value: Any, where: str, key: str) -> tuple[Parent, ...]:
    """Return caching proxies, from tables [[parents]] or from a list of their addresses."""
    if not isinstance(value, list):
        remedy = f'write [[{key}]] and below it url = "{_EXAMPLE}"'
        raise refusal(where, key, "is not a list of proxies", remedy)
    if len(value) > MOST_PARENTS:
        raise refusal(where, key, f"has more than {MOST_PARENTS} of them", "leave some out")
    return tuple(_parent(one, where, key) for one in value)


def _parent(value: Any, where: str, key: str) -> Parent:
    table = value if isinstance(value, Mapping) else {"url": value}
    for one in table:
        if one not in {"url", "kind"}:
            name = f"{key}.{one}"
            raise refusal(where, name, "is not a key flocon knows", "use one of: kind, url")
    if "url" not in table:
        remedy = f'write url = "{_EXAMPLE}"'
        raise refusal(where, key, "has no url", remedy)
    name = f"{key}.url"
    said = text(table["url"], where, name)
    if not is_http_url(said):
        remedy = f'write it as pacman does: "{_EXAMPLE}"'
        raise refusal(where, name, f"{bare(said)!r} is not a proxy's address", remedy)
    url = mirror(said, where, name)
    kind: str = one_of(*KINDS)(table.get("kind", "auto"), where, f"{key}.kind")
    if kind != PROXY and not urlsplit(url).path.strip("/") and (kind != AUTO or tool_of(url)):
        # Each of these tools has a path for each repository, and gives nothing at its root.
        remedy = (
            f'write it as pacman does: "{url.rstrip("/")}/$repo/os/$arch", or what stands there'
        )
        raise refusal(where, name, f"{bare(said)!r} leads to no repository", remedy)
    return Parent(url, kind)


def _is_host(host: str) -> bool:
    return _is(IPv4Address, host) or (
        _NAME.fullmatch(host) is not None and not host.replace(".", "").isdecimal()
    )


def _is(kind: type[IPv4Address | IPv6Address], said: str) -> bool:
    try:
        kind(said)
    except ValueError:
        return False
    return True
