"""Packages side by side are found by their names and by what they provide."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.pacman.relations import Relation
from flocon.wanted.dependencies import Listed
from flocon.wanted.pool import Pool
from tests.wanted.describing import package


class Pools(SynchronousTestCase):
    def setUp(self) -> None:
        self.pool = Pool(
            Listed(0, one)
            for one in (
                package("b", provides="sh=1 sh=2"),
                package("sh"),
                package("c", provides="sh"),
            )
        )

    def names(self) -> list[str]:
        return [one.description.name for one in self.pool]

    def test_the_first_that_satisfies_whatever_its_name(self) -> None:
        for relation, name in (
            (Relation("sh"), "b"),
            (Relation("sh", "=", "2"), "b"),
            (Relation("c"), "c"),
        ):
            found = self.pool.first(relation)
            assert found is not None
            self.assertEqual(found.description.name, name)
        self.assertIsNone(self.pool.first(Relation("sh", ">", "2")))

    def test_a_second_of_one_name_is_not_taken_in(self) -> None:
        self.pool.add(Listed(1, package("sh", "9-1", provides="z")))
        self.assertEqual(self.names(), ["b", "sh", "c"])
        self.assertFalse(self.pool.satisfies(Relation("z")))

    def test_what_went_satisfies_nobody(self) -> None:
        self.pool.discard("b")
        self.pool.discard("absent")
        self.assertFalse(self.pool.satisfies(Relation("sh", "=", "2")))
        self.assertTrue(self.pool.satisfies(Relation("sh")))

    def test_one_may_be_left_out_of_the_question(self) -> None:
        self.assertFalse(self.pool.satisfies(Relation("sh", "=", "2"), but="b"))

    def test_what_came_last_goes_first(self) -> None:
        self.pool.shorten(1)
        self.assertEqual((self.names(), len(self.pool)), (["b"], 1))
        self.assertFalse(self.pool.satisfies(Relation("c")))
        self.assertTrue(self.pool.satisfies(Relation("sh")))
