"""What is remembered of who has what."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.foreign.found import JUST, KNOWN_FOR, MOST_FILES, NOBODY_FOR, Found
from flocon.foreign.place import Place, Tool

PLACE = Place(Tool.PACREDIR, "10.0.0.7", 7_078)


class Remembered(SynchronousTestCase):
    def setUp(self) -> None:
        self.found = Found()
        self.found.looked("a", 1, 100.0)

    def test_who_has_it_is_known_for_a_while(self) -> None:
        self.found.has("a", 1, PLACE)
        self.assertEqual(self.found.places("a", 1, 100.0), {PLACE})
        self.assertTrue(self.found.is_known("a", 1, 99.9 + KNOWN_FOR))
        self.assertFalse(self.found.is_known("a", 1, 100.0 + KNOWN_FOR))
        self.assertEqual(self.found.places("a", 1, 100.0 + KNOWN_FOR), set())

    def test_that_nobody_has_it_is_known_for_less(self) -> None:
        self.assertTrue(self.found.is_known("a", 1, 99.9 + NOBODY_FOR))
        self.assertFalse(self.found.is_known("a", 1, 100.0 + NOBODY_FOR))

    def test_another_size_is_another_file(self) -> None:
        self.found.has("a", 1, PLACE)
        self.assertEqual(self.found.places("a", 2, 100.0), set())
        self.assertFalse(self.found.is_known("a", 2, 100.0))

    def test_who_has_gone_has_nothing(self) -> None:
        self.found.has("a", 1, PLACE)
        self.found.forget(PLACE)
        self.assertEqual(self.found.places("a", 1, 100.0), set())

    def test_somebody_new_may_have_what_nobody_had(self) -> None:
        self.found.looked("b", 1, 100.0)
        self.found.has("b", 1, PLACE)
        self.found.looked("c", 1, 100.5)
        self.found.doubt(100.0 + JUST)
        self.assertFalse(self.found.is_known("a", 1, 101.0))
        self.assertEqual(self.found.places("b", 1, 101.0), {PLACE})
        self.assertTrue(self.found.is_known("c", 1, 101.0))

    def test_an_answer_to_no_question_is_nothing(self) -> None:
        self.found.has("b", 1, PLACE)
        self.assertEqual(self.found.places("b", 1, 100.0), set())

    def test_it_is_bounded(self) -> None:
        for number in range(2 * MOST_FILES):
            self.found.looked(str(number), 1, 100.0)
        self.assertEqual(len(self.found), MOST_FILES)
        self.assertFalse(self.found.is_known("a", 1, 100.0))
