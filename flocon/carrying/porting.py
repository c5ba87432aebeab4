"""``flocon snapshot check``, ``export`` and ``import``: their words, and who does what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.settings.settings import DEFAULT_PACMAN_CONF
from flocon.terminal.options import as_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

VERBS = frozenset({"check", "export", "import"})


def add_verbs(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the verbs; ``add`` takes the name of one and a sentence about it."""
    check = add("check", "whether all that a state needs is on the LAN")
    _add_state(check)
    _add_packages(check, "look at these, and what they need, where nothing is installed")
    check.add_argument(
        "--machine", action="store_true", help="look at this machine's next 'pacman -Su'"
    )
    check.add_argument(
        "--downgrade", action="store_true", help="at its 'pacman -Suu', which also goes back"
    )
    check.add_argument(
        "--pacman-conf",
        metavar="FILE",
        type=as_file,
        default=DEFAULT_PACMAN_CONF,
        help="this machine's configuration [%(default)s]",
    )
    export = add("export", "copy a state and its packages into a folder")
    export.add_argument(
        "directory", metavar="DIR", type=as_file, help="the folder, made if need be"
    )
    _add_state(export)
    _add_packages(export, "only these, and what they need [all that is on the LAN]")
    take_in = add("import", "take in a folder that was exported, as a snapshot")
    take_in.add_argument("directory", metavar="DIR", type=as_file, help="the folder")
    take_in.add_argument("--name", metavar="NAME", default="", help="the snapshot's name [its own]")


def _add_state(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name",
        metavar="STATE",
        nargs="?",
        default="now",
        help="a snapshot, 'latest', or what is given out [%(default)s]",
    )


def _add_packages(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("packages", metavar="PACKAGE", nargs="*", help=text)
    parser.add_argument(
        "--architecture", metavar="ARCH", default="", help="for which machines [this one's]"
    )


async def run(reactor: Any, options: argparse.Namespace) -> None:
    """Do what ``options.verb`` says."""
    from flocon.carrying import checking, exporting, importing  # noqa: PLC0415 - seldom needed

    verbs = {"check": checking.check, "export": exporting.export, "import": importing.take_in}
    await verbs[options.verb](reactor, options)
