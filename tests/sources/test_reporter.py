"""What is noted of a source that failed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.source import Origin, Source
from flocon.books.traffic import Traffic
from flocon.errors import Broken, Refused, SourceError, Stalled, Unreachable
from flocon.neighbours.standing import Standing
from flocon.sources.reporter import Reporter

PEER = Source(Origin.PEER, "10.0.0.7", "10.0.0.7", "http://10.0.0.7:19432/pkg/x", node="node")
MIRROR = Source(Origin.MIRROR, "mirror:80", "mirror:80", "http://mirror/x")


class NoLedger:
    def ended(self, *_: Any) -> None:
        pass


class Unreached(SynchronousTestCase):
    def setUp(self) -> None:
        ledger: Any = NoLedger()
        standing = Standing()
        self.told: list[tuple[str, str, bool]] = []
        self.reporter = Reporter(Clock(), standing, Traffic(), ledger, lambda *_: None)
        self.reporter.unreachable = lambda node, address: self.told.append(
            (node, address, standing.demoted(address, 0.0))
        )

    def end(self, source: Source, failure: SourceError | None) -> None:
        self.reporter.ended(source, 0, 1.0, failure)

    def test_a_peer_that_could_not_be_connected_to_is_told_after_it_was_noted(self) -> None:
        self.end(PEER, Unreachable("10.0.0.7", "refused"))
        self.assertEqual(self.told, [("node", "10.0.0.7", True)])

    def test_neither_a_slow_one_nor_a_mirror_is(self) -> None:
        self.end(PEER, Stalled("10.0.0.7", "slow"))
        self.end(PEER, None)
        self.end(MIRROR, Unreachable("mirror:80", "refused"))
        self.assertEqual(self.told, [])


class OtherTools(SynchronousTestCase):
    """What came of a machine that is no node is told to those who know it."""

    FOREIGN = Source(Origin.PEER, "10.0.0.7", "10.0.0.7", "http://10.0.0.7:7078/pkg/x", tool="x")

    def test_its_bytes_and_what_it_is_to_blame_for_are_told(self) -> None:
        ledger: Any = NoLedger()
        told: list[tuple[str, int, str]] = []
        reporter = Reporter(Clock(), Standing(), Traffic(), ledger, lambda *_: None)
        reporter.foreign = lambda source, size, failure: told.append(
            (source.key, size, type(failure).__name__)
        )
        reporter.unreachable = lambda *_: self.fail("it is no node")
        for failure in (
            None,
            Broken("10.0.0.7", "broke off"),
            Unreachable("10.0.0.7", "refused"),
            Refused("10.0.0.7", 404),
        ):
            reporter.ended(self.FOREIGN, 5, 1.0, failure)
        self.assertEqual(
            [one[2] for one in told], ["NoneType", "Broken", "Unreachable", "NoneType"]
        )
        self.assertEqual({one[:2] for one in told}, {("10.0.0.7", 5)})
        reporter.ended(PEER, 5, 1.0, None)
        self.assertEqual(len(told), 4)


class Together(SynchronousTestCase):
    """Of one that is gone all that pacman wants at once is asked, and that disappoints once."""

    def setUp(self) -> None:
        ledger: Any = NoLedger()
        self.reporter = Reporter(Clock(), Standing(), Traffic(), ledger, lambda *_: None)

    def end(self, *addresses: str) -> bool:
        for address in addresses:
            source = replace(PEER, key=address)
            self.reporter.ended(source, 0, 0.1, Unreachable(address, "refused"))
        return self.reporter.comes_first("10.0.0.99", 0.0)

    def test_others_that_have_proved_nothing_do_not_pay_for_it(self) -> None:
        self.assertTrue(self.end(*["10.0.0.7"] * 5))

    def test_many_addresses_are_not_one(self) -> None:
        self.assertFalse(self.end(*(f"10.0.1.{number}" for number in range(5))))
