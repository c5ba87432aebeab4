"""``flocon build approve`` and ``reject``: what waits is shown as a whole, and decided as shown.

A decision names the commit that was shown, or what a build brought that nobody had approved: what
came meanwhile is not decided by it.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from flocon.builds.reviews import Line, decided, lines
from flocon.reviewing.verbs import AT
from flocon.terminal.asking import LONG_PATIENCE, Node, NodeError
from flocon.terminal.deciding import confirm, show_long
from flocon.terminal.printing import printable, say, say_json, toned

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

#: Digits of what is decided that are shown, and that do to name it.
SHOWN = 12
_LEAST = 7
_QUESTIONS = {"approve": "Have this built", "reject": "Never build this"}
_QUESTIONS_OF_HELD = {"approve": "Sign and publish it so", "reject": "Throw this build away"}


async def look(node: Node, base: str) -> dict[str, Any]:
    """Return all that a person looks at of a recipe."""
    said = await node.hand("build", "look", base, patience=LONG_PATIENCE)
    try:
        told: dict[str, Any] = json.loads(said)
    except ValueError:
        raise NodeError(f"the node answers what is no look at {base}") from None
    return told


def show(told: Mapping[str, Any]) -> None:
    """Have a person read it."""
    show_long(text(lines(told, time.time())))


def text(shown: Iterable[Line]) -> str:
    """Return lines as a terminal shows them: nothing in them is obeyed by it."""
    return "".join(f"{toned(printable(one.text), one.tone)}\n" for one in shown)


async def decide(reactor: Any, options: argparse.Namespace) -> None:
    """Show what waits and ask, or, where that was said, take the word for the named commit."""
    node = Node(reactor, options.port)
    base, _, commit = options.name.partition(AT)
    if options.yes:
        if len(commit) < _LEAST:
            name = base or "NAME"
            problem = f"--yes needs what is meant: {name}{AT}COMMIT"
            raise NodeError(f"{problem}, as 'flocon build diff {name}' shows it")
        _say(options, await node.tell("build", options.verb, base, commit))
        return
    if options.json:
        raise NodeError(f"--json asks nothing: say --yes and NAME{AT}COMMIT with it")
    told = await look(node, base)
    waits = decided(told)
    if not waits:
        raise NodeError(f"nothing of {base} waits to be decided")
    if commit and not waits.startswith(commit.lower()):
        raise NodeError(f"{base} waits with {waits[:SHOWN]}, and not with {commit}: look again")
    show(told)
    if ask(options.verb, told):
        _say(options, await node.tell("build", options.verb, base, waits))
    else:
        say(f"{base} goes on waiting")


def ask(verb: str, told: Mapping[str, Any]) -> bool:
    """Ask a person whether it is to be so."""
    question = (_QUESTIONS_OF_HELD if told["held"] else _QUESTIONS)[verb]
    named = f"{told['base']} {told['version']}".strip()
    return confirm(f"{question}: {printable(named)} ({decided(told)[:SHOWN]})?")


def _say(options: argparse.Namespace, said: str) -> None:
    if options.json:
        say_json({"said": said})
    else:
        for line in said.splitlines():
            say(line)
