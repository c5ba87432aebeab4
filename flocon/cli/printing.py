"""How things look: sizes, times, tables, progress. The same on a terminal and in a pipe.

Names and sentences may be a stranger's, so every text goes through ``printable``.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
#: Seconds between two lines of plain progress.
_STEP = 0.2


def printable(text: object) -> str:
    """Return ``text`` with every control character escaped, line ends too."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in str(text))


def size(count: float) -> str:
    for unit in _UNITS[:-1]:
        if count < 1024:  # noqa: PLR2004
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"


def clock(seconds: float) -> str:
    """Return a time since 1970 as this machine's clock shows it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def say(*texts: object, indent: int = 0) -> None:
    """Print a line, whatever the encoding of the terminal."""
    line = " " * indent + " ".join(printable(text) for text in texts)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(line.rstrip().encode(encoding, "replace").decode(encoding))


def say_rows(rows: Sequence[Sequence[object]], indent: int = 0) -> None:
    """Print rows as columns, each as wide as its widest text; the last one may be any length."""
    texts = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        padded = [text.ljust(width) for text, width in zip(row[:-1], widths, strict=False)]
        say("  ".join([*padded, row[-1]]), indent=indent)


def say_json(value: Any) -> None:
    print(json.dumps(value, indent=1))


class Progress(Protocol):
    """Shows how far something is."""

    def move(self, position: int) -> None:
        """Show that so much of it is there."""

    def end(self) -> None:
        """Show nothing any more."""


def progress(what: str, total: int | None, *, in_bytes: bool = True) -> Progress:
    """Return a bar on a terminal (rich's, where it is installed), and nothing in a pipe."""
    if not sys.stderr.isatty():
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
