"""What a program prints comes while it runs, and how it ends is told in the end."""

from __future__ import annotations

import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.piped import printed
from flocon.machine.process import Bounds

BOUNDS = Bounds(processor_seconds=5, memory=256 << 20)


class FailingError(Exception):
    pass


class Printed(SynchronousTestCase):
    def setUp(self) -> None:
        self.given = os.memfd_create("given")
        self.addCleanup(os.close, self.given)
        os.write(self.given, b"text")
        os.lseek(self.given, 0, os.SEEK_SET)

    def read(self, script: str, seconds: float = 5.0, **more: Any) -> bytes:
        command = ["/bin/sh", "-c", script]
        failing = FailingError("it failed")
        with printed(
            command, self.given, seconds=seconds, bounds=BOUNDS, failing=failing, **more
        ) as output:
            return output.read()

    def test_what_it_makes_of_what_it_is_given(self) -> None:
        self.assertEqual(self.read("cat; pwd", folder="/"), b"text/\n")
        self.assertEqual(self.read("echo $ONLY", environment={"ONLY": "this"}), b"this\n")

    def test_who_fails_or_takes_too_long_is_told_in_the_end(self) -> None:
        self.assertRaises(FailingError, self.read, "cat; exit 1")
        self.assertRaises(FailingError, self.read, "exec sleep 60", 0.05)

    def test_what_is_not_read_to_its_end_leaves_nothing_running(self) -> None:
        def stop() -> None:
            with printed(
                ["/bin/sh", "-c", "echo $$; exec sleep 60"],
                self.given,
                seconds=60.0,
                bounds=BOUNDS,
                failing=FailingError(),
            ) as output:
                raise ValueError(int(output.readline()))

        error = self.assertRaises(ValueError, stop)
        self.assertRaises(ProcessLookupError, os.kill, error.args[0], 0)
