"""Answers about the node are JSON, not written for each who asks; questions go by turns."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.answering.json_answers import KEPT_FOR_EACH, MOST_KEPT, InTurn, Lately, written_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


class Texts(SynchronousTestCase):
    @given(VALUES)
    def test_what_is_written_is_what_was_meant(self, value: Any) -> None:
        text = written_json(value)
        self.assertEqual(json.loads(text), value)
        self.assertTrue(text.isascii() and text.endswith(b"\n"))

    def test_each_member_and_item_has_a_line(self) -> None:
        text = written_json({"a": 1, "b": [{"c": [2]}, {}], "d": []})
        self.assertEqual(text, b'{\n "a": 1,\n "b": [\n  {"c": [2]},\n  {}\n ],\n "d": []\n}\n')


class LatelyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.lately = Lately(self.clock)
        self.written = 0
        #: Seconds that writing takes.
        self.takes = 0.0

    async def write(self) -> bytes:
        self.written += 1
        self.clock.rightNow += self.takes
        return str(self.written).encode()

    def get(self, kind: str = "status") -> Deferred[bytes]:
        return Deferred.fromCoroutine(self.lately.get(kind, self.write))

    def test_what_took_long_is_given_again_for_half_a_second(self) -> None:
        self.takes = 0.1
        for _ in range(100):
            self.assertEqual(self.successResultOf(self.get()), b"1")
            self.clock.advance(MOST_KEPT / 101)
        self.clock.advance(MOST_KEPT / 50)
        self.assertEqual(self.successResultOf(self.get()), b"2")

    def test_writing_what_takes_little_takes_a_twentieth_of_all_time(self) -> None:
        self.takes = 0.001
        end = self.clock.seconds() + 10
        while self.clock.seconds() < end:
            self.successResultOf(self.get())
            self.clock.advance(0.0001)
        self.assertLessEqual(self.written * self.takes, 10 / KEPT_FOR_EACH)
        self.assertGreater(self.written, 100)

    def test_each_kind_is_another_answer(self) -> None:
        self.takes = 0.1
        answers = [self.successResultOf(self.get(kind)) for kind in ("a", "b", "a", "b")]
        self.assertEqual(answers, [b"1", b"2", b"1", b"2"])

    def test_what_was_changed_by_hand_is_told_at_once(self) -> None:
        self.takes = 0.1
        self.successResultOf(self.get())
        self.lately.forget()
        self.assertEqual(self.successResultOf(self.get()), b"2")

    def test_an_answer_that_was_being_written_meanwhile_is_not_kept(self) -> None:
        waiting: Deferred[bytes] = Deferred()

        async def write() -> bytes:
            return await waiting

        asked = Deferred.fromCoroutine(self.lately.get("status", write))
        self.lately.forget()
        self.assertEqual(self.successResultOf(self.get()), b"1")
        waiting.callback(b"before")
        self.assertEqual(self.successResultOf(asked), b"before")
        self.assertNotEqual(self.successResultOf(self.get()), b"before")

    def test_a_clock_that_is_put_back_keeps_no_old_answer(self) -> None:
        self.takes = 0.1
        self.successResultOf(self.get())
        self.clock.rightNow -= 1_000
        self.assertEqual(self.successResultOf(self.get()), b"2")

    def test_who_asks_while_one_is_written_waits_for_that(self) -> None:
        waiting: Deferred[bytes] = Deferred()
        begun: list[int] = []

        async def write() -> bytes:
            begun.append(1)
            return await waiting

        asked = [Deferred.fromCoroutine(self.lately.get("page", write)) for _ in range(5)]
        asked[0].cancel()
        self.failureResultOf(asked[0])
        waiting.callback(b"page")
        self.assertEqual([self.successResultOf(one) for one in asked[1:]], [b"page"] * 4)
        self.assertEqual(len(begun), 1)

    def test_a_failure_is_told_to_all_who_wait_and_not_kept(self) -> None:
        waiting: Deferred[bytes] = Deferred()

        async def write() -> bytes:
            return await waiting

        asked = [Deferred.fromCoroutine(self.lately.get("status", write)) for _ in range(3)]
        waiting.errback(ZeroDivisionError())
        for one in asked:
            self.failureResultOf(one, ZeroDivisionError)
        self.assertEqual(self.successResultOf(self.get()), b"1")


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
