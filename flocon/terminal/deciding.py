"""Has a person read something long, and asks what is to be done: by a pager, and at the terminal.

What is shown was made printable by whoever hands it over; who answers may be a pipe, too.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from flocon.errors import FloconError
from flocon.terminal.printing import flush, put

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: What ``less`` is told where nobody told it something: to end where all fits on one screen, show
#: colours and nothing else of what a terminal obeys, and stay on the screen that it was on.
_LESS = "FRX"


class UnansweredError(FloconError):
    """There was nobody to answer a question."""

    def __init__(self) -> None:
        super().__init__("nobody answered, so nothing was decided")


def show_long(text: str) -> None:
    """Have a person read ``text``, a screen at a time where there is a terminal and a pager."""
    pager = _pager()
    if pager is None:
        put(text)
        return
    flush()
    # Only looked at: less runs no command and writes no file.
    environment = {"LESS": _LESS, **os.environ, "LESSSECURE": "1"}
    with _interrupts_are_anothers():
        try:
            subprocess.run(  # noqa: S603 - the user's own pager
                pager,
                input=text.encode(sys.stdout.encoding or "utf-8", "replace"),
                env=environment,
                check=False,
            )
        except OSError:
            put(text)


def _pager() -> list[str] | None:
    """Return the words of the user's pager, None where there is none, or nobody to page for."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    told = os.environ.get("PAGER")
    if told is None:
        return ["less"] if shutil.which("less") else None
    words: list[str] = []
    with suppress(ValueError):
        words = shlex.split(told)
    return words if words and words != ["cat"] and shutil.which(words[0]) else None


def choose(question: str, answers: Mapping[str, str]) -> str:
    """Ask until one of ``answers`` is given, each a letter with what it does; return the letter.

    Raises UnansweredError where the input ends.
    """
    told = ", ".join(f"[{letter}] {text}" for letter, text in answers.items())
    while True:
        put(f"{question} ({told}) ")
        flush()
        said = _line().strip().lower()
        for letter, text in answers.items():
            if said and (said == letter or text.startswith(said)):
                return letter


def confirm(question: str) -> bool:
    """Ask a question that is answered with yes or no; only yes is yes."""
    return choose(question, {"y": "yes", "n": "no"}) == "y"


def agree(question: str) -> bool:
    """Ask a question once; whatever is not yes is no, and so is nothing."""
    put(f"{question} [y/N] ")
    flush()
    with suppress(UnansweredError):
        return _line().strip().lower() in {"y", "yes"}
    return False


def _line() -> str:
    with _interrupts_raise():
        try:
            said = sys.stdin.readline() if sys.stdin is not None else ""
        except (OSError, ValueError):
            said = ""
    if not said:
        put("\n")
        raise UnansweredError
    return said


@contextmanager
def _interrupts_are_anothers() -> Iterator[None]:
    """Leave Ctrl-C to the program that has the terminal meanwhile."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _interrupts_raise() -> Iterator[None]:
    """Have Ctrl-C end what waits for a line: a reactor's own handler would let it wait on."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
