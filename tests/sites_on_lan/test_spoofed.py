"""A machine that speaks from another address: whose that is, is told where it hears, even so."""

from __future__ import annotations

import sys
from collections import Counter

from tests.lan.lan import LAN_PORT, Host
from tests.sites_on_lan.case import SitesCase, until
from tests.sites_on_lan.test_sites import MEETING
from tests.sites_on_lan.watched import Watched, receiver, udp_port


class Sent(Watched):
    """Counts the UDP datagrams that a host sends to an address, by port."""

    def __init__(self, host: Host, address: str) -> None:
        self.ports: Counter[int] = Counter()
        self._address = address
        super().__init__(host, self._count)

    def _count(self, packet: bytes) -> None:
        port = udp_port(packet)
        if port is not None and receiver(packet) == self._address:
            self.ports[port] += 1


class SpoofedTests(SitesCase):
    def test_no_other_port_is_told_what_is_told_to_a_far_node(self) -> None:
        """The far one is named by nobody here, and met."""
        named, spoofer = self.of_network(2)[:2]
        far = self.of_network(1)[0]
        self.sync(named, far)
        sent = Sent(named, far.address)
        self.addCleanup(sent.end)
        nodes = [
            named.start_node(settings={"peers": {"networks": ["10.77.1.0/24"]}}, beat=1.0),
            spoofer.start_node(beat=1.0),
            far.start_node(settings={"peers": {"static": [named.address]}}, beat=1.0),
        ]
        for node in nodes:
            node.wait_ready()
        self.until_known(nodes, MEETING)
        log = spoofer.folder / "spoofer.log"
        begin = spoofer.folder / "begin"
        words = (spoofer.address, named.address, far.address, str(begin))
        spoofer.start([sys.executable, "-m", "tests.sites_on_lan.spoofer", *words], log=log)
        until(lambda: "heard" in log.read_text(), 10, "the spoofer has heard of the far one")
        # Where it is forgotten, whoever speaks first in its name has it known again.
        self.sites.lan.cut(1)
        until(lambda: far.name not in nodes[0].peers(), 15, "the far one is forgotten")
        begin.touch()
        self.sites.lan.mend(1)
        self.until_known(nodes, 15)
        before = sent.ports[LAN_PORT]
        until(lambda: sent.ports[LAN_PORT] > before, 5, "it is told where it hears")
        sent.ports.clear()
        until(lambda: sent.ports[LAN_PORT] > 1, 5, "and again")
        self.assertEqual(set(sent.ports), {LAN_PORT})
