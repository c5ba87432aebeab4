"""``flocon setup`` and ``flocon pacman``: lead pacman to the node, for good or once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.cli.printing import complain, counted, put
from flocon.core.node_lines import Method
from flocon.core.secrecy import without_passwords
from flocon.host import borrow, setup

if TYPE_CHECKING:
    import argparse

    from flocon.host.setup import Report


def set_up(options: argparse.Namespace) -> None:
    """Show the change as a diff on standard output, and say beside it what was done and is next."""
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
    put(without_passwords(report.diff))
    for note in report.notes:
        complain(note)
    if report.changed:
        _say_done(report, options)
    else:
        put(f"{path}: nothing to change\n")
        if not options.undo:
            complain(_next(options.port))


def _say_done(report: Report, options: argparse.Namespace) -> None:
    files = ", ".join(map(str, report.changed))
    if options.dry_run:
        complain(f"nothing is written; without --dry-run this would be, in {files}")
        return
    changes = [
        line
        for line in report.diff.splitlines()
        if line[:1] in {"+", "-"} and line[:3] not in {"+++", "---"}
    ]
    complain(f"{counted(len(changes), 'line')} changed in {files}")
    if options.undo:
        complain("pacman asks its mirrors itself again")
    else:
        complain(f"{_next(options.port)}; 'flocon setup --undo' takes it back")


def _next(port: int) -> str:
    if borrow.node_answers(port):
        return "the node answers: pacman asks it from now on, and 'flocon doctor' looks at the rest"
    return "next: 'systemctl enable --now flocon' starts the node, then 'flocon doctor'"


def run_pacman(options: argparse.Namespace) -> None:
    borrow.borrow(options.arguments, port=options.port, tell=complain)
