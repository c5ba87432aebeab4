"""What is wanted of the states is brought, and it is known when all of one is here."""

from __future__ import annotations

from typing import Any
from unittest import mock

from flocon.errors import Refused
from flocon.presence.peer import Peer
from flocon.states.generation import Where
from flocon.wanted.fetching import FORGIVE, LOOK_AGAIN, NEWS_PAUSE, Fetching
from flocon.wanted.requests import DAY, Requests, Scope
from tests.wanted.wanting_case import CORE, EXTRA, WantingTestCase, desc, file_name

SETTLED = 10.0


class FetchingTestCase(WantingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.requests = Requests(lambda: 30 * DAY)
        self.pins: list[str] = []
        self.arrivals = 0
        self.fetching = Fetching(
            self.reactor,
            self.means,
            states=self.states,
            archive=self.archive,
            pacman=self.pacman,
            requests=self.requests,
            mirrored=lambda: [CORE, EXTRA],
            pins=lambda: self.pins,
            most=1 << 20,
            arrived=self.arrive_once,
        )
        self.states.changed = self.fetching.wake
        self.addCleanup(self.fetching.stop)

    def arrive_once(self) -> None:
        self.arrivals += 1

    def start(self, *, free: bool = True) -> None:
        self.fetching.start(free=free)
        self.fetching.wake()
        self.pass_time(SETTLED)

    def publish(self, **repositories: list[tuple[str, bytes]]) -> str:
        generation = self.read(**repositories)
        self.done(self.states.publish(generation.identity))
        return generation.identity

    def wait_for(self, **repositories: list[tuple[str, bytes]]) -> str:
        generation = self.read(**repositories)
        self.done(self.states.wait_for(generation.identity))
        self.pass_time(SETTLED)
        return generation.identity

    def ask(self, name: str, where: Where = CORE) -> None:
        scope = Scope(where.architecture, (where.repository,))
        self.requests.ask("10.0.0.9", scope, name, self.now)


class Bringing(FetchingTestCase):
    def test_what_clients_asked_for_comes_newer_with_what_it_needs_now(self) -> None:
        self.publish(core=[desc("a")], extra=[desc("b")])
        self.ask("a")
        self.start()
        self.arrive(file_name("a"))
        waiting = self.wait_for(core=[desc("a", "2-1", needs="b")], extra=[desc("b"), desc("c")])
        self.assertEqual(
            self.transfers.asked,
            [
                f"core/x86_64/{file_name('a')}",
                f"core/x86_64/{file_name('a', '2-1')}",
                f"extra/x86_64/{file_name('b')}",
            ],
        )
        self.assertFalse(self.fetching.is_complete(waiting))
        self.arrive(file_name("a", "2-1"))
        self.assertFalse(self.fetching.is_complete(waiting))
        self.arrive(file_name("b"))
        self.assertTrue(self.fetching.is_complete(waiting))
        self.pass_time(1.0)
        self.assertGreater(self.arrivals, 0)

    def test_what_this_machine_has_comes(self) -> None:
        self.caches = [file_name("a", "0-1")]
        (self.store / "db" / "local" / "c++-lib-9-1").mkdir(parents=True)
        self.publish(core=[desc("a"), desc("b"), desc("c++-lib")])
        self.start()
        self.assertEqual(sorted(self.transfers.coming), [file_name("a"), file_name("c++-lib")])

    def test_what_peers_have_comes_but_for_what_another_mirror_has(self) -> None:
        def peer(node: str, abilities: tuple[str, ...] = ()) -> Peer:
            made: Peer = mock.Mock(
                spec=Peer,
                node=node,
                abilities=frozenset(abilities),
                architectures=("x86_64",),
                databases=(("core", "d"),),
            )
            return made

        asked: list[set[str]] = []

        def packages(nodes: Any, _: int) -> Any:
            asked.append(set(nodes))
            return iter([{"one": {"a"}}])

        self.neighbourhood.proved.return_value = [peer("one"), peer("two", ("mirror",))]
        self.neighbourhood.holders.packages = packages
        self.publish(core=[desc("a"), desc("b")])
        self.start()
        self.assertEqual(asked, [{"one"}])
        self.assertEqual(list(self.transfers.coming), [file_name("a")])
        self.assertEqual(self.requests.wanted(self.now), {Scope("x86_64", ("core",)): ["a"]})

    def test_a_peer_that_is_new_is_asked_for_soon(self) -> None:
        told: list[object] = []
        self.neighbourhood.news = told.append
        self.publish(core=[desc("a")])
        self.start()
        self.neighbourhood.news(None)
        self.assertEqual(told, [None])
        self.ask("a")
        self.pass_time(NEWS_PAUSE + SETTLED)
        self.assertEqual(list(self.transfers.coming), [file_name("a")])

    def test_on_a_metered_link_nothing_comes(self) -> None:
        self.publish(core=[desc("a")])
        self.pins = ["a"]
        self.start(free=False)
        self.assertEqual(self.transfers.asked, [])
        self.fetching.allow(free=True)
        self.pass_time(SETTLED)
        self.assertEqual(len(self.transfers.asked), 1)
        self.fetching.allow(free=False)
        self.assertTrue(self.transfers.coming[file_name("a")].cancelled)

    def test_what_is_in_no_state_any_more_is_wanted_no_more(self) -> None:
        self.pins = ["a"]
        self.publish(core=[desc("a")])
        self.start()
        self.arrive(file_name("a"))
        self.accounts.want_ahead.assert_called_with({file_name("a")}, by="mirror")
        for version in range(2, 8):
            self.publish(core=[desc("a", f"{version}-1")])
            self.pass_time(SETTLED)
            self.arrive(file_name("a", f"{version}-1"))
        # The last four that were given out may be asked for still.
        expected = {file_name("a", f"{version}-1") for version in range(4, 8)}
        self.accounts.want_ahead.assert_called_with(expected, by="mirror")


class Failing(FetchingTestCase):
    def refuse(self, name: str) -> None:
        self.transfers.coming.pop(name).ended.errback(Refused("mirror", 404))

    def test_what_cannot_be_had_is_tried_again_and_given_up_for_an_hour(self) -> None:
        self.pins = ["a"]
        waiting = self.wait_for(core=[desc("a")])
        self.start()
        tries = 0
        for _ in range(400):
            if file_name("a") in self.transfers.coming:
                tries += 1
                self.refuse(file_name("a"))
            self.pass_time(LOOK_AGAIN / 400 - 0.01)
        self.assertEqual(tries, 7)
        self.assertFalse(self.fetching.is_complete(waiting))
        self.pass_time(SETTLED)
        self.assertIn(file_name("a"), self.transfers.coming)

    def test_what_came_and_is_lost_comes_again_once_a_day(self) -> None:
        self.pins = ["a"]
        self.publish(core=[desc("a")])
        self.start()
        for _ in range(2):
            self.arrive(file_name("a"))
            self.here.clear()
            self.pass_time(LOOK_AGAIN)
            self.assertEqual(list(self.transfers.coming), [])
            self.pass_time(FORGIVE)
            self.pass_time(LOOK_AGAIN)
            self.assertEqual(list(self.transfers.coming), [file_name("a")])

    def test_what_there_is_no_room_for_is_not_waited_for(self) -> None:
        self.full = True
        self.pins = ["a"]
        self.start()
        waiting = self.wait_for(core=[desc("a")])
        self.assertEqual(self.transfers.asked, [])
        self.assertTrue(self.fetching.is_complete(waiting))
        self.assertEqual(self.fetching.describe()["left_out"], 1)

    def test_of_a_state_that_nobody_has_looked_through_nothing_is_known(self) -> None:
        self.start()
        generation = self.read(core=[desc("a")])
        self.done(self.states.wait_for(generation.identity))
        self.assertFalse(self.fetching.is_complete(generation.identity))
        self.pass_time(SETTLED)
        self.assertTrue(self.fetching.is_complete(generation.identity))

    def test_a_database_that_cannot_be_read_leaves_the_others(self) -> None:
        self.pins = ["a", "b"]
        generation = self.read(core=[desc("a")], extra=[desc("b")])
        content = generation.databases[EXTRA].database.sha256
        (self.archive.path / "content" / content).write_bytes(b"x")
        self.done(self.states.publish(generation.identity))
        self.start()
        self.assertEqual(list(self.transfers.coming), [file_name("a")])


class Telling(FetchingTestCase):
    def test_what_is_wanted_and_what_lacks_is_told(self) -> None:
        self.pins = ["a", "typo"]
        identity = self.publish(core=[desc("a", needs="b gone"), desc("b")])
        self.start()
        self.arrive(file_name("b"))
        told = self.fetching.describe()["states"][identity]
        self.assertEqual(
            told,
            {
                "wanted": 2,
                "lacks": 1,
                "lacking": [file_name("a")],
                "lacking_bytes": 1000,
                "unresolved": ["gone"],
                "unknown": ["typo"],
            },
        )
