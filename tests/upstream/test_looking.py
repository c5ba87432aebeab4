"""When the mirrors are read unasked, and what a failure changes of that."""

from __future__ import annotations

from twisted.internet import error

from flocon.upstream.refreshing import LOOK_AT_CLOCK
from flocon.upstream.schedule import RETRY, SPREAD, SPREAD_OF_START
from tests.upstream.reading_case import ONE, TWO
from tests.upstream.test_refreshing import RefreshingCase
from tests.upstream.web import THEN

HOUR = 3_600.0


class Looking(RefreshingCase):
    roots = (ONE,)

    def looks(self, seconds: float) -> int:
        """Return how often the mirror was looked at while so much time went by."""
        self.web.asked.clear()
        self.clock.pump([60.0] * int(seconds / 60))
        return len({at for at in self.times if at is not None})

    def setUp(self) -> None:
        super().setUp()
        self.times: list[float] = []
        self.web.before = self._note

    def _note(self, url: str) -> None:
        if url.endswith("lastupdate") and self.clock.seconds() not in self.times:
            self.times.append(self.clock.seconds())

    def test_nothing_is_read_before_it_may_be(self) -> None:
        self.assertEqual(self.looks(3 * HOUR), 0)

    def test_the_first_state_is_read_at_once(self) -> None:
        self.refreshing.allow(True)
        self.clock.advance(0)
        self.assertEqual(self.times, [0.0])
        self.assertEqual(len(self.states.read), 1)

    def test_then_every_hour_more_or_less(self) -> None:
        self.refreshing.allow(True)
        self.assertIn(self.looks(24 * HOUR), {24, 25})
        gaps = [b - a for a, b in zip(self.times, self.times[1:], strict=False)]
        for gap in gaps:
            self.assertTrue(abs(gap - HOUR) <= HOUR * SPREAD / 2 + 60, gap)
        self.assertGreater(len(set(gaps)), 1)

    def test_on_a_link_that_costs_nothing_is_read_but_by_hand(self) -> None:
        self.refreshing.allow(True)
        self.clock.advance(0)
        self.refreshing.allow(False)
        self.times.clear()
        self.assertEqual(self.looks(5 * HOUR), 0)
        self.read()
        self.assertEqual(len(self.times), 1)
        self.times.clear()
        self.refreshing.allow(True)
        self.assertIn(self.looks(2 * HOUR), {1, 2})

    def test_it_is_looked_at_once_where_the_link_costs_no_more(self) -> None:
        self.refreshing.allow(True)
        self.clock.advance(0)
        self.refreshing.allow(False)
        self.clock.advance(2 * HOUR)
        self.times.clear()
        self.refreshing.allow(True)
        self.clock.advance(0)
        self.assertEqual(len(self.times), 1)

    def test_what_was_read_by_hand_is_not_read_again_so_soon(self) -> None:
        self.refreshing.allow(True)
        self.clock.advance(0.9 * HOUR)
        self.read()
        self.times.clear()
        self.assertEqual(self.looks(0.9 * HOUR), 0)

    def test_failures_are_tried_again_soon_and_less_often_each_time(self) -> None:
        self.web.faults[f"{ONE}/lastupdate"] = error.ConnectionRefusedError()
        self.refreshing.allow(True)
        self.looks(12 * HOUR)
        gaps = [b - a for a, b in zip(self.times, self.times[1:], strict=False)]
        self.assertLess(gaps[0], RETRY * (1 + SPREAD) + 60)
        self.assertEqual(gaps[:4], sorted(gaps[:4]))
        self.assertGreater(gaps[-1], 0.9 * HOUR)
        self.assertIn("refused", self.refreshing.problem)

    def test_once_it_works_again_all_is_as_before(self) -> None:
        fault = f"{ONE}/lastupdate"
        self.web.faults[fault] = error.ConnectionRefusedError()
        self.refreshing.allow(True)
        self.looks(HOUR)
        del self.web.faults[fault]
        self.looks(2 * HOUR)
        self.assertEqual(self.refreshing.problem, "")
        self.assertEqual(len(self.states.read), 1)

    def test_after_a_restart_a_young_state_is_left_alone_and_an_old_one_read_within_seconds(
        self,
    ) -> None:
        self.read()
        self.refreshing.stop()
        for away, first in ((0.5 * HOUR, 0.4 * HOUR), (3 * HOUR, 0.0)):
            self.wall += away
            self.times.clear()
            again = self.make()
            again.allow(True)
            began = self.clock.seconds()
            self.clock.pump([10.0] * 360)
            after = self.times[0] - began
            self.assertTrue(first <= after <= first + HOUR / 4, after)
            if not first:
                self.assertLessEqual(after, SPREAD_OF_START + 10)
            again.stop()

    def test_a_clock_that_is_set_is_noticed(self) -> None:
        self.settings = type(self.settings)(serve=True, refresh=("06:00",))
        self.refreshing.allow(True)
        self.clock.advance(0)
        self.times.clear()
        self.wall += 26 * HOUR
        self.assertEqual(self.looks(2 * LOOK_AT_CLOCK), 1)

    def test_by_hand_alone_means_all_but_the_first_state(self) -> None:
        self.settings = type(self.settings)(serve=True, refresh=())
        fault = f"{ONE}/lastupdate"
        self.web.faults[fault] = error.ConnectionRefusedError()
        self.refreshing.allow(True)
        self.assertGreater(self.looks(HOUR), 1)
        del self.web.faults[fault]
        self.looks(HOUR)
        self.assertEqual(len(self.states.read), 1)
        self.times.clear()
        self.assertEqual(self.looks(48 * HOUR), 0)

    def test_settings_count_from_when_they_are_set(self) -> None:
        self.settings = type(self.settings)(serve=True, refresh=())
        self.refreshing.allow(True)
        self.clock.advance(0)
        self.times.clear()
        self.assertEqual(self.looks(24 * HOUR), 0)
        self.settings = type(self.settings)(serve=True, refresh=HOUR)
        self.refreshing.plan()
        self.assertEqual(self.looks(60.0), 1)

    def test_when_it_stops_nothing_waits_any_more(self) -> None:
        self.refreshing.allow(True)
        self.clock.advance(0)
        self.refreshing.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_stops_amid_and_leaves_nothing(self) -> None:
        self.web.silent.add(f"{ONE}/extra/os/x86_64/extra.db")
        self.refreshing.allow(True)
        self.clock.advance(0)
        self.refreshing.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.contents(), set())
        self.assertEqual(self.states.read, [])


class AnotherMirror(RefreshingCase):
    def test_one_that_has_the_same_state_is_not_read(self) -> None:
        self.read()
        self.read()
        self.web.faults[f"{ONE}/lastupdate"] = 503
        self.web.bodies.clear()
        self.read()
        self.assertEqual(self.web.bodies, ["/lastupdate"])

    def test_what_another_one_had_says_nothing_of_what_this_one_has(self) -> None:
        self.read()
        self.web.faults[f"{ONE}/lastupdate"] = 503
        self.move_on(TWO, THEN + 60, "2-1")
        # Its second database is older by its date than what came from the first mirror.
        data, _ = self.web.files[f"{TWO}/extra/os/x86_64/extra.db"]
        self.web.put(f"{TWO}/extra/os/x86_64/extra.db", data, THEN - 60)
        self.read()
        self.assertEqual(self.listed(), {"bash-2-1"})
