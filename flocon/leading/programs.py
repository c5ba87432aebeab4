"""What pacman's own programs say to a command that waits for them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from flocon.errors import ConfigurationError, ToolError, ToolMissing
from flocon.leading import node_lines, plan
from flocon.leading.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from flocon.leading.node_lines import Method
    from flocon.leading.plan import Plan

#: Seconds for pacman and pacman-conf to say what they are asked.
PATIENCE = 10
#: What pacman-conf says, since 7.0, of a GPGDir that is not there yet.
_MISSING = re.compile(r"failed to resolve path '(/[^'\n]+)' passed to 'GPGDir'")
_UNKNOWN = "'CacheServer' in section"


def pacman_version() -> tuple[int, int]:
    """Ask pacman for its version; raise ConfigurationError where it cannot say."""
    try:
        _, output, _ = run_tool("pacman", "--version")
    except ToolError as error:
        problem = f"the version of pacman is not known ({error.reason})"
    else:
        if version := node_lines.parse_version(output):
            return version
        problem = "the version of pacman is not in what 'pacman --version' prints"
    remedy = "name the line with --server or --cache-server"
    raise ConfigurationError("pacman", problem, remedy)


def run_tool(tool: str, *arguments: str, seconds: float = PATIENCE) -> tuple[int, str, str]:
    """Run a program; return status, output and errors. Raises ToolError or ToolMissing."""
    if shutil.which(tool) is None:
        raise ToolMissing(tool)
    try:
        done = subprocess.run(  # noqa: S603 - fixed names, and arguments that were looked at
            [tool, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(tool, str(error)) from None
    return done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr)


def keyring_of(pacman_conf: Path) -> Path:
    """Return pacman's GPGDir, which may be missing; raises ConfigurationError, ToolError."""
    words = ("--config", str(pacman_conf), "GPGDir")
    status, output, errors = run_tool("pacman-conf", *words)
    missing = _MISSING.search(errors) if status != 0 else None
    folder = missing[1] if missing else output.strip()
    if (status != 0 and not missing) or not folder.startswith("/") or "\n" in folder:
        said = printable(errors.strip().rpartition("\n")[2]) or "it failed"
        problem = f"pacman itself does not say where its keyring is ({said})"
        raise ConfigurationError(str(pacman_conf), problem, "mend GPGDir there")
    return Path(folder)


def verifier(
    root: str, outcome: Plan, method: Method, port: int, ports: set[int], *, forced: bool
) -> Callable[[], None]:
    """Have pacman-conf read the configuration now; return what compares it with a later one.

    Without pacman-conf nothing is compared. Raises ConfigurationError where it reads an error.
    """
    if shutil.which("pacman-conf") is None:
        return lambda: None
    before, errors_before = _read_and_hear(root)

    def verify() -> None:
        status, after, errors = run_tool("pacman-conf", "--config", root)
        if status != 0:
            wrong = f"pacman could not read the outcome ({_first_line(errors)})"
        elif errors.count(_UNKNOWN) > errors_before.count(_UNKNOWN) and not forced:
            # Another tool's lines may stand there already, and do no harm.
            wrong = "pacman does not know CacheServer"
        else:
            wrong = plan.contradiction(before, after, outcome, method, port=port, ports=ports)
        if wrong:
            remedy = "everything was put back; set it up by hand, and tell flocon's authors"
            raise ConfigurationError(printable(root), wrong, remedy)

    return verify


def repositories_read(root: str) -> list[str] | None:
    """Return the repositories that pacman-conf reads there, None where there is no pacman-conf.

    Raises ConfigurationError where it reads an error.
    """
    if shutil.which("pacman-conf") is None:
        return None
    return _read(root, "--repo-list").split()


def _read(root: str, *options: str) -> str:
    """Return what pacman-conf reads there; raises ConfigurationError where it is an error."""
    return _read_and_hear(root, *options)[0]


def _read_and_hear(root: str, *options: str) -> tuple[str, str]:
    """Return what pacman-conf reads there, and of what it warns."""
    status, output, errors = run_tool("pacman-conf", "--config", root, *options)
    if status != 0:
        problem = f"pacman itself cannot read it ({_first_line(errors)})"
        raise ConfigurationError(printable(root), problem, "mend that first")
    return output, errors


def _first_line(text: str) -> str:
    return printable(text.strip().partition("\n")[0]) or "it does not say why"
