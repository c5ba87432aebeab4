"""``flocon repo``: its words, and who does what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.settings.settings import DEFAULT_CONFIG, DEFAULT_PACMAN_CONF
from flocon.terminal.options import as_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    Add = Callable[[str, str], argparse.ArgumentParser]


def add_verbs(add: Add) -> None:
    """Add the verbs; ``add`` takes the name of one and a sentence about it."""
    init = add("init", "make a signing key, and an empty repository")
    init.add_argument("name", metavar="NAME", help="what the repository is to be called")
    _add_host(init)
    key = add("key", "show the key by its fingerprint, or have another one take its place")
    which = key.add_mutually_exclusive_group()
    which.add_argument(
        "--replace", action="store_true", help="make a new key, signed by the old, and announce it"
    )
    which.add_argument(
        "--switch", action="store_true", help="sign all by the new key, and revoke the old"
    )
    _add_place(key)
    _add_filling(add)
    listing = add("list", "which packages there are, and the older versions that are kept")
    _add_place(listing)
    _add_join(add)


def _add_filling(add: Add) -> None:
    taken = add("add", "check, sign and publish packages made elsewhere")
    taken.add_argument("files", metavar="FILE", nargs="*", type=as_file, help="a package's file")
    taken.add_argument(
        "--stdin", action="store_true", help="read them from standard input, as --to sends them"
    )
    taken.add_argument(
        "--yes", action="store_true", help="sign on your word what no trusted key has signed"
    )
    _add_place(taken)
    remove = add("remove", "take packages out")
    remove.add_argument("packages", metavar="PACKAGE", nargs="+", help="a name that 'list' shows")
    _add_place(remove)
    back = add("rollback", "go back to an older version of a package")
    back.add_argument("package", metavar="PACKAGE", help="a name that 'list' shows")
    back.add_argument("version", metavar="VERSION", nargs="?", help="which one [the one before]")
    _add_place(back)


def _add_join(add: Add) -> None:
    join = add("join", "trust a repository of the LAN, and have pacman ask for it")
    join.add_argument("name", metavar="NAME", help="the repository's name")
    join.add_argument(
        "--fingerprint",
        metavar="FPR",
        action="append",
        default=[],
        help="the key that it must have, instead of a question; may be repeated",
    )
    join.add_argument("--undo", action="store_true", help="trust it no more, and take it out again")
    join.add_argument("--dry-run", action="store_true", help="only show what would be changed")
    join.add_argument(
        "--pacman-conf",
        metavar="FILE",
        type=as_file,
        default=DEFAULT_PACMAN_CONF,
        help="the file to change [%(default)s]",
    )
    join.add_argument(
        "--config", metavar="FILE", type=as_file, help=f"the node's settings [{DEFAULT_CONFIG}]"
    )


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--repository", metavar="NAME", default="", help="which one, where there are several"
    )
    _add_host(parser)


def _add_host(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", metavar="HOST", default="", help="on another machine, by ssh")
    parser.add_argument("--sudo", action="store_true", help="run it there by sudo")
    parser.add_argument(
        "--signer", metavar="PATH", default="", help="the signer's socket [repo.signer]"
    )


async def run(reactor: Any, options: argparse.Namespace) -> None:
    """Do what ``options.verb`` says."""
    from flocon.publishing import (  # noqa: PLC0415 - seldom needed
        adding,
        elsewhere,
        joining,
        keys,
        packages,
    )

    if getattr(options, "to", ""):
        elsewhere.run(options)
        return
    verbs = {
        "init": keys.init,
        "key": keys.key,
        "add": adding.add,
        "remove": packages.remove,
        "list": packages.show_list,
        "rollback": packages.roll_back,
        "join": joining.join,
    }
    await verbs[options.verb](reactor, options)
