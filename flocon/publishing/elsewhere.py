"""``flocon repo ... --to HOST``: the same command on another machine, by ssh.

Who may log in there, and as whom, is ssh's to say; whoever runs the command there needs the rights
that he would need sitting at it. Files go by standard input.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

from flocon.errors import RepositoryError
from flocon.publishing import adding, bundle

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

#: A name or an address as ssh takes it, a user before it.
_HOST = re.compile(r"(?:[A-Za-z0-9._][A-Za-z0-9._-]*@)?[A-Za-z0-9_\[:.][A-Za-z0-9._:%\]-]*")


def run(options: argparse.Namespace) -> None:
    """Run the command there; what it says is said here. Raises RepositoryError where it fails."""
    if not _HOST.fullmatch(options.to):
        raise RepositoryError(f"{options.to!r} is no host", "write it like nas or root@nas")
    if shutil.which("ssh") is None:
        raise RepositoryError(
            "ssh is not installed here", "install openssh, or run it on that machine"
        )
    command = ["ssh", "--", options.to, shlex.join(words(options))]
    if options.verb != "add":
        _finish(options, subprocess.run(command, check=False).returncode)  # noqa: S603 - as told
        return
    with adding.given(options) as packages:
        on_word = adding.is_on_word(packages, options)
        if on_word:
            command[-1] += " --yes"
        process = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603 - as told
        assert process.stdin is not None  # noqa: S101 - as asked for
        try:
            with process.stdin as there:
                bundle.write(there, packages)
        except BrokenPipeError:
            # It has said why it reads no more.
            pass
        finally:
            status = process.wait()
    _finish(options, status)


def words(options: argparse.Namespace) -> list[str]:
    """Return the command that the other machine runs."""
    return [*(["sudo", "-n"] if options.sudo else []), "flocon", "repo", *_words(options)]


def _words(options: argparse.Namespace) -> Iterator[str]:
    yield options.verb
    if options.json:
        yield "--json"
    for option in ("repository", "signer"):
        if value := getattr(options, option, ""):
            yield from (f"--{option}", value)
    for flag in ("replace", "switch"):
        if getattr(options, flag, False):
            yield f"--{flag}"
    if options.verb == "add":
        yield "--stdin"
        return
    given = [getattr(options, name, None) for name in ("name", "package", "version")]
    if names := [*filter(None, given), *getattr(options, "packages", ())]:
        yield from ("--", *names)


def _finish(options: argparse.Namespace, status: int) -> None:
    if status == 0:
        return
    if status == _NO_CONNECTION:
        raise RepositoryError(f"ssh cannot reach {options.to}", f"try 'ssh {options.to}' by itself")
    if status == _NO_COMMAND:
        raise RepositoryError(
            f"{options.to} has no flocon, or not where ssh looks for programs",
            "install it there, or have it in the PATH of logins without a terminal",
        )
    if status == _NO_SUCH_WORDS:
        raise RepositoryError(
            f"flocon on {options.to} does not know what it was asked for",
            "it is of another version than here: update the older one",
        )
    raise RepositoryError(
        f"{options.to} refused ({status})", "what it said stands above; it takes root there: --sudo"
    )


#: What ssh ends with by itself, a shell where it finds no command, and argparse for unknown words.
_NO_CONNECTION, _NO_COMMAND, _NO_SUCH_WORDS = 255, 127, 2
