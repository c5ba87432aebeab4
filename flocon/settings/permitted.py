"""What the value of a setting may be: a check for each kind. No I/O.

A check takes the value, the name of the file it stands in and the key's, and returns what
``Settings`` keeps; every refusal is a ConfigurationError that names the place and what to do. Which
key has which check is ``keys``'s to say.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flocon.asking.proxies import ENVIRONMENT, parse_proxy
from flocon.errors import ConfigurationError
from flocon.files import is_repository
from flocon.settings.settings import NODE

if TYPE_CHECKING:
    from flocon.settings.settings import Network

Check = Callable[[Any, str, str], Any]

#: The scope in an IPv6 multicast address (RFC 4291, 2.7).
LINK_LOCAL = 2
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def refusal(where: str, key: str, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(f"{where}: {key}" if key else where, problem, remedy)


def text(value: Any, where: str, key: str) -> str:
    if not isinstance(value, str):
        raise refusal(where, key, "is not a text", "write it in quotation marks")
    if not value:
        raise refusal(where, key, "is empty", "write something, or leave it out for its default")
    if not value.isprintable():
        raise refusal(where, key, f"{value!r} has signs that do not show", "leave them out")
    return value


def host_name(value: Any, where: str, key: str) -> str:
    said = text(value, where, key)
    if len(said) > 64:  # noqa: PLR2004 - HOST_NAME_MAX
        raise refusal(where, key, "is longer than 64 characters", "shorten it")
    return said


def asked_name(value: Any, where: str, key: str) -> str:
    said = text(value, where, key)
    if len(said) > 253 or not _HOST_NAME.fullmatch(said):  # noqa: PLR2004 - DNS's own bound
        remedy = "write it without a port, like cache.example.org"
        raise refusal(where, key, f"{said!r} is not a host's name", remedy)
    return said


def repository(value: Any, where: str, key: str) -> str:
    said = text(value, where, key)
    if not is_repository(said):
        remedy = "write it as in pacman.conf, without the brackets"
        raise refusal(where, key, f"{said!r} is not a repository's name", remedy)
    return said


def network(value: Any, where: str, key: str) -> Network:
    said = text(value, where, key)
    try:
        return ipaddress.ip_network(said, strict=False)
    except ValueError:
        remedy = "write it like 10.8.0.0/16 or fd00::/8"
        raise refusal(where, key, f"{said!r} is not a network", remedy) from None


def flag(value: Any, where: str, key: str) -> bool:
    if not isinstance(value, bool):
        raise refusal(where, key, f"is {value!r}", "write true or false")
    return value


def absolute(value: Any, where: str, key: str) -> Path:
    path = Path(text(value, where, key))
    if not path.is_absolute():
        raise refusal(where, key, f"{str(path)!r} is not an absolute path", "begin it with /")
    return path


def absolute_text(value: Any, where: str, key: str) -> str:
    return str(absolute(value, where, key))


def size(value: Any, where: str, key: str) -> int:
    remedy = 'write bytes, or a number with K, M, G or T, like "10G"'
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = isinstance(value, str) and re.fullmatch(r"([0-9]{1,15})\s*([KMGT]?)(?:iB|B)?", value)
    if not match:
        raise refusal(where, key, f"{value!r} is not a size", remedy)
    return int(match[1]) * _UNITS[match[2]]


def number(lowest: float, highest: float, kind: type = float) -> Check:
    def check(value: Any, where: str, key: str) -> Any:
        fits = isinstance(value, (int, kind)) and not isinstance(value, bool)
        if not fits or not lowest <= value <= highest:
            remedy = f"write a number from {lowest:g} to {highest:g}"
            raise refusal(where, key, f"{value!r} is not a possible value", remedy)
        return kind(value)

    return check


def group(version: int) -> Check:
    def check(value: Any, where: str, key: str) -> str:
        try:
            kind = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address  # noqa: PLR2004
            address = kind(text(value, where, key))
        except ValueError:
            address = None
        # A scope would be one interface's, and every interface joins.
        if address is None or not address.is_multicast or "%" in str(address):
            remedy = f"write an IPv{version} multicast address"
            raise refusal(where, key, f"{value!r} is not one", remedy)
        if version == 6 and address.packed[1] & 0x0F != LINK_LOCAL:  # noqa: PLR2004
            # Datagrams go one hop; a wider group would be sent from addresses others lack.
            raise refusal(where, key, f"{value!r} is wider than the link", "write one of ff02::/16")
        return str(address)

    return check


def mirror(value: Any, where: str, key: str) -> str:
    said = text(value, where, key)
    if not is_http_url(said) or not said.isascii() or " " in said:
        remedy = "write it as pacman does: https://HOST/PATH/$repo/os/$arch"
        raise refusal(where, key, f"{bare(said)!r} is not a mirror's address", remedy)
    return said


def is_http_url(said: str) -> bool:
    """Whether a text can be split as an address of HTTP that names a host."""
    try:
        url = urlsplit(said)
        return url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


def bare(text: str) -> str:
    """Return an address that is none without the password that may be in it."""
    return text.rpartition("@")[2]


def proxy(value: Any, where: str, key: str) -> str:
    if isinstance(value, str) and value in {"", ENVIRONMENT}:
        return value
    said = text(value, where, key)
    try:
        parse_proxy(said)
    except ValueError:
        remedy = (
            'write "http://HOST:PORT", with USER:PASSWORD@ before HOST where it wants them, "" for'
            ' none, or "environment"'
        )
        raise refusal(where, key, f"{bare(said)!r} is no http proxy", remedy) from None
    return said


def one_of(*words: str) -> Check:
    def check(value: Any, where: str, key: str) -> str:
        if value not in words:
            choice = " or ".join(f'"{word}"' for word in words)
            raise refusal(where, key, f"{value!r} is not possible", f"write {choice}")
        return str(value)

    return check


def databases(value: Any, where: str, key: str) -> str:
    """Check where databases come from: mirrors, the LAN, or a node that is named."""
    if value in ("mirror", "lan"):
        return str(value)
    if isinstance(value, str) and value.startswith(NODE):
        return NODE + str(host_name(value.removeprefix(NODE), where, key))
    remedy = 'write "mirror", "lan", or "node:NAME" with the name or address of a node'
    raise refusal(where, key, f"{value!r} is not possible", remedy)


def prefetch(value: Any, where: str, key: str) -> str:
    """Check what is fetched ahead; true and false are how it was set at first."""
    if isinstance(value, bool):
        return "all" if value else "off"
    return str(one_of("lan", "all", "off")(value, where, key))


def list_of(item: Check) -> Check:
    def check(value: Any, where: str, key: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise refusal(where, key, "is not a list", "write it in square brackets")
        return tuple(item(one, where, key) for one in value)

    return check
