"""Where the operator's names lead to, looked up off the reactor and within bounds."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from threading import enumerate as enumerate_threads

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.reactor_threads import in_own_thread, in_thread
from flocon.sites import dns
from flocon.sites import names as module
from flocon.sites.correspondents import Place
from flocon.sites.names import (
    AGAIN,
    DOUBT_PAUSE,
    MOST_ADDRESSES,
    MOST_AT_ONCE,
    MOST_THREADS,
    PATIENCE,
    SOON,
    Names,
)
from tests.inline import InlinePool, InlineReactor

PORT = 19432


class NamesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = InlineReactor()
        self.hosts: dict[str, list[str]] = {"nas": ["10.9.0.1"]}
        self.errors: dict[str, OSError] = {}
        self.asked: list[str] = []
        self.told: Mapping[str, Sequence[Place]] = {}
        self.names = Names(self.reactor, PORT, self.tell)
        self.patch(module, "_look_up_host", self.look_up)
        self.patch(module, "in_own_thread", self.in_own_thread)

    def in_own_thread(
        self, _: object, name: str, look_up: Callable[[str], list[str]], host: str
    ) -> Deferred[list[str]]:
        self.assertIn(host, name)
        return in_thread(self.reactor, look_up, host)  # type: ignore[arg-type]

    def tell(self, places: Mapping[str, Sequence[Place]]) -> None:
        self.told = places

    def look_up(self, host: str) -> list[str]:
        self.asked.append(host)
        if host in self.errors:
            raise self.errors[host]
        if host not in self.hosts:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.hosts[host]

    def found(self, *names: str) -> dict[str, list[str]]:
        self.names.start(names)
        return {
            name: [f"{address} {port}" for address, port in ones]
            for name, ones in self.told.items()
        }

    def test_a_name_leads_to_its_addresses_at_the_usual_port_or_its_own(self) -> None:
        self.hosts["nas"] = ["10.9.0.1", "fd09::1"]
        self.assertEqual(
            self.found("nas", "nas:7", "10.8.0.1", "[fd00::5]:9", "fd00::6"),
            {
                "nas": ["10.9.0.1 19432", "fd09::1 19432"],
                "nas:7": ["10.9.0.1 7", "fd09::1 7"],
                "10.8.0.1": ["10.8.0.1 19432"],
                "[fd00::5]:9": ["fd00::5 9"],
                "fd00::6": ["fd00::6 19432"],
            },
        )
        self.assertEqual(self.names.problems, {})

    def test_an_address_that_can_be_no_other_machine_is_left_out(self) -> None:
        self.hosts["nas"] = ["127.0.1.1", "::1", "fe80::1", "224.0.0.1", "10.9.0.1", "10.9.0.1"]
        self.assertEqual(self.found("nas", "127.0.0.1")["nas"], ["10.9.0.1 19432"])
        self.assertIn("127.0.0.1", self.names.problems)

    def test_a_host_has_so_many_addresses_and_no_more(self) -> None:
        self.hosts["nas"] = [f"10.9.0.{number}" for number in range(1, 100)]
        self.assertEqual(len(self.found("nas")["nas"]), MOST_ADDRESSES)

    def test_it_is_looked_up_anew_and_leads_elsewhere(self) -> None:
        self.found("nas")
        self.hosts["nas"] = ["10.9.0.2"]
        self.reactor.advance(AGAIN)
        self.assertEqual(self.told["nas"], (("10.9.0.2", PORT),))

    def test_a_stranger_may_be_one_that_has_moved(self) -> None:
        self.found("nas")
        self.hosts["nas"] = ["10.9.0.2"]
        self.reactor.advance(DOUBT_PAUSE)
        for _ in range(100):
            self.names.doubt()
        self.assertEqual(self.told["nas"], (("10.9.0.2", PORT),))
        self.assertEqual(self.asked, ["nas", "nas"])

    def test_one_that_does_not_resolve_is_tried_soon_and_says_why(self) -> None:
        self.found("nas", "gone")
        self.assertEqual(self.names.problems, {"gone": "Name or service not known"})
        self.hosts["gone"] = ["10.9.0.9"]
        self.reactor.advance(SOON)
        self.assertEqual(self.told["gone"], (("10.9.0.9", PORT),))
        self.assertEqual(self.names.problems, {})

    def test_one_that_resolves_no_more_keeps_what_it_led_to(self) -> None:
        self.found("nas")
        self.hosts.clear()
        self.reactor.advance(AGAIN)
        self.assertEqual(self.told["nas"], (("10.9.0.1", PORT),))
        self.assertIn("nas", self.names.problems)

    def test_few_are_looked_up_at_a_time_and_a_silent_one_holds_nobody_up(self) -> None:
        self.hosts |= {f"host{number}": ["10.9.0.1"] for number in range(20)}
        self.reactor.pool.hold("look_up")
        self.names.start([*self.hosts])
        self.assertEqual(len(self.reactor.pool._waiting), MOST_AT_ONCE)
        self.reactor.advance(PATIENCE)
        self.assertEqual(len(self.reactor.pool._waiting), 2 * MOST_AT_ONCE)
        self.assertEqual(len(self.names.problems), MOST_AT_ONCE)

    def test_a_name_server_that_is_silent_for_hours_holds_few_threads(self) -> None:
        self.hosts |= {f"host{number}": ["10.9.0.1"] for number in range(20)}
        self.reactor.pool.hold("look_up")
        self.names.start([*self.hosts])
        self.reactor.pump([PATIENCE / 4] * 720)
        self.assertEqual(len(self.reactor.pool._waiting), MOST_THREADS)
        self.reactor.pool.resume()
        self.reactor.pump([PATIENCE / 4] * 40)
        self.assertEqual(self.names.problems, {})

    def test_a_thread_that_is_held_is_none_of_the_reactor_s(self) -> None:
        pool = InlinePool()
        pool.hold("look_up")
        self.patch(self.reactor, "pool", pool)
        self.patch(module, "in_own_thread", in_own_thread)
        asking = Event()
        self.hosts["nas"] = []
        self.patch(module, "_look_up_host", lambda _: asking.wait(10) and [])
        self.names.start(["nas"])
        (thread,) = [one for one in enumerate_threads() if one.name == "name nas"]
        self.assertTrue(thread.daemon)
        self.assertEqual(pool._waiting, [])
        asking.set()
        thread.join(10)

    def test_one_that_leads_nowhere_is_looked_up_ever_more_seldom(self) -> None:
        self.found("gone")
        self.reactor.pump([1.0] * 3_600)
        self.assertLess(len(self.asked), 70)
        del self.asked[:]
        self.names.look()
        self.reactor.pump([1.0] * 20)
        self.assertEqual(len(self.asked), 3)

    def test_a_name_of_this_machine_itself_is_no_fault(self) -> None:
        self.hosts["here"] = ["127.0.1.1"]
        self.assertEqual(self.found("here"), {"here": []})
        self.assertEqual((self.names.problems, self.names.own), ({}, {"here"}))
        self.reactor.advance(SOON)
        self.assertEqual(self.asked, ["here"])

    def test_once_stopped_nothing_is_looked_up_or_told(self) -> None:
        self.reactor.pool.hold("look_up")
        self.names.start(["nas"])
        self.names.stop()
        self.reactor.pool.resume()
        self.reactor.advance(2 * AGAIN)
        self.assertEqual((self.told, self.reactor.getDelayedCalls()), ({}, []))

    def test_other_names_take_the_place_of_those_before(self) -> None:
        self.found("nas")
        self.hosts["ada"] = ["10.9.0.5"]
        self.assertEqual(self.found("ada"), {"ada": ["10.9.0.5 19432"]})
        self.assertEqual(self.found(), {})

    def test_names_that_are_set_while_others_are_looked_up_come_next(self) -> None:
        self.hosts["ada"] = ["10.9.0.5"]
        self.reactor.pool.hold("look_up")
        self.names.start(["nas"])
        self.names.start(["ada"])
        self.reactor.pool.resume()
        self.assertEqual(self.told, {"ada": (("10.9.0.5", PORT),)})

    def test_hosts_that_dns_lists_are_looked_up(self) -> None:
        self.hosts["ada"] = ["10.9.0.5"]

        def listed(_: object, domain: str) -> Deferred[list[str]]:
            self.assertEqual(domain, "example.org")
            return defer.succeed(["nas", "lost", "ada"])

        self.patch(dns, "hosts_listed", listed)
        found = self.found("srv:example.org")
        self.assertEqual(found["srv:example.org"], ["10.9.0.1 19432", "10.9.0.5 19432"])
        # A name server that is away for a moment takes nobody off the list.
        self.errors["ada"] = socket.gaierror(socket.EAI_AGAIN, "Temporary failure")
        del self.hosts["nas"]
        self.reactor.advance(AGAIN)
        self.assertEqual(self.told["srv:example.org"], (("10.9.0.5", PORT),))
