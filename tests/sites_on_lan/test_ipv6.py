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
    def test_nodes_that_are_named_by_ipv6_alone_are_one_lan(self) -> None:
        near, far = self.of_network(1)[0], self.of_network(2)[0]
        self.join_over_six(near, far)
        self.sync(near, far)
        few = self.packages[:5]
        self.hold(far, few)
        nodes = [
            one.start_node(settings={"peers": {"static": [f"[{over_six(other)}]:19432"]}})
            for one, other in ((near, far), (far, near))
        ]
        for node in nodes:
            node.wait_ready(60)
        self.until_known(nodes, MEETING)
        [known] = nodes[0].peers().values()
        self.assertEqual((known["address"], known["far"]), (over_six(far), True))
        self.mirror.reset()
        rush = self.rush([near], few)
        self.assert_all_got([near], rush, few)
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
