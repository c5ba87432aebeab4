"""Runs the command that was asked for, and turns every failure into one sentence and a status."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any, NoReturn

from twisted.internet import defer, task
from twisted.python.failure import Failure

from flocon.cli import (
    acting,
    completion,
    configuring,
    diagnosis,
    getting,
    leading,
    looking,
    mirroring,
    snapshots,
    status,
    watching,
)
from flocon.cli.parser import make_parser
from flocon.errors import FloconError
from flocon.publishing import verbs as publishing
from flocon.reviewing import verbs as reviewing
from flocon.terminal.printing import OutputError, complain, flush, put

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Coroutine, Sequence

#: Commands that need no reactor: they end, or become pacman, by themselves.
_LOCAL: dict[str, Callable[[argparse.Namespace], None]] = {
    "config": configuring.show,
    "setup": leading.set_up,
    "pacman": leading.run_pacman,
    "completion": completion.show,
}
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


#: What a signal that ends a command makes of it: its status, as shells reckon it, and the sentence.
_ENDS = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "ended")}
_WRONG = 1


class _EndedError(FloconError):
    """A signal ended the command; ``status`` is what it ends with."""

    def __init__(self, number: int) -> None:
        self.status, sentence = _ENDS[signal.Signals(number)]
        super().__init__(sentence)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; exits 0 if it did what it says, 1 if not, 2 for a wrong command line.

    130 and 143 are those of one that was interrupted or ended.
    """
    _keep_streams()
    status = _guarded(lambda: _run(arguments))
    raise SystemExit(_guarded(flush) or status)


def _keep_streams() -> None:
    """Have closed standard streams lead nowhere: the next socket would take their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _guarded(do: Callable[[], int | None]) -> int:
    """Return the status of what was done; whatever fails is one sentence."""
    try:
        return do() or 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except _EndedError as end:
        complain(end)
        return end.status
    except OutputError as error:
        # `flocon has x | head` has read enough.
        if not error.silent:
            complain(error)
    except FloconError as error:
        complain(error)
    except MemoryError:
        complain("there is too little memory for it here: see 'ulimit -v'")
    except KeyboardInterrupt:
        return _guarded(lambda: _raise(_EndedError(signal.SIGINT)))
    return _WRONG


def _raise(error: FloconError) -> NoReturn:
    raise error


def _run(arguments: Sequence[str] | None) -> int | None:
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        put(parser.format_help())
    elif options.command in _LOCAL:
        _LOCAL[options.command](options)
    else:
        return _ask(options)
    return None


def _ask(options: argparse.Namespace) -> int:
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

        for number in _ENDS:
            signal.signal(number, end)
        try:
            await command
        except BaseException:  # noqa: BLE001 - told below, once the reactor has ended
            outcome.append(Failure())
        if ended:
            outcome[:] = [Failure(_EndedError(ended[0]))]

    try:
        task.react(run)
    except SystemExit:
        for failure in outcome:
            if failure is not None:
                failure.raiseException()
    return 0
