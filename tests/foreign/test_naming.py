"""Machines that the operator named: what is meant, and where they are now."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.foreign.naming import RESOLVED_FOR, UNRESOLVED_FOR, Naming, meant
from flocon.foreign.place import Place, Tool


class Meant(SynchronousTestCase):
    def test_what_a_person_writes_is_understood(self) -> None:
        for said, expected in {
            "ada": (Tool.PACREDIR, "ada", 7_078),
            "ada:80": (Tool.PACREDIR, "ada", 80),
            "10.0.0.7": (Tool.PACREDIR, "10.0.0.7", 7_078),
            "fd00::7": (Tool.PACREDIR, "fd00::7", 7_078),
            "[fd00::7]:80": (Tool.PACREDIR, "fd00::7", 80),
            "http://ada:15678/": (Tool.PACSERVE, "ada", 15_678),
            "http://ada": (Tool.PACSERVE, "ada", 15_678),
            "http://[fd00::7]:1": (Tool.PACSERVE, "fd00::7", 1),
            "https://ada:15678/": None,
        }.items():
            self.assertEqual(meant(said), expected, said)


class Names:
    """Stands for the resolver."""

    def __init__(self, **known: list[str]) -> None:
        self.known = known
        self.asked: list[str] = []

    def addresses(self, host: str, patience: float) -> Deferred[list[str]]:
        self.asked.append(host)
        return succeed(self.known.get(host, []))


class Found(SynchronousTestCase):
    def find(self, said: str, **known: list[str]) -> list[Place]:
        self.named: dict[str, Any] = {}
        names: Any = Names(**known)
        self.names = names
        naming = Naming(Clock(), self.named.__setitem__, names)
        self.problems = naming.problems
        naming.problems["ada"] = "had no address before"
        naming.look([said])
        return list(self.named.get(said, ()))

    def test_a_literal_address_is_not_looked_up(self) -> None:
        places = self.find("10.99.0.7")
        self.assertEqual(places, [Place(Tool.PACREDIR, "10.99.0.7", 7_078)])
        self.assertEqual(self.names.asked, [])

    def test_a_name_server_that_is_away_takes_nobody_away(self) -> None:
        told: list[list[Place]] = []
        names: Any = Names(ada=["10.99.0.7"])
        clock = Clock()
        naming = Naming(clock, lambda _, places: told.append(list(places)), names)
        naming.look(["ada"])
        names.known.clear()
        clock.advance(RESOLVED_FOR)
        naming.look(["ada"])
        self.assertEqual(told, [[Place(Tool.PACREDIR, "10.99.0.7", 7_078)]])
        self.assertEqual(naming.problems, {"ada": "has no address now"})

    def test_a_name_is_one_machine_by_ipv4_first(self) -> None:
        places = self.find("ada", ada=["fd00::7", "10.99.0.7", "10.99.0.8"])
        self.assertEqual(places, [Place(Tool.PACREDIR, "10.99.0.7", 7_078)])
        self.assertEqual(self.problems, {})

    def test_a_name_without_address_is_said(self) -> None:
        self.assertEqual(self.find("bob"), [])
        self.assertEqual(self.problems["bob"], "has no address now")

    def test_this_machine_itself_is_no_other_one(self) -> None:
        self.assertEqual(self.find("me", me=["127.0.0.1", "::1"]), [])
        self.assertEqual(self.problems["me"], "is this machine itself")

    def test_what_cannot_be_asked_is_said(self) -> None:
        self.assertEqual(self.find("https://ada/"), [])
        self.assertIn("http://", self.problems["https://ada/"])


class Again(SynchronousTestCase):
    """How often names are looked up."""

    def setUp(self) -> None:
        self.clock = Clock()
        names: Any = Names(ada=["10.99.0.7"])
        self.names = names
        self.naming = Naming(self.clock, lambda *_: None, names)

    def looks(self, *hosts: str) -> int:
        before = len(self.names.asked)
        self.naming.look(hosts)
        return len(self.names.asked) - before

    def test_known_ones_are_looked_up_seldom(self) -> None:
        self.assertEqual(self.looks("ada"), 1)
        self.clock.advance(RESOLVED_FOR - 1)
        self.assertEqual(self.looks("ada"), 0)
        self.clock.advance(1)
        self.assertEqual(self.looks("ada"), 1)

    def test_one_without_address_is_tried_again_sooner(self) -> None:
        self.assertEqual(self.looks("ada", "bob"), 2)
        self.clock.advance(UNRESOLVED_FOR)
        self.assertEqual(self.looks("ada", "bob"), 2)

    def test_with_other_links_all_are_looked_up_anew(self) -> None:
        self.looks("ada")
        self.naming.doubt()
        self.assertEqual(self.looks("ada"), 1)
