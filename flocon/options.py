"""Command line and flocon.toml, checked, into one frozen ``Settings``.

Every refusal is a ConfigurationError that names the file, the key and what to do. A value on the
command line wins over the same one in flocon.toml, which wins over the default.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from twisted.internet.endpoints import quoteStringArgument, serverFromString
from twisted.python import usage

from flocon import __version__
from flocon.core.names import is_repository
from flocon.core.proxies import ENVIRONMENT, parse_proxy
from flocon.errors import ConfigurationError
from flocon.reading import read_plain

LAN_PORT = 19432
LOOPBACK_PORT = 19433
#: Bytes of flocon.toml; nobody writes so many.
LARGEST_FILE = 1 << 20
DEFAULT_CONFIG = Path("/etc/flocon.toml")
DEFAULT_PACMAN_CONF = Path("/etc/pacman.conf")
SYSTEM_STORE = Path("/var/cache/flocon")
#: Both families on one socket; service falls back to IPv4 where there is no IPv6.
DEFAULT_LAN = f"tcp6:{LAN_PORT}:interface={quoteStringArgument('::')}"
DEFAULT_LOOPBACK = (
    f"tcp:{LOOPBACK_PORT}:interface=127.0.0.1",
    f"tcp6:{LOOPBACK_PORT}:interface={quoteStringArgument('::1')}",
)
#: The scope in an IPv6 multicast address (RFC 4291, 2.7).
LINK_LOCAL = 2
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*")
#: Which key of flocon.toml an option of the command line stands for.
_OPTIONS = {
    "lan": "lan",
    "loopback": "loopback",
    "store": "store.path",
    "interface": "presence.interfaces",
    "pacman_conf": "pacman_conf",
}
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


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
    """flocon's own folder of packages; ``max_size`` in bytes."""

    path: Path = SYSTEM_STORE
    max_size: int = 10 << 30


@dataclass(frozen=True, slots=True)
class Peers:
    """What is done for peers.

    ``relays`` files are fetched at once for them; ``bandwidth`` is in bytes per second to all of
    them together, 0 for no bound. ``networks`` may ask beside those of this machine's own links.
    Nothing is told of ``private`` repositories. ``relayed_per_day`` bytes are fetched for one of
    them in a day, and four times as many for all; 0 for no bound.
    """

    relays: int = 16
    bandwidth: int = 0
    networks: tuple[Network, ...] = ()
    relayed_per_day: int = 16 << 30
    private: tuple[str, ...] = ()


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
    #: The proxy for mirrors; empty for none, or what ``core.proxies`` calls ENVIRONMENT.
    proxy: str = field(default=ENVIRONMENT, repr=False)
    debug: bool = False
    #: Whether this node fetches from its mirrors for others; not on a metered link.
    relay: bool = True
    #: Whether newer versions of installed packages are fetched before pacman asks.
    prefetch: bool = False
    #: Where databases come from: "mirror", or "lan" for the newest that a peer has.
    databases: str = "mirror"
    #: How pacman gets what a peer holds: by this node, verified ("relay"), or itself ("redirect").
    transfer: str = "relay"
    #: The Unix socket for whatever changes state; empty for the usual place.
    control: str = ""
    store: Store = field(default_factory=Store)
    presence: Presence = field(default_factory=Presence)
    peers: Peers = field(default_factory=Peers)

    def place(self, key: str, option: str) -> str:
        """Return where a dotted ``key`` was set, or the ``option`` by which it can be."""
        return self.places.get(key, f"flocon: {option}")


class Options(usage.Options):
    """What ``twistd flocon --help`` lists."""

    synopsis = "[options]"
    longdesc = "A peer node: pacman asks it on localhost, and the LAN answers as one cache."

    def __init__(self) -> None:
        super().__init__()
        self.given: dict[str, Any] = {"interface": [], "loopback": []}
        self.settings = Settings()

    def opt_config(self, value: str) -> None:
        """FILE  flocon's own settings [/etc/flocon.toml, where it exists]"""  # noqa: D400, D415
        self.given["config"] = Path(value).absolute()

    def opt_pacman_conf(self, value: str) -> None:
        """FILE  pacman's configuration [/etc/pacman.conf]"""  # noqa: D400, D415
        self.given["pacman_conf"] = Path(value).absolute()

    def opt_store(self, value: str) -> None:
        """DIR  where packages are kept [/var/cache/flocon, or ~/.cache/flocon where closed]"""  # noqa: D400, D415
        # twistd changes its folder when it becomes a daemon.
        self.given["store"] = Path(value).absolute()

    def opt_interface(self, value: str) -> None:
        """NAME|ADDRESS  announce on this one only; may be repeated [every one]"""  # noqa: D400, D415
        self.given["interface"].append(value)

    def opt_lan(self, value: str) -> None:
        r"""ENDPOINT  where peers ask [tcp6:19432:interface=\:\:]"""  # noqa: D400, D415
        self.given["lan"] = value

    def opt_loopback(self, value: str) -> None:
        """ENDPOINT  where pacman asks; may be repeated [127.0.0.1 and ::1, port 19433]"""  # noqa: D400, D415
        self.given["loopback"].append(value)

    def opt_version(self) -> NoReturn:
        """Tell flocon's version."""
        sys.stdout.write(f"flocon {__version__}\n")
        raise SystemExit(0)

    def opt_debug(self) -> None:
        """Tell of every request and every peer."""
        self.given["debug"] = True

    def postOptions(self) -> None:
        """Check everything before anything starts, and end with one sentence.

        Before a UsageError twistd would print all its help, which is no help with a setting.
        """
        try:
            self.settings = load(self.given)
        except ConfigurationError as error:
            raise SystemExit(str(error)) from None


def load(command_line: Mapping[str, Any]) -> Settings:
    """Merge the command line over flocon.toml over the defaults; raise ConfigurationError."""
    explicit = command_line.get("config")
    config = explicit or (DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None)
    values = _read_file(config) if config else {}
    places = {key: f"{config}: {key}" for key in _dotted(values)}
    if config:
        values["config"] = config
    store = values.setdefault("store", {})
    presence = values.setdefault("presence", {})
    for key in ("pacman_conf", "debug"):
        if key in command_line:
            values[key] = command_line[key]
    if "lan" in command_line:
        values["lan"] = _endpoint(command_line["lan"], "flocon: --lan", "")
    if command_line.get("loopback"):
        values["loopback"] = tuple(
            _endpoint(value, "flocon: --loopback", "") for value in command_line["loopback"]
        )
    if "store" in command_line:
        store["path"] = command_line["store"]
    if command_line.get("interface"):
        presence["interfaces"] = tuple(command_line["interface"])
    for option, key in _OPTIONS.items():
        if command_line.get(option):
            places[key] = f"flocon: --{option.replace('_', '-')}"
    values["places"] = places
    store.setdefault("path", default_store())
    values.setdefault("name", host_name())
    values["store"] = Store(**store)
    values["presence"] = Presence(**presence)
    values["peers"] = Peers(**values.get("peers", {}))
    return _checked(Settings(**values))


def _checked(settings: Settings) -> Settings:
    if settings.pacman_conf.is_dir():
        # To pacman-conf a folder is an empty file.
        where = settings.place("pacman_conf", "--pacman-conf")
        remedy = f"name the file, like {settings.pacman_conf / 'pacman.conf'}"
        raise ConfigurationError(where, f"{settings.pacman_conf} is a folder, and no file", remedy)
    return settings


def _dotted(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield each key that a file sets, those of a table behind its name."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from (f"{key}.{inner}" for inner in value)
        else:
            yield key


def host_name() -> str:
    """Return this machine's name as others can read it: a kernel takes any bytes for one."""
    return "".join(one if one.isprintable() else "?" for one in socket.gethostname()) or "?"


def default_store() -> Path:
    """Return systemd's cache folder, the system's own where it can be written, or the user's.

    Raises ConfigurationError where there is none of them.
    """
    if directory := os.environ.get("CACHE_DIRECTORY"):
        return Path(directory.split(":")[0])
    nearest = SYSTEM_STORE if SYSTEM_STORE.exists() else SYSTEM_STORE.parent
    if os.access(nearest, os.W_OK):
        return SYSTEM_STORE
    if directory := os.environ.get("XDG_CACHE_HOME"):
        return Path(directory) / "flocon"
    try:
        return Path.home() / ".cache" / "flocon"
    except RuntimeError:
        problem = f"this user can write neither {nearest} nor a home, having none"
        raise ConfigurationError(
            "flocon: --store", problem, "name a folder that it can write"
        ) from None


def default_control(store: Path) -> Path:
    """Return where the control socket lies: systemd's runtime folder, or in the store."""
    if directory := os.environ.get("RUNTIME_DIRECTORY"):
        return Path(directory.split(":")[0]) / "control"
    return store / "control"


def _read_file(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(read_plain(path, LARGEST_FILE).decode())
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise ConfigurationError(str(path), problem, "check the path and its permissions") from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(str(path), f"is not TOML: {error}", "mend that place") from None
    return _table(table, _KEYS, str(path), "")


# A check takes the value, the file's name and the key's, and returns what Settings keeps.
type_check = Callable[[Any, str, str], Any]


def _refuse(where: str, key: str, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(f"{where}: {key}" if key else where, problem, remedy)


def _table(
    table: Mapping[str, Any], keys: Mapping[str, Any], where: str, prefix: str
) -> dict[str, Any]:
    result = {}
    for key, value in table.items():
        name = prefix + key
        check = keys.get(key)
        if check is None:
            known = ", ".join(sorted(prefix + one for one in keys))
            raise _refuse(where, name, "is not a key flocon knows", f"use one of: {known}")
        if isinstance(check, Mapping):
            if not isinstance(value, Mapping):
                raise _refuse(where, name, "is a table", f"write it as [{name}]")
            result[key] = _table(value, check, where, name + ".")
        else:
            result[key] = check(value, where, name)
    return result


def _text(value: Any, where: str, key: str) -> str:
    if not isinstance(value, str):
        raise _refuse(where, key, "is not a text", "write it in quotation marks")
    if not value:
        raise _refuse(where, key, "is empty", "write something, or leave it out for its default")
    if not value.isprintable():
        raise _refuse(where, key, f"{value!r} has signs that do not show", "leave them out")
    return value


def _host_name(value: Any, where: str, key: str) -> str:
    text = _text(value, where, key)
    if len(text) > 64:  # noqa: PLR2004 - HOST_NAME_MAX
        raise _refuse(where, key, "is longer than 64 characters", "shorten it")
    return text


def _asked_name(value: Any, where: str, key: str) -> str:
    text = _text(value, where, key)
    if len(text) > 253 or not _HOST_NAME.fullmatch(text):  # noqa: PLR2004 - DNS's own bound
        remedy = "write it without a port, like cache.example.org"
        raise _refuse(where, key, f"{text!r} is not a host's name", remedy)
    return text


def _repository(value: Any, where: str, key: str) -> str:
    text = _text(value, where, key)
    if not is_repository(text):
        remedy = "write it as in pacman.conf, without the brackets"
        raise _refuse(where, key, f"{text!r} is not a repository's name", remedy)
    return text


def _network(value: Any, where: str, key: str) -> Network:
    text = _text(value, where, key)
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        remedy = "write it like 10.8.0.0/16 or fd00::/8"
        raise _refuse(where, key, f"{text!r} is not a network", remedy) from None


def _flag(value: Any, where: str, key: str) -> bool:
    if not isinstance(value, bool):
        raise _refuse(where, key, f"is {value!r}", "write true or false")
    return value


def _absolute(value: Any, where: str, key: str) -> Path:
    path = Path(_text(value, where, key))
    if not path.is_absolute():
        raise _refuse(where, key, f"{str(path)!r} is not an absolute path", "begin it with /")
    return path


def _size(value: Any, where: str, key: str) -> int:
    remedy = 'write bytes, or a number with K, M, G or T, like "10G"'
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = isinstance(value, str) and re.fullmatch(r"([0-9]{1,15})\s*([KMGT]?)(?:iB|B)?", value)
    if not match:
        raise _refuse(where, key, f"{value!r} is not a size", remedy)
    return int(match[1]) * _UNITS[match[2]]


def _number(lowest: float, highest: float, kind: type = float) -> type_check:
    def check(value: Any, where: str, key: str) -> Any:
        fits = isinstance(value, (int, kind)) and not isinstance(value, bool)
        if not fits or not lowest <= value <= highest:
            remedy = f"write a number from {lowest:g} to {highest:g}"
            raise _refuse(where, key, f"{value!r} is not a possible value", remedy)
        return kind(value)

    return check


def _group(version: int) -> type_check:
    def check(value: Any, where: str, key: str) -> str:
        try:
            kind = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address  # noqa: PLR2004
            address = kind(_text(value, where, key))
        except ValueError:
            address = None
        # A scope would be one interface's, and every interface joins.
        if address is None or not address.is_multicast or "%" in str(address):
            remedy = f"write an IPv{version} multicast address"
            raise _refuse(where, key, f"{value!r} is not one", remedy)
        if version == 6 and address.packed[1] & 0x0F != LINK_LOCAL:  # noqa: PLR2004
            # Datagrams go one hop; a wider group would be sent from addresses others lack.
            raise _refuse(where, key, f"{value!r} is wider than the link", "write one of ff02::/16")
        return str(address)

    return check


def _mirror(value: Any, where: str, key: str) -> str:
    text = _text(value, where, key)
    try:
        url = urlsplit(text)
        usable = url.scheme in {"http", "https"} and url.hostname and url.port != 0
    except ValueError:
        usable = False
    if not usable or not text.isascii() or " " in text:
        remedy = "write it as pacman does: https://HOST/PATH/$repo/os/$arch"
        raise _refuse(where, key, f"{_bare(text)!r} is not a mirror's address", remedy)
    return text


def _bare(text: str) -> str:
    """Return an address that is none without the password that may be in it."""
    return text.rpartition("@")[2]


def _proxy(value: Any, where: str, key: str) -> str:
    if isinstance(value, str) and value in {"", ENVIRONMENT}:
        return value
    text = _text(value, where, key)
    try:
        parse_proxy(text)
    except ValueError:
        remedy = (
            'write "http://HOST:PORT", with USER:PASSWORD@ before HOST where it wants them, "" for'
            ' none, or "environment"'
        )
        raise _refuse(where, key, f"{_bare(text)!r} is no http proxy", remedy) from None
    return text


def _endpoint(value: Any, where: str, key: str) -> str:
    text = _text(value, where, key)
    remedy = "write a Twisted endpoint, like tcp:19432 or unix:/run/flocon/lan"
    kind, _, rest = text.partition(":")
    if not kind.isalnum() or not rest:
        raise _refuse(where, key, f"{text!r} is not an endpoint", remedy)
    number = rest.partition(":")[0].removeprefix("port=")
    if kind.startswith("tcp") and not _is_port(number):
        raise _refuse(where, key, f"{text!r} has no port from 0 to 65535", remedy)
    # What systemd hands over is there when a node starts, and not when its settings are looked at.
    if kind != "systemd":
        try:
            serverFromString(None, text)
        except Exception as error:  # noqa: BLE001 - a parser of Twisted's raises anything
            problem = f"{text!r} is not an endpoint ({_parsers_word(error)})"
            raise _refuse(where, key, problem, remedy) from None
    return text


def _parsers_word(error: Exception) -> str:
    """Return what a parser of Twisted's means: it calls a function with whatever stands there."""
    if unknown := re.search(r"unexpected keyword argument '(.*)'", str(error)):
        return f"it takes no {unknown[1]}="
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _is_port(number: str) -> bool:
    return number.isascii() and number.isdecimal() and int(number[:6]) < 1 << 16


def _loopback(value: Any, where: str, key: str) -> tuple[str, ...]:
    endpoints: tuple[str, ...] = _list(_endpoint)(value, where, key)
    if not endpoints:
        problem = "is empty, so neither pacman nor 'flocon status' could ask the node"
        remedy = "leave it out for port 19433 of 127.0.0.1 and ::1, or write an endpoint"
        raise _refuse(where, key, problem, remedy)
    for one in endpoints:
        if endpoints.count(one) > 1:
            raise _refuse(where, key, f"names {one!r} twice", "leave one of them out")
    return endpoints


def _absolute_text(value: Any, where: str, key: str) -> str:
    return str(_absolute(value, where, key))


def _one_of(*words: str) -> type_check:
    def check(value: Any, where: str, key: str) -> str:
        if value not in words:
            choice = " or ".join(f'"{word}"' for word in words)
            raise _refuse(where, key, f"{value!r} is not possible", f"write {choice}")
        return str(value)

    return check


def _list(item: type_check) -> type_check:
    def check(value: Any, where: str, key: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise _refuse(where, key, "is not a list", "write it in square brackets")
        return tuple(item(one, where, key) for one in value)

    return check


#: Every key of flocon.toml and its check; a table is a mapping.
_KEYS: Mapping[str, Any] = {
    "name": _host_name,
    "pacman_conf": _absolute,
    "lan": _endpoint,
    "loopback": _loopback,
    "loopback_clients": _list(_network),
    "names": _list(_asked_name),
    "mirrors": _list(_mirror),
    "proxy": _proxy,
    "debug": _flag,
    "relay": _flag,
    "prefetch": _flag,
    "databases": _one_of("mirror", "lan"),
    "transfer": _one_of("relay", "redirect"),
    "control": _absolute_text,
    "peers": {
        "relays": _number(0, 1024, int),
        "bandwidth": _size,
        "networks": _list(_network),
        "relayed_per_day": _size,
        "private": _list(_repository),
    },
    "store": {"path": _absolute, "max_size": _size},
    "presence": {
        "group": _group(4),
        "group6": _group(6),
        "port": _number(1, 65535, int),
        "beat": _number(0.2, 3600),
        "interfaces": _list(_text),
    },
}


def keys() -> list[str]:
    """Return every key of flocon.toml, dotted."""
    names = []
    for key, check in _KEYS.items():
        names += [f"{key}.{inner}" for inner in check] if isinstance(check, Mapping) else [key]
    return names


assert {entry.name for entry in fields(Settings)} - {"config", "places"} == set(_KEYS)  # noqa: S101
