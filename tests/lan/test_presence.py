"""How nodes find each other where links have no IPv4, or more than one network of it."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from dataclasses import replace

from flocon.answering.json_answers import MOST_KEPT
from flocon.datagrams.messages import LARGEST_NUMBER, Announcement, Kind, decode, encode
from tests.lan.case import LanTestCase
from tests.lan.faults import GROUP
from tests.lan.lan import LAN_PORT, Host, Node, in_namespace, wait_until
from tests.lan.repository import Package

#: Longer than any test runs: what happens within it, a beat did not do.
NO_BEAT = 600.0


class Ipv6OnlyTests(LanTestCase):
    """Hosts that have nothing but link-local addresses."""

    def test_nodes_know_each_other_by_the_link_local_address_and_its_link(self) -> None:
        hosts = (self.first, self.second, self.third)
        for host in hosts:
            self._drop_ipv4(host)
        nodes = self.start_nodes(*hosts, beat=NO_BEAT)
        for node in nodes:
            found = {name: peer["address"] for name, peer in node.peers().items()}
            others = {host for host in hosts if host is not node.host}
            self.assertEqual(found, {host.name: f"{_link_local(host)}%eth0" for host in others})

    def test_a_stopped_node_is_gone_at_once_and_known_again_when_it_returns(self) -> None:
        for host in (self.first, self.second):
            self._drop_ipv4(host)
        first, second = self.start_nodes(self.first, self.second, beat=NO_BEAT)
        second.stop()
        wait_until(lambda: not first.peers(), 1, "its peer forgets it")
        self.second.node(beat=NO_BEAT)
        wait_until(lambda: "second" in first.peers(), 2, "it is known again")

    def test_a_package_comes_from_the_peer(self) -> None:
        packages = self.few_packages
        self.sync(self.first, self.second)
        self.hold(self.first, packages)
        for host in (self.first, self.second):
            self._drop_ipv4(host)
        _, second = self.start_nodes(self.first, self.second)
        run = self.download(self.second, packages)
        self.assert_clean(run)
        self.assert_cached(self.second, packages)
        self.assert_mirror_gave_no_packages()
        traffic = second.status()["traffic"]
        self.assertEqual(traffic["from_peers_bytes"], sum(one.size for one in packages))

    def _drop_ipv4(self, host: Host) -> None:
        # What plugs it in again for the next test gives it its address back.
        self.addCleanup(host.unplug)
        host.ip("-4", "addr", "flush", "dev", "eth0")
        wait_until(lambda: _link_local(host), 5, f"{host.name} has a link-local address")


class NetworksTests(LanTestCase):
    """One link that carries two IPv4 networks."""

    def test_each_network_hears_a_node_by_its_address_there(self) -> None:
        self.addCleanup(self.first.unplug)
        self.first.ip("addr", "add", "10.78.0.1/24", "dev", "eth0")
        self.addCleanup(self.third.unplug)
        self.third.ip("-4", "addr", "flush", "dev", "eth0")
        self.third.ip("addr", "add", "10.78.0.3/24", "dev", "eth0")
        first, second, third = self.start_nodes(self.first, self.second, self.third, beat=NO_BEAT)
        expected = (
            (second, "first", "10.77.0.1"),
            (third, "first", "10.78.0.1"),
            (first, "second", "10.77.0.2"),
            (first, "third", "10.78.0.3"),
        )
        for node, name, address in expected:
            self._assert_known_at(node, name, address)

    def _assert_known_at(self, node: Node, name: str, address: str) -> None:
        def known_at() -> bool:
            return bool(node.peers().get(name, {}).get("address") == address)

        wait_until(known_at, 2, f"{name} is {address} to {node.host.name}")


class MovedTests(LanTestCase):
    """A machine gets another address, as DHCP gives it, or has another one's id."""

    #: Seconds within which a peer is asked where it is now.
    FOUND = 3.0

    def setUp(self) -> None:
        super().setUp()
        # Another machine has had these addresses, in another test.
        self.first.ip("neigh", "flush", "all")
        # Only the peer has them: what it does not give, nobody does.
        self.packages = self.few_packages
        self.sync(self.first, self.second)
        self.hold(self.second, self.packages)
        self.nodes = self.start_nodes(self.first, self.second, beat=NO_BEAT)
        self.addCleanup(self.second.unplug)
        self.mirror.stop()

    def move(self, address: str, before: str = "10.77.0.2") -> None:
        # The old one first: the kernel takes those of its network with it.
        self.second.ip("addr", "del", f"{before}/24", "dev", "eth0")
        self.second.ip("addr", "add", f"{address}/24", "dev", "eth0")

    def link_local(self) -> str:
        """Return the peer's link-local address, once the kernel has found it to be its own."""
        return wait_until(lambda: _link_local(self.second), 10, "it has a link-local address")

    def wait_at(self, *addresses: str) -> None:
        """Wait until the peer is asked at one of the addresses that it has."""

        def is_there() -> bool:
            return bool(self.nodes[0].peers().get("second", {}).get("address") in addresses)

        # What a node says of itself may be so old.
        wait_until(is_there, self.FOUND + MOST_KEPT, f"it is asked at {' or '.join(addresses)}")

    def assert_given(self, packages: list[Package], within: float) -> None:
        run = self.download(self.first, packages)
        self.assert_clean(run)
        self.assertLess(run.seconds, within)

    def test_who_has_another_address_is_asked_there_within_three_seconds(self) -> None:
        self.move("10.77.0.22")
        self.wait_at("10.77.0.22")
        self.assert_given(self.packages, self.FOUND)

    def test_what_it_alone_holds_comes_at_once(self) -> None:
        for package in self.packages[:2]:
            # So that a connection to its old address is kept.
            usual = self.download(self.first, [package])
            self.assert_clean(usual)
        self.move("10.77.0.22")
        self.assert_given(self.packages[2:], usual.seconds + self.FOUND)

    def test_there_and_back_it_is_found_each_time(self) -> None:
        self.move("10.77.0.22")
        self.wait_at("10.77.0.22")
        self.move("10.77.0.2", before="10.77.0.22")
        self.assert_given(self.packages[:3], 2 * self.FOUND)
        # Meanwhile it may have been asked at the one that stayed.
        self.wait_at("10.77.0.2", f"{self.link_local()}%eth0")
        self.assert_given(self.packages[3:], self.FOUND)

    def test_there_and_back_while_nobody_looks(self) -> None:
        self.move("10.77.0.22")
        time.sleep(0.5)
        self.move("10.77.0.2", before="10.77.0.22")
        self.wait_at("10.77.0.2")
        self.assert_given(self.packages, self.FOUND)

    def test_one_that_keeps_its_link_local_address_alone_is_asked_there(self) -> None:
        self.second.ip("-4", "addr", "flush", "dev", "eth0")
        self.wait_at(f"{self.link_local()}%eth0")
        self.assert_given(self.packages, self.FOUND)

    def test_so_is_one_that_never_had_another(self) -> None:
        for host in (self.first, self.second):
            host.ip("-4", "addr", "flush", "dev", "eth0")
        self.addCleanup(self.first.unplug)
        old = self.link_local()
        self.wait_at(f"{old}%eth0")
        self.second.ip("addr", "del", f"{old}/64", "dev", "eth0")
        self.second.ip("addr", "add", "fe80::22/64", "dev", "eth0", "nodad")
        self.wait_at("fe80::22%eth0")
        self.assert_given(self.packages, self.FOUND)

    def test_one_whose_link_comes_back_with_another_address(self) -> None:
        self.second.link("down")
        time.sleep(1)
        self.move("10.77.0.22")
        self.second.link("up")
        self.wait_at("10.77.0.22")
        self.assert_given(self.packages, self.FOUND)

    def test_what_it_was_sending_when_it_moved_is_finished(self) -> None:
        large = max(self.packages, key=lambda one: one.size)
        self.second.limit("2mbit")
        moving = threading.Timer(1.0, self.move, ["10.77.0.22"])
        moving.start()
        self.addCleanup(moving.join)
        usual = large.size / 0.25e6
        self.assert_given([large], usual + 2 * self.FOUND)
        self.wait_at("10.77.0.22")

    def test_it_gets_what_others_hold_as_soon(self) -> None:
        self.hold(self.first, self.packages)
        for package in self.packages:
            (self.second.cache / package.file_name).unlink()
            (self.second.cache / package.signature.name).unlink()
        self.meet_again(len(self.packages))
        first_one, *others = self.packages
        usual = self.download(self.second, [first_one])
        self.assert_clean(usual)
        self.move("10.77.0.22")
        time.sleep(1)
        run = self.download(self.second, others)
        self.assert_clean(run)
        self.assertLess(run.seconds, usual.seconds + self.FOUND)

    def meet_again(self, count: int) -> None:
        def knows() -> bool:
            return bool(self.nodes[1].peers().get("first", {}).get("files_known") == count)

        wait_until(knows, 10, "what the first one holds is known")


