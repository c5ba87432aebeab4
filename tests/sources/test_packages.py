"""How a package comes: joined, through the LAN, or from the mirrors alone."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.sources.packages import MOST_FETCHED_AGAIN, MOST_OF_A_USER, Packages
from flocon.transfers.transfer import Transfer
from tests.sources.room import ENTRY, MIRROR, NAME, Room, asked

HOLDER = "10.0.0.7"


class Coming(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = room = Room()
        self.packages = Packages(room.candidates, room.choosing, room.transfers, room.neighbourhood)
        self.addCleanup(room.stop)

    def begin(
        self, *, listed: bool = True, start: int = 0, name: str = NAME, user: int = 0
    ) -> Transfer:
        transfer = self.packages.transfer(asked(name), ENTRY if listed else None, start, user)
        assert transfer is not None
        for outcome in (transfer.begun, transfer.finished):
            outcome.wait().addErrback(lambda _: None)
        return transfer

    def test_a_listed_one_comes_from_its_holder(self) -> None:
        self.room.holders(HOLDER)
        self.begin()
        self.assertEqual(len(self.room.requests(HOLDER)), 1)
        self.assertEqual(self.room.requests(MIRROR), [])

    def test_who_asks_for_what_is_on_its_way_joins_it(self) -> None:
        self.assertIs(self.begin(), self.begin())
        self.assertEqual(len(self.room.requests(MIRROR)), 1)

    def test_no_peer_is_asked_for_one_that_is_not_listed(self) -> None:
        self.room.holders(HOLDER)
        self.begin(listed=False)
        self.assertEqual(self.room.requests(HOLDER), [])
        self.assertEqual(len(self.room.requests(MIRROR)), 1)

    def test_the_rest_of_much_that_nobody_holds_is_not_fetched_from_its_beginning(self) -> None:
        self.begin(start=MOST_FETCHED_AGAIN + 1)
        self.assertEqual(self.room.requests(MIRROR)[0].start, MOST_FETCHED_AGAIN + 1)

    def test_who_asks_for_the_same_rest_joins_it(self) -> None:
        rest = self.begin(start=MOST_FETCHED_AGAIN + 1)
        self.assertIs(self.begin(start=MOST_FETCHED_AGAIN + 1), rest)
        self.assertIsNot(self.begin(start=MOST_FETCHED_AGAIN + 2), rest)
        self.assertEqual(len(self.room.requests(MIRROR)), 2)
        rest.cancel()
        self.assertIsNot(self.begin(start=MOST_FETCHED_AGAIN + 1), rest)

    def test_who_has_many_rests_coming_waits_for_the_whole(self) -> None:
        for number in range(MOST_OF_A_USER):
            self.begin(start=MOST_FETCHED_AGAIN + 1 + number)
        whole = self.begin(start=MOST_FETCHED_AGAIN + 100)
        self.assertEqual(whole.subject.content, ENTRY.content)
        self.assertIs(self.begin(start=0), whole)

    def test_who_has_much_coming_that_is_not_listed_is_refused_and_nobody_else(self) -> None:
        for number in range(MOST_OF_A_USER):
            self.begin(listed=False, name=f"b-{number}-1-any.pkg.tar.zst", user=1)
        other = asked("c-1-1-any.pkg.tar.zst")
        self.assertIsNone(self.packages.transfer(other, None, 0, 1))
        self.assertIsNotNone(self.begin(listed=False, name="c-1-1-any.pkg.tar.zst", user=2))
        # On its way already: joined.
        self.assertIsNotNone(self.packages.transfer(other, None, 0, 1))

    def test_the_rest_of_little_is(self) -> None:
        self.begin(start=MOST_FETCHED_AGAIN)
        self.assertEqual(self.room.requests(MIRROR)[0].start, 0)

    def ahead(self, *, mirrors: bool = False) -> Transfer:
        transfer = self.packages.ahead(asked(), ENTRY, mirrors=mirrors)
        for outcome in (transfer.begun, transfer.finished):
            outcome.wait().addErrback(lambda _: None)
        return transfer

    def test_ahead_it_comes_from_its_holder_and_from_nobody_who_would_have_to_fetch_it(
        self,
    ) -> None:
        self.room.holders(HOLDER)
        transfer = self.ahead()
        self.room.requests(HOLDER)[0].answer(404)
        self.assertTrue(transfer.finished.known)
        self.assertEqual(self.room.requests(MIRROR), [])

    def test_ahead_an_owner_is_asked_for_what_it_has_on_its_way_alone(self) -> None:
        self.room.own.relays = False
        self.room.owners("10.0.0.8")
        transfer = self.ahead()
        (request,) = self.room.requests("10.0.0.8")
        self.assertEqual(request.header("Cache-Control"), "only-if-cached")
        request.answer(504)
        self.assertTrue(transfer.finished.known)
        self.assertEqual(self.room.requests(MIRROR), [])
        self.assertEqual(len(self.room.requests("10.0.0.8")), 1)

    def test_ahead_with_mirrors_it_comes_as_for_pacman(self) -> None:
        self.room.own.relays = False
        self.room.owners("10.0.0.8")
        self.ahead(mirrors=True)
        (request,) = self.room.requests("10.0.0.8")
        self.assertIsNone(request.header("Cache-Control"))
        request.answer(503)
        self.assertEqual(len(self.room.requests(MIRROR)), 1)

    def test_ahead_nothing_is_begun_that_is_on_its_way(self) -> None:
        transfer = self.begin()
        self.assertIs(self.ahead(), transfer)
        self.assertFalse(transfer.terms.near or transfer.terms.spares)

    def test_pacman_joins_what_comes_ahead_and_may_have_it_from_everybody(self) -> None:
        self.room.holders(HOLDER)
        transfer = self.ahead()
        self.assertTrue(transfer.terms.near and transfer.terms.spares)
        self.assertIs(self.begin(), transfer)
        self.assertFalse(transfer.terms.near or transfer.terms.spares)
        self.room.requests(HOLDER)[0].answer(404)
        self.assertEqual(len(self.room.requests(MIRROR)), 1)

    def test_ahead_who_failed_lately_or_disappointed_is_not_asked(self) -> None:
        self.room.holders(HOLDER)
        self.room.standing.failed(HOLDER, self.room.clock.seconds())
        self.ahead()
        self.assertEqual(self.room.requests(HOLDER), [])

    def test_no_owner_is_asked_beside_what_was_begun_for_a_peer(self) -> None:
        transfer = self.begin()
        transfer.terms.begun_by = HOLDER
        self.room.owners("10.0.0.8")
        self.begin()
        self.room.requests(MIRROR)[0].answer(404)
        self.assertEqual(self.room.requests("10.0.0.8"), [])
