"""``python -m flocon.building``: the builder, on systemd's socket or one of its own.

Run as root: what a recipe runs is another user's then. As an ordinary user it works only where it
is told to, for then what is walled in runs as that user.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flocon.building.place import find_place
from flocon.building.service import Service
from flocon.errors import ConfigurationError
from flocon.machine.users import number_meant
from flocon.programs.serving import as_folder, serve

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORK = Path("/var/lib/flocon-build")
_PACMAN = Path("/etc/pacman.conf")
_USER, _NODE = "flocon-build", "flocon"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until it is ended, or nobody asks any more; what it cannot start with is one sentence."""
    options = _parser().parse_args(arguments)
    os.umask(0o022)
    serve(
        "flocon.building",
        options.listen,
        lambda reactor: Service(reactor, _place(reactor, options), _callers(options.callers)),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flocon.building", description="Build packages behind a wall, when asked."
    )
    add = parser.add_argument
    add("--listen", metavar="PATH", default="", help="a socket of its own [systemd's]")
    add(
        "--work",
        metavar="DIR",
        type=as_folder,
        default=_WORK,
        help="for roots and jobs [%(default)s]",
    )
    add("--user", metavar="NAME", default=_USER, help="who builds [%(default)s]")
    add(
        "--callers",
        metavar="USER,...",
        default=_NODE,
        help="who may ask, beside root [%(default)s]",
    )
    add("--pacman", metavar="FILE", type=as_folder, default=_PACMAN, help="[%(default)s]")
    add("--without-root", action="store_true", help="build as this user, walled in less well")
    return parser


def _place(reactor: Any, options: argparse.Namespace) -> Any:
    return find_place(
        reactor,
        options.work,
        options.user,
        options.pacman,
        without_root=options.without_root,
    )


def _callers(names: str) -> frozenset[int]:
    found = {os.geteuid()}
    for name in filter(None, names.split(",")):
        number = number_meant(name)
        if number is not None:
            found.add(number)
        elif name != _NODE:
            raise ConfigurationError("--callers", f"there is no user {name}", "name another")
    return frozenset(found)


if __name__ == "__main__":
    main()
