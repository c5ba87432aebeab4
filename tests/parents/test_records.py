"""How each caching proxy did."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.parents.records import (
    AT_ONCE,
    BORNE,
    LEADS_BACK,
    LEFT_ALONE,
    MOST,
    RESTS,
    Records,
)


class RecordsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.records = Records()

    def test_what_it_gave_is_added_up(self) -> None:
        self.records.gave("nas:9129", 10)
        self.records.gave("nas:9129", 0)
        self.records.gave("nas:9129", 5)
        record = self.records.of("nas:9129")
        self.assertEqual((record.files, record.bytes), (2, 15))

    def test_that_it_lacks_a_file_is_no_problem(self) -> None:
        self.records.failed("nas:9129", "refused the connection")
        self.records.lacked("nas:9129", 0.01, 100.0)
        record = self.records.of("nas:9129")
        self.assertEqual((record.failures, record.missing, record.problem), (1, 1, ""))

    def test_one_that_takes_long_to_say_no_is_left_alone_after_some_seconds(self) -> None:
        now, waited = 100.0, 0.0
        while not self.records.is_left_alone("nas:9129", now):
            self.records.lacked("nas:9129", 1.9, now)
            now, waited = now + 1.9, waited + 1.9
        self.assertLess(waited, 1.2 * BORNE + 1.9)
        self.assertEqual(self.records.of("nas:9129").problem, "takes long to say what it lacks")
        self.assertFalse(self.records.is_left_alone("nas:9129", now + RESTS))
        self.assertFalse(self.records.is_left_alone("other:9129", now))

    def test_one_that_says_it_at_once_may_do_so_for_ever(self) -> None:
        for _ in range(10_000):
            self.records.lacked("nas:9129", AT_ONCE / 2, 100.0)
        self.assertFalse(self.records.is_left_alone("nas:9129", 100.0))

    def test_one_that_sent_what_is_wrong_is_left_alone_for_a_while(self) -> None:
        self.records.was_wrong("nas:9129", "a.pkg", 100.0)
        self.assertTrue(self.records.is_left_alone("nas:9129", 100.0 + LEFT_ALONE - 1))
        self.assertFalse(self.records.is_left_alone("nas:9129", 100.0 + LEFT_ALONE))
        self.assertFalse(self.records.is_left_alone("other:9129", 100.0))

    def test_one_that_leads_back_is_left_alone_and_stays_so_however_it_lacks(self) -> None:
        self.records.led_back("nas:19434", 100.0)
        self.records.lacked("nas:19434", 0.01, 100.0)
        self.assertTrue(self.records.is_left_alone("nas:19434", 101.0))
        self.assertEqual(self.records.of("nas:19434").problem, LEADS_BACK)
        self.records.lacked("nas:19434", 0.01, 100.0 + LEFT_ALONE)
        self.assertEqual(self.records.of("nas:19434").problem, "")

    def test_so_many_are_remembered_and_no_more(self) -> None:
        for number in range(2 * MOST):
            self.records.gave(f"nas{number}:9129", 1)
        self.assertEqual(len(self.records._records), MOST)
