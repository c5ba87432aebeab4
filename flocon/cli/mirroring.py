"""``flocon mirror``: how the mirror for the whole LAN stands, and what it is told to do."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from flocon.faces.control import MOST_WORDS
from flocon.mirrors.telling import missing_text
from flocon.states.publication import LATEST
from flocon.terminal.asking import Node
from flocon.terminal.printing import clock, counted, say, say_json, say_rows, size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence

#: Seconds for what may have a whole state fetched, or a large store looked through.
PATIENCE = 15 * 60.0
#: Names, and clients, that are shown; ``--json`` has all that is told.
_SHOWN = 10
#: Words that stand before the names in what the node is told.
_VERBS = 1


async def run(reactor: Any, options: argparse.Namespace) -> None:
    """Do what stands behind the word."""
    await _DOES[options.verb](Node(reactor, options.port), options)


async def _status(node: Node, options: argparse.Namespace) -> None:
    told = await node.ask("/mirror.json")
    if options.json:
        say_json(told)
    else:
        say_rows([*lines(told)])


async def _refresh(node: Node, options: argparse.Namespace) -> None:
    await _tell(node, options, ["refresh"])


async def _want(node: Node, options: argparse.Namespace) -> None:
    # Not all names go into one request.
    most = MOST_WORDS - _VERBS
    for at in range(0, len(options.names), most):
        await _tell(node, options, [options.verb, *options.names[at : at + most]])


async def _clean(node: Node, options: argparse.Namespace) -> None:
    await _tell(node, options, ["clean", *(["dry-run"] if options.dry_run else [])])


async def _tell(node: Node, options: argparse.Namespace, words: Sequence[str]) -> None:
    said = await node.tell("mirror", *words, patience=PATIENCE)
    if options.json:
        say_json({"said": said})
    else:
        for line in said.splitlines():
            say(line)


_DOES: dict[str, Callable[[Node, argparse.Namespace], Coroutine[Any, Any, None]]] = {
    "status": _status,
    "refresh": _refresh,
    "want": _want,
    "unwant": _want,
    "clean": _clean,
}


def lines(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a person reads of it: each a word or two, and a text."""
    if not told["serves"]:
        yield "mirror", "off: set serve = true in [mirror] of /etc/flocon.toml, then restart"
        return
    published, waiting = told["published"], told["waiting"]
    if published is None:
        yield "clients get", "nothing yet"
    else:
        of, since = clock(published["of"]), clock(published["since"])
        yield "clients get", f"the state of {of} from {published['source']}, since {since}"
        yield "", _databases_text(published)
    until = f", until {clock(told['until'])}" if told["until"] else ""
    yield "in use", f"{told['policy']}{until}"
    if waiting is not None:
        lacks = missing_text(told)
        rest = f"; {lacks} to come" if lacks else ""
        yield "comes next", f"the state of {clock(waiting['of'])}{rest}"
    if told["refreshed"] or told["next_refresh"]:
        parts = [clock(told["refreshed"])] if told["refreshed"] else ["not yet"]
        parts += [f"again at {clock(told['next_refresh'])}"] if told["next_refresh"] else []
        yield "mirror read", ", ".join(parts)
    if absent := told.get("absent"):
        yield "", f"no server has {_some(absent)}"
    if told["problem"]:
        yield "problem", told["problem"]
    yield from _kept_lines(told)
    yield from _client_lines(told)


def short_rows(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what ``flocon status`` says of it."""
    published, lacks = told["published"], missing_text(told)
    given = f"gives the state of {clock(published['of'])}" if published else "gives nothing yet"
    text = given if told["policy"] == LATEST else f"{given} ({told['policy']})"
    if told["waiting"] is not None:
        text += f"; the next one waits for {lacks}" if lacks else "; the next one is read"
    yield "mirror", text
    if told["problem"]:
        yield "", told["problem"]
    yield from islice(_client_lines(told), 1)


def _kept_lines(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if told["snapshots"]:
        names = [one["name"] for one in told["snapshots"]]
        yield "keeps", f"{counted(len(names), 'snapshot')}: {_some(names)}"
    if (wanting := told["wanting"]) is not None:
        yield from _wanted_lines(told, wanting)
    clearing = told["clearing"]
    if clearing is not None and clearing["protected_bytes"] is not None:
        text = f"{size(clearing['protected_bytes'])} of {size(clearing['max_size'])} have to stay"
        text += ", so nothing new is kept" if clearing["is_over"] else ""
        cleared = counted(clearing["cleared_packages"], "package")
        more = f"; {cleared}, {size(clearing['cleared_bytes'])}, were cleared"
        yield "store", text + (more if clearing["cleared_packages"] else "")


def _wanted_lines(told: Mapping[str, Any], wanting: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    named = list(dict.fromkeys([*wanting["pins"], *wanting["by_hand"]]))
    always = f"always {_some(named)}" if named else ""
    states = wanting.get("states", {})
    for which in ("waiting", "published"):
        known = states.get(told[which]["generation"]) if told[which] is not None else None
        if known is not None:
            count = counted(known["wanted"], "package") + _lacking_text(known)
            yield "wanted", "; ".join(filter(None, (count, always)))
            unknown = [*known["unknown"], *known["unresolved"]]
            if unknown:
                yield "", f"no repository has {_some(unknown)}"
            return
    if always:
        yield "wanted", always


def _lacking_text(known: Mapping[str, Any]) -> str:
    """Return how many packages of a state are not here, "" where all are or nobody knows."""
    if not known["lacks"]:
        return ""
    return f", {known['lacks']} of them not here ({size(known['lacking_bytes'])})"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _client_lines(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    clients = told["clients"]
    if clients is None or not clients["known"]:
        return
    took = size(clients["sent_bytes"])
    saved = size(clients["saved_bytes"])
    count = counted(clients["known"], "client")
    yield "clients", f"{count} without a node took {took}, {saved} of it without the WAN"
    for one in clients["latest"][:_SHOWN]:
        yield "", f"{one['address']}  {size(one['sent_bytes'])}, last {clock(one['last'])}"


def _databases_text(published: Mapping[str, Any]) -> str:
    by_architecture: dict[str, list[str]] = {}
    for one in published["databases"]:
        by_architecture.setdefault(one["architecture"], []).append(one["repository"])
    return "; ".join(f"{', '.join(names)} ({which})" for which, names in by_architecture.items())
