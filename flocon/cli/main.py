"""Runs the command that was asked for, and turns every failure into one sentence and a status."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from twisted.internet import task

from flocon.cli import acting, completion, diagnosis, getting, leading, looking, status
from flocon.cli.parser import make_parser
from flocon.cli.printing import printable
from flocon.errors import FloconError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Sequence

#: Commands that need no reactor: they end, or become pacman, by themselves.
_LOCAL: dict[str, Callable[[argparse.Namespace], None]] = {
    "setup": leading.set_up,
    "pacman": leading.run_pacman,
    "completion": completion.show,
}
_ASKING: dict[str, Callable[[Any, argparse.Namespace], Awaitable[None]]] = {
    "status": status.show_status,
    "peers": status.show_peers,
    "has": looking.show_holders,
    "why": looking.show_reasons,
    "get": getting.get,
    "doctor": diagnosis.examine,
    "ban": acting.ban,
    "pardon": acting.pardon,
    "rejoin": acting.rejoin,
    "prefetch": acting.prefetch,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; exits 0 if it did what it says, 1 if not, 2 for a wrong command line."""
    options = make_parser().parse_args(arguments)
    local = _LOCAL.get(options.command)
    if local is None:
        task.react(_run, [options])
        return
    try:
        local(options)
    except FloconError as error:
        _fail(error)


async def _run(reactor: Any, options: argparse.Namespace) -> None:
    try:
        await _ASKING[options.command](reactor, options)
        sys.stdout.flush()
    except FloconError as error:
        _fail(error)
    except BrokenPipeError:
        # `flocon has x | head` has read enough; Python would complain once more at its end.
        sys.stdout = None
        raise SystemExit(1) from None


def _fail(error: FloconError) -> None:
    print(f"flocon: {printable(str(error))}", file=sys.stderr)
    raise SystemExit(1) from None
