"""Ten thousand introductions by a neighbour that lies: bounded, and nothing leaves for outside."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections import Counter

from tests.lan.lan import Host, in_namespace
from tests.sites_on_lan.case import SitesCase
from tests.sites_on_lan.forger import OUTSIDE, PRIVATE

_ETH_P_IP = 0x0800
#: How many are introduced, and within how many seconds.
COUNT, SECONDS = 10_000, 8.0
#: Tries that a node makes for one teller: at once, and per second (``candidates``).
BURST, RATE = 32, 0.25


class _Watched:
    """Counts the IPv4 packets that leave a host, by where they go."""

    def __init__(self, host: Host) -> None:
        self.sent: Counter[str] = Counter()
        self._socket = in_namespace(
            host.namespace,
            lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)),
        )
        self._socket.bind(("eth0", 3))
        self._socket.settimeout(0.2)
        self._ended = False
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended:
            try:
                data, (_, protocol, kind, *_) = self._socket.recvfrom(256)
            except TimeoutError:
                continue
            if kind == socket.PACKET_OUTGOING and protocol == _ETH_P_IP:
                self.sent[socket.inet_ntoa(data[30:34])] += 1

    def end(self) -> None:
        self._ended = True
        self._thread.join()
        self._socket.close()


class IntroducedTests(SitesCase):
    def test_nothing_is_sent_outside_and_little_inside_and_all_goes_on(self) -> None:
        liar, victim = self.of_network(1)[1:3]
        hosts = [*self.of_network(1), self.of_network(2)[0]]
        self.sync(*hosts)
        nodes = self.start_all(hosts)
        self.until_known(nodes, 5)
        watched = _Watched(victim)
        self.addCleanup(watched.end)
        began = time.monotonic()
        node = nodes[1].status()["node"]
        status, said = liar.run(
            [
                *(sys.executable, "-m", "tests.sites_on_lan.forger"),
                *(node, liar.address, str(COUNT), str(SECONDS)),
            ]
        )
        self.assertEqual((status, said), (0, ""))
        few = self.packages[:5]
        rush = self.rush([victim], few)
        self.assert_all_got([victim], rush, few)
        passed = time.monotonic() - began
        outside = [one for one in watched.sent if one.startswith(OUTSIDE)]
        self.assertEqual(outside, [])
        inside = [one for one in watched.sent if one.startswith(PRIVATE)]
        self.assertLessEqual(len(inside), BURST + RATE * passed + 1)
        self.assertGreater(len(inside), 5)
        # A connection that nobody answers is a packet, and another one a second later.
        self.assertLessEqual(max(watched.sent[one] for one in inside), 8)
        names = {host.name for host in hosts} - {victim.name}
        self.assertEqual(set(nodes[2].peers()), names)
