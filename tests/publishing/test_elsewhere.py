"""The same command on another machine."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from flocon.cli.parser import make_parser
from flocon.errors import RepositoryError
from flocon.publishing import bundle, elsewhere


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


#: Takes its words as ssh does, and has a shell run them on this machine, as another one would.
_SSH = """#!/bin/sh
test "$1" = -- || exit 96
test "$2" = down && { echo "ssh: connect to host down: No route to host" >&2; exit 255; }
shift 2
PATH=$THERE:/usr/bin:/bin exec sh -c "$*"
"""
#: As flocon there: notes its words, one a line, and what comes by standard input if that is said:
#: otherwise it is the terminal's, or of a test that nobody ever ends.
_FLOCON = """#!/bin/sh
for word in "$@"; do echo "$word"; done > "$THERE/words"
case " $* " in *" --stdin "*) cat > "$THERE/came" ;; esac
exit ${STATUS:-0}
"""


class ThereTests(SynchronousTestCase):
    """With a program in the place of ssh, and another machine's flocon behind it."""

    def setUp(self) -> None:
        self.here, self.there = (Path(self.mktemp()).absolute() for _ in range(2))
        for folder in (self.here, self.there):
            folder.mkdir()
        self._program(self.here / "ssh", _SSH)
        self._program(self.there / "flocon", _FLOCON)
        found = {"PATH": f"{self.here}:/usr/bin:/bin", "THERE": str(self.there)}
        patched = mock.patch.dict(os.environ, found)
        patched.start()
        self.addCleanup(patched.stop)

    def _program(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def words(self) -> list[str]:
        return (self.there / "words").read_text().splitlines()

    def package(self, folder: str = "a folder") -> Path:
        path = self.here / folder / "foo-1.0-1-any.pkg.tar.zst"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"package")
        path.with_name(f"{path.name}.sig").write_bytes(b"signature")
        return path

    def test_a_package_and_its_signature_come_there_whole(self) -> None:
        elsewhere.run(options("add", str(self.package()), "--to", "root@nas"))
        self.assertEqual(self.words(), ["repo", "add", "--stdin"])
        with (self.there / "came").open("rb") as stream:
            (found,) = bundle.read(stream)
        self.addCleanup(os.close, found.descriptor)
        self.assertEqual(found.name, "foo-1.0-1-any.pkg.tar.zst")
        self.assertEqual(found.signature, b"signature")
        self.assertEqual(os.pread(found.descriptor, 99, 0), b"package")

    def test_words_with_blanks_and_dashes_come_as_they_are(self) -> None:
        elsewhere.run(options("rollback", "--to", "nas", "--", "-x y", "$(touch z);'\""))
        self.assertEqual(self.words(), ["repo", "rollback", "--", "-x y", "$(touch z);'\""])

    def refused(self, *words: str) -> str:
        return str(self.assertRaises(RepositoryError, elsewhere.run, options(*words)))

    def test_why_it_failed_is_told_apart(self) -> None:
        given = str(self.package())
        for words in (["list"], ["add", given]):
            self.assertIn("ssh cannot reach down", self.refused(*words, "--to", "down"))
            for status, said in (
                ("2", "another version than here"),
                ("1", "what it said stands above"),
            ):
                os.environ["STATUS"] = status
                self.assertIn(said, self.refused(*words, "--to", "nas"))
        (self.there / "flocon").unlink()
        for words in (["list"], ["add", given]):
            self.assertIn("nas has no flocon", self.refused(*words, "--to", "nas"))

    def test_one_that_reads_nothing_is_no_trouble(self) -> None:
        self._program(self.there / "flocon", "#!/bin/sh\nexit 1\n")
        path = self.package()
        with path.open("r+b") as file:
            file.truncate(8 << 20)
        self.assertIn("nas refused (1)", self.refused("add", str(path), "--to", "nas"))
