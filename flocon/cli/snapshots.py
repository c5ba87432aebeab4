"""``flocon snapshot``: states of all databases that are kept, and which one the LAN is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.carrying import porting
from flocon.terminal.asking import LONG_PATIENCE, Node, NodeError
from flocon.terminal.printing import advise, clock, counted, say, say_json, say_rows, size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Coroutine, Iterator, Mapping

#: Seconds for what has a whole state fetched from an archive, or large databases read.
PATIENCE = 15 * 60.0
#: The state that is given now, which a difference is told from where only one is named.
_NOW = "now"


async def run(reactor: Any, options: argparse.Namespace) -> None:
    """Do what stands behind the word."""
    if options.verb in porting.VERBS:
        await porting.run(reactor, options)
        return
    await _DOES[options.verb](Node(reactor, options.port), options)


async def _take(node: Node, options: argparse.Namespace) -> None:
    words = ["take", options.name or ""]
    if options.date:
        words += ["dated", options.date]
    elif options.of:
        words += ["of", options.of]
    await _tell(node, options, *words)


async def _use(node: Node, options: argparse.Namespace) -> None:
    longer = ["longer"] if options.longer else []
    await _tell(node, options, "use", " ".join(options.state), *longer)


async def _drop(node: Node, options: argparse.Namespace) -> None:
    await _tell(node, options, "drop", options.name)


async def _tell(node: Node, options: argparse.Namespace, *words: str) -> None:
    said = await node.tell("snapshot", *words, patience=PATIENCE)
    if options.json:
        say_json({"said": said})
    else:
        say(said)


async def _ask(node: Node, path: str, fields: Mapping[str, str] | None = None) -> Any:
    told = await node.ask(path, fields, patience=LONG_PATIENCE)
    if told["refused"]:
        raise NodeError(told["refused"])
    return told


async def _list(node: Node, options: argparse.Namespace) -> None:
    told = await _ask(node, "/snapshots.json")
    if options.json:
        say_json(told)
        return
    say_rows([*given(told)])
    if told["snapshots"]:
        say_rows([*map(_row, told["snapshots"])])
    else:
        advise("no snapshots: 'flocon snapshot take' keeps the state that is given now")


def given(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what the LAN is given: each a word or two, and a text."""
    until = f", until {clock(told['held_until'])}" if told["held_until"] else ""
    yield "in use", f"{told['policy']}{until}"
    published = told["published"]
    if published is None:
        yield "given", "nothing yet"
    else:
        of, since = clock(published["of"]), clock(published["since"])
        yield "given", f"the state of {of}, since {since}"
    read = told["generations"]
    if read and (published is None or read[-1]["generation"] != published["generation"]):
        yield "newest", f"the state of {clock(read[-1]['of'])}, read {clock(read[-1]['made'])}"
    if told["problem"]:
        yield "problem", told["problem"]


def _row(snapshot: Mapping[str, Any]) -> tuple[str, ...]:
    words = ["given now"] if snapshot["published"] else []
    words += ["in use"] if snapshot["in_use"] else []
    return (
        snapshot["name"],
        f"the state of {clock(snapshot['of'])}",
        f"taken {clock(snapshot['taken'])}",
        f"{', '.join(snapshot['repositories'])} ({', '.join(snapshot['architectures'])})",
        f"{size(snapshot['bytes'])} of databases",
        ", ".join(words),
    )


async def _diff(node: Node, options: argparse.Namespace) -> None:
    fields = {"before": options.before, "after": options.after or _NOW}
    told = await _ask(node, "/snapshots/diff.json", fields)
    if options.json:
        say_json(told)
        return
    rows = [
        (one["repository"], one["architecture"], one["name"], _change(one))
        for one in told["packages"]
    ]
    if rows:
        say_rows(rows)
    for line in _sums(told):
        say(line)


def _change(package: Mapping[str, Any]) -> str:
    before, after = package["before"], package["after"]
    if before is None:
        return f"{after} is new"
    if after is None:
        return f"{before} is gone"
    return f"{before} built anew" if before == after else f"{before} -> {after}"


def _sums(told: Mapping[str, Any]) -> Iterator[str]:
    if told["left_out"]:
        yield f"and {counted(told['left_out'], 'package')} more"
    for name, which in (("only_before", "first"), ("only_after", "second")):
        if told[name]:
            yield f"only the {which} state has {', '.join(told[name])}"
    kinds = {
        "newer": "newer",
        "older": "older",
        "rebuilt": "built anew",
        "added": "new",
        "removed": "gone",
    }
    parts = [f"{told[name]} {word}" for name, word in kinds.items() if told[name]]
    of = f"from the state of {clock(told['before']['of'])} to that of {clock(told['after']['of'])}"
    yield f"{of}: {', '.join(parts) if parts else 'the same packages'}"


_DOES: dict[str, Callable[[Node, argparse.Namespace], Coroutine[Any, Any, None]]] = {
    "take": _take,
    "list": _list,
    "diff": _diff,
    "use": _use,
    "drop": _drop,
}
