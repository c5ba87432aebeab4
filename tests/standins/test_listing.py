"""A listing is written once for all who read it, and bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.answering.respond import respond
from flocon.files import Content
from flocon.holdings.inventory import Inventory
from flocon.holdings.offering import Held
from flocon.standins import listing as module
from flocon.standins.listing import FRESH, PackageListing
from flocon.store.folder import Stamp
from tests.faces.web import Browser, Exchange

if TYPE_CHECKING:
    from twisted.web.http import Request

STAMP = Stamp(1, 5, 1_700_000_000_000_000_000, 0)


class Listing(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.inventory = Inventory()
        self.looked = 0
        self.gone: set[str] = set()
        self.listing = PackageListing(self.clock, self)
        self.browser = Browser(self.clock, self)
        self.addCleanup(self.finish)

    def finish(self) -> None:
        self.browser.close()
        self.listing.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def render(self, request: Request) -> None:
        respond(request, self.listing.send(request))

    def find(self, name: str) -> Held | None:
        self.looked += 1
        if name in self.gone:
            return None
        signature = STAMP if "signed" in name else None
        return Held(name, Content(5, b"x" * 32), Path("/x"), "cache", True, STAMP, signature)

    def hold(self, *names: str) -> None:
        for name in names:
            self.inventory.put(name, Content(5, b"x" * 32))

    def ask(self) -> Exchange:
        exchange = self.browser.ask("/")
        self.clock.pump([0] * 30)
        return exchange

    def names(self) -> Iterator[str]:
        yield from json.loads(self.ask().answer.body)

    def test_it_has_each_package_with_its_signature_if_one_lies_beside_it(self) -> None:
        self.hold("signed-1-1-any.pkg.tar", "plain-1-1-any.pkg.tar")
        self.assertEqual(
            list(self.names()),
            ["signed-1-1-any.pkg.tar", "signed-1-1-any.pkg.tar.sig", "plain-1-1-any.pkg.tar"],
        )

    def test_many_readers_have_it_written_once(self) -> None:
        self.hold("a")
        first, second = self.browser.ask("/"), self.browser.ask("/")
        self.clock.pump([0] * 5)
        self.assertEqual(first.answer.body, second.answer.body)
        self.assertEqual(self.looked, 1)
        self.ask()
        self.assertEqual(self.looked, 1)

    def test_who_leaves_while_it_is_written_takes_it_from_nobody(self) -> None:
        self.hold("a")
        first, second = self.browser.ask("/"), self.browser.ask("/")
        first.leave()
        self.clock.pump([0] * 5)
        self.assertEqual(json.loads(second.answer.body).keys(), {"a"})

    def test_what_changed_is_in_it_after_some_seconds(self) -> None:
        self.hold("a")
        self.ask()
        self.hold("b")
        self.assertEqual(list(self.names()), ["a"])
        self.clock.advance(FRESH)
        self.assertEqual(list(self.names()), ["a", "b"])

    def test_many_packages_are_written_in_slices_and_too_many_left_out(self) -> None:
        self.patch(module, "SLICE", 2)
        self.patch(module, "MOST_LISTED", 5)
        self.hold(*"abcdefgh")
        exchange = self.browser.ask("/")
        self.assertFalse(exchange.answered)
        self.clock.pump([0] * 9)
        self.assertEqual(list(json.loads(exchange.answer.body)), list("abcde"))

    def test_what_is_gone_meanwhile_is_left_out(self) -> None:
        self.hold("a", "b")
        self.gone.add("a")
        self.assertEqual(list(self.names()), ["b"])
