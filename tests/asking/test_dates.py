"""Which dates pacman may be told."""

from __future__ import annotations

from email.utils import formatdate

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.dates import past, seconds_of

NOW = 1_700_000_000.0


class Dates(SynchronousTestCase):
    def test_one_that_has_come_is_passed_on_as_it_is(self) -> None:
        for seconds in (0, 1, 1_600_000_000, NOW):
            date = formatdate(seconds, usegmt=True)
            self.assertEqual(past(date, NOW), date)

    def test_one_to_come_is_none(self) -> None:
        for seconds in (NOW + 1, 2**31 - 1, 2**31, 2**33):
            self.assertIsNone(past(formatdate(seconds, usegmt=True), NOW))

    def test_what_is_no_date_is_none(self) -> None:
        for text in (None, "", "yesterday", "v1", "\xff", "Tue, 14 Nov 99999 22:13:20 GMT"):
            self.assertIsNone(past(text, NOW))

    def test_a_zone_is_heeded_and_none_is_gmt(self) -> None:
        self.assertEqual(seconds_of("Tue, 14 Nov 2023 22:13:20 GMT"), NOW)
        self.assertEqual(seconds_of("Tue, 14 Nov 2023 22:13:20"), NOW)
        self.assertEqual(seconds_of("Tue, 14 Nov 2023 23:13:20 +0100"), NOW)
        self.assertEqual(seconds_of("Tue, 14 Nov 2023 22:13:20 -0000"), NOW)

    @settings(max_examples=500, deadline=None)
    @given(st.text(max_size=60), st.integers(-(10**12), 10**12))
    def test_no_text_makes_it_stumble(self, text: str, number: int) -> None:
        for date in (text, f"Tue, 14 Nov {number} 22:13:20 GMT", f"Tue, {number} Nov 2023 1:2:3"):
            told = past(date, NOW)
            self.assertIn(told, {None, date})
            seconds = seconds_of(date)
            self.assertIn(type(seconds), {float, type(None)})
