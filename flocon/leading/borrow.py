"""Lead pacman to the node for one run: become pacman, with a changed configuration of its own.

The configuration is a file without a name, so that nothing on the disk is changed and nothing is
left behind.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from flocon.errors import ConfigurationError, FloconError, ToolMissing
from flocon.leading import node_lines, pacman_conf, plan
from flocon.leading.look import Look
from flocon.leading.pacman_conf import Configuration
from flocon.leading.printable import printable
from flocon.leading.programs import pacman_version
from flocon.settings.settings import DEFAULT_PACMAN_CONF

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


#: Seconds for a node on this machine to say that it is there, and bytes in which it does.
QUICK = 1
_MOST_SAID = 4 << 10


def borrow(
    arguments: Sequence[str],
    *,
    port: int,
    tell: Callable[[str], None],
    execute: Callable[[str, list[str], dict[str, str]], None] = os.execvpe,
) -> None:
    """Become ``pacman ARGUMENTS``, led to the node if one answers and plain if not.

    The changed configuration is a file without a name (memfd) that ends with pacman, so there is
    nothing to clean up, and the exit status is pacman's own. ``tell`` gets the sentence for the
    operator where it stays plain. Raises ToolMissing where there is no pacman.
    """
    base, rest = _named_configuration(arguments)
    command = ["pacman", *arguments]
    environment = dict(os.environ)
    if shutil.which("pacman") is None:
        raise ToolMissing("pacman")
    try:
        text = _borrowed_text(base, rest, port)
    except FloconError as error:
        tell(printable(f"{error}; pacman goes on without the node"))
    else:
        if text is not None:
            command = ["pacman", "--config", _nameless_file(text), *rest]
            environment.update(_without_proxy(environment))
    execute("pacman", command, environment)


def node_answers(port: int) -> bool:
    """Whether a node answers on this machine, within a second or so; no proxy is asked."""
    return any(_says_yes(host, port) for host in ("127.0.0.1", "::1"))


def _says_yes(host: str, port: int) -> bool:
    question = f"GET /check HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n"
    until = time.monotonic() + QUICK
    said = b""
    # Another may listen in its place, who says something now and then: pacman is not to wait.
    with suppress(OSError), socket.create_connection((host, port), QUICK) as connection:
        connection.sendall(question.encode())
        while len(said) < _MOST_SAID and (left := until - time.monotonic()) > 0:
            connection.settimeout(left)
            if not (piece := connection.recv(_MOST_SAID)):
                break
            said += piece
            head, _, body = said.partition(b"\r\n\r\n")
            if head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.0 200 ")) and body.startswith(b"OK"):
                return True
    return False


def _named_configuration(arguments: Sequence[str]) -> tuple[Path, list[str]]:
    """Return the configuration that pacman's arguments name, and the arguments without it."""
    path = str(DEFAULT_PACMAN_CONF)
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            return Path(path), [*rest, argument, *waiting]
        if argument == "--config":
            path = next(waiting, path)
        elif argument.startswith("--config="):
            path = argument.partition("=")[2]
        else:
            rest.append(argument)
    return Path(path), rest


def _borrowed_text(path: Path, arguments: Sequence[str], port: int) -> bytes | None:
    """Return a configuration led to the node, None where the system's does that already."""
    if not node_answers(port):
        problem = f"no node answers on port {port}"
        remedy = "start one with 'systemctl start flocon' or 'twistd flocon'"
        raise ConfigurationError("pacman", problem, remedy)
    if any(one.partition("=")[0] == "--sysroot" for one in arguments):
        problem = "its configuration lies in another root"
        raise ConfigurationError("--sysroot", problem, "set flocon up in that root")
    state = Look(os.path.realpath(path))
    state.read(state.root, str(path))
    state.follow(relative=True)
    text = pacman_conf.flattened(state.configuration)
    flat = Configuration(state.root, {state.root: text}, {})
    method = node_lines.method_for(pacman_version(), databases=False)
    insertions = plan.plan(flat, method, port).insertions
    return node_lines.put_in(text, insertions) if insertions else None


def _nameless_file(text: bytes) -> str:
    descriptor = os.memfd_create("pacman.conf", 0)
    os.set_inheritable(descriptor, True)
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(text)
    return f"/proc/self/fd/{descriptor}"


def _without_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what keeps libcurl from asking a proxy for the node."""
    if not any(environment.get(name) for name in ("http_proxy", "all_proxy", "ALL_PROXY")):
        return {}
    known = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    return {"no_proxy": f"{known},localhost" if known else "localhost"}
