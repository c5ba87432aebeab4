"""A hundredth of each fuzzing run, with its own seed; ``python -m tests.fuzz`` is all of it."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz import TARGETS, mutate, run


class Fuzzing(SynchronousTestCase):
    """No exception escapes but the one that reading may raise."""

    def fuzz(self, name: str, count: int) -> None:
        run(TARGETS[name], 1, count)

    def test_datagrams(self) -> None:
        self.fuzz("datagrams", 10_000)

    def test_inventories(self) -> None:
        self.fuzz("inventories", 1_000)

    def test_databases(self) -> None:
        self.fuzz("databases", 1_000)

    def test_configurations_of_pacman(self) -> None:
        self.fuzz("configurations", 500)

    def test_settings(self) -> None:
        self.fuzz("settings", 1_000)

    def test_names_and_paths(self) -> None:
        self.fuzz("names", 5_000)

    def test_a_seed_makes_the_same_mutations(self) -> None:
        first, second = (
            [mutate(dice, b"some right input") for _ in range(200)]
            for dice in (random.Random(3), random.Random(3))
        )
        self.assertEqual(first, second)
        self.assertGreater(len(set(first)), 150)
