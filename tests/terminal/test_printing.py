"""How things look, above all what a stranger may have written."""

from __future__ import annotations

import io
import os
import sys
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.terminal.printing import Word, counted, printable, progress, say, say_rows, size


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Printing(SynchronousTestCase):
    def setUp(self) -> None:
        self.out = io.StringIO()
        self.patch(sys, "stdout", self.out)

    @given(st.text())
    def test_no_control_character_passes(self, text: str) -> None:
        shown = printable(text)
        self.assertTrue(shown.isprintable(), shown)

    def test_what_is_harmless_stays_as_it_is(self) -> None:
        self.assertEqual(printable("grüße/ 日本 ~1"), "grüße/ 日本 ~1")
        self.assertEqual(printable("\x1b[2J\r\n\u202e"), "\\x1b[2J\\r\\n\\u202e")

    def test_sizes_have_the_unit_that_fits(self) -> None:
        for count, text in ((0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 40, "3.0 TiB")):
            self.assertEqual(size(count), text)

    def test_columns_are_as_wide_as_their_widest_text(self) -> None:
        say_rows([("a", "bbb", "c\n"), ("aaa", "b", "cc")], indent=1)
        self.assertEqual(self.out.getvalue(), " a    bbb  c\\n\n aaa  b    cc\n")

    def test_a_terminal_without_unicode_gets_what_it_can_show(self) -> None:
        raw = io.BytesIO()
        self.patch(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
        say("grüße")
        sys.stdout.flush()
        self.assertEqual(raw.getvalue(), b"gr??e\n")


class Progressing(SynchronousTestCase):
    def run_through(self, stream: io.StringIO) -> str:
        self.patch(sys, "stderr", stream)
        bar = progress("a\x1bb", 1 << 20)
        bar.move(1 << 19)
        bar.move(1 << 20)
        bar.end()
        return stream.getvalue()

    def test_a_pipe_gets_nothing(self) -> None:
        self.assertEqual(self.run_through(io.StringIO()), "")

    def test_without_rich_one_line_is_written_over(self) -> None:
        with mock.patch.dict(sys.modules, {"rich": None}):
            shown = self.run_through(Terminal())
        self.assertIn("\ra\\x1bb  512.0 KiB of 1.0 MiB  50 %", shown)
        self.assertTrue(shown.endswith("\r\x1b[K"))
        self.assertNotIn("\n", shown)

    def test_with_rich_there_is_a_bar(self) -> None:
        try:
            import rich  # noqa: F401, PLC0415 - may be missing
        except ImportError:
            self.skipTest("rich is not installed")
        self.assertIn("1.0", self.run_through(Terminal()))


class Colours(SynchronousTestCase):
    def shown(self, stream: io.StringIO, **environment: str) -> str:
        self.patch(sys, "stdout", stream)
        with mock.patch.dict(os.environ, environment):
            for name in ("NO_COLOR", "TERM"):
                if name not in environment:
                    os.environ.pop(name, None)
            say_rows([("ada", Word("quarantine")), ("wrong", Word("good")), ("\x1b[31m", "x")])
        return stream.getvalue()

    def test_a_terminal_gets_them_for_the_nodes_own_words_alone(self) -> None:
        lines = self.shown(Terminal()).splitlines()
        self.assertEqual(lines[0], "ada       \x1b[1;31mquarantine\x1b[0m")
        self.assertEqual(lines[1], "wrong     \x1b[32mgood\x1b[0m")
        self.assertEqual(lines[2], "\\x1b[31m  x")

    def test_a_pipe_and_whoever_wants_none_get_none(self) -> None:
        for stream, environment in (
            (io.StringIO(), {}),
            (Terminal(), {"NO_COLOR": "1"}),
            (Terminal(), {"TERM": "dumb"}),
        ):
            shown = self.shown(stream, **environment)
            self.assertEqual(shown.splitlines()[1], "wrong     good")
            self.assertNotIn("\x1b", shown)


class Counting(SynchronousTestCase):
    def test_one_is_one(self) -> None:
        self.assertEqual(
            [counted(one, "peer") for one in (0, 1, 2)], ["0 peers", "1 peer", "2 peers"]
        )
