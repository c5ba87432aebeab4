"""How a node is, for its page: looked for when somebody looks, seldom, and never waited for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.advice.health import AGAIN, Health
from flocon.leading import programs
from tests.fakes import FakeReactor


class Looking(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = FakeReactor()
        self.patch(programs, "pacman_version", lambda: (7, 0))
        conf = Path(self.mktemp()).absolute()
        conf.write_text("[options]\n[core]\nServer = https://mirror.example/$repo\n")
        self.answers: list[Deferred[dict[str, Any]]] = []
        self.health = Health(self.clock, self.examine, port=19433, pacman_conf=conf)

    async def examine(self, _: Mapping[str, str]) -> dict[str, Any]:
        self.answers.append(Deferred())
        return await self.answers[-1]

    def findings(self) -> dict[str, str]:
        return {one["check"]: one["reason"] for one in self.health.describe()["findings"]}

    def test_the_page_is_told_at_once_that_nothing_is_known_yet(self) -> None:
        told = self.health.describe()
        self.assertEqual(told, {"looked_seconds_ago": None, "findings": []})

    def test_what_is_not_well_is_told_once_it_is_found(self) -> None:
        self.health.describe()
        self.answers[0].callback({"problems": [{"check": "x", "reason": "it is so"}]})
        found = self.findings()
        self.assertEqual(found["x"], "it is so")
        self.assertIn("does not ask the node for [core]", found["pacman"])
        self.assertNotIn("node", found)

    def test_it_is_looked_once_at_a_time_and_seldom(self) -> None:
        for _ in range(3):
            self.health.describe()
        self.assertEqual(len(self.answers), 1)
        self.answers[0].callback({})
        self.clock.advance(AGAIN - 1)
        self.assertEqual(self.health.describe()["looked_seconds_ago"], AGAIN - 1)
        self.assertEqual(len(self.answers), 1)
        self.clock.advance(1)
        self.health.describe()
        self.assertEqual(len(self.answers), 2)

    def test_nothing_is_looked_for_while_nobody_looks(self) -> None:
        self.clock.advance(10 * AGAIN)
        self.assertEqual((self.answers, self.clock.getDelayedCalls()), ([], []))

    def test_a_look_that_fails_is_logged_and_done_again_later(self) -> None:
        self.health.describe()
        self.answers[0].errback(ValueError("x"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.health.describe()
        self.assertEqual(len(self.answers), 1)
        self.clock.advance(AGAIN)
        self.health.describe()
        self.assertEqual(len(self.answers), 2)

    def test_a_stop_ends_it_without_a_word(self) -> None:
        self.health.describe()
        self.health.stop()
        self.assertEqual(self.flushLoggedErrors(), [])
