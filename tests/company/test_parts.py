"""Which source brings which part: nothing is lost, nobody idles for long, the slow lose theirs."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.company.parts import FIRST_PART, LEAST_PART, Parts, part_size
from flocon.extents import Extents

MIB = 1 << 20


def simulate(
    size: int, rates: list[float], *, dies: int | None = None, tick: float = 0.05
) -> float:
    """Bring ``size`` bytes with sources of these rates; return the seconds it takes."""
    parts, arrived = Parts(size), Extents()
    busy: dict[int, bool] = dict.fromkeys(range(len(rates)), False)
    measured = [0.0] * len(rates)
    now = 0.0
    while arrived.missing(0, size):
        for at, rate in enumerate(rates):
            key = str(at)
            if at == dies and now > 1:
                parts.done(key)
                continue
            if not busy[at]:
                known = measured[at]
                busy[at] = parts.take(key, arrived, known, now, part_size(known)) is not None
            part = parts.part(key)
            if not busy[at] or part is None:
                continue
            end = min(part.position + int(rate * tick), part.end)
            arrived.add(part.position, end)
            if not parts.moved(key, end, now + tick):
                measured[at] = part.average(now + tick)
                parts.done(key)
                busy[at] = False
        now += tick
        assert now < 10_000
    return now


class PartsTests(SynchronousTestCase):
    def test_a_first_part_is_small_as_nothing_is_known(self) -> None:
        extent = Parts(100 * MIB).take("a", Extents(), 0.0, 0.0)
        assert extent is not None
        self.assertEqual((extent.start, extent.end), (0, FIRST_PART))

    def test_parts_of_two_sources_follow_each_other(self) -> None:
        parts, arrived = Parts(100 * MIB), Extents()
        first = parts.take("a", arrived, 0.0, 0.0)
        second = parts.take("b", arrived, 0.0, 0.0)
        assert first is not None
        assert second is not None
        self.assertEqual(second.start, first.end)

    def test_what_is_lost_is_given_to_another(self) -> None:
        parts, arrived = Parts(100 * MIB), Extents()
        parts.take("a", arrived, 0.0, 0.0)
        parts.done("a")
        extent = parts.take("b", arrived, 0.0, 1.0)
        assert extent is not None
        self.assertEqual(extent.start, 0)

    def test_an_idle_source_takes_over_from_a_slow_one(self) -> None:
        parts, arrived = Parts(LEAST_PART), Extents()
        parts.take("slow", arrived, 0.0, 0.0)
        parts.moved("slow", 1_000, 0.5)
        extent = parts.take("quick", arrived, 10.0 * MIB, 1.0)
        slow = parts.part("slow")
        assert extent is not None
        assert slow is not None
        self.assertEqual((slow.end, extent.end), (extent.start, LEAST_PART))
        self.assertLess(slow.end, LEAST_PART // 10)

    def test_three_equal_sources_take_a_third_of_the_time(self) -> None:
        alone = simulate(140 * MIB, [12 * MIB])
        self.assertLess(simulate(140 * MIB, [12 * MIB] * 3) / alone, 0.37)

    def test_a_slow_third_costs_the_good_two_little(self) -> None:
        good = simulate(140 * MIB, [12 * MIB] * 2)
        self.assertLess(simulate(140 * MIB, [12 * MIB, 12 * MIB, 1.2 * MIB]) / good, 1.05)

    def test_a_source_that_dies_costs_the_others_little(self) -> None:
        good = simulate(140 * MIB, [12 * MIB] * 2)
        self.assertLess(simulate(140 * MIB, [12 * MIB] * 3, dies=2) / good, 1.05)

    @settings(max_examples=60, deadline=None)
    @given(
        # Less than that comes from one source alone: see company.helping.
        st.integers(8 * MIB, 40 * MIB),
        st.lists(st.floats(50_000, 50e6), min_size=1, max_size=5),
    )
    def test_everything_arrives_about_as_soon_as_all_together_can_bring_it(
        self, size: int, rates: list[float]
    ) -> None:
        # The last moments: some ticks, and one least part at the quickest source's speed.
        slack = 1.0 + 2 * LEAST_PART / max(rates)
        self.assertLess(simulate(size, rates), size / sum(rates) * 1.3 + slack)