class TwinTests(LanTestCase):
    """A machine has another one's id."""

    def test_of_two_with_one_id_one_takes_another(self) -> None:
        for host in (self.first, self.second):
            host.store.mkdir(parents=True, exist_ok=True)
            (host.store / "node").write_text("ab" * 16 + "\n")
        nodes = [
            host.node(settings={"name": "arch"}, beat=1.0) for host in (self.first, self.second)
        ]
        wait_until(lambda: all(node.peers() for node in nodes), 20, "they know each other")
        namesakes = [node.status()["namesake"] for node in nodes]
        self.assertEqual([one["renamed"] for one in namesakes if one].count(True), 1)
        self.assertNotEqual(*(node.status()["node"] for node in nodes))


class StrangerTests(LanTestCase):
    """The third host sends datagrams that are not true."""

    def test_nobody_has_a_third_machine_connected_to_often(self) -> None:
        first, second = self.start_nodes(self.first, self.second)

        def flood() -> int:
            with socket.create_server(("10.77.0.3", 9100)) as printer:
                printer.setblocking(False)
                dice = random.Random(0)
                for number in range(232):
                    said = _announcement(f"{dice.getrandbits(64):016x}", port=9100)
                    _say(said, "10.77.0.3")
                    if number % 2:
                        _say(replace(said, kind=Kind.BYE, sequence=2), "10.77.0.3")
                    time.sleep(0.05)
                time.sleep(8)
                connections = 0
                with contextlib.suppress(BlockingIOError):
                    while True:
                        printer.accept()[0].close()
                        connections += 1
                return connections

        connections = in_namespace(self.third.namespace, flood)
        # At once, and after a quarter of a minute.
        self.assertTrue(1 <= connections <= 2 * 2, connections)
        self.assertIn("second", first.peers())
        self.assertIn("first", second.peers())

    def test_numbers_byes_and_epochs_in_its_name_make_nobody_gone(self) -> None:
        first, second = self.start_nodes(self.first, self.second, beat=1.0)
        node = second.status()["node"]

        def forge() -> None:
            said = _overheard(node)
            for ahead in (1, 2):
                _say(replace(said, sequence=LARGEST_NUMBER - ahead), "10.77.0.2")
            _say(replace(said, epoch="feedbeef", sequence=1), "10.77.0.2")
            _say(replace(said, kind=Kind.BYE, sequence=said.sequence + 9), "10.77.0.2")
            _say(replace(said, port=9100, sequence=said.sequence + 10), "10.77.0.2")

        in_namespace(self.third.namespace, forge)
        time.sleep(4)
        for _ in range(10):
            self.assertEqual(first.peers()["second"]["address"], "10.77.0.2")
            self.assertEqual(first.peers()["second"]["port"], LAN_PORT)
            time.sleep(0.3)
        self.assertGreaterEqual(first.status()["dropped_datagrams"]["leapt"], 2)


