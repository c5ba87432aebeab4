"""mDNS beside the real ones: Avahi and systemd-resolved find nodes and are found, on one LAN."""

from __future__ import annotations

import itertools
import re
import signal
import sys
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tests.interop_on_lan.forged_mdns import flood
from tests.interop_on_lan.responders import Avahi, Resolved, lacking
from tests.lan.case import LanTestCase
from tests.lan.lan import (
    LAN_PORT,
    LOOPBACK_PORT,
    Host,
    Node,
    in_namespace,
    run_command,
    twistd,
    wait_until,
)
from tests.lan.repository import Package
from tests.needs import leave_out

SOON = 30.0
PACSERVE = "_pacserve._tcp"


class MdnsCase(LanTestCase):
    def setUp(self) -> None:
        super().setUp()
        leave_out(lacking())

    def start_node(self, host: Host, **settings: Any) -> Node:
        """Start a node that is to be known by mDNS, and return at once."""
        return host.start_node(settings={"mdns": True, **settings})

    def wait_announced(self, node: Node) -> None:
        node.wait_ready()
        wait_until(lambda: self.told(node)["announced"], SOON, f"{node.host.name} is announced")

    def told(self, node: Node) -> dict[str, Any]:
        told: dict[str, Any] = node.status()["mdns"]
        return told

    def avahi(self, host: Host, name: str) -> Avahi:
        responder = Avahi(host, name)
        responder.start()
        return responder

    def resolved(self, host: Host, name: str) -> Resolved:
        responder = Resolved(host, name)
        responder.start()
        return responder

    def pacserves(self, node: Node) -> dict[str, Any]:
        return {one["instance"]: one for one in self.told(node)["pacserves"]}


class AvahiTests(MdnsCase):
    def test_all_find_each_other_also_on_one_machine_and_hear_goodbyes(self) -> None:
        """On the third, a node, Avahi and a pacserve that it announces share UDP port 5353."""
        avahi = self.avahi(self.third, "grace")
        service = avahi.publish("pacserve on grace", PACSERVE, 7078, "id=arch", "arch=x86_64")
        nodes = [self.start_node(one) for one in (self.first, self.third)]
        for node in nodes:
            self.wait_announced(node)
        first, third = nodes
        wait_until(lambda: self.pacserves(first), SOON, "the node finds it")
        (found,) = self.pacserves(first).values()
        self.assertEqual(found["host"], "grace.local")
        self.assertEqual((found["addresses"][0], found["port"]), (self.third.address, 7078))
        self.assertEqual(sorted(found["texts"]), ["arch=x86_64", "id=arch"])
        wait_until(lambda: self.told(first)["nodes"], SOON, "the node beside Avahi is found")
        wait_until(lambda: self.told(third)["nodes"], SOON, "the node beside Avahi finds")
        self._assert_found(avahi, first)
        service.terminate()
        service.wait(5)
        wait_until(lambda: not self.pacserves(first), SOON, "its goodbye is heard")
        self.assertLess(first.stop(), 3.0)
        wait_until(lambda: not self._ours(avahi, "first"), SOON, "Avahi hears the goodbye")
        wait_until(lambda: not self.told(third)["nodes"], SOON, "so does the other node")

    def _assert_found(self, avahi: Avahi, node: Node) -> None:
        """Avahi resolves the node as pacredir needs it."""
        rows = wait_until(lambda: self._ours(avahi, "first"), SOON, "Avahi finds the node")
        host, address, port, texts = rows[0][6:10]
        self.assertEqual((host, address, port), ("first-flocon.local", self.first.address, "19432"))
        self.assertIn('"arch=x86_64"', texts)
        self.assertIn(f'"flocon={node.status()["node"]}"', texts)

    def _ours(self, avahi: Avahi, name: str) -> list[list[str]]:
        """Return what Avahi says of a node, by IPv4."""
        rows = [list(row) for row in avahi.browse(PACSERVE)]
        return [row for row in rows if row[2] == "IPv4" and row[6] == f"{name}-flocon.local"]


