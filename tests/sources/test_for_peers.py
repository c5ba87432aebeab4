"""What is fetched because a peer asks for it, and what is refused."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.sources.for_peers import LEFT_TO_HURRIED, RELAY_LOOKS, RELAY_PAUSE, ForPeers
from flocon.sources.packages import Packages
from flocon.sources.relaying import Relaying
from flocon.sources.relays import Relays
from flocon.transfers import readers
from flocon.transfers.reader import Reader
from flocon.transfers.transfer import Transfer
from tests.sources.room import ENTRY, MIRROR, Room, asked

ASKER, OWNER, HOLDER = "10.0.0.9", "10.0.0.8", "10.0.0.7"
ETAG = f'"{ENTRY.sha256.hex()}"'


class Asked(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = room = Room()
        self.most = 16
        self.relaying = Relaying(room.clock, Relays(), lambda: 0.0)
        self.for_peers = ForPeers(
            room.clock,
            own=room.own,
            most=lambda: self.most,
            listed=room.listed,
            privacy=room.privacy,
            candidates=room.candidates,
            choosing=room.choosing,
            transfers=room.transfers,
            relaying=self.relaying,
            traffic=room.traffic,
        )
        self.addCleanup(self.finish)

    def finish(self) -> None:
        self.relaying.stop()
        self.room.stop()

    def relay(self, etag: str | None = ETAG, *, unhurried: bool = False) -> Transfer | None:
        found = self.successResultOf(
            self.for_peers.relay(asked(), etag, ASKER, unhurried=unhurried)
        )
        return None if found is None else _unwatched(found)

    def begin_own(self) -> Transfer:
        """Begin what this machine's pacman asks for."""
        room = self.room
        packages = Packages(room.candidates, room.choosing, room.transfers, room.neighbourhood)
        transfer = packages.transfer(asked(), ENTRY, 0)
        assert transfer is not None
        return _unwatched(transfer)

    def begin_ahead(self) -> Transfer:
        """Begin what this machine wants ahead, of a holder that has it."""
        room = self.room
        room.holders(HOLDER)
        packages = Packages(room.candidates, room.choosing, room.transfers, room.neighbourhood)
        return _unwatched(packages.ahead(asked(), ENTRY, mirrors=False))

    def test_nothing_is_begun_for_another_network_where_none_is_to_wait_for_another(self) -> None:
        self.for_peers.is_near = lambda asker: asker != ASKER
        self.room.candidates.far_owners = lambda: False
        self.assertIsNone(self.relay())
        self.assertEqual(self.room.requests(MIRROR), [])
        # What is on its way anyhow is anybody's.
        self.begin_own()
        self.assertIsNotNone(self.relay())

    def test_it_comes_from_a_mirror_and_through_no_other_peer(self) -> None:
        self.room.holders(HOLDER)
        self.room.owners(OWNER)
        transfer = self.relay()
        assert transfer is not None
        self.assertEqual(transfer.terms.begun_by, ASKER)
        self.assertEqual(len(self.room.requests(MIRROR)), 1)
        self.assertEqual(self.room.requests(HOLDER) + self.room.requests(OWNER), [])

    def test_what_was_not_to_cross_the_wan_does_so_for_a_peer(self) -> None:
        room, ahead = self.room, self.begin_ahead()
        self.assertIs(self.relay(), ahead)
        self.assertEqual(ahead.terms.begun_by, ASKER)
        self.assertEqual(room.requests(MIRROR), [])
        # Asked again since somebody waits: it may have let the first one stand still.
        room.requests(HOLDER)[-1].answer(404)
        self.assertEqual(len(room.requests(MIRROR)), 1)
        self.assertFalse(ahead.finished.known)

    def test_who_asks_for_what_this_machine_wants_ahead_and_leaves_ends_nothing_of_it(self) -> None:
        room, ahead = self.room, self.begin_ahead()
        relayed = self.relay()
        self.assertIs(relayed, ahead)
        Reader(ahead, 0, verifies=True).close()
        room.clock.pump([0.25] * 8)
        self.assertFalse(ahead.finished.known)

    def test_nothing_where_this_node_fetches_for_nobody(self) -> None:
        self.room.own.relays = False
        self.assertIsNone(self.relay())
        self.assertIsNone(self.for_peers.listed(asked(), ETAG))

    def test_nothing_of_another_content(self) -> None:
        self.assertIsNone(self.relay('"0123"'))

    def test_nothing_private(self) -> None:
        self.room.privacy.repositories = frozenset({"core"})
        self.assertIsNone(self.relay())
        self.assertIsNone(self.for_peers.listed(asked(), ETAG))

    def test_nothing_more_than_may_be_fetched_at_a_time(self) -> None:
        self.most = 0
        self.assertIsNone(self.relay())
        self.assertEqual(self.room.requests(MIRROR), [])

    def test_what_nobody_waits_for_is_fetched_so(self) -> None:
        transfer = self.relay(unhurried=True)
        assert transfer is not None
        self.assertTrue(transfer.unhurried and transfer.terms.paced)
        self.assertEqual(transfer.terms.begun_by, ASKER)

    def test_what_this_node_fetches_ahead_itself_comes_at_its_own_pace(self) -> None:
        ahead = self.begin_ahead()
        self.assertIs(self.relay(unhurried=True), ahead)
        self.assertFalse(ahead.terms.paced)

    def test_and_so_does_what_it_wants_ahead_too(self) -> None:
        transfer = self.relay(unhurried=True)
        room = self.room
        packages = Packages(room.candidates, room.choosing, room.transfers, room.neighbourhood)
        assert transfer is not None
        Reader(transfer, 0, verifies=True, hurried=False)
        [request] = room.requests(MIRROR)
        response = request.answer(200, Content_Length=str(ENTRY.size))
        self.patch(readers, "LEAD", 1)
        response.send(bytes(ENTRY.size // 2))
        self.assertTrue(response.paused)
        self.assertIs(packages.ahead(asked(), ENTRY, mirrors=False), transfer)
        self.assertFalse(transfer.terms.paced or response.paused)

    def test_and_leaves_some_of_what_may_be_fetched_to_those_who_wait(self) -> None:
        self.most = LEFT_TO_HURRIED
        for number in range(LEFT_TO_HURRIED - 1):
            self.relaying.relays.begin(f"10.0.1.{number}")
        self.assertIsNone(self.relay(unhurried=True))
        self.assertIsNotNone(self.relay())

    def test_what_this_node_fetches_itself_is_followed(self) -> None:
        own = self.begin_own()
        self.assertIs(self.for_peers.coming(asked(), ETAG), own)
        self.assertIs(self.relay(), own)
        self.assertEqual(own.terms.begun_by, "")

    def test_what_comes_through_another_owner_is_followed_by_no_peer(self) -> None:
        # Owned by somebody else, whoever the hash says.
        self.room.own.relays = False
        self.room.owners(OWNER)
        self.begin_own()
        self.assertEqual(len(self.room.requests(OWNER)), 1)
        self.room.own.relays = True
        self.assertIsNone(self.for_peers.coming(asked(), ETAG))
        relay = self.for_peers.relay(asked(), ETAG, ASKER)
        self.assertNoResult(relay)
        self.room.clock.pump([RELAY_PAUSE] * RELAY_LOOKS)
        self.assertIsNone(self.successResultOf(relay))

    def test_what_is_listed_is_told_without_fetching_it(self) -> None:
        self.assertEqual(self.for_peers.listed(asked(), ETAG), (ENTRY.content, None))
        self.assertEqual(self.room.requests(MIRROR), [])


def _unwatched(transfer: Transfer) -> Transfer:
    """Return a transfer of which nobody is told how it ends."""
    for outcome in (transfer.begun, transfer.finished):
        outcome.wait().addErrback(lambda _: None)
    return transfer
