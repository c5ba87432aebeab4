"""The command line of ``flocon``: its commands, their options, and one sentence about each.

The completions of every shell are made from it (``completion``): what stands here is all there is.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from flocon import __version__
from flocon.options import DEFAULT_PACMAN_CONF, LOOPBACK_PORT

SHELLS = ("bash", "zsh", "fish")


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flocon",
        description="Ask this machine's node, tell it something, and lead pacman to it.",
        allow_abbrev=False,  # what follows the command `pacman` is pacman's
    )
    parser.add_argument("--version", action="version", version=f"flocon {__version__}")
    parser.add_argument(
        "--port", type=_port, default=LOOPBACK_PORT, help="the node's loopback port [%(default)s]"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_reading(commands)
    _add_changing(commands)
    _add_setup(commands.add_parser("setup", help="lead pacman to this machine's node"))
    # No argument of pacman's is one of ours, whatever it begins with.
    once = commands.add_parser(
        "pacman", help="run pacman once, led to the node", add_help=False, prefix_chars="\0"
    )
    once.add_argument("arguments", nargs=argparse.REMAINDER)
    shell = commands.add_parser("completion", help="print what a shell needs to complete flocon")
    shell.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    """Add a command that asks a node: the options for that may stand on either side of its name."""
    parser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    _add_port(parser)
    return parser


def _add_port(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port",
        type=_port,
        default=argparse.SUPPRESS,
        help=f"the node's loopback port [{LOOPBACK_PORT}]",
    )


def _add_reading(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _command(commands, "status", "this node: inventory and traffic")
    _command(commands, "peers", "who is there")
    has = _command(commands, "has", "who on the LAN has a package, in which versions")
    has.add_argument("name", metavar="NAME", help="a package's name")
    has.add_argument(
        "--contains", action="store_true", help="every file that has NAME somewhere in its name"
    )
    get = _command(commands, "get", "fetch a package into the current folder, verified")
    get.add_argument("name", metavar="FILE|NAME", help="a package's file name, or its name")
    why = _command(commands, "why", "how a request for a file is answered, or was lately")
    why.add_argument("file", metavar="FILE", help="a package's file name, or a database's")
    doctor = _command(commands, "doctor", "find out what is wrong, and how it is mended")
    doctor.add_argument(
        "--pacman-conf",
        metavar="FILE",
        type=Path,
        default=DEFAULT_PACMAN_CONF,
        help="pacman's configuration [%(default)s]",
    )


def _add_changing(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    for name, text in (
        ("ban", "put a peer into quarantine for good"),
        ("pardon", "let a peer out of quarantine"),
    ):
        judge = _command(commands, name, text)
        judge.add_argument("peer", metavar="PEER", help="a name, address or id that 'peers' shows")
    _command(commands, "rejoin", "join the multicast group anew on every interface")
    prefetch = _command(commands, "prefetch", "fetch what pacman would upgrade")
    prefetch.add_argument("--no-wait", action="store_true", help="do not wait until it is there")


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
    _add_port(parser)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)
