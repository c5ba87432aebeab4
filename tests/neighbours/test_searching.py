"""The names of what peers hold, of each so many at most."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.trial.unittest import SynchronousTestCase

from flocon.files import Content
from flocon.holdings.inventory import Change
from flocon.neighbours import searching
from flocon.neighbours.replicas import Holders


def changes(*names: str) -> Iterable[Change]:
    return [
        Change(f"{name}-1-1-any.pkg.tar.zst", Content(1, name.encode().ljust(32))) for name in names
    ]


class Packages(SynchronousTestCase):
    def setUp(self) -> None:
        self.holders = Holders()
        self.holders.replace("one", 1, changes("a", "libsigc++", "c"))
        self.holders.replace("two", 1, changes("c", "d-e"))
        self.holders.replace("three", 1, changes("f"))

    def names(self, *peers: str, most: int = 9) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for part in self.holders.packages(peers, most):
            for node, names in part.items():
                found.setdefault(node, set()).update(names)
        return found

    def test_those_of_each_peer_that_is_named(self) -> None:
        self.assertEqual(
            self.names("one", "two", "unknown"),
            {"one": {"a", "libsigc++", "c"}, "two": {"c", "d-e"}},
        )

    def test_not_those_of_one_that_has_left(self) -> None:
        self.holders.forget("one")
        self.assertEqual(self.names("one", "two"), {"two": {"c", "d-e"}})

    def test_of_each_no_more_than_so_many(self) -> None:
        found = self.names("one", "two", most=1)
        self.assertEqual({node: len(names) for node, names in found.items()}, {"one": 1, "two": 1})

    def test_others_have_their_turn(self) -> None:
        parts = list(searching.packages(self.holders.table(), {"one", "two"}, 9, entries=2))
        self.assertGreater(len(parts), 1)
