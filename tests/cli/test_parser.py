"""The command line: where options may stand, and what is not ours."""

from __future__ import annotations

import io
import re
import sys

from twisted.trial.unittest import SynchronousTestCase

from flocon.cli.parser import make_parser


class Parsing(SynchronousTestCase):
    def test_options_stand_on_either_side_of_the_command(self) -> None:
        for words in (["--port", "5", "--json", "peers"], ["peers", "--json", "--port", "5"]):
            options = make_parser().parse_args(words)
            self.assertEqual((options.command, options.port, options.json), ("peers", 5, True))
        self.assertEqual(make_parser().parse_args(["peers"]).port, 19433)

    def test_and_of_the_verb_behind_it(self) -> None:
        for words in (["mirror", "--json", "status"], ["--json", "mirror", "status"]):
            options = make_parser().parse_args(words)
            self.assertEqual((options.command, options.verb, options.json), ("mirror", "status", 1))

    def test_what_was_meant_by_a_verb_or_its_option_is_asked(self) -> None:
        for words, said in (
            (["mirror", "refesh"], "no 'flocon mirror refesh'; did you mean 'refresh'?"),
            (["mirror", "clean", "--dryrun"], "did you mean '--dry-run'?"),
        ):
            errors = io.StringIO()
            self.patch(sys, "stderr", errors)
            with self.assertRaises(SystemExit):
                make_parser().parse_args(words)
            self.assertIn(said, errors.getvalue())

    def test_what_is_nothing_like_it_is_answered_by_what_there_is(self) -> None:
        for words, said in (
            (["completion", "tcsh"], "no shell 'tcsh'; there are bash, zsh, fish\n"),
            (["repo", "xyz"], "no 'flocon repo xyz'; there are init, key, add, "),
        ):
            errors = io.StringIO()
            self.patch(sys, "stderr", errors)
            with self.assertRaises(SystemExit):
                make_parser().parse_args(words)
            self.assertIn(said, errors.getvalue())

    def test_a_word_with_commands_behind_it_is_its_help(self) -> None:
        for word in ("mirror", "snapshot", "repo", "build"):
            for words in ([word], ["--port", "5", word, "--json"]):
                out = io.StringIO()
                self.patch(sys, "stdout", out)
                with self.assertRaises(SystemExit) as caught:
                    make_parser().parse_args(words)
                self.assertEqual(caught.exception.code, 0, words)
                self.assertIn(f"usage: flocon {word} ", out.getvalue())
                self.assertIn("\n  VERB\n", out.getvalue())

    def test_each_command_has_its_sentence_in_its_own_help_too(self) -> None:
        rows = re.findall(r"^    (\w+) +(.*)$", make_parser().format_help(), re.MULTILINE)
        for name, text in rows:
            if name == "pacman":
                continue
            out = io.StringIO()
            self.patch(sys, "stdout", out)
            with self.assertRaises(SystemExit):
                make_parser().parse_args([name, "--help"])
            self.assertIn(f"\n\n{text}\n\n", out.getvalue(), name)
        self.assertGreater(len(rows), 15)

    def test_all_behind_pacman_is_pacmans(self) -> None:
        words = ["--port", "5", "pacman", "--json", "-Syu", "--port", "6", "--help"]
        options = make_parser().parse_args(words)
        self.assertEqual(options.arguments, words[3:])
        self.assertEqual((options.port, options.json), (5, False))

    def test_a_wrong_command_line_ends_with_2(self) -> None:
        self.patch(sys, "stderr", io.StringIO())
        for words in (
            ["ban"],
            ["peers", "--port", "0"],
            ["completion", "tcsh"],
            ["per"],
            ["mirror", "stat"],
        ):
            with self.assertRaises(SystemExit) as caught:
                make_parser().parse_args(words)
            self.assertEqual(caught.exception.code, 2, words)
