"""The manuals tell of everything there is, and of nothing else; they can be rendered."""

from __future__ import annotations

import io
import re
from importlib.util import find_spec
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from flocon.advice.doctor import CHECKS
from flocon.advice.examination import Examination
from flocon.advice.search import Search
from flocon.advice.why import Why
from flocon.cli.completion import every_command, script
from flocon.cli.parser import SHELLS, make_parser
from flocon.mirrors.steering import Steering
from flocon.node.advising import questions
from flocon.settings.keys import keys
from flocon.settings.options import Options

PROJECT = Path(__file__).resolve().parents[2]
DOCS = PROJECT / "docs"


def manual(name: str) -> str:
    return (DOCS / name).read_text()


class Manuals(SynchronousTestCase):
    def test_they_can_be_rendered_without_a_warning(self) -> None:
        if find_spec("docutils") is None:
            raise SkipTest("docutils is not installed")
        from docutils.core import publish_string  # noqa: PLC0415 - may be missing

        found = sorted(DOCS.glob("*.[1-8].rst"))
        self.assertEqual(
            [path.name for path in found], ["flocon.1.rst", "flocon.8.rst", "flocon.toml.5.rst"]
        )
        for path in found:
            warnings = io.StringIO()
            settings = {"warning_stream": warnings, "report_level": 1}
            page = publish_string(
                path.read_text(), writer="manpage", settings_overrides=settings
            ).decode()
            self.assertEqual(warnings.getvalue(), "", path.name)
            self.assertIn(".SH SEE ALSO", page.upper())

    def test_every_command_and_option_is_in_flocon_1(self) -> None:
        text = manual("flocon.1.rst")
        for command in every_command(make_parser()):
            section = re.search(rf"^flocon .*\b{command.name}\b.*\n-+\n", text, re.MULTILINE)
            self.assertTrue(section, command.name)
            synopsis = text.partition("DESCRIPTION")[0]
            self.assertRegex(synopsis, rf"\*\*(flocon )?{command.name}\*\*")
            for option in command.options:
                for name in option.names:
                    if name.startswith("--"):
                        self.assertIn(name, text, command.name)

    def test_every_key_is_in_flocon_toml_5_once_and_no_other(self) -> None:
        text = manual("flocon.toml.5.rst").partition("KEYS\n")[2].partition("EXAMPLE\n")[0]
        terms = re.findall(r"^([a-z0-9_.]+(?:, [a-z0-9_.]+)*)\n    \S", text, re.MULTILINE)
        named = [name for term in terms for name in term.split(", ")]
        self.assertEqual(sorted(named), sorted(keys()))

    def test_every_option_of_the_node_is_in_flocon_8(self) -> None:
        text = manual("flocon.8.rst")
        told = set(re.findall(r"^--([a-z][a-z-]+)", text, re.MULTILINE))
        there = {name.removesuffix("=") for name in Options().longOpt}
        self.assertEqual(told, there - {"help", "version"})

    def test_every_question_of_the_loopback_face_is_in_flocon_8(self) -> None:
        text = manual("flocon.8.rst")
        search, why = Search.__new__(Search), Why.__new__(Why)  # of no node
        asked = questions(search, why, Examination.__new__(Examination))
        states = Steering.__new__(Steering).questions()
        for path in (*asked, *states, "/whereabouts.json", "/names.json", "/status.json", "/check"):
            self.assertRegex(text, rf"(?m)^GET {re.escape(path)}\b")

    def test_every_check_of_the_doctor_is_in_flocon_1(self) -> None:
        text = manual("flocon.1.rst").partition("flocon doctor\n---")[2].partition("flocon ban")[0]
        terms = re.findall(r"^([A-Za-z, ]+)\n    \S", text, re.MULTILINE)
        self.assertEqual(sum(len(term.split(", ")) for term in terms), len(CHECKS))


class Completion(SynchronousTestCase):
    def test_what_is_installed_is_what_the_command_prints(self) -> None:
        names = {"bash": "flocon.bash", "zsh": "_flocon", "fish": "flocon.fish"}
        self.assertEqual(set(names), set(SHELLS))
        for shell, name in names.items():
            installed = (PROJECT / "packaging/completion" / name).read_text()
            # Made anew by `flocon completion SHELL`.
            self.assertEqual(script(shell), installed, name)

    def test_every_command_and_option_is_completed(self) -> None:
        for shell in SHELLS:
            text = script(shell)
            for command in every_command(make_parser()):
                self.assertIn(command.word, text)
                for option in command.options:
                    name = option.names[-1]
                    self.assertIn(f"-l {name[2:]}" if shell == "fish" else name, text)
