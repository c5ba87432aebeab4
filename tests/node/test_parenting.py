"""Caching proxies of a node's LAN: nothing of them is there until there is one."""

from __future__ import annotations

from ipaddress import IPv4Interface, ip_network
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from flocon.machine.links import Link
from flocon.node.parts import Parts
from flocon.pacman.configuration import PacmanConfiguration, Repository
from flocon.settings.settings import Parent, Peers, Settings, Store

URL = "http://192.168.1.9:9129/repo/arch/$repo/os/$arch"


class Parenting(TestCase):
    def make(self, **settings: Any) -> Parts:
        folder = Path(self.mktemp())
        folder.mkdir()
        made = Settings(name="here", store=Store(folder / "store"), **settings)
        parts = Parts(reactor, made, lambda: made, ())
        self.addCleanup(lambda: Deferred.fromCoroutine(parts.desk.stop()))
        return parts

    def test_without_any_there_is_nothing(self) -> None:
        desk = self.make().desk
        desk.look_for_parents(())
        self.assertIsNone(desk.parents)
        self.assertEqual((desk.describe_parents(), desk.agents.parents), ([], None))

    def test_one_of_the_settings_is_asked_by_an_agent_of_its_own(self) -> None:
        desk = self.make(parents=(Parent(URL),)).desk
        desk.look_for_parents(())
        (told,) = desk.describe_parents()
        self.assertEqual((told["name"], told["kind"]), ("192.168.1.9:9129", "pacoloco"))
        (source,) = desk.candidates.mirrors("a", [URL], 0.0)
        self.assertIs(desk.agents.of(source), desk.agents.parents)
        self.assertTrue(desk.is_parent("192.168.1.9", "192.168.1.9:9129"))

    def test_one_of_pacman_conf_is_found_when_that_is_read(self) -> None:
        parts = self.make()
        parts.pacman.configuration = PacmanConfiguration(
            (Repository("core", ("http://192.168.1.9:7878/core/os/x86_64",)),)
        )
        parts.desk.look_for_parents(())
        (told,) = parts.desk.describe_parents()
        self.assertEqual((told["kind"], told["from"]), ("flexo", "pacman.conf"))

    def test_what_is_on_the_lan_follows_the_links_and_the_settings(self) -> None:
        url = "http://203.0.113.9:9129/repo/arch/$repo/os/$arch"
        desk = self.make(parents=(Parent(url),)).desk
        link = Link("eth0", 2, (IPv4Interface("203.0.113.7/24"),))
        for links, state in (((), "failing"), ((link,), "unknown"), ((), "failing")):
            desk.look_for_parents(links)
            self.assertEqual(desk.describe_parents()[0]["state"], state)
        peers = Peers(networks=(ip_network("203.0.113.0/24"),))
        desk = self.make(parents=(Parent(url),), peers=peers).desk
        desk.look_for_parents(())
        self.assertEqual(desk.describe_parents()[0]["state"], "unknown")
