"""What stands in for other tools is opened where it can be, and told of where it cannot."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import ip_interface, ip_network
from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.links import Link
from flocon.machine.shares import share_out
from flocon.settings.settings import Settings
from flocon.settings.settings import Standins as Endpoints
from flocon.standins.standins import PACREDIR, PACSERVE, Standin, Standins


class Face:
    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()

    def render(self, request: Any) -> None:
        raise AssertionError(request)


class StandinsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.faces = {name: Face() for name in (PACSERVE, PACREDIR)}
        self.ports = {PACSERVE: [15678], PACREDIR: [7077]}
        self.told: list[int | None] = []
        self.closed: list[str] = []
        self.opened = 0
        self.missed: dict[str, str] = {}
        self.unheld: dict[str, list[str]] = {}
        doors: Any = SimpleNamespace(
            ports_of=self.ports.__getitem__,
            missed=self.missed,
            are_open=True,
            open_sides=self.open,
            unheld=lambda side: self.unheld.get(side, []),
        )
        self.settings = Settings(standins=Endpoints(("tcp:15678",), ("tcp:7077",)))
        self.standins = Standins(
            Clock(),
            [
                Standin(
                    PACSERVE,
                    self.faces[PACSERVE],
                    ("tcp:15678",),
                    kept=9,
                    close=lambda: self.closed.append(PACSERVE),
                ),
                Standin(PACREDIR, self.faces[PACREDIR], ("tcp:7077",), cost=2),
            ],
            settings=self.settings,
            shares=share_out(8_192, standins=2),
            doors=doors,
            user_of=lambda *_: None,
            told=self.told.append,
        )

    def open(self, sides: Any) -> None:
        self.assertEqual(sides, self.standins.sides)
        self.opened += 1

    def test_pacserves_are_told_of_the_port_and_at_the_end_that_there_is_none(self) -> None:
        self.standins.opened()
        self.ports[PACSERVE].clear()
        self.standins.opened()
        self.ports[PACSERVE].append(1)
        self.standins.stop()
        self.assertEqual(self.told, [15678, None, None])
        self.assertEqual(self.closed, [PACSERVE])

    def test_who_may_ask_is_on_a_link_or_in_a_network_that_is_named(self) -> None:
        site = self.standins.sides[0].site
        peer: Any = SimpleNamespace(host="10.0.0.9", port=1)
        self.assertIsNone(site.buildProtocol(peer))
        self.standins.links_changed((Link("eth0", 1, (ip_interface("10.0.0.1/24"),)),))
        self.assertIsNotNone(site.buildProtocol(peer))
        other: Any = SimpleNamespace(host="10.8.0.9", port=1)
        self.assertIsNone(site.buildProtocol(other))
        networks = replace(self.settings.standins, networks=(ip_network("10.8.0.0/16"),))
        self.standins.settings_changed(replace(self.settings, standins=networks))
        self.assertIsNotNone(site.buildProtocol(other))

    def test_a_reload_tries_again_what_could_not_be_opened(self) -> None:
        self.standins.settings_changed(self.settings)
        self.assertEqual(self.opened, 0)
        self.missed[PACREDIR] = "port 7077 is taken"
        self.standins.settings_changed(self.settings)
        self.assertEqual(self.opened, 1)

    def test_the_doctor_says_who_may_have_the_port_and_what_to_do(self) -> None:
        self.assertEqual(list(self.standins.tell()), [])
        self.missed[PACREDIR] = "port 7077 is taken"
        (told,) = self.standins.tell()
        self.assertIn("place of pacredir: port 7077 is taken", told["reason"])
        self.assertIn("systemctl disable --now pacredir,", told["remedy"])
        self.assertTrue(told["wrong"])

    def test_the_doctor_says_which_ports_any_user_could_take_and_what_to_do(self) -> None:
        self.unheld |= {PACREDIR: ["127.0.0.1:7077"], PACSERVE: ["0.0.0.0:15678"]}
        (told,) = self.standins.tell()
        self.assertIn("does not hold 0.0.0.0:15678, 127.0.0.1:7077,", told["reason"])
        units = "flocon-pacserve.socket flocon-pacredir.socket"
        self.assertEqual(
            told["remedy"], f"systemctl stop flocon; then systemctl enable --now {units} flocon"
        )
        self.assertFalse(told["wrong"])
        self.unheld[PACREDIR] = ["10.0.0.1:7077", "[::1]:7077"]
        (told,) = self.standins.tell()
        both = "ListenStream=10.0.0.1:7077 and ListenStream=[::1]:7077"
        self.assertIn(both, told["remedy"])
        self.assertIn("enable --now flocon-pacserve.socket flocon,", told["remedy"])

    def test_what_no_other_program_has_is_to_be_written_otherwise(self) -> None:
        self.missed[PACREDIR] = "'tcp:7077' cannot be listened on (Cannot assign ...)"
        (told,) = self.standins.tell()
        self.assertIn('write pacredir = ["tcp:7077:interface=127.0.0.1"]', told["remedy"])
        own = replace(self.settings, lan="tcp:7077", loopback=())
        self.patch(self.standins, "_settings", own)
        self.missed[PACREDIR] = "port 7077 is taken"
        (told,) = self.standins.tell()
        self.assertNotIn("systemctl disable", told["remedy"])

    def test_what_was_answered_is_told_apart_from_what_was_refused(self) -> None:
        self.faces[PACSERVE].counters.update({"files": 2, "refused 403": 1, "nudges": 1})
        self.standins.sides[0].site.counters["other network"] += 1
        told = self.standins.describe()[0]
        self.assertEqual((told["tool"], told["ports"], told["why"]), (PACSERVE, [15678], ""))
        self.assertEqual(told["answers"], {"files": 2, "nudges": 1})
        self.assertEqual(told["refusals"], {"refused 403": 1, "other network": 1})

    def test_only_questions_are_kept_to_be_read(self) -> None:
        self.assertEqual([side.site.kept for side in self.standins.sides], [9, 0])