class ResolvedTests(MdnsCase):
    def test_pacredir_s_questions_find_the_node_and_its_server_is_found(self) -> None:
        self.sync(self.third, self.first)
        packages = self.few_packages
        self.hold(self.first, packages)
        resolved = self.resolved(self.third, "grace")
        self.assertIn(
            "/org/freedesktop", resolved.register("pacserve on %H", PACSERVE, 7078, "id=arch")
        )
        node = self.start_node(self.first)
        self.wait_announced(node)
        wait_until(lambda: self.pacserves(node), SOON, "the node finds it")
        (found,) = self.pacserves(node).values()
        self.assertEqual((found["instance"], found["port"]), ("pacserve on grace", 7078))
        self.assertEqual(found["addresses"][0], self.third.address)
        wait_until(lambda: self._is_listed(resolved), SOON, "resolved lists the node")
        service = resolved.service("flocon on first", PACSERVE)
        self.assertIn('19432 "first-flocon.local"', service)
        self.assertIn(" ".join(self.first.address.split(".")), service)
        self._take_by_redirector(node, packages)
        node.stop()
        wait_until(lambda: not self._is_listed(resolved), SOON, "the goodbye is heard")

    def _take_by_redirector(self, node: Node, packages: list[Package]) -> None:
        """Pacman on the third takes packages, as pacredir leads it where mDNS says they are."""
        self.wait_for_files(node, len(packages))
        ours = f"{self.first.address}:{LAN_PORT}"
        place = f"127.0.0.1:{LOOPBACK_PORT}"
        program = [sys.executable, "-m", "tests.foreign.doubles", "redirector", place]
        self.third.start([*program, "--peer", ours])
        wait_until(self._answers, SOON, "the redirector answers")
        self.assert_clean(self.download(self.third, packages))
        self.assert_cached(self.third, packages)
        self.assert_mirror_gave_no_packages()

    def _answers(self) -> bool:
        try:
            return self.third.request("/check", timeout=2).status == HTTPStatus.OK
        except OSError:
            return False

    def _is_listed(self, resolved: Resolved) -> bool:
        said = resolved.instances(PACSERVE)
        data = bytes(int(one) for one in re.findall(r"\b\d{1,3}\b", said) if int(one) < 256)
        return b"flocon on first" in data


class NodesTests(MdnsCase):
    def test_machines_of_one_name_get_names_of_their_own(self) -> None:
        """The first is there before; the others begin at the same time, and neither knows."""
        nodes = [self.start_node(self.first, name="twin")]
        self.wait_announced(nodes[0])
        nodes += [self.start_node(one, name="twin") for one in (self.second, self.third)]
        for node in nodes:
            node.wait_ready()
        wait_until(lambda: self._are_apart(nodes), SOON, "they have three names")
        self.assertEqual(self.told(nodes[0])["host"], "twin-flocon.local")

    def _are_apart(self, nodes: list[Node]) -> bool:
        told = [self.told(node) for node in nodes]
        hosts = {one["host"] for one in told if one["announced"]}
        return len(hosts) == 3 and all(len(one["nodes"]) == 2 for one in told)

    def test_links_and_settings_are_followed(self) -> None:
        first, second = self.start_node(self.first), self.start_node(self.second)
        self.wait_announced(first)
        wait_until(lambda: self.told(first)["nodes"], SOON, "the second is found")
        (found,) = self.told(first)["nodes"]
        self.assertIn(f"node={second.status()['node']}", found["texts"])
        self.second.unplug()
        wait_until(lambda: not self.told(second)["announced"], SOON, "it knows that it is alone")
        wait_until(lambda: not self.told(second)["nodes"], SOON, "nobody else is there")
        self.second.plug()
        wait_until(lambda: self.told(second)["nodes"], SOON, "it is back")
        self.wait_announced(second)
        # It gets its own address back with a link made anew.
        self.addCleanup(self.second.unplug)
        self.second.ip("addr", "del", f"{self.second.address}/24", "dev", "eth0")
        self.second.ip("addr", "add", "10.77.0.42/24", "dev", "eth0")
        wait_until(lambda: self._is_at(first, "10.77.0.42"), SOON, "its new address is known")
        config = next(self.second.folder.glob("flocon-*.toml"))
        config.write_text(config.read_text().replace("mdns = true", "mdns = false"))
        second.send(signal.SIGHUP)
        wait_until(lambda: second.status()["mdns"] is None, SOON, "it is announced no more")
        wait_until(lambda: not self.told(first)["nodes"], SOON, "its goodbye is heard")

    def _is_at(self, node: Node, address: str) -> bool:
        return any(one["addresses"][0] == address for one in self.told(node)["nodes"])


