"""Whether a node is known by mDNS, and what is said where it is not."""

from __future__ import annotations

from ipaddress import IPv4Interface
from types import SimpleNamespace
from typing import Any

import zeroconf
from twisted.internet import defer
from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.links import Link
from flocon.mdns import named
from flocon.mdns.services import FLOCON, PACSERVE, Found, Wish
from flocon.node import announcing
from flocon.node.announcing import Naming
from tests.mdns.test_services import found

LINKS = (Link("eth0", 2, (IPv4Interface("10.0.0.1/24"),)),)


class PlayedMdns:
    """Stands for the thread; ``changed`` tells the node what it finds."""

    def __init__(self, reactor: Any, changed: Any) -> None:
        self.changed = changed
        self.wishes: list[Wish] = []
        self.is_running = False
        self.told: dict[str, Any] = {
            "announced": "flocon on ada",
            "host": "ada-flocon.local",
            "clashed": False,
            "why": "",
            "failing": False,
            "own_heard": 3,
            "left_out": 0,
            "datagrams": {},
        }

    def start(self) -> None:
        self.is_running = True

    def stop(self) -> defer.Deferred[None]:
        self.is_running = False
        return defer.succeed(None)

    def ask(self, wish: Wish) -> None:
        self.wishes.append(wish)

    def describe(self) -> dict[str, Any]:
        return dict(self.told)


class NamingTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.made: list[PlayedMdns] = []
        self.patch(announcing, "find_spec", lambda _: object())
        self.patch(named, "mdns", self._make)
        self.settings = SimpleNamespace(mdns=True, peers=SimpleNamespace(networks=()))
        self.doors = SimpleNamespace(lan_port=19432)
        self.admission = SimpleNamespace(links=LINKS)
        parts: Any = SimpleNamespace(
            reloading=SimpleNamespace(settings=self.settings),
            admission=self.admission,
            doors=self.doors,
            namesakes=SimpleNamespace(
                identity=SimpleNamespace(node="0123456789abcdef", epoch="89abcdef", name="ada")
            ),
            pacman=SimpleNamespace(configuration=SimpleNamespace(architectures=("x86_64",))),
        )
        self.naming = Naming(None, parts)

    def _make(self, reactor: Any, changed: Any) -> PlayedMdns:
        self.made.append(PlayedMdns(reactor, changed))
        return self.made[-1]

    def start(self) -> None:
        self.naming.startService()

    def reasons(self) -> list[str]:
        return [one["reason"] for one in self.naming.tell()]


class Announced(NamingTestCase):
    def test_what_the_node_is_and_where(self) -> None:
        self.start()
        (wish,) = self.made[0].wishes
        assert wish.own is not None
        self.assertEqual(wish.links, LINKS)
        self.assertEqual((wish.own.port, wish.own.node), (19432, "0123456789abcdef"))
        self.assertIn("arch=x86_64", wish.own.texts(PACSERVE))

    def test_nothing_changes_before_it_runs(self) -> None:
        self.naming.changed()
        self.assertEqual(self.made, [])

    def test_what_is_found_goes_to_whom_it_concerns(self) -> None:
        told: list[tuple[str, tuple[Found, ...]]] = []
        self.naming.pacserves_changed = lambda all_of: told.append(("pacserves", all_of))
        self.naming.nodes_changed = lambda all_of: told.append(("nodes", all_of))
        self.start()
        self.made[0].changed(PACSERVE, (found("a"),))
        self.made[0].changed(FLOCON, (found("b"),))
        self.assertEqual(told, [("pacserves", (found("a"),)), ("nodes", (found("b"),))])
        described = self.naming.describe()
        assert described is not None
        self.assertEqual(described["pacserves"][0]["instance"], "a")

    def test_a_stop_ends_what_was_found(self) -> None:
        told: list[tuple[Found, ...]] = []
        self.naming.pacserves_changed = told.append
        self.start()
        self.made[0].changed(PACSERVE, (found("a"),))
        self.successResultOf(self.naming.stopService())
        self.made[0].changed(PACSERVE, (found("b"),))
        self.assertEqual(told, [(found("a"),), ()])
        self.assertFalse(self.made[0].is_running)


class Switched(NamingTestCase):
    def test_off_it_makes_nothing(self) -> None:
        self.settings.mdns = False
        self.start()
        self.assertEqual((self.made, self.naming.describe(), self.reasons()), ([], None, []))

    def test_alone_on_the_loopback_it_makes_nothing_until_there_is_a_link(self) -> None:
        loopback = Link("lo", 1, (IPv4Interface("127.0.0.1/8"),))
        self.admission.links = (loopback,)
        self.start()
        self.assertEqual(self.made, [])
        self.admission.links = (loopback, *LINKS)
        self.naming.changed()
        self.assertEqual(self.made[0].wishes[0].links, LINKS)

    def test_off_and_on_again(self) -> None:
        self.start()
        self.settings.mdns = False
        self.naming.changed()
        self.assertFalse(self.made[0].is_running)
        self.settings.mdns = True
        self.naming.changed()
        self.assertTrue(self.made[1].is_running)


class Told(NamingTestCase):
    def test_all_is_well(self) -> None:
        self.start()
        self.assertEqual(self.reasons(), [])

    def test_a_library_that_is_missing_is_told_of_and_is_no_fault(self) -> None:
        self.patch(announcing, "find_spec", lambda _: None)
        self.start()
        (told,) = self.naming.tell()
        self.assertEqual(self.made, [])
        self.assertIn("python-zeroconf is not installed", told["reason"])
        self.assertTrue(told["optional"])

    def test_a_library_that_is_too_old_is_not_used(self) -> None:
        self.patch(zeroconf, "__version__", "0.47.3")
        self.start()
        self.assertEqual(self.made, [])
        self.assertIn("python-zeroconf 0.47.3 is older than 0.150", self.reasons()[0])

    def test_a_closed_port_is_told_of(self) -> None:
        self.start()
        self.made[0].told["own_heard"] = 0
        (told,) = self.naming.tell()
        self.assertIn("a firewall is in the way", told["reason"])
        self.assertIn("5353", told["remedy"])

    def test_a_rest_is_told_of_with_its_reason(self) -> None:
        self.start()
        self.made[0].told.update(announced="", why="somebody floods the LAN")
        self.assertIn("somebody floods the LAN", self.reasons()[0])

    def test_a_port_that_another_program_keeps_for_itself_is_told_of(self) -> None:
        self.start()
        self.made[0].told.update(announced="", why="Address already in use", failing=True)
        (told,) = self.naming.tell()
        self.assertIn("Address already in use", told["reason"])
        self.assertIn("ss -lunp", told["remedy"])

    def test_a_namesake_is_told_of(self) -> None:
        self.start()
        self.made[0].told["clashed"] = True
        self.assertIn("another machine is called ada too", self.reasons()[0])
