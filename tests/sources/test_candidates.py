"""Who may be asked for what, and in which order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.attempts import Attempt, Limits
from flocon.asking.source import Origin, Source
from flocon.books.traffic import Traffic
from flocon.errors import Refused, Unreachable
from flocon.files import Content, parse_path
from flocon.foreign.place import Place, Tool
from flocon.neighbours.standing import Standing
from flocon.pacman.configuration import PacmanConfiguration, Repository, package_servers_for
from flocon.pacman.entries import Entry
from flocon.presence.peer import Peer
from flocon.sources.candidates import Candidates
from flocon.sources.places import foreign_source
from flocon.sources.ranking import OwnNode, rank_owners
from flocon.sources.reporter import Reporter
from flocon.sources.strangers import MOST, MOST_OF_PROVED
from flocon.transfers.subjects import Subject
from flocon.transfers.transfer import Transfer
from tests.fakes import FakeReactor, FakeTools

NAME = "a-1-1-any.pkg.tar.zst"
ENTRY = Entry("core", NAME, "a", "1-1", 10, bytes(32))
MIRROR, CACHE = "http://mirror/core", "http://nas:8090/core"
CONFIGURATION = PacmanConfiguration(
    (
        Repository("core", (MIRROR,), (CACHE,)),
        Repository("extra", ("http://mirror/extra",), ("http://mirror/extra",)),
    )
)


class CandidatesTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.standing = Standing()
        pacman, neighbourhood = mock.Mock(), mock.Mock()
        pacman.configuration = CONFIGURATION
        self.neighbourhood = neighbourhood
        neighbourhood.holding.return_value = neighbourhood.able.return_value = []
        neighbourhood.mirrors.return_value = []
        neighbourhood.is_private.return_value = False
        self.reporter = Reporter(self.reactor, self.standing, Traffic(), mock.Mock(), mock.Mock())
        self.candidates = Candidates(
            self.reactor,
            own=OwnNode("n", "e", relays=True, able_since=self.reactor.seconds()),
            pacman=pacman,
            neighbourhood=neighbourhood,
            standing=self.standing,
            reporter=self.reporter,
        )

    def order(self, name: str, entry: Entry | None) -> list[str]:
        asked = parse_path(f"/core/os/x86_64/{name}".encode())
        assert asked is not None
        found = self.candidates.order(name, self.candidates.servers(asked, entry), entry)
        self.assertEqual(len(found), len({one.url for one in found}))
        return [one.url.removesuffix(f"/{name}") for one in found]


class Caches(CandidatesTestCase):
    """Other machines that CacheServer lines name stand where pacman has them."""

    def test_they_are_asked_before_the_mirrors(self) -> None:
        self.assertEqual(self.order(NAME, ENTRY), [CACHE, MIRROR])
        self.assertEqual(self.order(NAME, None), [CACHE, MIRROR])
        self.assertEqual(self.order(NAME + ".sig", None), [CACHE, MIRROR])

    def test_they_are_not_asked_for_databases(self) -> None:
        for name in ("core.db", "core.files", "core.db.sig"):
            self.assertEqual(self.order(name, None), [MIRROR])

    def test_one_that_failed_lately_comes_last(self) -> None:
        self.standing.failed("nas:8090", self.reactor.seconds())
        self.assertEqual(self.order(NAME, ENTRY), [MIRROR, CACHE])
        self.assertEqual(self.order(NAME, None), [MIRROR, CACHE])

    def test_what_a_server_line_names_as_well_is_a_mirror(self) -> None:
        self.assertEqual(CONFIGURATION.caches, {CACHE})
        self.assertEqual(package_servers_for(CONFIGURATION, "extra", ""), ("http://mirror/extra",))
        self.assertEqual(package_servers_for(CONFIGURATION, "unknown", "x86_64"), ())

    def test_their_silence_is_no_answer_of_a_mirror(self) -> None:
        asked = parse_path(f"/core/os/x86_64/{NAME}".encode())
        assert asked is not None
        cache, mirror = self.candidates.order(NAME, self.candidates.servers(asked, None), None)
        failures: dict[Source, Any] = {
            cache: Unreachable("nas", "is off"),
            mirror: Refused("mirror", 404),
        }
        limits = Limits(1.0, 1.0)
        transfer = Transfer(
            FakeTools(), Subject(NAME, Content(1, bytes(32))), lambda _: None, lambda: ()
        )
        transfer._asking.attempts.tried = [
            Attempt(one, limits, failures[one]) for one in (cache, mirror)
        ]
        self.assertEqual(transfer.mirror_statuses, [404])


class OtherTools(CandidatesTestCase):
    """Machines that are no nodes are asked where nodes are not, for what they have."""

    def setUp(self) -> None:
        super().setUp()
        places = [Place(Tool.PACREDIR, "10.0.0.7", 7_078), Place(Tool.PACSERVE, "10.0.0.8", 1)]
        self.candidates.foreign = lambda entry: [
            foreign_source(place, entry.file_name) for place in places
        ]

    def labels(self, **terms: bool) -> list[str]:
        found = self.candidates.all(NAME, (CACHE, MIRROR), ENTRY, **terms)
        return [one.label for one in found]

    def test_they_come_behind_nodes_and_before_caches_and_mirrors(self) -> None:
        self.neighbourhood.holding.return_value = [
            mock.Mock(node="n", address="10.0.0.2", port=1, file_name=NAME)
        ]
        labels = self.labels()
        self.assertEqual(labels[0], "10.0.0.2")
        self.assertEqual(set(labels[1:3]), {"10.0.0.7", "10.0.0.8"})
        self.assertEqual(labels[3:], ["nas:8090", "mirror"])

    def test_they_are_asked_for_what_nobody_waits_for_too(self) -> None:
        near = [one.label for one in self.candidates.near(NAME, ENTRY)]
        self.assertEqual(set(near), {"10.0.0.7", "10.0.0.8"})

    def test_one_that_failed_lately_comes_last(self) -> None:
        self.standing.failed("10.0.0.7", self.reactor.seconds())
        self.assertEqual(self.labels(), ["10.0.0.8", "nas:8090", "mirror", "10.0.0.7"])

    def test_nobody_is_asked_for_what_is_not_listed(self) -> None:
        found = self.candidates.all(NAME, (MIRROR,), None)
        self.assertEqual([one.label for one in found], ["mirror"])


class Crowds(CandidatesTestCase):
    """Many addresses that prove nothing do not stand before the mirrors for long."""

    def setUp(self) -> None:
        super().setUp()
        self.holders = [f"10.0.0.{number}" for number in range(2, 40)]
        self.neighbourhood.holding.return_value = [
            mock.Mock(node=f"n{address}", address=address, port=1, far=False)
            for address in self.holders
        ]

    def before_the_mirror(self) -> int:
        return self.order(NAME, ENTRY).index(MIRROR)

    def disappoint(self, count: int) -> None:
        for address in self.holders[:count]:
            self.reporter.slow(Source(Origin.PEER, address, address, f"http://{address}/x"))

    def test_a_few_that_are_slow_leave_the_others_where_they_are(self) -> None:
        self.disappoint(MOST - 1)
        self.assertEqual(self.before_the_mirror(), len(self.holders) - MOST + 2)

    def test_once_many_were_slow_the_others_come_behind_the_mirrors(self) -> None:
        self.disappoint(MOST)
        self.assertEqual(self.before_the_mirror(), 1)

    def test_who_has_proved_itself_stays_before_them(self) -> None:
        self.disappoint(MOST)
        self.standing.succeeded(self.holders[-1], 8 << 20, 1.0)
        self.assertIn(self.holders[-1], self.order(NAME, ENTRY)[0])
        self.assertEqual(self.before_the_mirror(), 2)

    def test_many_that_proved_themselves_in_order_to_be_asked_come_last_too(self) -> None:
        for address in self.holders:
            self.standing.succeeded(address, 8 << 20, 1.0)
        self.disappoint(MOST_OF_PROVED - 1)
        self.assertEqual(self.before_the_mirror(), len(self.holders) - MOST_OF_PROVED + 2)
        self.disappoint(MOST_OF_PROVED)
        self.assertEqual(self.before_the_mirror(), 1)


class FarPeers(CandidatesTestCase):
    """Nodes of other networks."""

    NEAR, FAR = "10.0.0.2", "10.1.0.2"

    def setUp(self) -> None:
        super().setUp()
        near, far = (
            mock.Mock(
                node=f"n{address}",
                address=address,
                port=1,
                able_since=0.0,
                far=address == self.FAR,
                abilities=frozenset({"relay", "mirror"}),
            )
            for address in (self.NEAR, self.FAR)
        )
        self.near, self.far = near, far

    def asked(self) -> list[str]:
        """Return who is asked, in order, but for the mirrors: an address and what for."""
        urls = [one.split("/", 3)[2:] for one in self.order(NAME, ENTRY)]
        return [f"{host.split(':')[0]} {what[:5]}" for host, what in urls if host.endswith(":1")]

    def test_a_far_holder_is_asked_after_the_near_ones_and_before_owners_and_mirrors(self) -> None:
        self.neighbourhood.holding.return_value = [self.far, self.near]
        self.neighbourhood.able.return_value = [self.near]
        self.standing.succeeded(self.FAR, 10**9, 1.0)
        self.standing.succeeded(self.NEAR, 10**6, 1.0)
        self.assertEqual(self.asked()[:2], [f"{self.NEAR} pkg", f"{self.FAR} pkg"])
        self.assertEqual(self.order(NAME, ENTRY)[-1], MIRROR)

    def test_owners_are_agreed_upon_among_all(self) -> None:
        self.neighbourhood.able.return_value = [self.near, self.far]
        self.candidates._own.relays = False
        ranked = rank_owners([self.near.node, self.far.node], ENTRY.file_name)
        self.assertEqual(self.asked(), [f"{node[1:]} relay" for node in ranked])

    def test_sites_that_do_not_wait_for_each_other_ask_no_far_owner(self) -> None:
        self.neighbourhood.able.return_value = [self.near, self.far]
        self.neighbourhood.mirrors.return_value = [self.far]
        self.neighbourhood.holding.return_value = [self.far]
        self.candidates._own.relays = False
        self.candidates.far_owners = lambda: False
        self.assertEqual(self.asked(), [f"{self.FAR} pkg", f"{self.NEAR} relay"])


class OfStates(CandidatesTestCase):
    """Who gives the LAN a state of databases may have what no mirror has any more."""

    def setUp(self) -> None:
        super().setUp()
        self.nas = Peer(
            "nas", "e", "nas", 19432, "arch", ("x86_64",), "10.0.0.5", 1, 1, (("core", "d"),),
            frozenset({"mirror", "relay"}), 0, 0, 0, 30,
        )  # fmt: skip
        self.neighbourhood.mirrors.return_value = [self.nas]
        self.url = f"http://{self.nas.address}:{self.nas.port}/relay/core/any"

    def test_they_are_asked_for_it_after_all_others(self) -> None:
        self.assertEqual(self.order(NAME, ENTRY), [CACHE, MIRROR, self.url])

    def test_one_that_is_asked_before_as_its_owner_is_not_asked_twice(self) -> None:
        self.neighbourhood.able.return_value = [self.nas]
        found = self.order(NAME, ENTRY)
        self.assertEqual(found.count(self.url), 1)

    def test_they_are_not_for_what_is_not_listed(self) -> None:
        self.assertEqual(self.order(NAME, None), [CACHE, MIRROR])

    def test_nor_for_what_nobody_is_to_hear_of(self) -> None:
        self.neighbourhood.is_private.return_value = True
        self.assertEqual(self.order(NAME, ENTRY), [CACHE, MIRROR])

    def test_nor_are_those_that_failed_lately_or_fetch_for_nobody(self) -> None:
        self.neighbourhood.mirrors.return_value = [
            replace(self.nas, abilities=frozenset({"mirror"}))
        ]
        self.assertEqual(self.order(NAME, ENTRY), [CACHE, MIRROR])
        self.neighbourhood.mirrors.return_value = [self.nas]
        self.standing.failed(self.nas.address, self.reactor.seconds())
        self.assertEqual(self.order(NAME, ENTRY), [CACHE, MIRROR])
