"""``flocon ban``, ``pardon``, ``rejoin`` and ``prefetch``: what changes the node, by its socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import task

from flocon.faces.control import LONGEST_PEER
from flocon.terminal.asking import Node, NodeError
from flocon.terminal.printing import counted, progress, say, say_json, size

if TYPE_CHECKING:
    import argparse

#: Seconds between two looks at how far it is.
_LOOK = 0.25


async def ban(reactor: Any, options: argparse.Namespace) -> None:
    await _do(reactor, options, "ban", _peer(options.peer))


async def pardon(reactor: Any, options: argparse.Namespace) -> None:
    await _do(reactor, options, "pardon", _peer(options.peer))


def _peer(text: str) -> str:
    """Return what was given as a peer's id, address or name, if it can be one."""
    word = text.strip()
    if not word:
        raise NodeError("an empty word means no peer; 'flocon peers' lists them")
    if len(word) > LONGEST_PEER:
        problem = f"no peer has a name of more than {LONGEST_PEER} characters"
        raise NodeError(f"{problem}; 'flocon peers' lists them")
    return word


async def rejoin(reactor: Any, options: argparse.Namespace) -> None:
    await _do(reactor, options, "rejoin")


async def _do(reactor: Any, options: argparse.Namespace, *words: str) -> None:
    said = await Node(reactor, options.port).tell(*words)
    if options.json:
        say_json({"said": said})
    else:
        say(said)


async def prefetch(reactor: Any, options: argparse.Namespace) -> None:
    """Have the node fetch ahead, and show how far it is until it is done; it goes on without us."""
    node = Node(reactor, options.port)
    said = await node.tell("prefetch")
    if options.no_wait:
        state = (await node.ask("/status.json"))["prefetch"]
    else:
        state = await _follow(node)
    if options.json:
        say_json({"said": said, **state})
    elif not state["total"] and state["left_out"]:
        say(f"nothing is fetched; {_left_out(state['left_out'])}")
    elif options.no_wait or not state["total"]:
        say(said)
    else:
        say(_ready(state))


def _ready(state: dict[str, Any]) -> str:
    """Return what was fetched, and whether that is all of it."""
    total, fetched = state["total"], state["fetched"]
    if fetched < total:
        lacking = counted(total - fetched, "package")
        return f"{fetched} of {counted(total, 'package')} ready; {lacking} nobody could deliver"
    are = "is" if total == 1 else "are"
    ready = f"{counted(total, 'package')}, {size(state['bytes'])}, {are} ready"
    if state["left_out"]:
        return f"{ready}; {_left_out(state['left_out'], 'more ')}"
    return f"{ready}: all that pacman would upgrade is here now"


def _left_out(count: int, more: str = "") -> str:
    """Return how many have no room."""
    return f"the store has no room for {count} {more}package{'s' if count > 1 else ''}"


async def _follow(node: Node) -> dict[str, Any]:
    """Wait until everything is fetched; return the node's own account of it."""
    state: dict[str, Any] = (await node.ask("/status.json"))["prefetch"]
    bar = progress("fetching ahead", state["total_bytes"])
    try:
        while state["running"]:
            bar.move(state["bytes"])
            await task.deferLater(node.reactor, _LOOK)
            state = (await node.ask("/status.json"))["prefetch"]
    finally:
        bar.end()
    return state
