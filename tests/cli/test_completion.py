"""``flocon completion SHELL`` as a shell reads it; those that are installed here."""

from __future__ import annotations

import subprocess
import sys
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
    def read(self, shell: str, *arguments: str, text: str) -> str:
        """Have a shell read ``text``; return what it printed."""
        need(shell)
        done = subprocess.run(
            [shell, *arguments], input=text, capture_output=True, text=True, timeout=30, check=False
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
        self.assertEqual(self.complete("flocon", "--port", "5", "re"), ["rejoin"])
        self.assertEqual(self.complete("flocon", "setup", "--un"), ["--undo"])
        self.assertEqual(self.complete("flocon", "completion", "z"), ["zsh"])

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
        ):
            script = f"source -; complete --do-complete '{line}'"
            found = self.read("fish", "--no-config", "-c", script, text=text).splitlines()
            self.assertEqual([one.partition("\t")[0] for one in found], wanted)
