"""How a program of its own runs: until it is told to end, or nobody asks it any more.

What it answers is its own to know; where it listens is ``reception``'s.
"""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.logger import globalLogBeginner

from flocon.errors import FloconError
from flocon.machine import journal

if TYPE_CHECKING:
    from collections.abc import Callable

    from flocon.programs.reception import Reception


class Service(Protocol):
    """What a program does once it runs."""

    @property
    def reception(self) -> Reception: ...

    async def start(self, path: str) -> None:
        """Begin to listen, at a path or (where it is empty) on systemd's socket."""

    async def stop(self) -> None: ...


def serve(name: str, listen: str, make: Callable[[Any], Service]) -> None:
    """Run what ``make`` makes with the reactor; what it cannot start with is one sentence.

    Raises SystemExit with that sentence, behind the program's ``name``.
    """
    globalLogBeginner.beginLoggingTo([journal.observer()], redirectStandardIO=False)
    failed: list[FloconError] = []

    async def run(reactor: Any) -> None:
        ended: Deferred[None] = Deferred()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: reactor.callFromThread(_fire, ended))
        try:
            service = make(reactor)
            try:
                await service.start(listen)
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
        if failed:
            raise SystemExit(f"{name}: {failed[0]}")


def _fire(ended: Deferred[None]) -> None:
    if not ended.called:
        ended.callback(None)


def as_folder(text: str) -> Path:
    """Return the folder that an option names, for argparse."""
    # Path would take nothing for the folder that it is run in.
    if not text:
        raise argparse.ArgumentTypeError("an empty name is no folder's")
    return Path(text).absolute()
