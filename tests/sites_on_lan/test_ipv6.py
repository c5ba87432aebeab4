"""Networks that only IPv6 joins, though each has IPv4 of its own."""

from __future__ import annotations

from tests.lan.lan import Host, run_command
from tests.sites_on_lan.case import SitesCase

MEETING = 10.0


def over_six(host: Host) -> str:
    """Return a host's IPv6 address: the last two parts are those of its IPv4 one."""
    network, number = host.address.split(".")[2:]
    return f"fd77:{network}::{number}"


class OverIpv6Tests(SitesCase):
    def test_one_that_is_named_by_ipv6_makes_two_networks_one_lan(self) -> None:
        """A second machine of each is named to nobody, and known in its network by IPv4."""
        near, far = self.of_network(1)[:2], self.of_network(2)[:2]
        hosts = [*near, *far]
        self.join_over_six(*hosts)
        self.sync(*hosts)
        few = self.packages[:5]
        self.hold(far[1], few)
        static = {near[0]: over_six(far[0]), far[0]: over_six(near[0])}
        nodes = []
        for host in hosts:
            named = [f"[{static[host]}]:19432"] if host in static else []
            nodes.append(host.start_node(settings={"peers": {"static": named}}))
        for node in nodes:
            node.wait_ready(60)
        self.until_known(nodes, MEETING)
        for node, others in ((nodes[1], far), (nodes[3], near)):
            known = node.peers()
            for other in others:
                one = known[other.name]
                self.assertEqual((one["address"], one["far"]), (over_six(other), True))
        self.mirror.reset()
        rush = self.rush(near, few)
        self.assert_all_got(near, rush, few)
        self.assert_mirror_gave_no_packages()

    def join_over_six(self, *hosts: Host) -> None:
        """Give hosts IPv6 of their networks, and take from them IPv4's way but for the mirror."""
        router = ("ip", "-n", self.sites.lan.router)
        forwards = "net.ipv6.conf.all.forwarding=1"
        run_command("ip", "netns", "exec", self.sites.lan.router, "sysctl", "-qw", forwards)
        for network in ("1", "2"):
            gate = (f"fd77:{network}::fe/64", "dev", f"leg{network}")
            run_command(*router, "-6", "addr", "add", *gate, "nodad")
            self.addCleanup(run_command, *router, "-6", "addr", "del", *gate)
        for host in hosts:
            network = host.address.split(".")[2]
            own = f"{over_six(host)}/64"
            host.ip("-6", "addr", "add", own, "dev", "eth0", "nodad")
            self.addCleanup(host.ip, "-6", "addr", "del", own, "dev", "eth0")
            host.ip("-6", "route", "add", "default", "via", f"fd77:{network}::fe")
            way = ("via", f"10.77.{network}.254")
            host.ip("route", "add", "10.77.0.0/24", *way)
            self.addCleanup(host.ip, "route", "del", "10.77.0.0/24", *way)
            host.ip("route", "del", "default")
            self.addCleanup(host.ip, "route", "add", "default", *way)
