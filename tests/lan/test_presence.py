"""How nodes find each other where links have no IPv4, or more than one network of it."""

from __future__ import annotations

from tests.lan.case import LanTestCase
from tests.lan.lan import Host, Node, wait_until

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


def _link_local(host: Host) -> str:
    """Return the host's link-local address, or nothing while it is still being checked."""
    shown = host.ip("-6", "-o", "addr", "show", "dev", "eth0", "scope", "link", "-tentative")
    words = shown.split()
    return words[words.index("inet6") + 1].split("/")[0] if words else ""