class SecondLinkTests(MdnsCase):
    def test_who_is_on_a_link_that_came_later_is_found(self) -> None:
        """It has announced itself there long before, and does so no more."""
        service = self.avahi(self._elsewhere(self.third), "grace")
        service.publish("pacserve on grace", PACSERVE, 7078, "id=arch", "arch=x86_64")
        node = self.start_node(self.first)
        self.wait_announced(node)
        bridge = self.first.lan.bridge
        peer = ("peer", "name", "eth1", "netns", self.first.namespace)
        run_command("ip", "-n", bridge, "link", "add", "p-eth1", "type", "veth", *peer)
        self.addCleanup(self.first.ip, "link", "del", "eth1")
        run_command("ip", "-n", bridge, "link", "set", "p-eth1", "master", "elsewhere", "up")
        self.first.ip("addr", "add", "10.78.0.1/24", "dev", "eth1")
        self.first.ip("link", "set", "eth1", "up")
        wait_until(lambda: self.pacserves(node), 10, "the node asks on its second link")
        (found,) = self.pacserves(node).values()
        self.assertEqual(found["addresses"], ["10.78.0.3"])

    def _elsewhere(self, host: Host) -> Host:
        """Have a host on a bridge of its own."""
        bridge, port = host.lan.bridge, f"p-{host.name}"
        run_command("ip", "-n", bridge, "link", "add", "elsewhere", "type", "bridge")
        self.addCleanup(run_command, "ip", "-n", bridge, "link", "del", "elsewhere")
        run_command("ip", "-n", bridge, "link", "set", "elsewhere", "up")
        run_command("ip", "-n", bridge, "link", "set", port, "master", "elsewhere")
        self.addCleanup(run_command, "ip", "-n", bridge, "link", "set", port, "master", "bridge")
        host.ip("addr", "del", f"{host.address}/24", "dev", "eth0")
        self.addCleanup(host.ip, "addr", "add", f"{host.address}/24", "dev", "eth0")
        host.ip("addr", "add", "10.78.0.3/24", "dev", "eth0")
        self.addCleanup(host.ip, "addr", "del", "10.78.0.3/24", "dev", "eth0")
        return host


class CostTests(MdnsCase):
    def test_at_rest_and_under_a_flood_it_takes_little(self) -> None:
        """The flood is of services without end, from 50 addresses of one machine."""
        # None has anything in common with another: what is its own is what it takes.
        plain = self.second.start_node(program=[twistd()])
        named = self.first.start_node(program=[twistd()], settings={"mdns": True})
        plain.wait_ready()
        self.wait_announced(named)
        self.assertGreater(self.told(named)["own_heard"], 0)
        more = _memory(named.pid) - _memory(plain.pid)
        self.assertLess(more, 6 << 20, f"{more / (1 << 20):.1f} MB more")
        # It asks who is there at its start, ever more seldom.
        time.sleep(4.0)
        rate = _wakeups(named.pid, plain.pid, seconds=7.0)
        self.assertLess(rate, 1.0, "wake-ups per second more")
        self._flood(named)

    def _flood(self, node: Node) -> None:
        before = _memory(node.pid)
        addresses = [f"10.77.0.{number}" for number in range(50, 100)]
        self.addCleanup(self.third.unplug)
        for address in addresses:
            self.third.ip("addr", "add", f"{address}/24", "dev", "eth0")
        numbers = itertools.count()

        def once_more() -> dict[str, Any] | None:
            # Of what comes while others have the processors the kernel keeps little.
            some = itertools.islice(numbers, 300)
            in_namespace(self.third.namespace, lambda: flood(addresses, some, pause=0.004))
            return self._resting(node)

        told = wait_until(once_more, SOON, "it stands still", every=3.0)
        self.assertIn("without end", told["why"])
        self.assertGreater(told["datagrams"]["limited"], 0)
        self.assertEqual((told["nodes"], told["pacserves"]), ([], []))
        more = _memory(node.pid) - before
        self.assertLess(more, 8 << 20, f"{more / (1 << 20):.1f} MB more")

    def _resting(self, node: Node) -> dict[str, Any] | None:
        told = self.told(node)
        return told if told["why"] else None


def _memory(pid: int) -> int:
    """Return the bytes that are a process's own."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(row.split()[1]) << 10 for row in rows if row.startswith("Private_"))


def _wakeups(one: int, other: int, *, seconds: float) -> float:
    """Return how often a second one process's threads wake up more than another's."""

    def switches(pid: int) -> int:
        files = [task / "status" for task in Path(f"/proc/{pid}/task").iterdir()]
        rows = [row for file in files for row in file.read_text().splitlines()]
        return sum(int(row.split()[1]) for row in rows if row.startswith("voluntary"))

    before = switches(one) - switches(other)
    time.sleep(seconds)
    return (switches(one) - switches(other) - before) / seconds
