"""Programs that are run to their end, one way or another."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet import reactor as real_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from flocon.errors import ToolError, ToolMissing
from flocon.machine import process
from flocon.machine.process import Bounds, Outcome, run

reactor: Any = real_reactor


class Running(TestCase):
    timeout = 60

    async def sh(self, script: str, seconds: float = 30, **options: Any) -> Outcome:
        return await run(reactor, ["sh", "-c", script], seconds=seconds, **options)

    async def test_both_outputs_and_the_status_are_told(self) -> None:
        outcome = await self.sh("echo out; echo err >&2; exit 3")
        self.assertEqual(outcome, Outcome(3, b"out\n", b"err\n"))

    async def test_a_program_ended_by_a_signal_has_a_negative_status(self) -> None:
        self.assertEqual((await self.sh("kill -TERM $$")).status, -15)

    async def test_it_has_nothing_to_read_and_speaks_english(self) -> None:
        self.assertEqual((await self.sh('cat; echo "$LC_ALL"')).output, b"C\n")

    async def test_it_gets_the_descriptors_it_was_given_and_no_others(self) -> None:
        descriptor = os.memfd_create("given")
        try:
            os.write(descriptor, b"text")
            outcome = await self.sh(
                "cat /proc/self/fd/7; ls /proc/$$/fd", descriptors={7: descriptor}
            )
        finally:
            os.close(descriptor)
        self.assertEqual(outcome.output.split(), [b"text0", b"1", b"2", b"7"])

    async def test_a_program_that_is_not_there_is_missing(self) -> None:
        with self.assertRaises(ToolMissing):
            await run(reactor, ["no-such-program"], seconds=1)

    async def test_a_program_that_takes_too_long_is_killed(self) -> None:
        with self.assertRaises(ToolError) as caught:
            await self.sh("exec sleep 100", 0.05)
        self.assertEqual(str(caught.exception), "sh: took longer than 0.05 s")

    async def test_a_program_is_bounded_from_its_start(self) -> None:
        script = "sleep 0.2; ulimit -t; ulimit -v"
        outcome = await self.sh(script, bounds=Bounds(7, 64 << 20))
        self.assertEqual(outcome.output.split(), [b"7", b"65536"])

    async def test_a_program_that_has_ended_already_is_not_bounded(self) -> None:
        Bounds(7, 64 << 20).impose(2**31 - 1)  # raises nothing

    async def test_a_program_that_says_too_much_is_killed(self) -> None:
        self.patch(process, "MOST_OUTPUT", 1000)
        with self.assertRaises(ToolError):
            await self.sh("exec yes")

    async def test_cancelled_it_ends_with_the_program(self) -> None:
        ended: list[str] = []
        real = process._Run.processEnded

        def process_ended(protocol: process._Run, reason: Failure) -> None:
            ended.append("program")
            real(protocol, reason)

        self.patch(process._Run, "processEnded", process_ended)
        running = Deferred.fromCoroutine(self.sh("exec sleep 100"))
        running.cancel()
        with self.assertRaises(CancelledError):
            await running
        self.assertEqual(ended, ["program"])