#: <linux/in.h>: send from an address that is another's.
_IP_TRANSPARENT = 19


def _announcement(node: str, port: int) -> Announcement:
    return Announcement(
        Kind.HELLO, node, node[:8], 1, "x", port, "arch", ("x86_64",), 3_600.0, 5, 5
    )


def _say(said: Announcement, source: str) -> None:
    """Send to the group from ``source``, whoever has that address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        sending.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
        sending.bind((source, 0))
        link = struct.pack("@4s4si", bytes(4), bytes(4), socket.if_nametoindex("eth0"))
        sending.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, link)
        sending.sendto(encode(said), (GROUP, LAN_PORT))


def _overheard(node: str) -> Announcement:
    """Return what a node says next."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hearing:
        hearing.bind((GROUP, LAN_PORT))
        link = struct.pack(
            "@4s4si", socket.inet_aton(GROUP), bytes(4), socket.if_nametoindex("eth0")
        )
        hearing.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, link)
        hearing.settimeout(10)
        while True:
            said = decode(hearing.recv(2_048))
            if said.node == node:
                return said


def _link_local(host: Host) -> str:
    """Return the host's link-local address, or nothing while it is still being checked."""
    shown = host.ip("-6", "-o", "addr", "show", "dev", "eth0", "scope", "link", "-tentative")
    words = shown.split()
    return words[words.index("inet6") + 1].split("/")[0] if words else ""
