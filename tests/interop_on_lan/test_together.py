"""Nodes beside other tools' machines: real nodes, a real pacman, and doubles of the others."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flocon.foreign.telling import own_id
from tests.interop_on_lan.foreigners import ForeignTestCase, Machine
from tests.interop_on_lan.responders import Avahi, lacking
from tests.lan.lan import MIRROR_ADDRESS, Node, hasty, wait_until
from tests.lan.repository import Package, install
from tests.needs import leave_out

#: Seconds that one who is silent may cost, and what a busy machine adds.
PATIENCE, BUSY = 0.5, 1.5


class Together(ForeignTestCase):
    """Two nodes, two machines with pacredir, one with pacserve, a proxy: each has its packages.

    And two more with either tool are dead.
    """

    def test_each_package_comes_from_who_has_it(self) -> None:
        packages = sorted(self.all_packages, key=lambda one: one.size)
        self.assertEqual(len(packages), 60)
        # The proxy, which has to fetch them first, has the small ones.
        fetched, held = packages[:12], packages[12:]
        self.sync(self.first, self.second)
        self.hold(self.first, held[0::4])
        red = self.machine("red", "pacredir", held[1::4])
        blue = self.machine("blue", "pacredir", held[2::4])
        serve = self.machine("serve", "pacserve", held[3::4], announces=True)
        # Two that are dead when they are asked, of which one has told what it has.
        black = self.machine("black", "pacredir", packages)
        ghost = self.machine("ghost", "pacserve", fetched, announces=True)
        settings: dict[str, object] = {
            "foreign": {"hosts": [red.address, f"{blue.address}:7078", black.address]},
            "parents": [self.proxy()],
        }
        _, node = self.start_nodes(self.first, self.second, settings=settings)
        self.wait_for_machines(node, red, blue, serve, black, ghost)
        black.freeze()
        ghost.kill()
        run = self.download(self.second, packages)
        self.assert_clean(run)
        self.assert_cached(self.second, packages)
        self.assert_signatures_cached(self.second, packages)
        self.assert_each_gave(red, held[1::4])
        self.assert_each_gave(blue, held[2::4])
        self.assert_each_gave(serve, held[3::4])
        self.assert_the_proxy_got(fetched)
        self.assert_nodes_were_asked_first(held[0::4], red, blue, serve)
        self.assert_told(node, red, packages, held[1::4])
        self.assert_looked_up_at_once(node)

    def proxy(self) -> str:
        """Start what answers as pacoloco on the third host; return its address as a parent."""
        place = f"{self.third.address}:9129"
        command = [sys.executable, "-m", "tests.parents.doubles", "pacoloco", place]
        command += [f"http://{MIRROR_ADDRESS}", str(self.third.folder / "pacoloco")]
        self.third.start(command, log=self.third.folder / "doubles.log")
        return f"http://{place}/repo/archlinux/$repo/os/$arch"

    def assert_the_proxy_got(self, packages: list[Package]) -> None:
        """Nobody but the proxy asked the mirror, and for nothing that is on the LAN."""
        asked = [one for one in self.mirror.packages() if ".sig" not in one.file_name]
        others = [one for one in asked if one.client != self.third.address]
        self.assertEqual(others, [])
        self.assertEqual({one.file_name for one in asked}, {one.file_name for one in packages})

    def assert_each_gave(self, machine: Machine, packages: list[Package]) -> None:
        self.assertEqual(set(machine.gave()), {one.file_name for one in packages})

    def assert_nodes_were_asked_first(self, held: list[Package], *machines: Machine) -> None:
        """Nobody else was asked for what a node holds."""
        names = {package.file_name for package in held}
        for machine in machines:
            asked = {str(one).rsplit("/", 1)[-1] for one in machine.questions()}
            self.assertEqual(asked & names, set(), machine.kind)

    def assert_told(
        self, node: Node, red: Machine, packages: list[Package], gave: list[Package]
    ) -> None:
        """Receipt, figures and what was asked lately say whence it came."""
        total = sum(package.size for package in packages)
        traffic = node.status()["traffic"]
        self.assertGreaterEqual(traffic["from_peers_bytes"], total)
        self.assert_took_nothing_of_mirrors(node)
        recent = json.loads(self.second.request("/recent.json").body)
        sources = {one["source"] for one in recent}
        self.assertIn(f"pacredir at {red.address}", sources)
        size = sum(package.size for package in gave)
        self.assertGreaterEqual(self.known(node)[red.address]["bytes"], size)
        wait_until(lambda: node.status()["receipts"], 20, "the receipt is written")
        [receipt] = node.status()["receipts"]
        self.assertEqual((receipt["lan_bytes"], receipt["wan_bytes"]), (total, 0))

    def assert_looked_up_at_once(self, node: Node) -> None:
        """Look-ups took less than a millisecond, but for those that the machine held up.

        One of some sixty is more than one of a hundred: that is ``tests.sources.test_look_ups``'s.
        """
        look_ups = self.look_ups(node)
        count = look_ups[-1][1]
        quick = max(number for bound, number in look_ups if bound <= 0.001)
        self.assertGreaterEqual(count, 60)
        self.assertGreaterEqual(quick, 0.9 * count, look_ups)


class Alone(ForeignTestCase):
    """One node, and other machines of which some are dead, late or lying."""

    def node(self, *machines: Machine, program: Sequence[str] = (), **settings: Any) -> Node:
        hosts = [f"{one.address}:{one.port}" for one in machines if one.kind == "pacredir"]
        told = {"foreign": {"hosts": hosts}, **settings}
        node = self.first.node(settings=told, program=program)
        self.wait_for_machines(node, *machines)
        return node

    def test_the_dead_cost_no_error_and_half_a_second_once(self) -> None:
        packages = self.few_packages
        self.sync(self.first)
        red = self.machine("red", "pacredir", packages[:4])
        blue = self.machine("blue", "pacredir", packages)
        serve = self.machine("serve", "pacserve", packages[4:8], announces=True)
        node = self.node(red, blue, serve)
        blue.freeze()
        serve.kill()
        run = self.download(self.first, packages)
        self.assert_clean(run)
        self.assert_cached(self.first, packages)
        self.assertEqual(set(red.gave()), {one.file_name for one in packages[:4]})
        self.assert_mirror_gave_once(packages[4:])
        self.assertEqual(self.known(node)[blue.address]["state"], "failing")
        recent = json.loads(self.first.request("/recent.json").body)
        slowest = max(one["seconds"] for one in recent if one["file"] in self.names(packages[4:]))
        self.assertLess(slowest, PATIENCE + BUSY)

    def names(self, packages: list[Package]) -> set[str]:
        return {package.file_name for package in packages}

    def test_who_lies_is_found_out_and_left_alone(self) -> None:
        packages = self.few_packages[:4]
        self.sync(self.first)
        red = self.machine("red", "pacredir", packages, "--fault", "wrong")
        node = self.node(red)
        run = self.download(self.first, packages)
        self.assert_clean(run)
        self.assert_cached(self.first, packages)
        self.assertNotEqual(red.gave(), [])
        known = self.known(node)[red.address]
        self.assertEqual(known["state"], "quarantine", known)
        self.assertIn("wrong bytes", known["why"])
        before = len(red.asked())
        self.assert_clean(self.download(self.first, self.few_packages[4:6]))
        self.assertEqual(len(red.asked()), before)

    def test_a_paclan_is_heard_and_gives_what_it_has(self) -> None:
        packages = self.few_packages[:3]
        self.sync(self.first)
        clan = self.machine("serve", "paclan", packages, announces=True)
        self.node(clan)
        self.assert_clean(self.download(self.first, packages))
        self.assert_cached(self.first, packages)
        self.assert_mirror_gave_no_packages()
        self.assertEqual(set(clan.gave()), self.names(packages))

    def test_what_is_fetched_ahead_comes_from_them_too(self) -> None:
        packages = self.few_packages[:2]
        before = [replace(one.recipe, version="0-1") for one in packages]
        install(self.first.database_path / "local", before)
        self.sync(self.first)
        red = self.machine("red", "pacredir", packages)
        self.node(red, program=hasty(self.first, 1.0), prefetch=True)
        self.wait_for_files(self.first.nodes[-1], len(packages))
        self.assert_mirror_gave_no_packages()
        self.assertEqual(set(red.gave()), self.names(packages))


class ByName(ForeignTestCase):
    """Nobody names anybody: pacredir's machine is announced by Avahi, as its package has it."""

    def setUp(self) -> None:
        super().setUp()
        leave_out(lacking())

    def test_who_is_announced_is_asked_until_it_says_goodbye(self) -> None:
        packages = self.few_packages[:2]
        self.sync(self.first)
        red = self.machine("red", "pacredir", packages)
        avahi = Avahi(red.host, "red")
        avahi.start()
        self.addCleanup(avahi.end)
        texts = ("arch=x86_64", f"id={own_id()}")
        service = avahi.publish("pacserve on red", "_pacserve._tcp", red.port, *texts)
        node = self.first.node(settings={"mdns": True})
        self.wait_for_machines(node, red)
        known = self.known(node)[red.address]
        self.assertEqual((known["found"], known["name"]), ("mdns", "pacserve on red"))
        self.assert_clean(self.download(self.first, packages))
        self.assert_cached(self.first, packages)
        self.assert_mirror_gave_no_packages()
        service.terminate()
        service.wait(5)
        wait_until(lambda: not self.known(node), 10, "the node has heard the goodbye")
