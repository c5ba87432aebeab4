"""A file is open once, however many are sent it, and closed with the last of them."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from flocon.answering.shared import Share, SharedFiles
from flocon.errors import StoreError
from tests.faces.web import OpenedBytes


class Sharing(SynchronousTestCase):
    def setUp(self) -> None:
        self.files = SharedFiles()
        self.opening: list[Deferred[OpenedBytes]] = []

    def ask(self, key: str = "a", modified: float | None = None) -> Deferred[Share]:
        return Deferred.fromCoroutine(self.files.open(key, self.open, modified))

    def open(self) -> Deferred[OpenedBytes]:
        self.opening.append(Deferred())
        return self.opening[-1]

    def test_all_who_ask_share_one(self) -> None:
        opened = OpenedBytes(b"data")
        early = [self.ask(), self.ask(modified=7.0)]
        self.opening[0].callback(opened)
        late = self.successResultOf(self.ask())
        first, second = map(self.successResultOf, early)
        self.assertEqual(len(self.opening), 1)
        self.assertEqual({one.fileno() for one in (first, second, late)}, {opened.fileno()})
        self.assertEqual((first.modified, second.modified), (opened.modified, 7.0))
        for one in (first, late, late):
            one.close()
        self.assertEqual(opened.closed, 0)
        second.close()
        self.assertEqual((opened.closed, len(self.files)), (1, 0))

    def test_one_that_is_open_at_once_is_open_until_it_is_closed(self) -> None:
        opened = OpenedBytes(b"data")
        asking = Deferred.fromCoroutine(self.files.open("a", lambda: succeed(opened)))
        share = self.successResultOf(asking)
        self.assertEqual((share.fileno(), opened.closed), (opened.fileno(), 0))
        share.close()
        self.assertEqual(opened.closed, 1)

    def test_another_content_is_another_file(self) -> None:
        self.ask("a")
        self.ask("b")
        self.assertEqual(len(self.opening), 2)

    def test_what_was_closed_is_opened_anew(self) -> None:
        for _ in range(2):
            share = self.ask()
            self.opening[-1].callback(OpenedBytes(b"data"))
            self.successResultOf(share).close()
        self.assertEqual(len(self.opening), 2)

    def test_who_leaves_while_it_is_opened_takes_nothing_from_the_others(self) -> None:
        first, second = self.ask(), self.ask()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        opened = OpenedBytes(b"data")
        self.opening[0].callback(opened)
        self.successResultOf(second).close()
        self.assertEqual(opened.closed, 1)

    def test_if_all_have_left_it_is_closed_at_once(self) -> None:
        only = self.ask()
        only.cancel()
        self.failureResultOf(only, CancelledError)
        opened = OpenedBytes(b"data")
        self.opening[0].callback(opened)
        self.assertEqual((opened.closed, len(self.files)), (1, 0))

    def test_all_learn_that_it_is_gone_and_the_next_may_try(self) -> None:
        asked = [self.ask(), self.ask()]
        self.opening[0].errback(StoreError("/cache/a", "is gone"))
        for one in asked:
            self.failureResultOf(one, StoreError)
        self.assertEqual(len(self.files), 0)
        self.ask()
        self.assertEqual(len(self.opening), 2)

    def test_where_its_room_is_needed_all_are_cut_off_who_are_still_there(self) -> None:
        opened = OpenedBytes(b"data")
        asked = [self.ask() for _ in range(3)]
        self.opening[0].callback(opened)
        shares = [self.successResultOf(one) for one in asked]
        cut: list[int] = []
        for number, one in enumerate(shares):
            one.lend(lambda number=number: cut.append(number))  # type: ignore[misc]
        shares[1].close()
        assert opened.cut is not None
        opened.cut()
        self.assertEqual(sorted(cut), [0, 2])
        for one in shares:
            one.close()
