"""The command line of ``flocon``: its commands, their options, and one sentence about each.

The completions of every shell are made from it (``completion``): what stands here is all there is.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from flocon import __version__
from flocon.carrying import porting
from flocon.publishing import verbs as publishing
from flocon.reviewing import verbs as reviewing
from flocon.settings.settings import DEFAULT_CONFIG, DEFAULT_PACMAN_CONF, LOOPBACK_PORT
from flocon.terminal.options import as_file
from flocon.terminal.printing import put

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHELLS = ("bash", "zsh", "fish")


class _Parser(argparse.ArgumentParser):
    """Says what was perhaps meant by a word that it does not know."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices = list(action.choices or ())
        if choices and value not in choices:
            what = "command" if action.dest == "command" else str(action.metavar).lower()
            said = f"'{self.prog} {value}'" if action.dest == "verb" else f"{what} {value!r}"
            there = "'flocon --help' lists them"
            if action.dest != "command":
                there = f"there are {', '.join(choices)}"
            meant = _meant(str(value), map(str, choices)) or f"; {there}"
            self.error(f"there is no {said}{meant}")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            word = unknown[0]
            kind = "option" if word.startswith("-") else "argument"
            taker = " ".join(filter(None, (options.command, getattr(options, "verb", None))))
            known = self._known_options(options)
            self.error(f"{taker or 'flocon'} takes no {kind} {word!r}{_meant(word, known)}")
        if getattr(options, "verb", "") is None:
            # Bare it is its help, as flocon itself is.
            for action in self._actions:
                if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
                    action.choices[options.command].print_help()
            self.exit()
        return options

    def _known_options(self, options: argparse.Namespace) -> Iterator[str]:
        """Yield the options of this command, and of the one below it that was given."""
        yield from self._option_string_actions
        for action in self._actions:
            given = getattr(options, action.dest, None)
            if isinstance(action, argparse._SubParsersAction) and given:  # noqa: SLF001
                yield from action.choices[given]._known_options(options)  # noqa: SLF001

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is not None and file is sys.stderr:
            super()._print_message(message, file)
        else:
            put(message)


