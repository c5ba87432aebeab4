"""How things look: sizes, times, tables, progress. The same on a terminal and in a pipe.

Names and sentences may be a stranger's, so every text goes through ``printable``. Whatever is
printed goes through ``put``, which says in one sentence that it could not be: a full disk or
a closed output is no traceback.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

from flocon.books.units import counted, plain
from flocon.books.units import size_text as size
from flocon.errors import FloconError
from flocon.secrecy import without_passwords
from flocon.terminal.commands import about

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "advise",
    "bar",
    "clock",
    "complain",
    "counted",
    "printable",
    "progress",
    "put",
    "say",
    "size",
]

#: Seconds between two lines of plain progress.
_STEP = 0.2
#: Signs of a bar made of text.
_BAR = 20
#: How a word of the node's own looks, where the terminal has colours: SGR parameters.
_COLOURS = {
    "good": "32",
    "failing": "33",
    "quarantine": "1;31",
    "warning": "33",
    "wrong": "1;31",
    "unknown": "36",
    "published": "32",
    "building": "36",
    "examining": "36",
    "waits for a person": "1;33",
    "held": "1;33",
    "failed": "1;31",
    "rejected": "31",
}
#: How a line looks that has a tone.
_TONES = {
    "title": "1",
    "good": "32",
    "added": "32",
    "removed": "31",
    "place": "36",
    "quiet": "2",
    "warning": "33",
    "wrong": "1;31",
}


class OutputError(FloconError):
    """What there is to say could not be written; ``silent`` where the reader has gone."""

    def __init__(self, reason: str, *, silent: bool = False) -> None:
        super().__init__(reason)
        self.silent = silent


class Word(str):
    """A word that the node has for a state: it may have a colour."""

    __slots__ = ()


def printable(text: object) -> str:
    """Return ``text`` with every control character escaped, line ends too, and no password."""
    return plain(without_passwords(str(text)))


def clock(seconds: float) -> str:
    """Return a time since 1970 as this machine's clock shows it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def put(text: str) -> None:
    """Write to standard output, whatever its encoding; raise OutputError where that fails."""
    if sys.stdout is None:
        raise OutputError("standard output is closed")
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    except (OSError, ValueError) as error:
        raise _unwritten(error) from None


def flush() -> None:
    """Have all that was put written, or raise OutputError and forget it."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        # Python would try once more at its end, and complain in its own way.
        sys.stdout = None
        raise _unwritten(error) from None


def _unwritten(error: OSError | ValueError) -> OutputError:
    reason = getattr(error, "strerror", None) or str(error)
    sentence = f"standard output cannot be written to ({reason})"
    return OutputError(sentence, silent=isinstance(error, BrokenPipeError))


def complain(sentence: object) -> None:
    """Say on standard error what went wrong or comes next, if there is one."""
    if sys.stderr is not None:
        encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        line = f"flocon: {about(printable(sentence))}"
        try:
            print(line.encode(encoding, "replace").decode(encoding), file=sys.stderr, flush=True)
        except (OSError, ValueError):
            sys.stderr = None


def say(*texts: object, indent: int = 0) -> None:
    """Print a line."""
    put((" " * indent + " ".join(_shown(text) for text in texts)).rstrip() + "\n")


def advise(sentence: str) -> None:
    """Print a sentence of flocon's own with a command in it, as its reader can type that."""
    say(about(sentence))


def say_rows(rows: Sequence[Sequence[object]], indent: int = 0) -> None:
    """Print rows as columns, each as wide as its widest text; the last one may be any length."""
    texts = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row, cells in zip(texts, rows, strict=True):
        wide = [text.ljust(width) for text, width in zip(row[:-1], widths, strict=False)]
        shown = [_coloured(text, cell) for text, cell in zip([*wide, row[-1]], cells, strict=True)]
        put((" " * indent + "  ".join(shown)).rstrip() + "\n")


