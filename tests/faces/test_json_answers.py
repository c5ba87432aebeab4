"""Questions of the users of this machine: each user's one after the other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.faces.json_answers import InTurn


class InTurnTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.in_turn = InTurn()
        self.asked: list[tuple[str, Deferred[Any]]] = []

    async def question(self, fields: Any) -> Any:
        answer: Deferred[Any] = Deferred()
        self.asked.append((fields["name"], answer))
        return await answer

    def ask(self, user: int | None, name: str) -> Deferred[Any]:
        request: Any = SimpleNamespace(channel=SimpleNamespace(user=user))
        return Deferred.fromCoroutine(self.in_turn.ask(request, self.question, {"name": name}))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.asked]

    def test_a_user_has_one_answered_at_a_time_and_keeps_nobody_else_waiting(self) -> None:
        first, second = self.ask(1000, "a"), self.ask(1000, "b")
        other = self.ask(1001, "c")
        self.assertEqual(self.names, ["a", "c"])
        self.asked[0][1].callback("an answer")
        self.assertEqual(self.successResultOf(first), "an answer")
        self.assertEqual(self.names, ["a", "c", "b"])
        for _, answer in self.asked[1:]:
            answer.callback(None)
        self.successResultOf(second)
        self.successResultOf(other)
        self.assertEqual(self.in_turn._locks, {})

    def test_one_that_leaves_or_fails_makes_way(self) -> None:
        first, second, third = (self.ask(1000, name) for name in "abc")
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.asked[0][1].errback(ValueError())
        self.failureResultOf(first, ValueError)
        self.assertEqual(self.names, ["a", "c"])
        third.cancel()
        self.failureResultOf(third, CancelledError)
        self.assertEqual(self.in_turn._locks, {})
