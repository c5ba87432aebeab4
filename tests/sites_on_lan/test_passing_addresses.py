"""Networks that a router joins by IPv6, whose machines prefer passing addresses (RFC 8981)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lan.lan import run_command, wait_until
from tests.sites_on_lan.case import SitesCase
from tests.sites_on_lan.test_sites import MEETING

if TYPE_CHECKING:
    from tests.lan.lan import Host


class PassingAddressesTests(SitesCase):
    def test_who_is_named_by_a_lasting_address_is_known(self) -> None:
        hosts = [self.of_network(1)[0], self.of_network(2)[0]]
        for number, host in enumerate(hosts, 1):
            self._give_addresses(number, host)
        wait_until(lambda: all(map(self._is_ready, hosts)), 10, "both have two addresses")
        nodes = [
            host.start_node(settings={"peers": {"static": [other]}})
            for host, other in zip(hosts, ["fd77:2::1", "fd77:1::1"], strict=True)
        ]
        for node in nodes:
            node.wait_ready()
        self.until_known(nodes, MEETING)
        self.assertEqual({one["address"] for one in nodes[0].peers().values()}, {"fd77:2::1"})

    def _give_addresses(self, number: int, host: Host) -> None:
        router = self.sites.lan.router
        forward = "net.ipv6.conf.all.forwarding=1"
        run_command("ip", "netns", "exec", router, "sysctl", "-qw", forward)
        leg = (f"fd77:{number}::fe/64", "dev", f"leg{number}", "nodad")
        run_command("ip", "-n", router, "addr", "replace", *leg)
        prefer = "net.ipv6.conf.eth0.use_tempaddr=2"
        run_command("ip", "netns", "exec", host.namespace, "sysctl", "-qw", prefer)
        host.ip("addr", "add", f"fd77:{number}::1/64", "dev", "eth0", "nodad", "mngtmpaddr")
        host.ip("-6", "route", "replace", "default", "via", f"fd77:{number}::fe")
        self.addCleanup(host.ip, "-6", "addr", "flush", "dev", "eth0", "scope", "global")

    def _is_ready(self, host: Host) -> bool:
        shown = host.ip("-6", "addr", "show", "dev", "eth0", "scope", "global", "temporary")
        return "fd77" in shown and "tentative" not in shown
