"""``flocon watch``: what the node does, as it does it.

On a terminal one screen that is drawn anew each second; in a pipe, and as JSON, a line for each
answer to pacman and each transaction.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Any

from twisted.internet import task

from flocon.books.recent import whence
from flocon.books.units import time_text
from flocon.terminal.asking import Node, NodeError
from flocon.terminal.printing import bar, coming_text, counted, flush, printable, put, size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

#: Seconds between two looks.
EVERY = 1.0
#: Columns that are left to a name of a file, however much there is to say of it.
LEAST_NAME = 16
#: Another screen than the shell's, without a cursor; and back.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _TO_LINE_END, _TO_END = "\x1b[H", "\x1b[K", "\x1b[J"


async def watch(reactor: Any, options: argparse.Namespace) -> None:
    """Show what goes on until the command is ended; a node that restarts is waited for."""
    node = Node(reactor, options.port)
    look = await _look(node)
    if options.json or not sys.stdout or not sys.stdout.isatty():
        await _follow(node, look, as_json=options.json)
    else:
        await _draw_on(node, look)


class _Look:
    """The node's status and what pacman asked lately, the newest first."""

    def __init__(self, status: Mapping[str, Any], recent: Sequence[Mapping[str, Any]]) -> None:
        self.status = status
        self.recent = recent

    def events(self) -> Counter[str]:
        """Return the answers and receipts, each as the one text that it is."""
        answers = [{"kind": "answer", **one} for one in self.recent]
        receipts = [{"kind": "receipt", **one} for one in self.status["receipts"]]
        return Counter(json.dumps(one) for one in answers + receipts)


async def _look(node: Node) -> _Look:
    return _Look(await node.ask("/status.json"), await node.ask("/recent.json"))


async def _looks(node: Node) -> _Look | None:
    """Return the next look, None where the node does not answer now."""
    await task.deferLater(node.reactor, EVERY)
    try:
        return await _look(node)
    except NodeError:
        return None


async def _follow(node: Node, look: _Look, *, as_json: bool) -> None:
    """Print what is new since the look before."""
    known = look.events()
    while True:
        now = await _looks(node)
        if now is None:
            continue
        events = now.events()
        new = [json.loads(one) for one in (events - known).elements()]
        new = [one for one in new if as_json or _is_shown(one)]
        for event in sorted(new, key=lambda one: float(one["at"])):
            put(json.dumps(event) + "\n" if as_json else _event_line(event) + "\n")
        flush()
        known = events


def _event_line(event: Mapping[str, Any]) -> str:
    at = time.strftime("%H:%M:%S", time.localtime(event["at"]))
    text = event["text"] if event["kind"] == "receipt" else _answer_text(event)
    return f"{at}  {printable(text)}"


def _is_shown(event: Mapping[str, Any]) -> bool:
    """Whether a person wants to see it: each package has a signature, which tells no more."""
    return not str(event.get("file", "")).endswith(".sig")


def _answer_text(one: Mapping[str, Any], columns: int = 0) -> str:
    """Return an answer in words; in so many ``columns`` the file's name gives way."""
    source = whence(one)
    came = f" from {source}" if source else ""
    failed = f", after {counted(len(one['tried']), 'failure')}" if one["tried"] else ""
    took = f"{size(one['bytes'])} in {one['seconds']:.2f} s"
    return fitted(f"{one['status']}  ", one["file"], f"  {took}{came}{failed}", columns)


async def _draw_on(node: Node, look: _Look) -> None:
    shown: _Look | None = look
    put(_ENTER)
    try:
        while True:
            columns, lines = shutil.get_terminal_size()
            drawn = screen(
                look.status, look.recent, time.time(), gone=shown is None, columns=columns
            )
            clipped = [clip(line, columns) + _TO_LINE_END for line in drawn[: lines - 1]]
            put(_HOME + "\n".join(clipped) + _TO_END)
            flush()
            shown = await _looks(node)
            look = shown or look
    finally:
        put(_LEAVE)
        flush()


def screen(
    status: Mapping[str, Any],
    recent: Sequence[Mapping[str, Any]],
    now: float,
    *,
    gone: bool,
    columns: int = 0,
) -> list[str]:
    """Return the lines of one screen; every text in it is printable."""
    shown = [one for one in recent if _is_shown(one)]
    lines = _screen(status, shown, now, gone=gone, columns=columns)
    return [printable(line) for line in lines]


def _screen(
    status: Mapping[str, Any],
    recent: Sequence[Mapping[str, Any]],
    now: float,
    *,
    gone: bool,
    columns: int,
) -> Iterator[str]:
    clock = time.strftime("%H:%M:%S", time.localtime(now))
    inventory = status["inventory"]
    yield (
        f"{clock}  {status['name']}, up {time_text(status['uptime_seconds'])},"
        f" {counted(len(status['peers']), 'peer')},"
        f" holds {counted(inventory['files'], 'package')}, {size(inventory['bytes'])}"
    )
    if gone:
        yield "          the node does not answer; this is how it was last"
    yield ""
    yield "on its way" if status["moving"] else "nothing is on its way"
    yield from (f"  {moving_text(one, columns - 2)}" for one in status["moving"])
    ahead = status["ahead"]
    if ahead["text"]:
        yield f"ahead: {ahead['text']}"
        yield from (f"  {line}" for line in coming_text(ahead))
    yield ""
    if status["receipts"]:
        yield f"last: {status['receipts'][0]['text']}"
        yield ""
    yield "asked for lately" if recent else "pacman has asked for nothing yet"
    for one in recent:
        at = time.strftime("%H:%M:%S", time.localtime(one["at"]))
        yield f"  {at}  {_answer_text(one, columns - 12)}"


def moving_text(one: Mapping[str, Any], columns: int = 0) -> str:
    """Return how far a file is, how fast, and how long it still takes."""
    parts = [""]
    if one["size"]:
        parts.append(bar(one["bytes"], one["size"]))
        parts.append(f"{size(one['bytes'])} of {size(one['size'])}")
    else:
        parts.append(size(one["bytes"]))
    if one["bytes_per_second"]:
        parts.append(f"{size(one['bytes_per_second'])}/s")
    if one["seconds_left"] is not None:
        parts.append(f"{time_text(one['seconds_left'])} left")
    parts.append(f"from {one['source']}" if one["source"] else "looking for a source")
    return fitted("", one["file"], "  ".join(parts), columns)


def fitted(before: str, name: str, after: str, columns: int) -> str:
    """Return a line in which ``name`` gives way to the rest where there are not enough columns."""
    room = max(LEAST_NAME, columns - len(before) - len(after))
    if columns > 0 and room < len(name):
        name = name[: room - 3] + "..."
    return before + name + after


def clip(text: str, columns: int) -> str:
    """Return as much of a text as a terminal has columns for; some signs take two."""
    used = 0
    for at, sign in enumerate(text):
        used += 2 if unicodedata.east_asian_width(sign) in "WF" else 1
        if used > columns:
            return text[:at]
    return text
