"""The same command on another machine."""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.cli.parser import make_parser
from flocon.errors import RepositoryError
from flocon.publishing import elsewhere


def options(*words: str) -> argparse.Namespace:
    parsed: argparse.Namespace = make_parser().parse_args(["repo", *words])
    return parsed


class WordsTests(SynchronousTestCase):
    def there(self, *words: str) -> str:
        return shlex.join(elsewhere.words(options(*words, "--to", "nas")))

    def test_the_other_machine_runs_what_was_asked_for(self) -> None:
        for words, wanted in (
            (["init", "home"], "flocon repo init -- home"),
            (["list"], "flocon repo list"),
            (["list", "--json"], "flocon repo list --json"),
            (["key", "--replace"], "flocon repo key --replace"),
            (["remove", "foo", "bar"], "flocon repo remove -- foo bar"),
            (["rollback", "foo"], "flocon repo rollback -- foo"),
            (
                ["rollback", "foo", "1.0-1", "--repository", "home"],
                "flocon repo rollback --repository home -- foo 1.0-1",
            ),
            (["add", "foo-1-1-any.pkg.tar.zst"], "flocon repo add --stdin"),
            (["list", "--sudo"], "sudo -n flocon repo list"),
        ):
            self.assertEqual(self.there(*words), wanted)

    def test_it_reads_them_as_they_were_meant(self) -> None:
        for words in (
            ["rollback", "foo", "1.0-1", "--repository", "home"],
            ["remove", "foo", "bar"],
            ["key", "--switch"],
        ):
            said = self.there(*words)
            there = vars(options(*shlex.split(said)[2:]))
            here = {**vars(options(*words)), "to": ""}
            self.assertEqual(there, here)

    def test_no_word_is_more_than_a_word_to_the_shell_there(self) -> None:
        said = self.there("remove", "foo; reboot", "$(reboot)")
        self.assertEqual(shlex.split(said)[-2:], ["foo; reboot", "$(reboot)"])


class HostTests(SynchronousTestCase):
    def test_what_ssh_would_take_for_an_option_is_no_host(self) -> None:
        ran: list[Any] = []
        self.patch(subprocess, "run", lambda *words, **_: ran.append(words))
        for host in ("-oProxyCommand=reboot", "a b", "a;b", "$(x)", "", "x@-y", "-x@y"):
            chosen = argparse.Namespace(**{**vars(options("list")), "to": host})
            self.assertRaises(RepositoryError, elsewhere.run, chosen)
        self.assertEqual(ran, [])

    def test_who_has_no_ssh_is_told_what_to_do(self) -> None:
        self.patch(shutil, "which", lambda _: None)
        with self.assertRaises(RepositoryError) as raised:
            elsewhere.run(options("list", "--to", "nas"))
        self.assertIn("install openssh", str(raised.exception))
