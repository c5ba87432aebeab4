"""What the node says of a mirror when it is asked how all is."""

from __future__ import annotations

from unittest import mock

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.advice import facts
from flocon.advice.examination import Examination, needs_pacman
from flocon.asking.source import Origin, Source
from flocon.settings.settings import Mirror, Settings
from tests.fakes import FakeReactor, HeadsAgent

MIRROR = Source(Origin.MIRROR, "m", "m", "http://m/core.db")


class Mirrors(SynchronousTestCase):
    def problem(self, status: int) -> str:
        agent = HeadsAgent()
        explainer = object.__new__(Examination)
        explainer._agents = mock.Mock(of=lambda _: agent)
        explainer._reactor = FakeReactor()
        probing = Deferred.fromCoroutine(explainer._probe(MIRROR))
        agent.last.answer(status)
        told: dict[str, str] = self.successResultOf(probing)
        return told["problem"]

    def test_one_that_answers_is_there(self) -> None:
        for status in (200, 404, 403, 503):
            self.assertEqual(self.problem(status), "")

    def test_one_that_wants_a_password_gives_nothing(self) -> None:
        self.assertEqual(self.problem(401), facts.SHUT)
        self.assertIn("(407)", self.problem(407))


class PacmanTests(SynchronousTestCase):
    def test_a_machine_with_mirrors_of_its_own_needs_none(self) -> None:
        self.assertTrue(needs_pacman(Settings()))
        self.assertFalse(needs_pacman(Settings(mirrors=("http://m/$repo/os/$arch",))))

    def test_neither_does_one_that_gives_states_which_were_carried_to_it(self) -> None:
        served = Mirror(serve=True, repositories=("core",))
        self.assertFalse(needs_pacman(Settings(mirror=served)))
        self.assertTrue(needs_pacman(Settings(mirror=Mirror(repositories=("core",)))))
        self.assertTrue(needs_pacman(Settings(mirror=Mirror(serve=True))))
