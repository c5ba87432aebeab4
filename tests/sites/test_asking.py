"""In which epoch a place is: the first line of its inventory, and no more of it."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.sites.asking import PATIENCE, ask_epoch
from tests.fakes import FakeAgent, FakeReactor

EPOCH = "89abcdef"
LINE = f"flocon-inventory 1 {EPOCH} 41 changes\n".encode()


class AskEpochTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.agent = FakeReactor(), FakeAgent()

    def ask(self, address: str = "10.9.0.1") -> Deferred[str | None]:
        return Deferred.fromCoroutine(
            ask_epoch(self.agent, self.clock, (address, 19432), 41)  # type: ignore[arg-type]
        )

    def test_it_is_asked_for_what_changed_since_what_was_told(self) -> None:
        asking = self.ask()
        self.assertEqual(self.agent.last.url, "http://10.9.0.1:19432/inventory?since=41")
        self.agent.last.whole(LINE + b"end\n")
        self.assertEqual(self.successResultOf(asking), EPOCH)

    def test_an_ipv6_address_stands_in_brackets(self) -> None:
        self.ask("fd00::7")
        self.assertEqual(self.agent.last.url, "http://[fd00::7]:19432/inventory?since=41")

    def test_of_a_long_answer_the_first_line_is_enough_and_it_is_left(self) -> None:
        asking = self.ask()
        response = self.agent.last.head(10_000_000)
        response.send(LINE[:20])
        response.send(LINE[20:] + b"+ 1 " + bytes(100))
        self.assertEqual(self.successResultOf(asking), EPOCH)
        self.assertTrue(response.left)

    def test_what_is_no_inventory_has_no_epoch(self) -> None:
        for data in (b"<html>" + bytes(100), b"flocon-inventory 1 89ABCDEF 41 changes\n", b"\n"):
            asking = self.ask()
            self.agent.last.head(10_000_000).send(data)
            self.assertIsNone(self.successResultOf(asking))

    def test_one_that_drips_is_left_in_time(self) -> None:
        asking = self.ask()
        response = self.agent.last.head(10_000_000)
        for _ in range(10):
            response.send(b"f")
            self.clock.advance(PATIENCE / 8)
        self.assertIsNone(self.successResultOf(asking))
        self.assertEqual(self.clock.getDelayedCalls(), [])
