"""Runs the command that was asked for, and turns every failure into one sentence and a status."""

from __future__ import annotations

import gc
import os
import signal
from typing import TYPE_CHECKING, NoReturn

from flocon.cli.ends import EndedError
from flocon.cli.parser import make_parser
from flocon.errors import FloconError
from flocon.terminal.printing import OutputError, complain, flush, put

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

_WRONG = 1


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
    except EndedError as end:
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
        return _guarded(lambda: _raise(EndedError(signal.SIGINT)))
    return _WRONG


def _raise(error: FloconError) -> NoReturn:
    raise error


def _run(arguments: Sequence[str] | None) -> int | None:
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        put(parser.format_help())
        return None
    return _imported(options.command)(options)


def _imported(command: str) -> Callable[[argparse.Namespace], int | None]:
    """Import what runs a command: what Twisted takes is most of a start, and not for all."""
    # None of that is garbage, and looking through it takes a fifth of a command's start.
    gc.disable()
    try:
        return _what_runs(command)
    finally:
        gc.freeze()
        gc.enable()


def _what_runs(command: str) -> Callable[[argparse.Namespace], int | None]:
    # ruff: noqa: PLC0415 - imported when chosen
    match command:
        case "config":
            from flocon.cli import configuring

            return configuring.show
        case "setup":
            from flocon.cli import leading

            return leading.set_up
        case "pacman":
            from flocon.cli import leading

            return leading.run_pacman
        case "completion":
            from flocon.cli import completion

            return completion.show
    from flocon.cli import asking

    return asking.ask
