"""How often something may happen."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.datagrams.buckets import Bucket, BucketTable


class BucketTests(SynchronousTestCase):
    def test_lets_a_burst_through_and_then_the_rate(self) -> None:
        bucket = Bucket(rate=2, burst=5)
        self.assertEqual([bucket.take(10) for _ in range(7)], [True] * 5 + [False] * 2)
        self.assertEqual([bucket.take(11) for _ in range(3)], [True, True, False])
        self.assertEqual(sum(bucket.take(1000) for _ in range(9)), 5)

    def test_a_clock_that_goes_back_gives_nothing(self) -> None:
        bucket = Bucket(rate=1, burst=1)
        bucket.take(100)
        self.assertFalse(bucket.take(50))

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.floats(0, 1), max_size=200))
    def test_never_lets_more_through_than_burst_and_rate(self, pauses: list[float]) -> None:
        bucket = Bucket(rate=3, burst=4)
        now, passed = 0.0, 0
        for pause in pauses:
            now += pause
            passed += bucket.take(now)
        self.assertLessEqual(passed, 4 + 3 * now + 1e-6)


class BucketTableTests(SynchronousTestCase):
    def test_each_key_has_its_own(self) -> None:
        table = BucketTable(rate=1, burst=1, most=10)
        self.assertTrue(table.take(0, "a"))
        self.assertFalse(table.take(0, "a"))
        self.assertTrue(table.take(0, "b"))

    def test_forgets_the_key_not_seen_for_longest(self) -> None:
        table = BucketTable(rate=0, burst=1, most=2)
        for key in ("a", "b", "a", "c"):
            table.take(0, key)
        self.assertEqual(len(table), 2)
        self.assertFalse(table.take(0, "a"))
        self.assertTrue(table.take(0, "b"))
