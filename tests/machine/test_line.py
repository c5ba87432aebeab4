"""A line in which addresses take turns: who is served, who waits, who finds no place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.line import Line


class Turns(SynchronousTestCase):
    def setUp(self) -> None:
        self.line = Line(8, 4)
        self.served: list[str] = []

    def wait(self, address: str, name: str = "") -> Deferred[None]:
        turn = self.line.acquire(address)
        assert turn is not None
        turn.addCallback(lambda _: self.served.append(name or address))
        turn.addErrback(lambda failure: failure.trap(CancelledError) and None)
        return turn

    def test_the_first_one_is_served_at_once(self) -> None:
        self.wait("a")
        self.wait("b")
        self.assertEqual(self.served, ["a"])

    def test_another_address_waits_for_one_alone(self) -> None:
        for name in ("a1", "a2", "a3"):
            self.wait("a", name)
        self.wait("b")
        for _ in range(3):
            self.line.release()
        self.assertEqual(self.served, ["a1", "a2", "b", "a3"])

    def test_there_is_no_place_for_more_than_a_part_of_one_address(self) -> None:
        for _ in range(4):
            self.wait("a")
        self.assertIsNone(self.line.acquire("a"))
        self.assertIsNotNone(self.line.acquire("b"))

    def test_there_is_no_place_for_more_than_all(self) -> None:
        for address in "abcdefgh":
            self.wait(address)
        self.assertIsNone(self.line.acquire("i"))

    def test_who_leaves_makes_room_and_is_not_served(self) -> None:
        self.wait("a")
        left = self.wait("a", "left")
        left.cancel()
        self.wait("a", "last")
        self.line.release()
        self.assertEqual(self.served, ["a", "last"])

    def test_an_empty_line_serves_the_next_one_at_once_again(self) -> None:
        self.wait("a")
        self.line.release()
        self.wait("b")
        self.assertEqual(self.served, ["a", "b"])

    @given(st.lists(st.sampled_from(["a", "b", "c", "leave", "release"]), max_size=60))
    def test_all_who_stay_are_served_once_and_none_while_another_is(self, steps: list[str]) -> None:
        line, served, expected = Line(8, 4), 0, 0
        waiting: list[Deferred[None]] = []
        busy = False

        def begin(_: None) -> None:
            nonlocal busy, served
            self.assertFalse(busy)
            busy = True
            served += 1

        for step in steps:
            if step == "release" and busy:
                busy = False
                line.release()
            elif step == "leave" and waiting and not waiting[-1].called:
                waiting.pop().cancel()
                expected -= 1
            elif step in "abc" and (turn := line.acquire(step)) is not None:
                turn.addCallback(begin)
                turn.addErrback(lambda failure: failure.trap(CancelledError) and None)
                waiting.append(turn)
                expected += 1
        while busy:
            busy = False
            line.release()
        self.assertEqual(served, expected)
