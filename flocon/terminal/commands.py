"""Commands in a sentence, as its reader can type them: by their path, and with sudo, if need be."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where a command of flocon's own begins.
_OWN = re.compile(
    r"(?<![\w./~-])flocon (?=(?:setup|doctor|status|peers|watch|has|list|get|why|ban|pardon|rejoin"
    r"|prefetch|mirror|snapshot|repo|build|config)\b)"
)
#: Where one begins that root may run, and whoever was put into the group flocon; with its path.
_TAKES_ROOT = re.compile(
    r"(?<![\w./~-])(?<!sudo )(?="
    r"systemctl (?:enable|disable|start|stop|restart|reload|reset-failed|edit|kill)\b"
    r"|(?:[\w./~-]*/)?flocon (?:setup|repo (?:join|init|add|remove|rollback|key -)|ban|pardon"
    r"|rejoin|prefetch|mirror (?!status)|snapshot (?:take|use|drop|import)|build (?!status))"
    r"|pacman -(?:R|U|S(?![gilps]))|pacman-key --|timedatectl set-"
    r"|ufw (?:allow|delete|reload)|firewall-cmd --|ip link set |chmod [-ugoa0-7]|install -d )"
)
#: By what a program that runs as root tells who had it do so.
_ASKED_BY = ("SUDO_UID", "DOAS_USER", "PKEXEC_UID")
_ROOT = ("", "0", "root")


def for_reader(sentence: str) -> str:
    """Return a sentence whose commands can be typed by who has this program run."""
    typed = with_program(sentence, program(sys.argv[0], shutil.which("flocon")))
    return with_sudo(typed) if needs_sudo(os.geteuid(), os.environ) else typed


def about(sentence: str) -> str:
    """Return the same of one that may begin with a command that it is about."""
    return sentence[:1] + for_reader(sentence[1:])


def needs_sudo(user: int, environment: Mapping[str, str]) -> bool:
    """Whether the next command is an ordinary user's."""
    return user != 0 or any(environment.get(name, "") not in _ROOT for name in _ASKED_BY)


def with_sudo(sentence: str) -> str:
    """Return a sentence with sudo before each command that takes root."""
    return _TAKES_ROOT.sub("sudo ", sentence)


def program(called: str, found: str | None) -> str:
    """Return what a shell runs flocon by: its path, where another one or none is in PATH."""
    path = Path(called)
    if path.name != "flocon" or not path.exists():
        return "flocon"
    if found is not None and path.samefile(found):
        return "flocon"
    return shlex.quote(str(path.absolute()))


def with_program(sentence: str, program: str) -> str:
    """Return a sentence with ``program`` in place of flocon's name in each of its commands."""
    return _OWN.sub(lambda _: f"{program} ", sentence)
