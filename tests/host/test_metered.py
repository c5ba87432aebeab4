"""What NetworkManager says of the link, and what it means where it says nothing."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as real_reactor
from twisted.trial.unittest import TestCase

from flocon.host import metered
from flocon.host.metered import is_metered
from tests.host.path import fake_program, no_programs

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
