"""What a person is told in a message."""

from __future__ import annotations

import quopri

from twisted.trial.unittest import SynchronousTestCase

from flocon.approving.messages import LONGEST_LINE, MOST_REASONS, MOST_RECIPES, mail, message
from tests.builds.told import watched


class Messages(SynchronousTestCase):
    def test_one_is_named_with_why_and_what_to_type(self) -> None:
        told = message([watched()], "nas")
        self.assertEqual(told.title, "flocon on nas: paru waits for you")
        self.assertEqual(
            told.text,
            "paru 2.0-1: waits for a person\n  PKGBUILD: line 3 was changed\n\n"
            "To decide, on nas: flocon build approve NAME, or flocon build web\n",
        )

    def test_several_are_told_together(self) -> None:
        told = message([watched("a"), watched("b", "held")], "nas")
        self.assertEqual(told.title, "flocon on nas: 2 recipes wait for you")
        self.assertEqual(told.bases, ("a", "b"))

    def test_it_is_never_long(self) -> None:
        recipes = [watched(f"p{number}", reasons=["x" * 9_999] * 99) for number in range(500)]
        told = message(recipes, "nas")
        self.assertLess(len(told.text), MOST_RECIPES * (MOST_REASONS + 3) * (LONGEST_LINE + 9))
        self.assertIn(f"and {500 - MOST_RECIPES} more\n", told.text)
        self.assertIn(f"  and {99 - MOST_REASONS} reasons more\n", told.text)

    def test_strangers_words_stay_in_their_line(self) -> None:
        reason = "a\nBcc: x\x1b[2J\N{RIGHT-TO-LEFT OVERRIDE}\N{HANGUL FILLER}"
        told = message([watched(reasons=[reason])], "n\nas")
        self.assertIn("  a\\nBcc: x\\x1b[2J\\u202e\\u3164\n", told.text)
        self.assertNotIn("\n", told.title)

    def test_a_mail_has_its_head_and_nothing_of_a_recipe_in_it(self) -> None:
        told = message([watched("p\nBcc: x", reasons=["\N{SNOWMAN}"])], "\N{SNOWMAN}")
        head, _, body = mail(told, "root").partition(b"\n\n")
        self.assertIn(b"To: root\nSubject: flocon on ?: p\\nBcc: x waits for you\n", head)
        self.assertNotIn(b"\nBcc", head)
        self.assertIn("\N{SNOWMAN}".encode(), quopri.decodestring(body))

    def test_a_mail_has_short_lines_of_seven_bits_whatever_is_in_it(self) -> None:
        for sign in ("\U0001f9f1", "=", "\u00e9", " ", "x", ".", "\ud800"):
            told = message([watched("p", reasons=[sign * 9_999] * 9)] * 30, "nas" * 99)
            sent = mail(told, "root")
            self.assertTrue(sent.isascii())
            self.assertLess(max(map(len, sent.splitlines())), 998)
            body = sent.partition(b"\n\n")[2]
            self.assertEqual(quopri.decodestring(body), told.text.encode("utf-8", "replace"))
            self.assertNotIn(b"\n.\n", sent)
