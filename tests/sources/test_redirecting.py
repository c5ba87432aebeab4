"""To whom pacman is sent for a package, and when it is not."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.source import Source
from flocon.files import content_path
from flocon.sources.redirecting import Redirecting
from tests.fakes import HeadsAgent
from tests.sources.room import ENTRY, NAME, Room

HOLDER = "10.0.0.7"
THEN = "Tue, 14 Nov 2023 22:13:20 GMT"


class Elsewhere(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = room = Room()
        room.pacman.signature_wanted.return_value = False
        room.holders(HOLDER)
        self.agent = HeadsAgent()
        self.redirecting = Redirecting(
            room.clock,
            wanted=lambda: True,
            agent=self.agent,
            pacman=room.pacman,
            candidates=room.candidates,
            standing=room.standing,
            transfers=room.transfers,
        )
        self.addCleanup(room.stop)

    def send(self, status: int = 200) -> Source | None:
        sending = self.redirecting.elsewhere(ENTRY)
        for request in self.agent.requests:
            if not request.deferred.called:
                request.answer(status, Last_Modified=THEN)
        found: Source | None = self.successResultOf(sending)
        return found

    def test_a_holder_that_answers_is_named_by_its_content(self) -> None:
        found = self.send()
        assert found is not None
        path = content_path(NAME, ENTRY.sha256)
        self.assertEqual(found.url, f"http://{HOLDER}:1{path}")
        self.assertEqual([one.url for one in self.agent.requests], [found.url])

    def test_not_one_that_lacks_it(self) -> None:
        self.assertIsNone(self.send(404))

    def test_not_one_that_is_silent_and_it_is_asked_after_others_then(self) -> None:
        sending = self.redirecting.elsewhere(ENTRY)
        self.room.clock.advance(1.0)
        self.assertIsNone(self.successResultOf(sending))
        self.assertTrue(self.room.standing.demoted(HOLDER, self.room.clock.seconds()))

    def test_not_twice_for_one_file(self) -> None:
        self.assertIsNotNone(self.send())
        self.assertIsNone(self.send())

    def test_not_where_its_signature_comes_only_with_it(self) -> None:
        self.room.pacman.signature_wanted.return_value = True
        self.assertIsNone(self.send())
        self.assertEqual(self.agent.requests, [])

    def test_not_where_nobody_holds_it(self) -> None:
        self.room.holders()
        self.assertIsNone(self.send())

    def test_not_to_an_address_that_only_this_machine_knows(self) -> None:
        self.room.holders("fe80::1%eth0")
        self.assertIsNone(self.send())
        self.assertEqual(self.agent.requests, [])
