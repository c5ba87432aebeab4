"""What reading inventories costs is counted by address and over time, whatever the ids."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.neighbours import readings as module
from flocon.neighbours.readings import Outcome, Reading, Readings

A, B = "10.0.0.1", "10.0.0.2"


class ReadingsTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.readings = Readings()

    def read(self, now: float, address: str, port: int, outcome: Outcome, size: int = 0) -> bool:
        """Want a place, and end its reading if it is begun; return whether it was."""
        self.readings.want(address, port, None)
        begun = self.readings.begin(now)
        for one in begun:
            self.readings.ended(now, one.address, one.port, outcome, size)
        self.readings.drop(address, port)
        return bool(begun)

    def tries(self, seconds: int, port: int, outcome: Outcome) -> int:
        return sum(self.read(now, A, port, outcome) for now in range(seconds))


class Unproved(ReadingsTestCase):
    def test_it_is_tried_at_once_and_then_seldom(self) -> None:
        times = [now for now in range(3_600) if self.read(now, A, 9100, Outcome.GONE)]
        self.assertEqual(times, [0, 15, 75, 315, 1275])

    def test_another_port_is_no_other_address(self) -> None:
        count = sum(self.read(now, A, 9_000 + now, Outcome.GONE) for now in range(60))
        self.assertEqual(count, 2)

    def test_one_place_of_an_address_is_tried_at_a_time(self) -> None:
        for port in range(1, 10):
            self.readings.want(A, port, None)
        self.assertEqual(len(self.readings.begin(0)), 1)
        self.assertIsNone(self.readings.deadline(0))

    def test_failures_of_all_addresses_together_are_bounded(self) -> None:
        count = sum(
            self.read(number / 100, f"10.0.{number // 250}.{number % 250}", 1, Outcome.GONE)
            for number in range(6_000)
        )
        self.assertLessEqual(count, module.FAILURES_BURST + 60 * module.FAILURES_RATE + 1)

    def test_the_newest_is_tried_first(self) -> None:
        for number in range(100):
            self.readings.want(f"10.0.0.{number}", 1, None)
        begun = self.readings.begin(0)
        self.assertEqual(len(begun), module.MOST_TRIED)
        self.assertEqual(begun[0], Reading("10.0.0.99", 1, None))

    def test_one_that_answers_badly_has_its_bytes_counted_too(self) -> None:
        self.assertLess(self.tries(3_600, 1, Outcome.BROKEN), 6)

    def test_one_that_was_ended_from_here_was_a_try(self) -> None:
        self.readings.want(A, 9100, None)
        self.readings.begin(0)
        self.readings.cancelled(0, A, 9100)
        self.readings.want(A, 9100, None)
        self.assertEqual(self.readings.begin(1), [])
        self.assertEqual(self.readings.deadline(1), module.FIRST_WAIT)


class Proved(ReadingsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.read(0, A, 1, Outcome.READ)

    def test_it_is_not_kept_waiting_by_what_was_said_of_its_address(self) -> None:
        for now in range(1, 100):
            self.read(now, A, 9100, Outcome.GONE)
        self.assertTrue(self.read(100, A, 1, Outcome.READ))

    def test_its_answers_earn_a_third_machines_port_no_tries(self) -> None:
        count = 0
        for now in range(600):
            count += self.read(now, A, 9100, Outcome.GONE)
            self.read(now, A, 1, Outcome.READ)
        self.assertLessEqual(count, 4)

    def test_it_goes_before_those_made_up(self) -> None:
        self.readings.want(A, 1, 5)
        for number in range(100):
            self.readings.want(f"10.1.0.{number}", 1, None)
        self.assertEqual(self.readings.begin(1)[0], Reading(A, 1, 5))

    def test_it_is_read_some_times_at_once_and_then_each_two_seconds(self) -> None:
        count = sum(self.read(1 + number / 10, A, 1, Outcome.READ) for number in range(600))
        self.assertTrue(35 <= count <= 42, count)

    def test_one_that_failed_is_tried_again_within_a_minute(self) -> None:
        for now in range(1, 1_000):
            self.read(now, A, 1, Outcome.GONE)
        times = [now for now in range(1_000, 1_300) if self.read(now, A, 1, Outcome.GONE)]
        self.assertTrue(4 <= len(times) <= 6, times)

    def test_what_it_sends_is_bounded_over_time(self) -> None:
        size = 32_000_000
        count = sum(self.read(now, A, 1, Outcome.READ, size) for now in range(1, 3_600))
        self.assertLess(count * size, 64e6 + 3_600 * 128e3 + 2 * size)

    def test_sixteen_nodes_of_one_machine_are_all_read(self) -> None:
        for port in range(2, 18):
            self.readings.want(A, port, None)
        read = 0
        while begun := self.readings.begin(1):
            read += len(begun)
            for one in begun:
                self.readings.ended(1, one.address, one.port, Outcome.READ, 400_000)
        self.assertEqual(read, 16)


class Bounds(SynchronousTestCase):
    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["want", "want", "drop", "begin", "end", "cancel"]),
                st.integers(0, 30),
                st.integers(1, 3),
                st.sampled_from(list(Outcome)),
                st.sampled_from([0.0, 0.5, 20.0]),
            ),
            max_size=80,
        )
    )
    def test_whatever_comes_one_place_runs_once_and_what_may_begin_is_told(
        self, steps: list[tuple[str, int, int, Outcome, float]]
    ) -> None:
        readings, now = Readings(), 0.0
        running: list[Reading] = []
        for what, number, port, outcome, pause in steps:
            now += pause
            address = f"10.0.0.{number}"
            if what == "want":
                readings.want(address, port, None)
            elif what == "drop":
                readings.drop(address, port)
            elif what == "begin":
                running += readings.begin(now)
                due = readings.deadline(now)
                self.assertTrue(due is None or due > now)
            elif running:
                one = running.pop(number % len(running))
                if what == "end":
                    readings.ended(now, one.address, one.port, outcome, 1_000)
                readings.cancelled(now, one.address, one.port)
            places = [(one.address, one.port) for one in running]
            self.assertEqual(len(places), len(set(places)))
        for one in running:
            readings.ended(now, one.address, one.port, Outcome.READ)
        due = readings.deadline(now)
        if due is not None:
            self.assertTrue(readings.begin(due))

    def test_whatever_is_wanted_the_tables_are_bounded(self) -> None:
        readings = Readings()
        for number in range(10_000):
            address = f"10.{number // 62_500}.{number // 250 % 250}.{number % 250}"
            readings.want(address, 1, None)
            for one in readings.begin(number * 2.0):
                readings.ended(number * 2.0, one.address, one.port, Outcome.GONE)
        self.assertLessEqual(len(readings._addresses), module.MOST_REMEMBERED)
        self.assertLessEqual(len(readings._waiting), module.MOST_WAITING)