def _shown(text: object) -> str:
    return _coloured(printable(text), text)


def _coloured(shown: str, cell: object) -> str:
    colour = _COLOURS.get(str(cell)) if isinstance(cell, Word) else None
    return f"\x1b[{colour}m{shown}\x1b[0m" if colour and has_colours() else shown


def toned(shown: str, tone: str) -> str:
    """Return a printable text as it looks in a tone, "" for none."""
    colour = _TONES.get(tone)
    return f"\x1b[{colour}m{shown}\x1b[0m" if shown and colour and has_colours() else shown


def has_colours() -> bool:
    """Whether standard output is a terminal that has colours and is wanted to (no-color.org)."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    return terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def say_json(value: Any) -> None:
    put(json.dumps(_discreet(value), indent=1) + "\n")


def _discreet(value: Any) -> Any:
    """Return JSON's values without a password in any text."""
    if isinstance(value, str):
        return without_passwords(value)
    if isinstance(value, dict):
        return {name: _discreet(one) for name, one in value.items()}
    return [_discreet(one) for one in value] if isinstance(value, list) else value


def bar(here: float, whole: float) -> str:
    """Return how much of a whole is here, as text that a pipe takes too."""
    part = min(1.0, here / whole) if whole > 0 else 1.0
    done = int(_BAR * part)
    return f"[{'#' * done}{'.' * (_BAR - done)}] {100 * part:3.0f} %"


def coming_text(ahead: Mapping[str, Any]) -> Iterator[str]:
    """Yield how much of the next upgrade is here, while more of it is coming."""
    if ahead["coming"]:
        here, whole = ahead["ready_bytes"] + ahead["arrived_bytes"], ahead["wanted_bytes"]
        yield f"{bar(here, whole)}  {size(here)} of {size(whole)}"


class Progress(Protocol):
    """Shows how far something is."""

    def move(self, position: int) -> None:
        """Show that so much of it is there."""

    def end(self) -> None:
        """Show nothing any more."""


def progress(what: str, total: int | None, *, in_bytes: bool = True) -> Progress:
    """Return a bar on a terminal (rich's, where it is installed), and nothing in a pipe."""
    if sys.stderr is None or not sys.stderr.isatty():
        return _Silent()
    try:
        return _Rich(printable(what), total, in_bytes=in_bytes)
    except ImportError:
        return _Plain(printable(what), total, in_bytes=in_bytes)


class _Silent:
    def move(self, position: int) -> None:
        pass

    def end(self) -> None:
        pass


class _Plain:
    """One line that is written over and over."""

    def __init__(self, what: str, total: int | None, *, in_bytes: bool) -> None:
        self._what = what
        self._total = total
        self._show = size if in_bytes else str
        self._shown = 0.0

    def move(self, position: int) -> None:
        now = time.monotonic()
        if now - self._shown < _STEP and position != self._total:
            return
        self._shown = now
        text = f"{self._what}  {self._show(position)}"
        if self._total:
            text += f" of {self._show(self._total)}  {100 * position // self._total} %"
        print(f"\r{text}\x1b[K", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


class _Rich:
    """A bar with speed and the time that is left."""

    def __init__(self, what: str, total: int | None, *, in_bytes: bool) -> None:
        from rich import progress as bars  # noqa: PLC0415 - need not be installed
        from rich.console import Console  # noqa: PLC0415
        from rich.markup import escape  # noqa: PLC0415

        counted: tuple[Any, ...] = (bars.MofNCompleteColumn(),)
        if in_bytes:
            counted = (bars.DownloadColumn(binary_units=True), bars.TransferSpeedColumn())
        self._bars = bars.Progress(
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            *counted,
            bars.TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bars.add_task(escape(what), total=total)
        self._bars.start()

    def move(self, position: int) -> None:
        self._bars.update(self._task, completed=position)

    def end(self) -> None:
        self._bars.stop()
