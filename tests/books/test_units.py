"""Sizes and times as they are shown."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.books.units import plain, size_text, time_text


class Texts(SynchronousTestCase):
    def test_what_does_not_show_is_spelled_out(self) -> None:
        self.assertEqual(
            plain("a\u3164b\ufe0f\n\t\x1b[2J\u202e"), r"a\u3164b\ufe0f\n\t\x1b[2J\u202e"
        )
        for text in ("", "pkg-1.0-1: waits", "\u00e9 \u6f22 \N{SNOWMAN}"):
            self.assertEqual(plain(text), text)

    def test_a_size_has_the_unit_it_fits(self) -> None:
        sizes = (0, 1023, 1024, 3 << 20, 5 << 30, 7 << 40, 9 << 50)
        expected = ["0 B", "1023 B", "1.0 KiB", "3.0 MiB", "5.0 GiB", "7.0 TiB", "9216.0 TiB"]
        self.assertEqual([size_text(one) for one in sizes], expected)

    def test_a_time_has_the_units_that_matter(self) -> None:
        times = (-1, 0.4, 59.4, 59.6, 61, 120, 3_600, 3_660, 47 * 3_600, 49 * 3_600)
        expected = [
            "0 s",
            "0 s",
            "59 s",
            "1 min",
            "1 min 1 s",
            "2 min",
            "1 h",
            "1 h 1 min",
            "47 h",
            "2 days",
        ]
        self.assertEqual([time_text(one) for one in times], expected)
