"""Caching proxies of the LAN among the others who may be asked: after holders, before owners."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.source import Came, Origin, Source
from flocon.books.traffic import Traffic
from flocon.errors import Broken, Refused
from flocon.files import Asked
from flocon.neighbours.doubts import MOST_DOUBTS
from flocon.neighbours.standing import Standing
from flocon.pacman.configuration import PacmanConfiguration, Repository
from flocon.parents.parents import Parents
from flocon.parents.records import LEFT_ALONE, LIED_FOR
from flocon.settings.settings import Parent
from flocon.sources import from_mirrors as module
from flocon.sources.allowances import Allowances
from flocon.sources.for_clients import ForClients
from flocon.sources.from_mirrors import FromMirrors
from flocon.sources.reporter import Reporter
from flocon.transfers.transfer import Transfer
from tests.sources.room import ENTRY, MIRROR, NAME, Room, asked

NAS = "192.168.1.9"
PLACE = f"{NAS}:9129"
URL = f"http://{PLACE}/repo/arch/$repo/os/$arch"
CLIENT = "192.168.1.30"


class Case(SynchronousTestCase):
    #: Whether it stands in pacman.conf, or else in the settings.
    in_pacman_conf = False

    def setUp(self) -> None:
        self.room = room = Room()
        server = URL.replace("$repo", "core").replace("$arch", "x86_64")
        servers = (f"http://{MIRROR}/core", *((server,) if self.in_pacman_conf else ()))
        room.pacman.configuration = PacmanConfiguration(
            (Repository("core", servers),), architectures=("x86_64",)
        )
        room.neighbourhood.is_private.return_value = False
        self.parents = Parents(room.clock, look_up=self.look_up, servers=lambda: servers)
        self.parents.set_named(() if self.in_pacman_conf else (Parent(URL),))
        room.candidates.parents = self.parents
        self.addCleanup(room.stop)

    def look_up(self, name: str) -> Deferred[list[str]]:
        return succeed([])

    def order(self, name: str = NAME, entry: Any = ENTRY, **more: Any) -> list[str]:
        found = self.room.candidates.servers(asked(name), entry)
        return [one.key for one in self.room.candidates.all(name, found, entry, **more)]


class Order(Case):
    def test_it_comes_after_holders_and_before_owners_and_mirrors(self) -> None:
        self.room.own.relays = False
        self.room.holders("10.0.0.7")
        self.room.owners("10.0.0.8")
        self.assertEqual(self.order(), ["10.0.0.7", PLACE, "10.0.0.8", MIRROR])

    def test_it_is_asked_for_nothing_that_no_database_lists(self) -> None:
        self.assertEqual(self.order(entry=None), [MIRROR])
        self.assertEqual(self.order("core.db", None), [MIRROR])

    def test_nothing_private_is_asked_of_it(self) -> None:
        self.room.neighbourhood.is_private.return_value = True
        self.assertEqual(self.order(), [MIRROR])

    def test_one_that_failed_lately_comes_last(self) -> None:
        self.room.standing.failed(PLACE, self.room.clock.seconds())
        self.assertEqual(self.order(), [MIRROR, PLACE])

    def test_one_that_sent_what_is_wrong_does_for_longer(self) -> None:
        self.parents.records.was_wrong(PLACE, NAME, self.room.clock.seconds())
        self.assertEqual(self.order(), [MIRROR, PLACE])
        self.room.clock.advance(LEFT_ALONE)
        self.assertEqual(self.order(), [PLACE, MIRROR])

    def test_its_silence_is_no_answer_of_a_mirror(self) -> None:
        (first, _) = self.room.candidates.order(
            NAME, self.room.candidates.servers(asked(), ENTRY), ENTRY
        )
        self.assertEqual((first.parent, first.is_cache), ("pacoloco", True))


class OfPacmans(Case):
    """One that is a Server of pacman.conf."""

    in_pacman_conf = True

    def test_it_comes_before_the_mirrors_for_packages_wherever_it_stands(self) -> None:
        self.assertEqual(self.order(), [PLACE, MIRROR])

    def test_for_databases_it_stands_where_pacman_has_it(self) -> None:
        self.assertEqual(self.order("core.db", None), [MIRROR, PLACE])
        (_, parent) = self.room.candidates.mirrors_for(asked("core.db"))
        self.assertEqual((parent.came, parent.is_cache), (Came.PEER, False))

    def test_for_a_file_that_comes_with_no_parents_it_is_left_out(self) -> None:
        self.assertEqual(self.order(parents=False), [MIRROR])

    def test_no_head_is_asked_of_it(self) -> None:
        told = FromMirrors(
            self.room.clock,
            agent=mock.Mock(),
            pacman=self.room.pacman,
            listed=self.room.listed,
            candidates=self.room.candidates,
            choosing=self.room.choosing,
            transfers=self.room.transfers,
        )
        self.room.pacman.configured.return_value = succeed(None)
        heads: list[list[str]] = []

        async def ask(_: Any, __: Any, sources: list[Source], ___: Any) -> None:
            heads.append([one.key for one in sources])

        self.patch(module, "ask_heads", ask)
        self.successResultOf(told.told(asked(), None))
        self.assertEqual(heads, [[MIRROR]])


class ForMachinesWithoutANode(Case):
    """What a proxy asks of this node is not asked of that proxy."""

    in_pacman_conf = True

    def setUp(self) -> None:
        super().setUp()
        self.for_clients = ForClients(
            self.room.clock,
            pacman=self.room.pacman,
            candidates=self.room.candidates,
            choosing=self.room.choosing,
            transfers=self.room.transfers,
            allowances=Allowances(),
        )
        self.for_clients.is_parent = lambda address, place: self.parents.is_at(place, address)

    def ask(self, client: str, *, looks: bool = True) -> Transfer | None:
        found: Deferred[Transfer | None] = Deferred.fromCoroutine(
            self.for_clients.transfer(asked(), ENTRY, client, looks=looks)
        )
        transfer = self.successResultOf(found)
        if transfer is not None:
            transfer.begun.wait().addErrback(lambda _: None)
        return transfer

    def keys(self) -> list[str]:
        return [key for key, agent in self.room.tools.agents.items() if agent.requests]

    def test_for_others_it_is(self) -> None:
        self.ask(CLIENT)
        self.assertEqual(self.keys(), [PLACE])

    def test_for_itself_it_is_not(self) -> None:
        self.ask(NAS)
        self.assertEqual(self.keys(), [MIRROR])

    def test_where_a_node_asks_by_way_of_others_it_is_not(self) -> None:
        self.ask(CLIENT, looks=False)
        self.assertEqual(self.keys(), [MIRROR])

    def test_what_is_being_asked_of_it_does_not_wait_for_itself(self) -> None:
        self.ask(CLIENT)
        self.assertIsNone(self.ask(NAS))
        self.assertEqual(self.for_clients.allowances.counters["clients gone round"], 1)


class Reported(Case):
    """How it did is remembered, and what came is counted."""

    def setUp(self) -> None:
        super().setUp()
        self.traffic, self.ledger = Traffic(), mock.Mock()
        self.standing = Standing()
        self.offence = mock.Mock()
        self.reporter = Reporter(
            self.room.clock, self.standing, self.traffic, self.ledger, self.offence
        )
        self.reporter.parents = self.parents.records
        self.source = Source(Origin.MIRROR, PLACE, PLACE, f"http://{PLACE}/x", parent="pacoloco")

    def end(self, size: int, failure: Any = None) -> Any:
        self.reporter.began(self.source)
        self.reporter.ended(self.source, size, 1.0, failure)
        return self.parents.records.of(PLACE)

    def test_what_it_gave_is_the_lans(self) -> None:
        record = self.end(10)
        self.assertEqual((record.files, record.bytes), (1, 10))
        self.assertEqual(self.traffic.from_peers_bytes, 10)
        self.ledger.ended.assert_called_once_with(Came.PEER, 10, 1.0)

    def test_that_it_lacks_a_file_pushes_it_nowhere(self) -> None:
        record = self.end(0, Refused(PLACE, 404))
        self.assertEqual((record.missing, record.failures), (1, 0))
        self.assertFalse(self.standing.demoted(PLACE, self.room.clock.seconds()))

    def test_that_it_breaks_off_does(self) -> None:
        record = self.end(3, Broken(PLACE, "lost the connection"))
        self.assertEqual((record.failures, record.problem), (1, "lost the connection"))
        self.assertTrue(self.standing.demoted(PLACE, self.room.clock.seconds()))

    def test_wrong_bytes_are_counted_and_it_is_left_alone(self) -> None:
        self.reporter.contradicted(NAME, [self.source])
        self.assertEqual(self.parents.records.of(PLACE).wrong, 1)
        self.assertTrue(self.parents.is_left_alone(f"http://{PLACE}/core"))

    def test_beside_one_that_sent_wrong_bytes_alone_nobody_else_is_blamed_in_the_end(self) -> None:
        peer = Source(Origin.PEER, "10.0.0.5", "10.0.0.5", "http://10.0.0.5/x")
        self.reporter.contradicted(NAME, [self.source])
        for _ in range(2 * MOST_DOUBTS):
            self.reporter.contradicted(NAME, [self.source, peer])
        self.offence.assert_not_called()
        self.room.clock.advance(LIED_FOR)
        for _ in range(MOST_DOUBTS):
            self.reporter.contradicted(NAME, [self.source, peer])
        self.offence.assert_called_once()

    def test_who_is_wrong_beside_one_that_never_was_alone_is_doubted_as_ever(self) -> None:
        peer = Source(Origin.PEER, "10.0.0.5", "10.0.0.5", "http://10.0.0.5/x")
        for _ in range(MOST_DOUBTS):
            self.reporter.contradicted(NAME, [self.source, peer])
        self.offence.assert_called_once()

    def test_where_it_sends_on_the_wan_is_what_is_counted(self) -> None:
        answering = self.source.elsewhere("mirror.example.org")
        self.reporter.began(self.source)
        self.reporter.sent_elsewhere(self.source, answering)
        self.reporter.ended(answering, 10, 1.0, None)
        began = [call.args[0] for call in self.ledger.began.call_args_list]
        ended = [call.args[:2] for call in self.ledger.ended.call_args_list]
        self.assertEqual(began, [Came.PEER, Came.MIRROR])
        self.assertEqual(ended, [(Came.PEER, 0), (Came.MIRROR, 10)])
        self.assertEqual(self.standing.active(PLACE), 0)
        record = self.parents.records.of(PLACE)
        self.assertEqual((record.sent_elsewhere, record.bytes), (1, 0))
        self.assertEqual(self.traffic.from_mirrors_bytes, 10)


class Signatures(Case):
    def test_those_of_packages_are_asked_of_it_too(self) -> None:
        found = self.room.candidates.parents_for(ENTRY, "")
        self.assertEqual(found, (f"http://{PLACE}/repo/arch/core/os/x86_64",))

    def test_for_another_architecture_its_own_folder_is_meant(self) -> None:
        elsewhere = replace(asked(), architecture="aarch64")
        assert isinstance(elsewhere, Asked)
        servers = self.room.candidates.servers(elsewhere, ENTRY)
        self.assertIn(f"http://{PLACE}/repo/arch/core/os/aarch64", servers)
