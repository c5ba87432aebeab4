"""A face's time is given to its askers by turns, some of it in each turn of the reactor."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.answering.turns import SHARE, TURN, Turns


class TurnsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.turns = Turns(self.clock)
        self.done: list[str] = []

    def work(self, name: str, seconds: float = 0.0) -> Callable[[], None]:
        def call() -> None:
            self.done.append(name)
            self.clock.rightNow += seconds

        return call

    def take(self, asker: str, connection: str, seconds: float = 0.0) -> bool:
        return self.turns.take(asker, connection, self.work(asker + connection, seconds))

    def turn(self) -> list[str]:
        """Let the reactor have one turn; return what was done in it."""
        before, now = len(self.done), self.clock.seconds()
        for call in [one for one in self.clock.calls if one.getTime() <= now]:
            self.clock.calls.remove(call)
            call.called = 1
            call.func()
        return self.done[before:]

    def test_where_few_ask_all_is_done_at_once(self) -> None:
        for at in range(100):
            self.assertTrue(self.take("a", str(at), TURN / 10))
            self.clock.rightNow += TURN / SHARE / 10
        self.assertEqual(len(self.done), 100)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_where_many_ask_in_one_turn_so_much_is_done_in_each(self) -> None:
        for at in range(50):
            self.take("a", str(at), TURN / 3.9)
        self.assertEqual(len(self.done), 4)
        for left in (42, 38, 34):
            self.assertEqual(len(self.turn()), 4)
            self.assertEqual(len(self.turns), left)

    def test_one_that_takes_long_does_not_keep_the_next_from_its_turn_for_ever(self) -> None:
        for at in range(3):
            self.take("a", str(at), 20 * TURN)
        self.assertEqual([self.turn(), self.turn(), self.turn()], [["a1"], ["a2"], []])

    def test_askers_take_turns_however_many_connections_one_has(self) -> None:
        self.take("a", "0", TURN)
        for at in range(1, 100):
            self.take("a", str(at), TURN)
        self.take("b", "0", TURN)
        self.take("c", "0", TURN)
        done = [*self.turn(), *self.turn(), *self.turn(), *self.turn()]
        self.assertEqual(done, ["a1", "b0", "c0", "a2"])

    def test_what_is_asked_while_others_wait_does_not_go_before_them(self) -> None:
        for at in range(3):
            self.take("a", str(at), TURN)
        self.clock.rightNow += 100
        self.assertFalse(self.take("b", "0"))
        self.assertEqual(self.turn(), ["a1"])
        self.assertEqual(self.turn(), ["b0", "a2"])

    def test_a_connection_has_one_call_in_a_turn(self) -> None:
        def again() -> None:
            self.done.append("a")
            self.turns.wait("a", "0", again)

        self.turns.wait("a", "0", again)
        self.turns.wait("b", "0", self.work("b"))
        self.assertEqual([self.turn(), self.turn()], [["a", "b"], ["a"]])

    def test_a_part_of_what_has_its_turn_does_not_wait(self) -> None:
        def both() -> None:
            self.assertTrue(self.take("a", "0"))

        self.turns.wait("a", "0", both)
        self.assertEqual(self.turn(), ["a0"])

    def test_who_leaves_is_forgotten(self) -> None:
        def leave() -> None:
            self.turns.wait("a", "0", self.work("never"))
            self.turns.drop("a", "0")
            self.turns.drop("b", "0")

        self.turns.wait("a", "0", leave)
        self.turns.wait("b", "0", self.work("never"))
        self.assertEqual(self.turn(), [])
        self.assertEqual((len(self.turns), self.clock.getDelayedCalls()), (0, []))
        self.turns.wait("a", "0", self.work("never"))
        self.turns.drop("a", "0")
        self.turns.drop("a", "0")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_fails_keeps_nobody_else_from_its_turn(self) -> None:
        def fail() -> None:
            raise ZeroDivisionError

        self.turns.wait("a", "0", fail)
        self.turns.wait("b", "0", self.work("b"))
        with self.assertRaises(ZeroDivisionError):
            self.turn()
        self.assertEqual(self.turn(), ["b"])
        self.assertTrue(self.take("a", "1"))

    def test_a_clock_that_is_put_back_stops_nobody(self) -> None:
        self.take("a", "0", TURN / 2)
        self.clock.rightNow -= 1_000
        self.assertTrue(self.take("a", "1"))

    @given(
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.floats(0, TURN))),
    )
    def test_all_that_wait_are_done_once_and_in_bounded_turns(
        self, asked: list[tuple[str, int, float]]
    ) -> None:
        self.setUp()
        wanted = set()
        for asker, connection, seconds in asked:
            wanted.add(f"{asker}{connection}")
            self.turns.wait(asker, str(connection), self.work(f"{asker}{connection}", seconds))
        for _ in range(len(asked)):
            before = self.clock.seconds()
            self.turn()
            self.assertLessEqual(self.clock.seconds() - before, 2 * TURN + 1e-9)
        self.assertEqual((set(self.done), len(self.done)), (wanted, len(wanted)))
        self.assertEqual(self.clock.getDelayedCalls(), [])