def _meant(word: str, known: Iterable[str]) -> str:
    """Return a question after the word that comes closest, if one does."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def make_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="flocon",
        description="Ask this machine's node, tell it something, and lead pacman to it.",
        allow_abbrev=False,  # what follows the command `pacman` is pacman's
    )
    parser.add_argument("-V", "--version", action="version", version=f"flocon {__version__}")
    parser.add_argument(
        "--port", type=_port, default=LOOPBACK_PORT, help="the node's loopback port [%(default)s]"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    _add_reading(commands)
    _add_changing(commands)
    _add_mirror(_group(commands, "mirror", "the mirror for the whole LAN, on the node that is one"))
    snapshot = _group(commands, "snapshot", "states of all databases that are kept, or used")
    _add_snapshot(snapshot)
    porting.add_verbs(partial(_command, snapshot))
    repository = _group(commands, "repo", "repositories of your own: signed here, trusted there")
    publishing.add_verbs(partial(_command, repository))
    build = _group(commands, "build", "packages from recipes, built here once for the whole LAN")
    reviewing.add_verbs(partial(_command, build))
    settings = _plain(commands, "config", "print and check the settings, without a node")
    settings.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print JSON"
    )
    settings.add_argument(
        "--config", metavar="FILE", type=as_file, help=f"the file to check [{DEFAULT_CONFIG}]"
    )
    _add_setup(_plain(commands, "setup", "lead pacman to this machine's node"))
    # No argument of pacman's is one of ours, whatever it begins with.
    once = commands.add_parser(
        "pacman", help="run pacman once, led to the node", add_help=False, prefix_chars="\0"
    )
    once.add_argument("arguments", nargs=argparse.REMAINDER)
    shell = _plain(commands, "completion", "print what a shell needs to complete flocon")
    shell.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")
    return parser


def _plain(commands: argparse._SubParsersAction[_Parser], name: str, text: str) -> _Parser:
    """Add a command, with one sentence about it in both helps."""
    return commands.add_parser(name, help=text, description=text)


def _command(commands: argparse._SubParsersAction[_Parser], name: str, text: str) -> _Parser:
    """Add a command that asks a node: the options for that may stand on either side of its name."""
    parser = _plain(commands, name, text)
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    _add_port(parser)
    return parser


def _group(
    commands: argparse._SubParsersAction[_Parser], name: str, text: str
) -> argparse._SubParsersAction[_Parser]:
    """Add a word that has commands behind it, and return what they are added to by ``_command``."""
    parser = _command(commands, name, text)
    return parser.add_subparsers(dest="verb", metavar="VERB", parser_class=_Parser)


def _add_port(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port",
        type=_port,
        default=argparse.SUPPRESS,
        help=f"the node's loopback port [{LOOPBACK_PORT}]",
    )


def _add_reading(commands: argparse._SubParsersAction[_Parser]) -> None:
    _command(commands, "status", "this node: inventory and traffic")
    _command(commands, "peers", "who is there")
    _command(commands, "watch", "what the node does, as it does it")
    has = _command(commands, "has", "who on the LAN has a package, in which versions")
    has.add_argument("names", metavar="NAME", nargs="+", help="a package's name")
    which = has.add_mutually_exclusive_group()
    which.add_argument(
        "--contains", action="store_true", help="every file that has NAME somewhere in its name"
    )
    which.add_argument(
        "--newest", action="store_true", help="only the newest version that anybody holds"
    )
    listing = _command(commands, "list", "all packages that this machine holds")
    listing.add_argument(
        "--remote", action="store_true", help="those of the whole LAN, with who holds them"
    )
    get = _command(commands, "get", "fetch a package into the current folder, verified")
    get.add_argument("name", metavar="FILE|NAME", help="a package's file name, or its name")
    get.add_argument(
        "--newest",
        action="store_true",
        help="the newest version that anybody holds, also one that is not listed, if it is signed",
    )
    get.add_argument(
        "--pacman-conf",
        metavar="FILE",
        type=as_file,
        default=DEFAULT_PACMAN_CONF,
        help="whose keyring says who may sign what is not listed [%(default)s]",
    )
    why = _command(commands, "why", "how a request for a file is answered, or was lately")
    why.add_argument(
        "name", metavar="FILE|NAME", help="a package's file name or its name, or a database's"
    )
    doctor = _command(commands, "doctor", "find out what is wrong, and how it is mended")
    doctor.add_argument(
        "--pacman-conf",
        metavar="FILE",
        type=as_file,
        help=f"pacman's configuration [what the node reads, or {DEFAULT_PACMAN_CONF}]",
    )


def _add_changing(commands: argparse._SubParsersAction[_Parser]) -> None:
    for name, text in (
        ("ban", "put a peer into quarantine for good"),
        ("pardon", "let a peer out of quarantine"),
    ):
        judge = _command(commands, name, text)
        judge.add_argument("peer", metavar="PEER", help="a name, address or id that 'peers' shows")
    _command(commands, "rejoin", "join the multicast group anew on every interface")
    prefetch = _command(commands, "prefetch", "fetch what pacman would upgrade")
    prefetch.add_argument("--no-wait", action="store_true", help="do not wait until it is there")


def _add_mirror(verbs: argparse._SubParsersAction[_Parser]) -> None:
    _command(verbs, "status", "which state clients are given, what waits, and who they are")
    _command(verbs, "refresh", "ask the mirrors for a new state now")
    for name, text in (
        ("want", "have packages and groups here whoever asks for them"),
        ("unwant", "take back what 'want' was told"),
    ):
        want = _command(verbs, name, text)
        want.add_argument("names", metavar="NAME", nargs="+", help="a package's or a group's name")
    clean = _command(verbs, "clean", "remove packages that nothing keeps")
    clean.add_argument("--dry-run", action="store_true", help="only tell what would go, and why")


def _add_snapshot(verbs: argparse._SubParsersAction[_Parser]) -> None:
    take = _command(verbs, "take", "keep a state, with its packages, until it is dropped")
    take.add_argument("name", metavar="NAME", nargs="?", help="what to call it [by its day]")
    which = take.add_mutually_exclusive_group()
    which.add_argument("--of", metavar="STATE", help="which state [the one that is given now]")
    which.add_argument(
        "--date", metavar="DAY", help="that of a day, like 2026-11-01, in an archive"
    )
    _command(verbs, "list", "which states there are, and which one the LAN is given")
    diff = _command(verbs, "diff", "which packages are others in another state")
    diff.add_argument("before", metavar="STATE", help="a snapshot, 'latest' or 'now'")
    diff.add_argument("after", metavar="OTHER", nargs="?", help="the other one [now]")
    use = _command(verbs, "use", "have the LAN given another state, back or forward")
    use.add_argument(
        "state", metavar="STATE", nargs="+", help="a snapshot, 'latest', or like '3 days behind'"
    )
    use.add_argument("--longer", action="store_true", help="also for longer than hold_at_most")
    drop = _command(verbs, "drop", "let go of a snapshot, and of packages that nothing else keeps")
    drop.add_argument("name", metavar="NAME", help="a name that 'list' shows")


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
        type=as_file,
        default=DEFAULT_PACMAN_CONF,
        help="the file to change [%(default)s]",
    )
    _add_port(parser)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)
