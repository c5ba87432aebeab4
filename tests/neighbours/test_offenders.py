"""Who is not asked any more, by address."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.source import Origin, Source
from flocon.neighbours.offenders import Offenders
from tests.fakes import FakeReactor

LIAR = Source(Origin.PEER, "10.0.0.7", "10.0.0.7", "http://10.0.0.7/x", node="pacredir:10.0.0.7")


class Terms(SynchronousTestCase):
    def test_it_is_told_of_an_address_whatever_runs_there(self) -> None:
        reactor = FakeReactor()
        reactor.held = True
        offenders = Offenders(reactor, Path(self.mktemp()))
        self.assertEqual(offenders.term("10.0.0.7"), "")
        offenders.offence(LIAR, "wrong bytes for a")
        self.assertRegex(
            offenders.term("10.0.0.7"), "^in quarantine for another .*: wrong bytes for a$"
        )
        self.assertEqual(offenders.term("10.0.0.8"), "")
