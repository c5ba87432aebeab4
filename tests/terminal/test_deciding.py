"""A person reads by a pager and answers a question."""

from __future__ import annotations

import io
import os
import pty
import shlex
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.terminal import deciding
from flocon.terminal.deciding import UnansweredError, agree, choose, confirm, show_long


class Asking(SynchronousTestCase):
    def setUp(self) -> None:
        self.out = io.StringIO()
        self.patch(sys, "stdout", self.out)

    def answer(self, text: str) -> None:
        self.patch(sys, "stdin", io.StringIO(text))

    def test_yes_is_yes_and_no_is_no(self) -> None:
        for said, meant in (("y\n", True), ("YES\n", True), ("n\n", False), (" no \n", False)):
            self.answer(said)
            self.assertIs(confirm("Well?"), meant, said)
        self.assertIn("Well? ([y] yes, [n] no) ", self.out.getvalue())

    def test_anything_else_is_asked_again(self) -> None:
        self.answer("\nperhaps\ny")
        self.assertTrue(confirm("Well?"))
        self.assertEqual(self.out.getvalue().count("Well?"), 3)

    def test_who_says_nothing_decides_nothing(self) -> None:
        self.answer("\n")
        with self.assertRaises(UnansweredError):
            confirm("Well?")
        self.patch(sys, "stdin", None)
        with self.assertRaises(UnansweredError):
            confirm("Well?")

    def test_who_agrees_says_so_and_all_else_is_no(self) -> None:
        for said, meant in (("y\n", True), (" Yes \n", True), ("n\n", False), ("\n", False)):
            self.answer(said)
            self.assertIs(agree("Well?"), meant, said)
        self.answer("")
        self.assertFalse(agree("Well?"))
        self.assertEqual(self.out.getvalue(), "Well? [y/N] " * 5 + "\n")

    def test_an_interrupt_ends_the_question(self) -> None:
        # As a reactor's own handler does, which goes on with what it interrupts.
        before = signal.signal(signal.SIGINT, lambda *_: None)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        read, write = os.pipe()
        self.patch(sys, "stdin", os.fdopen(read))
        self.addCleanup(sys.stdin.close)
        self.addCleanup(os.close, write)
        late = threading.Timer(5.0, os.write, [write, b"y\n"])
        soon = threading.Timer(0.2, signal.pthread_kill, [threading.get_ident(), signal.SIGINT])
        for timer in (late, soon):
            self.addCleanup(timer.join)
            self.addCleanup(timer.cancel)
            timer.start()
        self.assertRaises(KeyboardInterrupt, agree, "Well?")

    def test_one_of_several_is_chosen_by_its_letter_or_its_beginning(self) -> None:
        for said in ("r\n", "rej\n"):
            self.answer(said)
            self.assertEqual(choose("?", {"y": "yes", "r": "reject"}), "r")


class Paging(SynchronousTestCase):
    def test_in_a_pipe_it_is_just_printed(self) -> None:
        out = io.StringIO()
        self.patch(sys, "stdout", out)
        self.patch(os, "environ", {**os.environ, "PAGER": "/nonexistent"})
        show_long("text\n")
        self.assertEqual(out.getvalue(), "text\n")

    def on_a_terminal(self, **environment: str) -> Any:
        """Have standard output be a terminal, in this environment."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        out = os.fdopen(theirs, "w")
        self.addCleanup(out.close)
        self.patch(sys, "stdout", out)
        self.patch(os, "environ", {"PATH": os.environ["PATH"], **environment})
        return out

    def test_the_pager_that_is_set_reads_it(self) -> None:
        said = Path(self.mktemp()).absolute()
        self.on_a_terminal(PAGER=shlex.join(["tee", str(said)]))
        show_long("text\n")
        self.assertEqual(said.read_text(), "text\n")

    def test_less_may_run_nothing(self) -> None:
        said = Path(self.mktemp()).absolute()
        script = f"echo $LESSSECURE $LESS > {shlex.quote(str(said))}"
        self.on_a_terminal(PAGER=shlex.join(["sh", "-c", script]), LESSSECURE="0")
        show_long("text\n")
        self.assertEqual(said.read_text(), "1 FRX\n")

    def test_one_that_is_not_there_hides_nothing(self) -> None:
        out = self.on_a_terminal(PAGER="/nonexistent")
        written: list[str] = []
        self.patch(deciding, "put", written.append)
        show_long("text\n")
        self.assertEqual(written, ["text\n"])
        self.assertTrue(out.isatty())
