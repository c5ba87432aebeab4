"""What is fetched because a machine without a node asks: once, whoever has it, within bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.pacman.configuration import PacmanConfiguration
from flocon.pacman.entries import Entry
from flocon.sources import for_clients
from flocon.sources.allowances import MOST_OF_ONE, Allowances
from flocon.sources.for_clients import PATIENCE, ForClients
from flocon.sources.packages import Packages
from flocon.transfers.transfer import Transfer
from tests.sources.room import ENTRY, MIRROR, Room, asked

CLIENT, OTHER, HOLDER, OWNER = "10.0.0.9", "10.0.0.10", "10.0.0.7", "10.0.0.8"
#: For nothing but to have the place.
FULL = MOST_OF_ONE


class ForClientsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = room = Room()
        room.pacman.configuration = replace(room.pacman.configuration, architectures=("x86_64",))
        self.allowances = Allowances()
        self.for_clients = ForClients(
            room.clock,
            pacman=room.pacman,
            candidates=room.candidates,
            choosing=room.choosing,
            transfers=room.transfers,
            allowances=self.allowances,
        )
        self.fetched: list[tuple[str, int]] = []
        self.for_clients.fetched = lambda client, count: self.fetched.append((client, count))
        self.addCleanup(room.stop)

    def asking(
        self, client: str = CLIENT, entry: Entry = ENTRY, *, looks: bool = True
    ) -> Deferred[Transfer | None]:
        return Deferred.fromCoroutine(
            self.for_clients.transfer(asked(), entry, client, looks=looks)
        )

    def ask(self, client: str = CLIENT, entry: Entry = ENTRY, **more: Any) -> Transfer:
        transfer = self.successResultOf(self.asking(client, entry, **more))
        assert transfer is not None
        transfer.begun.wait().addErrback(lambda _: None)
        return transfer

    def fill(self, client: str) -> None:
        for _ in range(FULL):
            self.allowances.begin(client)

    def test_however_many_ask_it_is_fetched_once(self) -> None:
        first = self.ask()
        self.assertIs(self.ask(OTHER), first)
        self.assertEqual(len(self.room.requests(MIRROR)), 1)
        self.assertEqual(len(self.allowances), 1)

    def test_who_holds_it_on_the_lan_comes_first(self) -> None:
        self.room.holders(HOLDER)
        self.ask()
        self.assertEqual(len(self.room.requests(HOLDER)), 1)
        self.assertEqual(self.room.requests(MIRROR), [])

    def test_an_owner_is_asked_for_what_it_has_on_its_way_alone(self) -> None:
        self.room.own.relays = False
        self.room.owners(OWNER)
        self.ask()
        [request] = self.room.requests(OWNER)
        self.assertEqual(request.header("Cache-Control"), "only-if-cached")
        request.answer(504)
        self.assertEqual(len(self.room.requests(MIRROR)), 1)
        self.assertEqual(len(self.room.requests(OWNER)), 1)

    def test_nor_for_that_where_a_node_asks(self) -> None:
        self.room.own.relays = False
        self.room.owners(OWNER)
        self.ask(looks=False)
        self.assertEqual(self.room.requests(OWNER), [])
        self.assertEqual(len(self.room.requests(MIRROR)), 1)

    def test_nobody_is_asked_to_fetch_what_is_for_other_machines(self) -> None:
        self.room.own.relays = False
        self.room.owners(OWNER)
        self.room.pacman.configuration = replace(
            self.room.pacman.configuration, architectures=("aarch64",)
        )
        self.ask()
        self.assertEqual(self.room.requests(OWNER), [])

    def test_a_node_without_a_pacman_fetches_it_too(self) -> None:
        self.room.pacman.configuration = PacmanConfiguration()
        self.room.candidates.of_others = lambda _: ("http://other/core",)
        self.ask()
        self.assertEqual(len(self.room.requests("other")), 1)

    def test_what_comes_ahead_is_let_come_from_the_mirrors_too(self) -> None:
        room = self.room
        room.holders(HOLDER)
        packages = Packages(room.candidates, room.choosing, room.transfers, room.neighbourhood)
        ahead = packages.ahead(asked(), ENTRY, mirrors=False)
        self.assertIs(self.ask(), ahead)
        room.requests(HOLDER)[-1].answer(404)
        self.assertEqual(len(room.requests(MIRROR)), 1)

    def test_what_crossed_the_wan_is_counted_for_who_asked_first(self) -> None:
        self.ask()
        self.ask(OTHER)
        response = self.room.requests(MIRROR)[-1].head(ENTRY.size)
        response.send(bytes(1_000))
        response.break_off()
        self.room.clock.advance(60)
        self.room.transfers.stop()
        self.assertEqual(self.fetched, [(CLIENT, 1_000)])
        self.assertEqual(len(self.allowances), 0)

    def test_who_has_many_coming_waits_for_a_place(self) -> None:
        self.fill(CLIENT)
        waiting = self.asking()
        self.assertNoResult(waiting)
        # Others have places of their own, and what they bring is joined.
        other = self.ask(OTHER, replace(ENTRY, sha256=bytes([1]) * 32))
        self.allowances.end(CLIENT, 0, 0.0)
        other.cancel()
        transfer = self.successResultOf(waiting)
        assert transfer is not None
        transfer.begun.wait().addErrback(lambda _: None)

    def test_but_not_for_ever(self) -> None:
        self.fill(CLIENT)
        waiting = self.asking()
        self.room.clock.advance(PATIENCE)
        self.assertIsNone(self.successResultOf(waiting))
        self.assertEqual(self.allowances.counters["clients waited in vain"], 1)

    def test_who_leaves_waits_no_longer(self) -> None:
        self.fill(CLIENT)
        waiting = self.asking()
        waiting.cancel()
        self.failureResultOf(waiting)
        self.assertEqual(self.room.clock.getDelayedCalls(), [])

    def test_nor_do_more_than_so_many(self) -> None:
        self.patch(for_clients, "MOST_WAITING", 1)
        self.fill(CLIENT)
        first = self.asking()
        self.assertIsNone(self.successResultOf(self.asking()))
        self.room.clock.advance(PATIENCE)
        self.successResultOf(first)

    def test_who_has_had_enough_for_a_day_has_nothing_begun_but_follows(self) -> None:
        self.allowances.a_day = 1_000
        self.allowances.begin(CLIENT)
        self.allowances.end(CLIENT, 2_000, self.room.clock.seconds())
        self.assertIsNone(self.successResultOf(self.asking()))
        self.assertEqual(self.room.requests(MIRROR), [])
        self.assertIs(self.ask(OTHER), self.ask())
