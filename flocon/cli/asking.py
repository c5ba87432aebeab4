"""Commands that ask or tell a node something, and what runs them: Twisted's reactor."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from twisted.internet import defer, task
from twisted.python.failure import Failure

from flocon.cli import (
    acting,
    diagnosis,
    getting,
    looking,
    mirroring,
    snapshots,
    status,
    watching,
)
from flocon.cli.ends import ENDS, EndedError
from flocon.publishing import verbs as publishing
from flocon.reviewing import verbs as reviewing

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Coroutine

_ASKING: dict[str, Callable[[Any, argparse.Namespace], Coroutine[Any, Any, None]]] = {
    "status": status.show_status,
    "watch": watching.watch,
    "peers": status.show_peers,
    "has": looking.show_holders,
    "list": looking.show_list,
    "why": looking.show_reasons,
    "get": getting.get,
    "doctor": diagnosis.examine,
    "ban": acting.ban,
    "pardon": acting.pardon,
    "rejoin": acting.rejoin,
    "prefetch": acting.prefetch,
    "mirror": mirroring.run,
    "snapshot": snapshots.run,
    "repo": publishing.run,
    "build": reviewing.run,
}


def ask(options: argparse.Namespace) -> int:
    """Run a command that needs the reactor, and end with it."""
    outcome: list[Failure | None] = []

    async def run(reactor: Any) -> None:
        ended: list[int] = []
        # Once it runs: the reactor's own handlers are set then.
        await task.deferLater(reactor, 0)
        command: defer.Deferred[None] = defer.Deferred.fromCoroutine(
            _ASKING[options.command](reactor, options)
        )

        def end(number: int, _: object) -> None:
            # A second one does not wait for what the first one ends.
            signal.signal(number, signal.SIG_DFL)
            ended.append(number)
            reactor.callFromThread(command.cancel)

        for number in ENDS:
            signal.signal(number, end)
        try:
            await command
        except BaseException:  # noqa: BLE001 - told below, once the reactor has ended
            outcome.append(Failure())
        if ended:
            outcome[:] = [Failure(EndedError(ended[0]))]

    try:
        task.react(run)
    except SystemExit:
        for failure in outcome:
            if failure is not None:
                failure.raiseException()
    return 0
