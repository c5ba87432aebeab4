"""``python -m flocon.building``: the builder, on systemd's socket or one of its own.

Run as root: what a recipe runs is another user's then. As an ordinary user it works only where it
is told to, for then what is walled in runs as that user.
"""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.logger import globalLogBeginner

from flocon.building.place import find_place
from flocon.building.service import Service
from flocon.errors import ConfigurationError, FloconError
from flocon.machine import journal
from flocon.machine.users import number_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORK = Path("/var/lib/flocon-build")
_PACMAN = Path("/etc/pacman.conf")
_USER, _NODE = "flocon-build", "flocon"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until it is ended, or nobody asks any more; what it cannot start with is one sentence."""
    options = _parser().parse_args(arguments)
    os.umask(0o022)
    globalLogBeginner.beginLoggingTo([journal.observer()], redirectStandardIO=False)
    failed: list[FloconError] = []

    async def run(reactor: Any) -> None:
        ended: Deferred[None] = Deferred()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: reactor.callFromThread(_fire, ended))
        try:
            service = Service(reactor, _place(reactor, options), _callers(options.callers))
            try:
                await service.start(options.listen)
                service.reception.over.addCallback(lambda _: _fire(ended))
                await ended
            finally:
                await service.stop()
        except FloconError as error:
            failed.append(error)

    async def begin(reactor: Any) -> None:
        # Once it runs: the reactor's own handlers are set then.
        await task.deferLater(reactor, 0)
        await run(reactor)

    try:
        task.react(begin)
    finally:
        for error in failed:
            raise SystemExit(f"flocon.building: {error}")


def _fire(ended: Deferred[None]) -> None:
    if not ended.called:
        ended.callback(None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flocon.building", description="Build packages behind a wall, when asked."
    )
    add = parser.add_argument
    add("--listen", metavar="PATH", default="", help="a socket of its own [systemd's]")
    add("--work", metavar="DIR", type=_path, default=_WORK, help="for roots and jobs [%(default)s]")
    add("--user", metavar="NAME", default=_USER, help="who builds [%(default)s]")
    add(
        "--callers",
        metavar="USER,...",
        default=_NODE,
        help="who may ask, beside root [%(default)s]",
    )
    add("--pacman", metavar="FILE", type=_path, default=_PACMAN, help="[%(default)s]")
    add("--without-root", action="store_true", help="build as this user, walled in less well")
    return parser


def _path(text: str) -> Path:
    # Path would take nothing for the folder that it is run in.
    if not text:
        raise argparse.ArgumentTypeError("an empty name is no folder's")
    return Path(text).absolute()


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
        number = int(name) if name.isascii() and name.isdecimal() else number_of(name)
        if number is not None:
            found.add(number)
        elif name != _NODE:
            raise ConfigurationError("--callers", f"there is no user {name}", "name another")
    return frozenset(found)


if __name__ == "__main__":
    main()
