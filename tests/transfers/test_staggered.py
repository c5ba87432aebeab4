"""The first good answer of several that are asked one after the other."""

from __future__ import annotations

from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import Refused, Stalled, Unreachable
from flocon.transfers.staggered import first_good


class FirstGood(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[str] = []
        self.answers: dict[str, Deferred[str]] = {}
        self.left: list[str] = []

    def ask(self, name: str) -> Deferred[str]:
        self.asked.append(name)
        self.answers[name] = Deferred(lambda _: self.left.append(name))
        return self.answers[name]

    def begin(self, names: str) -> Deferred[str]:
        tries = [partial(self.ask, name) for name in names]
        return first_good(self.clock, tries, stagger=1.0, patience=5.0)

    def assertOver(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_that_answers_is_asked_alone(self) -> None:
        found = self.begin("ab")
        self.answers["a"].callback("x")
        self.assertEqual((self.successResultOf(found), self.asked), ("x", ["a"]))
        self.assertOver()

    def test_the_next_is_asked_beside_a_silent_one(self) -> None:
        found = self.begin("ab")
        self.clock.advance(1.0)
        self.assertEqual(self.asked, ["a", "b"])
        self.answers["b"].callback("x")
        self.assertEqual((self.successResultOf(found), self.left), ("x", ["a"]))
        self.assertOver()

    def test_one_that_was_slow_may_still_be_the_first(self) -> None:
        found = self.begin("ab")
        self.clock.advance(1.5)
        self.answers["a"].callback("x")
        self.assertEqual((self.successResultOf(found), self.left), ("x", ["b"]))

    def test_the_next_is_asked_at_once_when_one_fails(self) -> None:
        self.begin("abc")
        self.answers["a"].errback(Unreachable("a", "x"))
        self.assertEqual(self.asked, ["a", "b"])

    def test_where_all_fail_the_last_failure_is_told(self) -> None:
        found = self.begin("ab")
        self.answers["a"].errback(Unreachable("a", "x"))
        self.answers["b"].errback(Refused("b", 404))
        self.failureResultOf(found, Refused)
        self.assertOver()

    def test_there_is_an_end_to_it_however_many_are_silent(self) -> None:
        found = self.begin("abcdefghij")
        self.clock.pump([0.5] * 10)
        self.failureResultOf(found, Stalled)
        self.assertEqual(sorted(self.left), self.asked)
        self.assertOver()

    def test_nobody_to_ask_is_a_failure(self) -> None:
        self.failureResultOf(self.begin(""), Stalled)
        self.assertOver()

    def test_what_is_no_sources_fault_ends_it(self) -> None:
        found = self.begin("ab")
        self.answers["a"].errback(ZeroDivisionError())
        self.failureResultOf(found, ZeroDivisionError)
        self.assertOver()

    def test_cancelled_it_leaves_nothing(self) -> None:
        found = self.begin("ab")
        self.clock.advance(1.0)
        found.cancel()
        self.failureResultOf(found)
        self.assertEqual(sorted(self.left), ["a", "b"])
        self.assertOver()
