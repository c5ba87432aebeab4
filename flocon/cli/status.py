"""``flocon status`` and ``flocon peers``: this node and who is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.cli.asking import Node
from flocon.cli.printing import (
    Word,
    clock,
    counted,
    printable,
    say,
    say_json,
    say_rows,
    size,
)
from flocon.core.units import time_text

if TYPE_CHECKING:
    import argparse


#: Receipts shown; the page and ``--json`` have more.
_RECEIPTS = 3


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
        ("from peers", size(traffic["from_peers_bytes"])),
        ("from mirrors", size(traffic["from_mirrors_bytes"])),
        ("to peers", size(traffic["to_peers_bytes"])),
        ("to pacman", size(traffic["to_pacman_bytes"])),
    ]
    rows += [("quarantine", f"{one['address']} {one['text']}") for one in status["quarantine"]]
    rows += [
        ("receipt", f"{clock(one['at'])}  {one['text']}") for one in status["receipts"][:_RECEIPTS]
    ]
    say_rows(rows, indent=2)


def _print_peers(peers: list[dict[str, Any]]) -> None:
    rows = []
    for peer in sorted(peers, key=lambda one: (one["name"], one["node"])):
        place = f"{printable(peer['address'])} port {peer['port']}"
        heard = f"heard {time_text(peer['last_heard_seconds'])} ago"
        row = (peer["name"], place, counted(peer["files"], "file"), heard, Word(peer["state"]))
        rows.append(row)
    say_rows(rows)
