"""``flocon setup`` and ``flocon pacman``: lead pacman to the node, for good or once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from flocon.core.pacman_conf import Method
from flocon.host import setup

if TYPE_CHECKING:
    import argparse


def set_up(options: argparse.Namespace) -> None:
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


def run_pacman(options: argparse.Namespace) -> None:
    setup.borrow(
        options.arguments,
        port=options.port,
        tell=lambda sentence: print(f"flocon: {sentence}", file=sys.stderr, flush=True),
    )
