"""Work that goes on though nobody waits for it."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.whole import see_through


class SeeThroughTests(SynchronousTestCase):
    """Whoever waits for work is cancelled, or not."""

    def setUp(self) -> None:
        self.cancelled: list[object] = []
        self.dropped: list[int] = []
        self.work: Deferred[int] = Deferred(self.cancelled.append)
        self.waiting = Deferred.fromCoroutine(see_through(self.work, self.dropped.append))

    def test_what_comes_of_it_is_returned(self) -> None:
        self.assertNoResult(self.waiting)
        self.work.callback(3)
        self.assertEqual(self.successResultOf(self.waiting), 3)
        self.assertEqual(self.dropped, [])

    def test_what_has_ended_already_is_returned(self) -> None:
        ended: Deferred[int] = Deferred()
        ended.callback(4)
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(see_through(ended))), 4)

    def test_what_it_raises_is_raised(self) -> None:
        self.work.errback(ValueError("wrong"))
        self.failureResultOf(self.waiting, ValueError)

    def test_cancelled_however_often_it_ends_with_the_work(self) -> None:
        self.waiting.cancel()
        self.waiting.cancel()
        self.assertNoResult(self.waiting)
        self.assertEqual(self.cancelled, [])
        self.work.callback(3)
        self.failureResultOf(self.waiting, CancelledError)
        self.assertEqual(self.dropped, [3])

    def test_what_fails_when_nobody_waits_is_nobodys_business(self) -> None:
        self.waiting.cancel()
        self.work.errback(ValueError("wrong"))
        self.failureResultOf(self.waiting, CancelledError)
        self.assertEqual(self.dropped, [])
