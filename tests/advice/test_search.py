"""Who has it, where a thousand peers say that they do: bounded, and in slices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unittest import mock

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.advice.search import MOST_FILES, MOST_NAMED, MOST_NAMED_IN_ALL, ROWS, Search
from flocon.files import Content
from flocon.holdings.inventory import Change, Inventory
from flocon.neighbours.replicas import Holders
from tests.advice.turns import TURN, Turns

OWN = "0" * 16


def change(number: int, *, held: bool = True) -> Change:
    return Change(f"made{number}-1-1-any.pkg.tar.zst", Content(10, bytes(32)), held)


class SearchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Turns()
        self.holders = Holders()
        self.inventory = Inventory()
        self.described = 0
        offering: Any = mock.Mock(inventory=self.inventory)
        offering.find.return_value = None
        pacman: Any = mock.Mock()
        pacman.listing.find = self.find
        pacman.listing.named.return_value = []
        self.search = Search(
            self.clock,
            node=lambda: OWN,
            offering=offering,
            pacman=pacman,
            neighbourhood=mock.Mock(holders=self.holders),
            presence=mock.Mock(peer=lambda _: None),
        )

    def find(self, _: str) -> tuple[()]:
        self.described += 1
        return ()

    def peers(self, number: int, files: int) -> None:
        for peer in range(number):
            self.holders.replace(f"p{peer}", 1, [change(number) for number in range(files)])

    def ask(self, **fields: str) -> Deferred[dict[str, Any] | None]:
        return Deferred.fromCoroutine(self.search.search(fields))

    def finish(self, asking: Deferred[Any]) -> Mapping[str, Any]:
        """Let it go on to its end; no turn describes more than it may."""
        for _ in range(1_000):
            if asking.called:
                break
            before = self.described
            self.clock.advance(TURN)
            self.assertLessEqual(self.described - before, ROWS)
        found: Mapping[str, Any] = self.successResultOf(asking)
        return found

    def test_of_many_holders_some_are_named_and_the_others_counted(self) -> None:
        self.peers(MOST_NAMED + 5, 1)
        [row] = self.finish(self.ask(part="made"))["files"]
        self.assertEqual((len(row["holders"]), row["more_holders"]), (MOST_NAMED, 5))

    def test_so_many_are_named_in_all_however_many_files_there_are(self) -> None:
        self.peers(40, MOST_FILES + 100)
        found = self.finish(self.ask(part="made"))
        self.assertEqual((len(found["files"]), found["truncated"]), (MOST_FILES, True))
        named = sum(len(row["holders"]) for row in found["files"])
        self.assertLessEqual(named, MOST_NAMED_IN_ALL)
        self.assertEqual(
            {len(row["holders"]) + row["more_holders"] for row in found["files"]}, {40}
        )

    def test_only_what_is_told_is_described(self) -> None:
        self.peers(2, MOST_FILES + 400)
        self.finish(self.ask(part="made"))
        self.assertEqual(self.described, MOST_FILES)

    def test_this_nodes_own_files_are_told_beside_them_within_the_bound(self) -> None:
        self.peers(1, 1)
        for number in range(3 * MOST_FILES):
            self.inventory.put(*_of(change(number)))
        found = self.finish(self.ask(part="made"))
        self.assertEqual((len(found["files"]), found["truncated"]), (MOST_FILES, True))

    def test_the_newest_of_a_package_comes_first(self) -> None:
        names = [f"made-{version}-1-any.pkg.tar.zst" for version in ("1.9", "1.10")]
        self.holders.replace("p", 1, [Change(name, Content(1, bytes(32))) for name in names])
        found = self.finish(self.ask(name="made"))
        self.assertEqual([row["version"] for row in found["files"]], ["1.10-1", "1.9-1"])

    def test_one_question_at_a_time_is_looked_up(self) -> None:
        self.peers(1, 2)
        first, left, last = (self.ask(part="made") for _ in range(3))
        left.cancel()
        self.failureResultOf(left, CancelledError)
        self.finish(first)
        self.assertNoResult(last)
        self.assertEqual(len(self.finish(last)["files"]), 2)

    def test_what_each_peer_holds_under_a_name(self) -> None:
        name, other = change(1).file_name, Content(11, bytes([1]) * 32)
        self.holders.replace("a", 1, [change(1), change(11)])
        self.holders.replace("b", 1, [Change(name, other)])
        asking = Deferred.fromCoroutine(self.search.contents(name))
        self.assertEqual(self.finish(asking), {"a": change(1).content, "b": other})


def _of(one: Change) -> tuple[str, Content]:
    return one.file_name, one.content
