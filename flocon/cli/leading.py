"""``flocon setup`` and ``flocon pacman``: lead pacman to the node, for good or once."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flocon.errors import ConfigurationError
from flocon.leading import borrow, section, setup
from flocon.leading.node_lines import Method
from flocon.secrecy import without_passwords
from flocon.settings.settings import DEFAULT_PACMAN_CONF, LOOPBACK_PORT
from flocon.terminal.printing import complain, counted, put

if TYPE_CHECKING:
    import argparse

    from flocon.leading.setup import Report


#: Where the unit lies that a package brings, or somebody put there.
UNITS = tuple(
    Path(folder, "systemd/system/flocon.service")
    for folder in ("/usr/lib", "/etc", "/usr/local/lib")
)


def set_up(options: argparse.Namespace) -> None:
    """Show the change as a diff on standard output, and say beside it what was done and is next."""
    path, dry_run = options.pacman_conf, options.dry_run
    if options.undo:
        if options.server or options.cache_server or options.databases:
            raise ConfigurationError(
                "flocon setup --undo",
                "takes out whatever lines of the node's there are",
                "leave out --server, --cache-server and --databases",
            )
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
            complain(_next(options))
    if options.undo and not options.dry_run:
        _say_whom_pacman_asks(options, changed=bool(report.changed))


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
    if not options.undo:
        undo = _command("setup --undo", pacman_conf=options.pacman_conf)
        complain(f"{_next(options)}; '{undo}' takes it back")


def _say_whom_pacman_asks(options: argparse.Namespace, *, changed: bool) -> None:
    ports = {options.port, LOOPBACK_PORT}
    joined = section.joined(options.pacman_conf, ports)
    for name in joined:
        undo = _command(
            f"repo join {name} --undo", pacman_conf=options.pacman_conf, port=options.port
        )
        complain(
            f"pacman still asks the node for {name}, and fails where none runs:"
            f" '{undo}' while the node runs, before you stop it"
        )
    left = setup.still_led(options.pacman_conf, ports, but=joined)
    if left:
        places = ", ".join(left)
        complain(f"pacman is still led to the node, by hand: take that out at {places}")
    elif changed:
        complain("pacman asks its mirrors itself again")


def _next(options: argparse.Namespace) -> str:
    doctor = _command("doctor", pacman_conf=options.pacman_conf, port=options.port)
    if borrow.node_answers(options.port):
        return f"the node answers: pacman asks it from now on, and '{doctor}' looks at the rest"
    return f"next: '{_start()}' starts the node, then '{doctor}'"


def _start() -> str:
    """Return what starts the node: its unit, or twistd where there is none."""
    if any(unit.exists() for unit in UNITS):
        return "systemctl enable --now flocon"
    twistd = Path(sys.executable).with_name("twistd")
    return f"{shlex.quote(str(twistd)) if twistd.exists() else 'twistd'} -n --pidfile= flocon"


def _command(name: str, *, pacman_conf: Path, port: int = LOOPBACK_PORT) -> str:
    """Return a command that is about the same files, and the same node."""
    words = [f"flocon {name}"]
    if pacman_conf != DEFAULT_PACMAN_CONF:
        words.append(f"--pacman-conf {shlex.quote(str(pacman_conf))}")
    if port != LOOPBACK_PORT:
        words.append(f"--port {port}")
    return " ".join(words)


def run_pacman(options: argparse.Namespace) -> None:
    borrow.borrow(options.arguments, port=options.port, tell=complain)
