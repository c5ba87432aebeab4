"""Mirrors' addresses: whose password stands in them, where they lead, and how they are shown.

A ``Server`` line can carry a user and a password. They are for that server alone: whatever is
shown, logged or kept as a key is made here, without them.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import quote, unquote_to_bytes, urljoin, urlsplit

#: Bytes of a ``Location`` that is followed.
LONGEST_LOCATION = 8 << 10
#: What stands for itself in one: everything that is printable ASCII (RFC 3986, 2.2).
_AS_IT_IS = "".join(map(chr, range(0x21, 0x7F)))
_PORTS = {"http": 80, "https": 443}
#: Where caching proxies listen if nobody says otherwise, and what stands in paths of one alone.
_TOOLS = {9129: "pacoloco", 7878: "flexo", 7070: "cpcache", 8090: "pkgstash"}
_TOOLS_PATHS = (("/repo/", "pacoloco"), ("/custom_repo/", "flexo"))


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user's name and password, as bytes; never shown."""

    user: bytes
    password: bytes = field(repr=False)

    def basic(self) -> str:
        """Return the value of ``Authorization`` (RFC 7617)."""
        return "Basic " + b64encode(self.user + b":" + self.password).decode("ascii")


@dataclass(frozen=True, slots=True)
class Address:
    """An http or https URL taken apart; ``url`` is all of it but for user and password."""

    url: str
    scheme: str
    host: str
    port: int
    credentials: Credentials | None = None

    @property
    def place(self) -> tuple[str, int]:
        """Host and port, which may speak both schemes."""
        return self.host, self.port

    @property
    def origin(self) -> tuple[str, str, int]:
        """What credentials are for: as curl, not another port or scheme of the same host."""
        return self.scheme, self.host, self.port


def parse_address(url: str) -> Address:
    """Take a URL apart; raise ValueError, without its text, where it is none that can be asked."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in _PORTS or not url.isascii() or not url.isprintable():
        raise ValueError("not an address that can be asked")
    if " " in url or port == 0:
        raise ValueError("not an address that can be asked")
    userinfo, at, place = parts.netloc.rpartition("@")
    bare = parts._replace(netloc=place, fragment="").geturl()
    credentials = _credentials(userinfo) if at and userinfo else None
    return Address(bare, parts.scheme, host, port or _PORTS[parts.scheme], credentials)


def _credentials(userinfo: str) -> Credentials:
    user, _, password = userinfo.partition(":")
    return Credentials(unquote_to_bytes(user), unquote_to_bytes(password))


def network_location(url: str) -> str:
    """Return ``HOST:PORT`` of a URL as it is written there, without user and password."""
    place = url.split("://", 1)[-1]
    for end in "/?#":
        place = place.split(end, 1)[0]
    return place.rpartition("@")[2]


def hostname(place: str) -> str:
    """Return the host of ``HOST:PORT`` in lower case, an IPv6 address without its brackets."""
    host = place if place.endswith("]") else place.rpartition(":")[0] or place
    return host.strip("[]").lower()


def tool_of(url: str) -> str:
    """Return which caching proxy a ``Server`` address is one of, by port or path; "" for none."""
    try:
        address = parse_address(url)
    except ValueError:
        return ""
    path = urlsplit(address.url).path
    for beginning, tool in _TOOLS_PATHS:
        if path.startswith(beginning) and path.count("/") > beginning.count("/"):
            return tool
    return _TOOLS.get(address.port, "")


def without_user(url: str) -> str:
    """Return ``url`` without user and password, however little of a URL it is."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        scheme, rest = "", url
    place, slash, path = rest.partition("/")
    return f"{scheme}{mark}{place.rpartition('@')[2]}{slash}{path}"


def follow(base: Address, location: bytes) -> Address:
    """Return where a redirect leads; raise ValueError where it leads nowhere.

    Bytes that are no text are escaped, as curl does.
    """
    if not location or len(location) > LONGEST_LOCATION:
        raise ValueError("not an address that can be asked")
    return parse_address(urljoin(base.url, quote(location, safe=_AS_IT_IS)))


def other_spelling(url: str) -> str | None:
    """Return ``url`` with ``+`` and ``:`` of the file's name escaped; None where it has none."""
    rest, slash, name = url.rpartition("/")
    escaped = name.replace("+", "%2B").replace(":", "%3A")
    return None if escaped == name else rest + slash + escaped


def names_this_machine(host: str) -> bool:
    """Whether a host's name alone tells that it is this machine, whatever a resolver says."""
    name = host.rstrip(".").lower()
    if name in {"localhost", "localhost.localdomain"} or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified
