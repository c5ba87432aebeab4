"""The file flocon.toml: its keys, each with its check, and how it is read.

What stands on the command line, and what holds where nothing is set, is known elsewhere.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from flocon.errors import ConfigurationError
from flocon.machine.reading import read_plain
from flocon.settings import (
    permitted,
    permitted_build,
    permitted_endpoints,
    permitted_mirror,
    permitted_others,
)
from flocon.settings.permitted import refusal
from flocon.settings.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Bytes of flocon.toml; nobody writes so many.
LARGEST_FILE = 1 << 20
#: As much of a key is compared with those there are.
LONGEST_KEY = 64
#: What the reader of TOML says where a table or a key stands there before.
_TWICE = re.compile(r"Cannot declare \((?P<table>.*)\) twice (?P<place>\(at .*\))")
_NAME = re.compile(r"'([^']*)'")
_AGAIN = re.compile(r"Cannot overwrite a value (?P<place>\(at .*\))")

#: Every key of flocon.toml and its check; a table is a mapping.
_KEYS: Mapping[str, Any] = {
    "name": permitted.host_name,
    "pacman_conf": permitted.absolute,
    "lan": permitted_endpoints.endpoint,
    "loopback": permitted_endpoints.loopback,
    "loopback_clients": permitted.list_of(permitted.network),
    "names": permitted.list_of(permitted.asked_name),
    "mirrors": permitted.list_of(permitted.mirror),
    "proxy": permitted.proxy,
    "debug": permitted.flag,
    "relay": permitted.flag,
    "prefetch": permitted.prefetch,
    "databases": permitted.databases,
    "transfer": permitted.one_of("relay", "redirect"),
    "control": permitted.absolute_text,
    "peers": {
        "relays": permitted.number(0, 1024, int),
        "bandwidth": permitted.size,
        "networks": permitted.list_of(permitted.network),
        "relayed_per_day": permitted.size,
        "private": permitted.list_of(permitted.repository),
        "static": permitted.list_of(permitted_others.static),
        "far": permitted.one_of("owners", "no owners"),
    },
    "store": {
        "path": permitted.absolute,
        "max_size": permitted.size,
        "adopt": permitted.list_of(permitted.absolute),
    },
    "presence": {
        "group": permitted.group(4),
        "group6": permitted.group(6),
        "port": permitted.number(1, 65535, int),
        "beat": permitted.number(0.2, 3600),
        "interfaces": permitted.list_of(permitted.text),
    },
    "mirror": {
        "serve": permitted.flag,
        "listen": permitted_endpoints.several,
        "networks": permitted.list_of(permitted.network),
        "repositories": permitted.list_of(permitted.repository),
        "architectures": permitted.list_of(permitted_mirror.architecture),
        "upstream": permitted_mirror.by_name(
            permitted_mirror.architecture, permitted.list_of(permitted_mirror.upstream)
        ),
        "paths": permitted_mirror.by_name(permitted_mirror.path_name, permitted_mirror.layout),
        "refresh": permitted_mirror.refresh,
        "publish": permitted.one_of("complete", "at once"),
        "publish_within": permitted_mirror.duration,
        "unused": permitted_mirror.duration,
        "pins": permitted.list_of(permitted_mirror.package),
        "keep": permitted.number(0, 100, int),
        "max_age": permitted_mirror.duration,
        "hold_at_most": permitted_mirror.duration,
        "archive": permitted_mirror.dated_mirror,
    },
    "repo": {
        "keys": permitted.absolute,
        "published": permitted.absolute,
        "signer": permitted.absolute_text,
        "keep": permitted.number(1, 100, int),
        "debug": permitted.flag,
        "copies": permitted.number(0, 100, int),
    },
    "build": {
        "state": permitted.absolute,
        "repository": permitted_build.repository_or_none,
        "builder": permitted.absolute_text,
        "aur": permitted_build.address,
        "aur_copy": permitted_build.address_or_none,
        "poll": permitted_build.poll,
        "auto": permitted.one_of("bump", "never"),
        "wait": permitted_mirror.duration,
        "trust": permitted.list_of(permitted.text),
        "networks": permitted.list_of(permitted.network),
        "online": permitted.list_of(permitted_mirror.package),
        "root": permitted.one_of("auto", "clean", "machine"),
        "check": permitted.flag,
        "memory": permitted.size,
        "disk": permitted.size,
        "processes": permitted.number(16, 1 << 20, int),
        "time": permitted_mirror.duration,
        "notify_command": permitted.list_of(permitted.text),
        "notify_url": permitted_build.address_or_none,
        "notify_mail": permitted_build.mail,
    },
    "parents": permitted_others.parents,
    "foreign": {
        "pacredir": permitted.flag,
        "pacserve": permitted.flag,
        "hosts": permitted.list_of(permitted_others.foreign_host),
    },
    "standins": {
        "pacserve": permitted.list_of(permitted_endpoints.endpoint),
        "pacredir": permitted.list_of(permitted_endpoints.endpoint),
        "pacredir_lan": permitted.list_of(permitted_endpoints.endpoint),
        "networks": permitted.list_of(permitted.network),
    },
    "mdns": permitted.flag,
}


def keys() -> list[str]:
    """Return every key of flocon.toml, dotted."""
    names = []
    for key, check in _KEYS.items():
        names += [f"{key}.{inner}" for inner in check] if isinstance(check, Mapping) else [key]
    return names


def read_file(path: Path) -> dict[str, Any]:
    """Return what a file sets, checked; raise ConfigurationError."""
    try:
        table = tomllib.loads(read_plain(path, LARGEST_FILE).decode("utf-8-sig"))
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise ConfigurationError(str(path), problem, "check the path and its permissions") from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(str(path), *_no_toml(str(error))) from None
    return _table(table, _KEYS, str(path), "")


def _no_toml(said: str) -> tuple[str, str]:
    """Return what is wrong with a file that is not TOML, and what mends it."""
    if twice := _TWICE.match(said):
        table = f"[{'.'.join(_NAME.findall(twice['table']))}]"
        remedy = f"write what is to be set below the first {table}, and take the second away"
        return f"has {table} twice {twice['place']}", remedy
    if again := _AGAIN.match(said):
        return f"sets something twice {again['place']}", "take one of the two lines away"
    remedy = "mend that place"
    if said.startswith("Invalid value "):
        remedy += ': a text stands in quotation marks ("lan"), all else is a number, true or false'
    return f"is not TOML: {said}", remedy


def _elsewhere(key: str) -> str:
    """Return what to do with a key that is known, but not where it stands; "" for no such key."""
    tables = [name.rpartition(".")[0] for name in keys() if name.rpartition(".")[2] == key]
    places = [f"below [{one}]" if one else "above the first [table] of the file" for one in tables]
    return f"write it {' or '.join(places)}" if places else ""


def _meant(key: str, prefix: str, beside: Mapping[str, Any]) -> str:
    """Return a question after the key, or the [table], that comes closest, if one does."""
    close = difflib.get_close_matches(key[:LONGEST_KEY], list(beside), n=1)
    if not close:
        return ""
    name = prefix + close[0]
    return f"did you mean {f'[{name}]' if isinstance(beside[close[0]], Mapping) else name}? Or "


def _table(
    table: Mapping[str, Any], keys: Mapping[str, Any], where: str, prefix: str
) -> dict[str, Any]:
    result = {}
    for key, value in table.items():
        name = prefix + key
        check = keys.get(key)
        if check is None:
            known = ", ".join(sorted(prefix + one for one in keys))
            remedy = _elsewhere(key) or f"{_meant(key, prefix, keys)}use one of: {known}"
            raise refusal(where, name, "is not a key flocon knows", remedy)
        if isinstance(check, Mapping):
            if not isinstance(value, Mapping):
                raise refusal(where, name, "is a table", f"write it as [{name}]")
            result[key] = _table(value, check, where, name + ".")
        else:
            result[key] = check(value, where, name)
    return result


def dotted(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield each key that a file sets, those of a table behind its name."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from (f"{key}.{inner}" for inner in value)
        else:
            yield key


assert {entry.name for entry in fields(Settings)} - {"config", "places"} == set(_KEYS)  # noqa: S101
