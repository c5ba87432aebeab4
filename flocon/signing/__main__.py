"""``python -m flocon.signing``: the signer, on systemd's socket or one of its own.

Run as the user that owns the keys. As root, or as the node's user, it works too, and says that the
keys are then no safer than whatever else runs as that user.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flocon.errors import ConfigurationError, FloconError
from flocon.machine.users import number_meant
from flocon.programs.serving import as_folder, serve
from flocon.settings.options import load
from flocon.settings.settings import DEFAULT_CONFIG
from flocon.signing.rights import ROOT, Rights
from flocon.signing.service import Service
from flocon.signing.signer import Signer

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Where the keys are.
HOME = Path("/var/lib/flocon-sign")
_KEYRING = Path("/etc/pacman.d/gnupg")
_NODE = "flocon"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until it is ended, or nobody asks any more; what it cannot start with is one sentence."""
    options = _parser().parse_args(arguments)
    os.umask(0o077)
    try:
        settings = load({"config": options.config} if options.config else {})
        rights = _rights(options)
    except FloconError as error:
        raise SystemExit(f"flocon.signing: {error}") from None

    def make(reactor: Any) -> Service:
        signer = Signer(
            reactor,
            options.home,
            options.published or settings.repo.published,
            wall=time.time,
            host=socket.gethostname(),
            keyring=options.keyring,
            keep=settings.repo.keep if options.keep is None else options.keep,
            debug=settings.repo.debug,
        )
        return Service(reactor, signer, rights)

    serve("flocon.signing", options.listen, make)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flocon.signing", description="Sign and publish packages, when asked."
    )
    add = parser.add_argument
    add("--listen", metavar="PATH", default="", help="a socket of its own [systemd's]")
    add("--home", metavar="DIR", type=as_folder, default=HOME, help="the keys [%(default)s]")
    add("--published", metavar="DIR", type=as_folder, help="what it publishes [repo.published]")
    add("--keyring", metavar="DIR", type=as_folder, default=_KEYRING, help="pacman's [%(default)s]")
    add("--keep", metavar="N", type=int, help="versions of each package that stay [repo.keep]")
    add("--node", metavar="USER", default=_NODE, help="who may have builds signed [%(default)s]")
    add("--commanders", metavar="USER,...", default="", help="who may say all, beside root")
    add("--config", metavar="FILE", type=as_folder, help=f"flocon's settings [{DEFAULT_CONFIG}]")
    return parser


def _rights(options: argparse.Namespace) -> Rights:
    own = os.geteuid()
    node = number_meant(options.node)
    named = [name for name in options.commanders.split(",") if name]
    commanders = [number_meant(name) for name in named]
    for name, user in zip(named, commanders, strict=True):
        if user is None:
            raise ConfigurationError("--commanders", f"there is no user {name}", "name another")
    if own in {ROOT, node}:
        who = "root" if own == ROOT else f"{options.node}, as the node does"
        sys.stderr.write(
            f"flocon.signing: it runs as {who}, so nothing keeps what else does from its keys\n"
        )
    nodes = frozenset() if node is None else frozenset({node})
    return Rights(own, nodes, frozenset(one for one in commanders if one is not None))


if __name__ == "__main__":
    main()
