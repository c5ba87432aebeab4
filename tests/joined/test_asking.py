"""What peers are asked of own repositories: within bounds, and what is told where nothing comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.joined import asking
from flocon.joined.asking import Asking, OfferError
from flocon.joined.offers import Offer, Wrong

OFFER = Offer("home", "a" * 16, "192.0.2.7", 7, 5)


class Silent:
    """An agent whose questions nobody answers."""

    def request(self, *_: object) -> Deferred[Any]:
        return Deferred()


class BoundsTests(SynchronousTestCase):
    def test_who_takes_too_long_is_named_with_the_bound(self) -> None:
        self.patch(asking, "SECONDS", 1.0)
        clock = Clock()
        coming = Deferred.fromCoroutine(Asking(clock, Silent(), Path()).candidate(OFFER))
        clock.advance(1.0)
        error = self.failureResultOf(coming, OfferError).value
        self.assertIs(error.wrong, Wrong.AWAY)
        self.assertEqual(str(error), "192.0.2.7: took longer than 1 s")
