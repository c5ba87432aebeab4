"""``flocon``: what this machine's node says, for a person at a terminal.

Only asks, but for ``setup`` and ``pacman``, which lead pacman to the node. Whatever else it prints
comes from the running node; without one it says how to start it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import treq
from twisted.internet import task

from flocon import __version__
from flocon.core.pacman_conf import Method
from flocon.errors import FloconError
from flocon.host import setup
from flocon.options import DEFAULT_PACMAN_CONF, LOOPBACK_PORT

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Seconds to wait for a node on this very machine.
PATIENCE = 5
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; exits 0 if the node answered, 1 if not, 2 for a wrong command line."""
    options = _parser().parse_args(arguments)
    local = {"setup": _setup, "pacman": _pacman}.get(options.command)
    if local is None:
        task.react(_run, [options])
        return
    try:
        local(options)
    except FloconError as error:
        print(f"flocon: {error}", file=sys.stderr)
        raise SystemExit(1) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flocon",
        description="Ask this machine's node.",
        allow_abbrev=False,  # what follows the command `pacman` is pacman's
    )
    parser.add_argument("--version", action="version", version=f"flocon {__version__}")
    parser.add_argument(
        "--port", type=_port, default=LOOPBACK_PORT, help="the node's loopback port [%(default)s]"
    )
    parser.add_argument("--json", action="store_true", help="print what the node said, as JSON")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (("status", "this node: inventory and traffic"), ("peers", "who is there")):
        command = commands.add_parser(name, help=text)
        command.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="print JSON"
        )
    _add_setup(commands.add_parser("setup", help="lead pacman to this machine's node"))
    # No argument of pacman's is one of ours, whatever it begins with.
    once = commands.add_parser(
        "pacman", help="run pacman once, led to the node", add_help=False, prefix_chars="\0"
    )
    once.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser


def _add_setup(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--undo", action="store_true", help="take the node's lines out again")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be changed")
    parser.add_argument("--databases", action="store_true", help="fetch databases through it too")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--server", action="store_true", help="write Server lines [before 6.1]")
    which.add_argument(
        "--cache-server", action="store_true", help="write CacheServer lines [from pacman 6.1 on]"
    )
    parser.add_argument(
        "--pacman-conf",
        metavar="FILE",
        type=Path,
        default=DEFAULT_PACMAN_CONF,
        help="the file to change [%(default)s]",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=argparse.SUPPRESS,
        help=f"the node's loopback port [{LOOPBACK_PORT}]",
    )


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def _setup(options: argparse.Namespace) -> None:
    path, dry_run = options.pacman_conf, options.dry_run
    if options.undo:
        report = setup.undo(path, dry_run=dry_run)
    else:
        method = None
        if options.server:
            method = Method.SERVER
        elif options.cache_server:
            method = Method.BOTH if options.databases else Method.CACHE_SERVER
        report = setup.set_up(
            path, port=options.port, method=method, databases=options.databases, dry_run=dry_run
        )
    # Comments in any language are shown on a terminal of any encoding.
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(report.diff.encode(encoding, "replace").decode(encoding), end="", flush=True)
    for note in report.notes:
        print(f"flocon: {note}", file=sys.stderr)
    if not report.changed:
        print(f"{path}: nothing to change")


def _pacman(options: argparse.Namespace) -> None:
    setup.borrow(
        options.arguments,
        port=options.port,
        tell=lambda sentence: print(f"flocon: {sentence}", file=sys.stderr, flush=True),
    )


async def _run(reactor: Any, options: argparse.Namespace) -> None:
    url = f"http://127.0.0.1:{options.port}/status.json"
    try:
        response = await treq.get(url, timeout=PATIENCE, reactor=reactor)
        status = json.loads(await response.content())
    except Exception as error:  # noqa: BLE001 - whatever it was, the user reads one sentence
        print(
            f"flocon: no node answers on port {options.port} ({type(error).__name__});"
            " start one with 'twistd flocon', or name its port with --port",
            file=sys.stderr,
        )
        raise SystemExit(1) from None
    if options.json:
        print(json.dumps(status["peers"] if options.command == "peers" else status, indent=1))
    elif options.command == "peers":
        _print_peers(status["peers"])
    else:
        _print_status(status)


def _print_status(status: dict[str, Any]) -> None:
    inventory, traffic = status["inventory"], status["traffic"]
    print(f"flocon {status['version']}, node {status['node']} as {status['name']}")
    print(f"  up          {status['uptime_seconds']:.0f} s, {len(status['peers'])} peers")
    print(f"  holds       {inventory['files']} packages, {_size(inventory['bytes'])}")
    for key, words in (
        ("from_peers_bytes", "from peers"),
        ("from_mirrors_bytes", "from mirrors"),
        ("to_peers_bytes", "to peers"),
        ("to_pacman_bytes", "to pacman"),
    ):
        print(f"  {words:12}{_size(traffic[key])}")


def _print_peers(peers: list[dict[str, Any]]) -> None:
    if not peers:
        print("no peers: start flocon on another machine of this LAN")
    for peer in sorted(peers, key=lambda one: (one["name"], one["node"])):
        place = f"{peer['address']} port {peer['port']}"
        heard = f"heard {peer['last_heard_seconds']:.0f} s ago"
        print(f"{peer['name']:20} {place:30} {peer['files']:6} files, {heard}, {peer['state']}")


def _size(count: float) -> str:
    for unit in _UNITS[:-1]:
        if count < 1024:  # noqa: PLR2004
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"
