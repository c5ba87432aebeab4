"""Whom a database's transfer asks next."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.attempts import Attempt, Limits
from flocon.asking.source import Origin, Source
from flocon.databases.choosing import DatabaseChooser
from flocon.errors import Refused, SourceError

LIMITS = Limits(first_byte=1.0, stall=1.0)


def mirror(url: str) -> Source:
    place = url.split("/")[2]
    return Source(Origin.MIRROR, place, place, url)


#: Two places of one host, and another host.
FIRST, ELSEWHERE, OTHER = map(mirror, ("http://a/x", "http://a/archive/x", "http://b/x"))


class OneHost(SynchronousTestCase):
    def chosen(self, failure: SourceError | None) -> Source | None:
        """Return whom to ask once the first was asked, with what came of it."""
        mirrors = [FIRST, ELSEWHERE, OTHER]
        chooser = DatabaseChooser(Clock(), mirrors, 0.0, lambda mirrors, _: mirrors)
        attempt = chooser([Attempt(FIRST, LIMITS, failure)])
        return attempt.source if attempt else None

    def test_another_host_helps_one_that_is_slow(self) -> None:
        self.assertEqual(self.chosen(None), OTHER)

    def test_it_is_asked_in_another_place_for_what_it_lacks_in_one(self) -> None:
        self.assertEqual(self.chosen(Refused("a", 404)), ELSEWHERE)
