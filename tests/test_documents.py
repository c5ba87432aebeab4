"""What documents claim of the tests: each test that one names is there."""

from __future__ import annotations

import io
import re
from importlib.util import find_spec
from pathlib import Path
from unittest import SkipTest

from twisted.python.reflect import namedAny
from twisted.trial.unittest import SynchronousTestCase, TestCase

from bench.plot import AHEAD_FIGURES, AHEAD_PLOT, PLOT, draw, draw_ahead, read
from flocon.terminal.commands import with_sudo

TOP = Path(__file__).parent.parent
#: A test's dotted name, as it stands in SECURITY.rst.
NAMED = re.compile(r"``(tests\.[\w.]+\.test_\w+)``")
#: A promise begins with its own words in bold, and its tests are a list.
PROMISE = re.compile(r"^\*\*(.+?)\*\*", re.MULTILINE)

#: A literal, or a line of a block, that begins with one of the system's own commands.
_SYSTEMS = r"(?:sudo )?(?:systemctl|ufw|firewall-cmd|timedatectl)"
TYPED = re.compile(rf"``({_SYSTEMS} [^`]+)``|^ {{4,}}({_SYSTEMS} .+)$", re.MULTILINE)


def is_test(name: str) -> bool:
    """Whether a dotted name is that of a test method."""
    case, _, method = name.rpartition(".")
    try:
        found = namedAny(case)
    except (AttributeError, ImportError, ValueError):
        return False
    is_case = isinstance(found, type) and issubclass(found, (SynchronousTestCase, TestCase))
    return is_case and callable(getattr(found, method, None))


class SecurityTests(SynchronousTestCase):
    """SECURITY.rst."""

    def setUp(self) -> None:
        self.text = (TOP / "SECURITY.rst").read_text()

    def test_each_test_that_is_named_is_there(self) -> None:
        named = NAMED.findall(self.text)
        self.assertEqual([name for name in named if not is_test(name)], [])

    def test_each_promise_names_a_test(self) -> None:
        places = [match.start() for match in PROMISE.finditer(self.text)]
        parts = [
            self.text[start:end] for start, end in zip(places, [*places[1:], None], strict=True)
        ]
        self.assertGreater(len(parts), 10)
        self.assertEqual([part[:60] for part in parts if not NAMED.search(part)], [])

    def test_a_name_that_is_none_is_seen(self) -> None:
        own = "tests.test_documents.SecurityTests"
        self.assertTrue(is_test(f"{own}.test_a_name_that_is_none_is_seen"))
        for name in (
            f"{own}.test_nothing",
            "tests.test_nothing.Case.test_x",
            "tests.test_documents.x",
        ):
            self.assertFalse(is_test(name), name)


class PlotTests(SynchronousTestCase):
    """The plot of docs/performance.rst."""

    def test_it_is_drawn_from_the_figures(self) -> None:
        self.assertEqual(PLOT.read_text(), draw(read()), "run python -m bench.plot")

    def test_the_curves_are_drawn_from_theirs_where_there_are_any(self) -> None:
        drawn = AHEAD_PLOT.read_text() if AHEAD_PLOT.exists() else None
        wanted = draw_ahead(read(AHEAD_FIGURES)) if AHEAD_FIGURES.exists() else None
        self.assertEqual(drawn, wanted, "run python -m bench.plot")

    def test_a_curve_has_a_point_for_each_pause_and_a_line_for_each_rival(self) -> None:
        levels = {"pacman to nginx": 2.0, "not ahead": 4.0, "all ahead": 1.0}
        drawn = draw_ahead({"<a set>": {**levels, "0 s": 3.0, "2 s": 1.0}})
        [line] = re.findall(r'<polyline points="([^"]*)"', drawn)
        (first, later) = [tuple(map(float, one.split(","))) for one in line.split()]
        self.assertLess(first[0], later[0])
        # Fewer seconds are lower, that is further from the top.
        self.assertLess(first[1], later[1])
        levels_drawn = [float(y) for y in re.findall(r'y1="([\d.]+)"', drawn)]
        self.assertEqual(sorted(levels_drawn), [44.0, 109.0])
        self.assertIn("&lt;a set&gt;", drawn)

    def test_the_figures_are_those_of_the_notes(self) -> None:
        notes = (TOP / "bench/performance.rst").read_text()
        for table in read().values():
            for name, seconds in table.items():
                self.assertRegex(notes, rf"(?<![0-9.]){seconds:.2g}[0-9]* s\b", name)


class RightsTests(SynchronousTestCase):
    """What a guide has one type can be typed by whoever reads it."""

    def test_each_command_of_the_system_that_takes_root_is_told_with_sudo(self) -> None:
        guides = [TOP / "README.rst", *TOP.glob("docs/*[!1-8].rst")]
        self.assertGreater(len(guides), 5)
        text = "\n".join(one.read_text() for one in guides)
        typed = [match[1] or match[2] for match in TYPED.finditer(text)]
        self.assertGreater(len(typed), 20)
        self.assertEqual([line for line in typed if with_sudo(line) != line], [])

    def test_one_that_is_told_without_is_seen(self) -> None:
        for line in ("``systemctl edit x``", "    firewall-cmd --reload"):
            (match,) = TYPED.finditer(line)
            self.assertIn("sudo ", with_sudo(match[1] or match[2]))


class RenderingTests(SynchronousTestCase):
    """Every document is what docutils takes for one."""

    def test_each_can_be_rendered_without_a_warning(self) -> None:
        if find_spec("docutils") is None:
            raise SkipTest("docutils is not installed")
        from docutils.core import publish_string  # noqa: PLC0415 - may be missing

        documents = [*TOP.glob("*.rst"), *TOP.glob("docs/*.rst"), *TOP.glob("bench/*.rst")]
        self.assertGreater(len(documents), 7)
        for document in documents:
            warnings = io.StringIO()
            settings = {"warning_stream": warnings, "report_level": 1}
            publish_string(document.read_text(), writer="html5", settings_overrides=settings)
            self.assertEqual(warnings.getvalue(), "", document.name)
