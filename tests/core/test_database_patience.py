"""How long each mirror is waited for, when a database is wanted."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.core.database_patience import ALL, LEAST, share

USUAL = 2.5


class Shares(SynchronousTestCase):
    def test_with_a_few_each_has_what_is_usual(self) -> None:
        self.assertEqual(share(0, 2, USUAL), USUAL)
        self.assertEqual(share(0, 3, USUAL), USUAL)

    def test_the_last_one_has_all_that_is_left(self) -> None:
        self.assertEqual(share(0, 1, USUAL), ALL)
        self.assertEqual(share(5, 1, USUAL), ALL - 5)

    @settings(max_examples=300, deadline=None)
    @given(st.integers(1, 100), st.floats(0, 20))
    def test_all_together_end_in_time(self, count: int, began: float) -> None:
        waited = began
        asked = 0
        while (seconds := share(waited, count - asked, USUAL)) is not None:
            self.assertGreater(seconds, 0)
            waited += seconds
            asked += 1
        self.assertLessEqual(waited, max(began, ALL + 1e-9))
        if began == 0:
            self.assertGreaterEqual(asked, min(count, 9))
        self.assertLessEqual(asked, ALL / LEAST + 1)
