"""``flocon completion SHELL`` as a shell reads it; those that are installed here."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.cli.completion import commands
from flocon.cli.parser import make_parser
from tests.packaging.workshop import need

#: Completes the words of ``$@``, the last one being unfinished.
_COMPLETE = """
eval "$(cat)"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_flocon
printf '%s\\n' "${COMPREPLY[@]}"
"""


def flocon(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "flocon.cli", *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout


class Shells(SynchronousTestCase):
    environment: Mapping[str, str] | None = None

    def read(self, shell: str, *arguments: str, text: str) -> str:
        """Have a shell read ``text``; return what it printed."""
        need(shell)
        done = subprocess.run(
            [shell, *arguments],
            input=text,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""), shell)
        return done.stdout

    def complete(self, *words: str) -> list[str]:
        text = flocon("completion", "bash")
        return self.read("bash", "-c", _COMPLETE, "bash", *words, text=text).split()

    def test_bash_completes_commands_options_and_choices(self) -> None:
        names = {one.name for one in commands(make_parser())}
        self.assertEqual(names - set(self.complete("flocon", "")), set())
        self.assertEqual(self.complete("flocon", "do"), ["doctor"])
        self.assertEqual(self.complete("flocon", "--port", "5", "rej"), ["rejoin"])
        self.assertEqual(self.complete("flocon", "setup", "--un"), ["--undo"])
        self.assertEqual(self.complete("flocon", "completion", "z"), ["zsh"])

    def test_bash_completes_what_stands_behind_a_verb(self) -> None:
        self.assertEqual(self.complete("flocon", "mirror", "re"), ["refresh"])
        self.assertEqual(self.complete("flocon", "mirror", "--json", "clean", "--d"), ["--dry-run"])
        self.assertNotIn("--dry-run", self.complete("flocon", "mirror", "want", "--"))

    def peers(self, *names: str) -> None:
        """Have the command be one that tells of peers with these names."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        told = [{"node": "0" * 16, "name": name, "port": 1} for name in names]
        (folder / "peers").write_text(json.dumps(told, indent=1))
        (folder / "flocon").write_text(f"#!/bin/sh\ncat {shlex.quote(str(folder / 'peers'))}\n")
        (folder / "flocon").chmod(0o755)
        self.environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}

    def test_bash_offers_no_name_that_is_an_option_or_that_a_shell_would_read(self) -> None:
        need("bash")
        text = flocon("completion", "bash")
        hostile = ["--undo", "-x", "a b", "$(id)", "`id`", "a\x1b[2J", "a\nb", "*", ""]
        self.peers("ada", *hostile, "desk-2.lan")
        words = ("bash", "-c", _COMPLETE, "bash", "flocon", "ban", "")
        offered = set(self.read(*words, text=text).split())
        options = {"--help", "--json", "--port"}
        self.assertEqual(offered, {"ada", "desk-2.lan"} | options)

    def test_fish_offers_no_name_that_is_an_option(self) -> None:
        need("fish")
        text = flocon("completion", "fish")
        self.peers("ada", "--undo", "a\x1b[2J")
        script = "source -; complete --do-complete 'flocon ban '"
        found = self.read("fish", "--no-config", "-c", script, text=text).split()
        self.assertEqual([one for one in found if not one.startswith("-")][:1], ["ada"])
        self.assertNotIn("--undo", found)

    def test_zsh_reads_it(self) -> None:
        text = flocon("completion", "zsh")
        self.assertTrue(text.startswith("#compdef flocon\n"))
        self.read("zsh", "-n", text=text)

    def test_fish_completes_commands_options_and_choices(self) -> None:
        text = flocon("completion", "fish")
        for line, wanted in (
            ("flocon do", ["doctor"]),
            ("flocon setup --un", ["--undo"]),
            ("flocon completion z", ["zsh"]),
            ("flocon mirror re", ["refresh"]),
            ("flocon mirror clean --dr", ["--dry-run"]),
        ):
            script = f"source -; complete --do-complete '{line}'"
            found = self.read("fish", "--no-config", "-c", script, text=text).splitlines()
            self.assertEqual([one.partition("\t")[0] for one in found], wanted)
