"""What each word of ``flocon build`` does: asks the node, shows, and tells it what was decided."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from flocon.builds import sayings
from flocon.reviewing import adding, deciding
from flocon.reviewing.following import show_log
from flocon.terminal.asking import LONG_PATIENCE, Node, NodeError
from flocon.terminal.printing import Word, advise, clock, put, say, say_json, say_rows

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Coroutine

#: Seconds for what asks the AUR and fetches recipes.
PATIENCE = 15 * 60.0


async def _status(reactor: Any, options: argparse.Namespace) -> None:
    told = await Node(reactor, options.port).ask("/builds.json", patience=LONG_PATIENCE)
    if options.json:
        say_json(told)
        return
    if missing := sayings.unknown(told, options.names):
        raise NodeError(f"{missing[0]} is not watched; 'flocon build add {missing[0]}' does that")
    now = time.time()
    found = [*sayings.rows(told, options.names, now)]
    if found:
        say_rows([(base, version, Word(stage), why) for base, version, stage, why in found])
    elif told["used"]:
        advise("no recipe is watched: 'flocon build add NAME' does that")
    elif not told["problem"]:
        advise(
            "nothing is built here: 'systemctl enable --now flocon-sign.socket"
            " flocon-build.socket', then 'systemctl restart flocon', have it built"
        )
    for line in sayings.sums(told, now):
        say(line)


async def _check(reactor: Any, options: argparse.Namespace) -> None:
    await _tell(reactor, options, "check", *options.names, patience=PATIENCE)


async def _hold(reactor: Any, options: argparse.Namespace) -> None:
    await _tell(reactor, options, "hold", options.name, *(["off"] if options.off else []))


async def _simply(reactor: Any, options: argparse.Namespace) -> None:
    await _tell(reactor, options, options.verb, options.name)


async def _web(reactor: Any, options: argparse.Namespace) -> None:
    said = await Node(reactor, options.port).tell("build", "web")
    if options.json:
        say_json({"url": said})
    else:
        say("open this in a browser on this machine within ten minutes; it works once:")
        say(said)


async def _history(reactor: Any, options: argparse.Namespace) -> None:
    names = [options.names] if options.names else []
    text = await Node(reactor, options.port).hand("build", "history", *names)
    entries = [json.loads(line) for line in text.splitlines() if line.strip()]
    if options.json:
        say_json(entries)
        return
    rows = [
        (clock(one.get("when", 0)), one.get("base", ""), one.get("what", ""), _rest(one))
        for one in entries
    ]
    if rows:
        say_rows(rows)
    else:
        say("nothing was decided or built yet")


def _rest(entry: dict[str, Any]) -> str:
    known = {"when", "base", "what"}
    told = ((name, value) for name, value in entry.items() if name not in known and value)
    return ", ".join(f"{name} {_plain(value)}" for name, value in told)


def _plain(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(map(_plain, value))
    return value if isinstance(value, str) else json.dumps(value)


async def _tell(
    reactor: Any, options: argparse.Namespace, *words: str, patience: float = LONG_PATIENCE
) -> None:
    said = await Node(reactor, options.port).tell("build", *words, patience=patience)
    if options.json:
        say_json({"said": said})
    else:
        for line in said.splitlines():
            say(line)


async def _diff(reactor: Any, options: argparse.Namespace) -> None:
    node = Node(reactor, options.port)
    look = await deciding.look(node, options.name)
    if options.json:
        put(json.dumps(look, indent=1) + "\n")
    else:
        deciding.show(look)


DOES: dict[str, Callable[[Any, argparse.Namespace], Coroutine[Any, Any, None]]] = {
    "add": adding.add,
    "status": _status,
    "check": _check,
    "log": show_log,
    "diff": _diff,
    "approve": deciding.decide,
    "reject": deciding.decide,
    "hold": _hold,
    "rebuild": _simply,
    "cancel": _simply,
    "remove": _simply,
    "history": _history,
    "web": _web,
}
