"""The command line of the node, over flocon.toml, over the defaults: one frozen ``Settings``.

Every refusal is a ConfigurationError that names the file, the key and what to do. What a value may
be, and what the file's keys are, is not known here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from twisted.python import usage

from flocon import __version__
from flocon.errors import ConfigurationError
from flocon.settings.defaults import default_store, host_name
from flocon.settings.keys import dotted, read_file
from flocon.settings.permitted_endpoints import endpoint
from flocon.settings.settings import (
    DEFAULT_CONFIG,
    Build,
    Foreign,
    Mirror,
    Peers,
    Presence,
    Repo,
    Settings,
    Standins,
    Store,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Which key of flocon.toml an option of the command line stands for.
_OPTIONS = {
    "lan": "lan",
    "loopback": "loopback",
    "store": "store.path",
    "interface": "presence.interfaces",
    "pacman_conf": "pacman_conf",
}


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

    def parseArgs(self, *words: str) -> None:
        """Refuse what is no option, as twistd does, in words that help."""
        if words:
            raise SystemExit(
                f"flocon: twistd flocon takes options only, and no {words[0]!r}; 'twistd flocon"
                " --help' lists them, and what the command can do 'flocon --help'"
            )

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
    values = read_file(config) if config else {}
    places = {key: f"{config}: {key}" for key in dotted(values)}
    if config:
        values["config"] = config
    store = values.setdefault("store", {})
    presence = values.setdefault("presence", {})
    for key in ("pacman_conf", "debug"):
        if key in command_line:
            values[key] = command_line[key]
    if "lan" in command_line:
        values["lan"] = endpoint(command_line["lan"], "flocon: --lan", "")
    if command_line.get("loopback"):
        values["loopback"] = tuple(
            endpoint(value, "flocon: --loopback", "") for value in command_line["loopback"]
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
    values["mirror"] = Mirror(**values.get("mirror", {}))
    values["repo"] = Repo(**values.get("repo", {}))
    values["build"] = Build(**values.get("build", {}))
    values["foreign"] = Foreign(**values.get("foreign", {}))
    values["standins"] = Standins(**values.get("standins", {}))
    return _checked(Settings(**values))


def _checked(settings: Settings) -> Settings:
    if settings.pacman_conf.is_dir():
        # To pacman-conf a folder is an empty file.
        where = settings.place("pacman_conf", "--pacman-conf")
        remedy = f"name the file, like {settings.pacman_conf / 'pacman.conf'}"
        raise ConfigurationError(where, f"{settings.pacman_conf} is a folder, and no file", remedy)
    return settings
