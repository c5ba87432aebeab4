"""``flocon status`` and ``flocon peers``: this node and who is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.books.units import time_text
from flocon.builds.sayings import short as short_rows
from flocon.cli import others
from flocon.cli.mirroring import short_rows as mirror_rows
from flocon.terminal.asking import Node
from flocon.terminal.printing import (
    Word,
    clock,
    coming_text,
    counted,
    printable,
    say,
    say_json,
    say_rows,
    size,
)

if TYPE_CHECKING:
    import argparse


#: Receipts shown; the page and ``--json`` have more.
_RECEIPTS = 3
#: Those who took most are named.
_TAKERS = 5


async def show_status(reactor: Any, options: argparse.Namespace) -> None:
    status = await Node(reactor, options.port).ask("/status.json")
    if options.json:
        say_json(status)
    else:
        _print_status(status)


async def show_peers(reactor: Any, options: argparse.Namespace) -> None:
    peers = (await Node(reactor, options.port).ask("/status.json"))["peers"]
    if options.json:
        say_json(peers)
    elif not peers:
        say("no peers: start flocon on another machine of this LAN")
    else:
        _print_peers(peers)


def _print_status(status: dict[str, Any]) -> None:
    inventory, traffic = status["inventory"], status["traffic"]
    say(f"flocon {status['version']}, node {status['node']} as {status['name']}")
    rows = [
        ("up", f"{time_text(status['uptime_seconds'])}, {counted(len(status['peers']), 'peer')}"),
        ("holds", f"{counted(inventory['files'], 'package')}, {size(inventory['bytes'])}"),
        (
            "from peers",
            _parts(traffic, "from_peers_bytes", from_owners_bytes="more fetched for us"),
        ),
        ("from mirrors", _parts(traffic, "from_mirrors_bytes", for_peers_bytes="of it for peers")),
        ("to peers", size(traffic["to_peers_bytes"]) + _by_takers(status)),
        (
            "to pacman",
            _parts(
                traffic,
                "to_pacman_bytes",
                held_here_bytes="of it held here",
                ready_ahead_bytes="of it ready ahead",
            ),
        ),
        ("the LAN", _whole(status["lan"])),
    ]
    # A node that was not started anew since it was upgraded does not tell it.
    if problem := status["store"].get("problem"):
        rows.append(("store", f"keeps nothing: {problem}"))
    ahead = status["ahead"]
    if ahead["text"]:
        rows += [("ahead", ahead["text"]), *(("", line) for line in coming_text(ahead))]
    if mirror := status.get("mirror"):
        rows += mirror_rows(mirror)
    if builds := status.get("builds"):
        rows += short_rows(builds)
    rows += [row for one in status.get("own", ()) for row in _own_rows(one)]
    if followed := status.get("followed"):
        rows += _followed_rows(followed)
    rows += others.rows(status)
    rows += [("quarantine", f"{one['address']} {one['text']}") for one in status["quarantine"]]
    rows += [
        ("receipt", f"{clock(one['at'])}  {one['text']}") for one in status["receipts"][:_RECEIPTS]
    ]
    say_rows(rows, indent=2)


def _own_rows(one: dict[str, Any]) -> list[tuple[str, str]]:
    """Return how an own repository stands."""
    told = f"{one['name']}: "
    if one["signed"]:
        told += f"{counted(one['packages'], 'package')}, signed {clock(one['signed'])}"
    else:
        told += "nothing of it is here yet"
    told += ", made here" if one["publishes"] else ""
    if wanted := one["copies"].get("wanted"):
        told += f"; keeps {one['copies']['here']} of {counted(wanted, 'package')} for others"
    problems = [("", one["problem"])] if one["problem"] else []
    return [("repository", told), *problems]


def _followed_rows(followed: dict[str, Any]) -> list[tuple[str, str]]:
    """Return whose state of the databases pacman is given, where that is anybody's."""
    if not followed["node"]:
        missing = f"no one node {followed['named']} is here, so pacman's stay as they are"
        return [("databases", missing)] if followed["named"] else []
    told = f"follow {followed['node']}"
    if followed["of"] is not None:
        told += f": the state of {clock(followed['of'])}, given since {clock(followed['since'])}"
    return [("databases", told)]


def _by_takers(status: dict[str, Any]) -> str:
    """Return who took most, and what all others did, where anybody took anything."""
    rows = [one for one in status["takers"] if one["bytes"]]
    told = [f"{one['name'] or one['address']} {size(one['bytes'])}" for one in rows[:_TAKERS]]
    rest = status["takers_others_bytes"] + sum(one["bytes"] for one in rows[_TAKERS:])
    told += [f"others {size(rest)}"] if rest else []
    return f": {', '.join(told)}" if told else ""


def _parts(traffic: dict[str, int], whole: str, **parts: str) -> str:
    """Return a number of bytes, and what else is told of them where there is any."""
    told = [f"{size(traffic[name])} {what}" for name, what in parts.items() if traffic[name]]
    return ", ".join([size(traffic[whole]), *told])


def _whole(lan: dict[str, int]) -> str:
    """Return what the nodes of the LAN say together of the last 30 days."""
    saved, crossed = size(lan["saved_bytes"]), size(lan["crossed_bytes"])
    nodes = counted(lan["nodes"], "node")
    return f"{saved} saved, {crossed} from mirrors in 30 days, as {nodes} tell" + (
        "s" if lan["nodes"] == 1 else ""
    )


def _print_peers(peers: list[dict[str, Any]]) -> None:
    rows = []
    for peer in sorted(peers, key=lambda one: (one["name"], one["node"])):
        place = f"{printable(peer['address'])} port {peer['port']}"
        heard = f"heard {time_text(peer['last_heard_seconds'])} ago"
        holds, took = counted(peer["files"], "package"), f"took {size(peer['taken_bytes'])}"
        where = [_where(peer)] if any(one.get("far") for one in peers) else []
        rows.append((peer["name"], place, *where, holds, took, heard, Word(peer["state"])))
    say_rows(rows)


def _where(peer: dict[str, Any]) -> str:
    """Return on which side of a router a peer is, and who told of it."""
    if not peer.get("far"):
        return "near"
    return f"far, told by {peer['told_by']}" if peer.get("told_by") else "far"
