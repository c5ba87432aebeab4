"""Programs that are run to their end, one way or another."""

from __future__ import annotations

import os
import shlex
import signal
from pathlib import Path
from typing import Any

from twisted.internet import reactor as real_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from flocon.errors import ToolError, ToolMissing
from flocon.machine import process
from flocon.machine.process import Bounds, Outcome, run

reactor: Any = real_reactor


def is_running(process: int) -> bool:
    """Whether there is such a process, and it has not just ended."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


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

    async def test_it_reads_what_it_is_given(self) -> None:
        given = b"0123456789" * 100_000
        self.assertEqual((await self.sh("cat", given=given)).output, given)

    async def test_what_reads_nothing_of_it_ends_as_always(self) -> None:
        outcome = await self.sh("exec echo out", given=b"x" * (1 << 20))
        self.assertEqual((outcome.status, outcome.output), (0, b"out\n"))

    async def test_it_may_have_an_environment_of_its_own(self) -> None:
        outcome = await self.sh(
            'echo "$A$HOME$LC_ALL"', environment={"A": "a", "PATH": os.environ["PATH"]}
        )
        self.assertEqual(outcome.output, b"aC\n")

    async def test_what_it_started_ends_with_it(self) -> None:
        place = Path(self.mktemp()).absolute()
        there = shlex.quote(str(place))
        script = f"sleep 100 & echo $! > {there}.new; mv {there}.new {there}; wait"
        running = Deferred.fromCoroutine(self.sh(script, with_children=True))
        while not place.exists():
            await deferLater(reactor, 0.02)
        child = int(place.read_text())
        running.cancel()
        with self.assertRaises(CancelledError):
            await running
        while is_running(child):
            await deferLater(reactor, 0.02)

    async def test_a_session_of_its_own_changes_nothing_else(self) -> None:
        outcome = await self.sh("cat; exit 3", given=b"in", with_children=True)
        self.assertEqual(outcome, Outcome(3, b"in", b""))

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

    async def test_what_it_left_behind_keeps_nobody(self) -> None:
        self.patch(process, "MOST_OUTPUT", 1000)
        self.patch(process, "LINGERING", 60)
        # One that says nothing, and one that never ceases to.
        for number, script in enumerate(("exec sleep 40", "trap '' PIPE; yes; exec sleep 40")):
            place = Path(self.mktemp()).absolute()
            there = shlex.quote(str(place))
            # Who says much is ended for it at once: not before it is known which one it is.
            known = f"until [ -s {there} ]; do sleep 0.01; done"
            with self.assertRaises(ToolError):
                await self.sh(f"({known}; {script}) & echo $! > {there}; exit {number}", 4)
            child = int(place.read_text())
            self.assertTrue(is_running(child))
            os.kill(child, signal.SIGKILL)

    async def test_what_goes_on_behind_it_makes_no_failure_of_it(self) -> None:
        self.patch(process, "LINGERING", 0.05)
        place = Path(self.mktemp()).absolute()
        there = shlex.quote(str(place))
        outcome = await self.sh(f"sleep 40 & echo $! > {there}; echo said; exit 3", 60)
        self.assertEqual((outcome.status, outcome.output), (3, b"said\n"))
        child = int(place.read_text())
        self.assertTrue(is_running(child))
        os.kill(child, signal.SIGKILL)

    async def test_all_that_it_said_is_heard_however_late_it_is_read(self) -> None:
        self.patch(process, "LINGERING", 0.0)
        outcome = await self.sh("sleep 9 & echo $!; head -c 60000 /dev/zero", 60)
        number, _, rest = outcome.output.partition(b"\n")
        self.assertEqual(len(rest), 60_000)
        os.kill(int(number), signal.SIGKILL)

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
