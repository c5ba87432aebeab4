"""What NetworkManager says of the link, and what it means where it says nothing."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from twisted.internet import reactor as real_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocon.machine import metered
from flocon.machine.metered import AGAIN, SETTLING, MeteredWatch, is_metered
from tests.path import fake_program, no_programs

reactor: Any = real_reactor


class Metered(TestCase):
    timeout = 60

    async def asked(self, script: str) -> bool | None:
        fake_program(self, "busctl", script)
        return await is_metered(reactor)

    async def test_yes_and_guessed_yes_are_metered(self) -> None:
        self.assertIs(await self.asked("echo 'u 1'"), True)
        self.assertIs(await self.asked("echo 'u 3'"), True)

    async def test_unknown_no_and_guessed_no_are_not(self) -> None:
        for number in (0, 2, 4):
            self.assertIs(await self.asked(f"echo 'u {number}'"), False, number)

    async def test_a_bus_without_networkmanager_cannot_tell(self) -> None:
        self.assertIsNone(await self.asked("echo 'not activatable' >&2; exit 1"))

    async def test_a_machine_without_busctl_cannot_tell(self) -> None:
        no_programs(self)
        self.assertIsNone(await is_metered(reactor))

    async def test_a_bus_that_does_not_answer_cannot_tell(self) -> None:
        self.patch(metered, "TIMEOUT", 0.05)
        self.assertIsNone(await self.asked("exec sleep 100"))

    async def test_networkmanager_is_asked_and_not_started(self) -> None:
        script = 'case "$*" in *--auto-start=no*NetworkManager\\ Metered) echo u 1;; esac'
        self.assertIs(await self.asked(script), True)


class Watching(SynchronousTestCase):
    """When it is asked, and what is told of it."""

    def setUp(self) -> None:
        self.clock = cast("Any", Clock())
        self.asked: list[Deferred[bool | None]] = []
        self.told: list[bool] = []
        self.watch = MeteredWatch(self.clock, self.told.append, self.ask)
        self.watch.startService()

    async def ask(self, _: Any) -> bool | None:
        self.asked.append(Deferred())
        return await self.asked[-1]

    def say(self, metered: bool | None) -> None:
        self.asked[-1].callback(metered)

    def note(self, watch: MeteredWatch, known: list[bool]) -> None:
        known.append(watch.metered)

    def test_that_it_is_known_is_told_once_whatever_the_answer(self) -> None:
        for answer in (None, False, True):
            known: list[bool] = []
            watch = MeteredWatch(self.clock, self.told.append, self.ask)
            watch.found_out = partial(self.note, watch, known)
            watch.startService()
            self.assertFalse(watch.known)
            self.say(answer)
            self.clock.advance(AGAIN)
            self.say(answer)
            self.assertEqual((watch.known, known), (True, [bool(answer)]))
            watch.stopService()

    def test_only_another_answer_is_told(self) -> None:
        for answer in (False, True, True, None, False):
            self.say(answer)
            self.clock.advance(AGAIN)
        self.assertEqual((self.told, len(self.asked)), ([True, False], 6))

    def test_it_looks_a_moment_after_the_link_changed_and_then_as_seldom_as_before(self) -> None:
        self.say(False)
        self.clock.advance(AGAIN - 1)
        for _ in range(3):
            self.watch.link_changed()
            self.clock.advance(SETTLING / 2)
        self.assertEqual(len(self.asked), 1)
        self.clock.advance(SETTLING / 2)
        self.assertEqual(len(self.asked), 2)
        self.say(True)
        self.clock.advance(AGAIN - 1)
        self.assertEqual((len(self.asked), self.watch.metered), (2, True))

    def test_it_does_not_ask_twice_at_once(self) -> None:
        self.clock.advance(AGAIN)
        self.assertEqual(len(self.asked), 1)
        self.say(False)
        self.clock.advance(AGAIN)
        self.assertEqual(len(self.asked), 2)

    def test_what_nobody_expected_is_logged_and_it_goes_on(self) -> None:
        self.asked[-1].errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.clock.advance(AGAIN)
        self.assertEqual(len(self.asked), 2)

    def test_stopped_it_waits_for_the_program_it_asked(self) -> None:
        ended: Deferred[None] = Deferred()
        program: Deferred[bool | None] = Deferred()

        async def ask(_: Any) -> bool | None:
            try:
                return await program
            except CancelledError:
                await ended
                raise

        watch = MeteredWatch(self.clock, self.told.append, ask)
        watch.startService()
        stopping = watch.stopService()
        assert stopping is not None
        self.assertNoResult(stopping)
        ended.callback(None)
        self.successResultOf(stopping)
        self.assertEqual(self.told, [])

    def tearDown(self) -> None:
        self.watch.stopService()
        self.watch.link_changed()
        self.assertEqual(self.clock.getDelayedCalls(), [])
