"""``flocon build``: its words, and who does what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

#: What stands behind a base where a commit of it is meant.
AT = "@"


def add_verbs(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the verbs; ``add`` takes the name of one and a sentence about it."""
    adding = add("add", "watch recipes, show them, ask, and have them built")
    adding.add_argument(
        "words", metavar="NAME|FOLDER|GITURL", nargs="+", help="in the AUR, here, or anywhere"
    )
    status = add("status", "what is watched, how it stands, and what waits for a person")
    status.add_argument("names", metavar="NAME", nargs="*", help="only these [all]")
    check = add("check", "ask now whether anything is new")
    check.add_argument("names", metavar="NAME", nargs="*", help="only of these [all]")
    log = _named(add("log", "what its last build said, or the one that runs says"))
    log.add_argument("-f", "--follow", action="store_true", help="go on until that build ends")
    _named(add("diff", "what is proposed, compared with what was approved, and all checks"))
    for name, text in (
        ("approve", "show what waits, ask, and have it built or signed"),
        ("reject", "never build what waits now"),
    ):
        deciding = _named(add(name, text), f"NAME[{AT}COMMIT]")
        deciding.add_argument(
            "--yes", action="store_true", help=f"show and ask nothing: needs NAME{AT}COMMIT"
        )
    hold = _named(add("hold", "build nothing of it for now"))
    hold.add_argument("--off", action="store_true", help="go on with it")
    _named(add("rebuild", "build it once more, as a new release"))
    _named(add("cancel", "end the build that runs"))
    _named(add("remove", "watch it no more; what is published stays"))
    history = add("history", "who had what built, when, and what came of it")
    history.add_argument("names", metavar="NAME", nargs="?", help="only of this [all]")
    add("web", "a link to read and decide in a browser on this machine, for ten minutes")


def _named(parser: argparse.ArgumentParser, metavar: str = "NAME") -> argparse.ArgumentParser:
    parser.add_argument("name", metavar=metavar, help="a recipe that 'status' shows")
    return parser


async def run(reactor: Any, options: argparse.Namespace) -> None:
    """Do what ``options.verb`` says."""
    from flocon.reviewing import commands, naming  # noqa: PLC0415 - by few

    naming.demand_plain(options)
    await commands.DOES[options.verb](reactor, options)
