"""``flocon build log``: what a build said, and, where it runs, what it goes on to say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from twisted.internet import task

from flocon.terminal.asking import Node, NodeError
from flocon.terminal.printing import complain, flush, printable, put, say_json

if TYPE_CHECKING:
    import argparse

#: Seconds between two looks at a log that grows.
_PAUSE = 1.0


async def show_log(reactor: Any, options: argparse.Namespace) -> None:
    """Print the log from its beginning; with ``follow`` until the build ends."""
    node = Node(reactor, options.port)
    at, rest, said, texts = 0, "", "", []
    while True:
        head, text = await _piece(node, options.name, at)
        if options.json:
            texts.append(text)
        else:
            rest = _print(rest + text)
        is_all = head["next"] == at
        at = head["next"]
        if not is_all:
            continue
        if not (options.follow and head["running"]):
            break
        flush()
        standing = _standing(head)
        if standing not in {said, ""}:
            complain(f"{options.name}: {standing}")
        said = standing
        await task.deferLater(reactor, _PAUSE)
    if options.json:
        say_json({"job": head["job"], "result": head["result"], "log": "".join(texts)})
        return
    if rest:
        _print(rest + "\n")
    if standing := _standing(head):
        goes_on = "; --follow goes on" if head["running"] else ""
        complain(f"{options.name}: {standing}{goes_on}")


def _standing(head: dict[str, Any]) -> str:
    return ", ".join(filter(None, (head["result"], head["why"])))


async def _piece(node: Node, base: str, at: int) -> tuple[dict[str, Any], str]:
    """Return what the node says of the log, and its text from byte ``at`` on."""
    said = await node.hand("build", "log", base, str(at))
    # The node ends whatever it says by an end of line, which is not the log's.
    first, _, text = said.removesuffix("\n").partition("\n")
    try:
        head = {"result": "", "why": "", "job": "", "running": False, **json.loads(first)}
        return {**head, "next": int(head["next"])}, text
    except (ValueError, KeyError, TypeError):
        raise NodeError(f"the node answers what is no log of {base}") from None


def _print(text: str) -> str:
    """Print the whole lines of a text, whatever they try to do; return what is left of it."""
    *lines, rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    put("".join(f"{printable(line.expandtabs())}\n" for line in lines))
    return rest
