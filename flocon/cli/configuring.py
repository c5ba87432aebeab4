"""``flocon config``: the settings that a node would start with, checked as it would check them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flocon.advice.gathering import configuration_at
from flocon.errors import ConfigurationError, FloconError
from flocon.leading.pacman_conf import repositories
from flocon.machine.interfaces import impossible, look_at_links
from flocon.secrecy import without_passwords
from flocon.settings.options import load
from flocon.settings.settings import DEFAULT_CONFIG
from flocon.store.claim import foreign
from flocon.terminal.printing import complain, put, say_json, size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from flocon.settings.settings import Settings

#: In bytes: what a person reads stands beside it.
_SIZES = frozenset({"max_size", "bandwidth", "relayed_per_day", "memory", "disk"})
#: In seconds: they stand in the file as a number and a unit.
_LENGTHS = frozenset(
    {"refresh", "publish_within", "unused", "max_age", "hold_at_most", "poll", "wait", "time"}
)
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def show(options: argparse.Namespace) -> None:
    """Print every setting as TOML; raises ConfigurationError for one that cannot be used."""
    given = options.config
    settings = load({"config": Path(given).absolute()} if given else {})
    problems = list(_problems(settings))
    if options.json:
        say_json({"config": _plain(settings.config), **dict(_values(settings))})
    else:
        _print(settings)
    for problem in problems:
        complain(problem)


def _problems(settings: Settings) -> Iterator[str]:
    """Yield what a node would start in spite of; raise what it would not start with."""
    wanted = settings.presence.interfaces
    if nowhere := impossible(wanted):
        raise ConfigurationError(
            settings.place("presence.interfaces", "--interface"),
            f"{nowhere[0]!r} can be neither an interface nor an address",
            "write a name or an address that 'ip address' shows",
        )
    store = settings.store.path
    if refusal := foreign(store):
        raise FloconError(f"{settings.place('store.path', '--store')}: {refusal}")
    if store.exists() and not store.is_dir():
        raise ConfigurationError(
            settings.place("store.path", "--store"),
            f"{store} is a file, and no folder",
            "name a folder of its own",
        )
    yield from (
        f"presence.interfaces: there is no {name} now; 'ip address' shows what there is"
        for name in look_at_links(wanted)["missing"]
    )
    if not settings.mirrors:
        yield from _nobody(settings.pacman_conf)
    mirror = settings.mirror
    is_fed = mirror.serve and mirror.refresh != ()
    if is_fed and not mirror.repositories and not _has_repositories(settings.pacman_conf):
        yield (
            "mirror.repositories: there will be nothing to mirror: this machine's pacman has no"
            ' repositories; write repositories = ["core", "extra"] in [mirror]'
        )


def _nobody(pacman_conf: Path) -> Iterator[str]:
    """Yield why pacman's configuration names nobody to fetch from, if it does not."""
    if not pacman_conf.is_file():
        yield (
            f"pacman_conf: {pacman_conf} is not there, and no mirrors are named: there"
            " will be nobody to fetch from"
        )
        return
    configuration = configuration_at(pacman_conf)
    try:
        if isinstance(configuration, ConfigurationError):
            raise configuration
        if not repositories(configuration):
            yield (
                f"pacman_conf: {pacman_conf} has no repository, and no mirrors are named: there"
                " will be nobody to fetch from"
            )
    except ConfigurationError as error:
        yield f"pacman_conf: {error}"


def _has_repositories(pacman_conf: Path) -> bool:
    if not pacman_conf.is_file():
        return False
    configuration = configuration_at(pacman_conf)
    if isinstance(configuration, ConfigurationError):
        return False
    with suppress(ConfigurationError):
        return bool(repositories(configuration))
    return False


def _print(settings: Settings) -> None:
    whence = settings.config or f"no {DEFAULT_CONFIG}, so every setting has its default"
    put(f"# {whence}\n")
    places = settings.places
    for name, value in _values(settings):
        if not isinstance(value, dict):
            put(_line(name, value, is_set=name in places))
    for name, value in _values(settings):
        if isinstance(value, dict):
            put(f"\n[{name}]\n")
            for key, inner in value.items():
                put(_line(key, inner, is_set=f"{name}.{key}" in places))


def _line(name: str, value: Any, *, is_set: bool) -> str:
    """Return a line of TOML: what JSON writes of these values, TOML reads."""
    remarks = [size(value)] if name in _SIZES and value else []
    remarks += [] if is_set else ["default"]
    # What is empty is left out of the file, too.
    out = "#" if value == "" else ""
    line = f"{out}{name} = {_toml(value)}"
    return f"{line}  # {', '.join(remarks)}\n" if remarks else f"{line}\n"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        inner = (f"{json.dumps(name)} = {_toml(one)}" for name, one in value.items())
        return f"{{ {', '.join(inner)} }}" if value else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _length(value: Any) -> Any:
    """Return seconds as the file has them; no times of day at all are "off" there."""
    if isinstance(value, float):
        unit, seconds = next(one for one in _UNITS if value % one[1] == 0)
        return f"{value / seconds:.0f}{unit}" if value else 0
    return list(value) or "off"


def _values(settings: Any) -> Iterator[tuple[str, Any]]:
    for one in fields(settings):
        value = getattr(settings, one.name)
        if one.name not in {"config", "places"}:
            if one.name in _LENGTHS:
                value = _length(value)
            yield one.name, _plain(value)


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return dict(_values(value))
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, (Path, IPv4Network, IPv6Network)):
        return str(value)
    return without_passwords(value) if isinstance(value, str) else value
