"""How a program of its own is begun and ended: as a process, by signals."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.programs.serving import as_folder

_PROGRAM = """
import sys
from types import SimpleNamespace
from twisted.internet.defer import Deferred
from flocon.errors import StoreError
from flocon.programs.serving import serve

class Service:
    def __init__(self, reactor):
        self.reactor = reactor
        self.reception = SimpleNamespace(over=Deferred())
    async def start(self, path):
        if path == "none":
            raise StoreError(path, "is not there")
        print("started", flush=True)
        if path == "idle":
            self.reactor.callLater(0, self.reception.over.callback, None)
    async def stop(self):
        print("stopped", flush=True)

serve("program", sys.argv[1], Service)
"""


class ServingTests(SynchronousTestCase):
    def run_program(
        self, listen: str, number: signal.Signals | None = None
    ) -> tuple[int, list[str], str]:
        """Return its status and what it said, ended by a signal where it does not end itself."""
        program = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, listen],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(program.kill)
        assert program.stdout is not None
        first = program.stdout.readline() if number is not None else ""
        if number is not None:
            program.send_signal(number)
        out, errors = program.communicate(timeout=60)
        # What it logs goes the same way.
        did = [line for line in (first + out).splitlines() if line in {"started", "stopped"}]
        return program.returncode, did, errors

    def test_it_ends_once_nobody_asks_any_more(self) -> None:
        self.assertEqual(self.run_program("idle"), (0, ["started", "stopped"], ""))

    def test_it_ends_in_order_when_it_is_told_to(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self.assertEqual(self.run_program("", number), (0, ["started", "stopped"], ""))

    def test_what_it_cannot_start_with_is_one_sentence(self) -> None:
        self.assertEqual(
            self.run_program("none"), (1, ["stopped"], "program: none: is not there\n")
        )


class FolderTests(SynchronousTestCase):
    def test_a_folder_is_whole_and_nothing_is_none(self) -> None:
        self.assertEqual(as_folder("here"), Path.cwd() / "here")
        with self.assertRaises(argparse.ArgumentTypeError):
            as_folder("")
