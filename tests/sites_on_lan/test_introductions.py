"""Ten thousand introductions by a neighbour that lies: bounded, and nothing leaves for outside."""

from __future__ import annotations

import sys
import time
from collections import Counter

from tests.sites_on_lan.case import SitesCase
from tests.sites_on_lan.forger import OUTSIDE, PRIVATE
from tests.sites_on_lan.watched import Watched, receiver

#: How many are introduced, and within how many seconds.
COUNT, SECONDS = 10_000, 8.0
#: Tries that a node makes for one teller: at once, and per second (``candidates``).
BURST, RATE = 32, 0.25


class IntroducedTests(SitesCase):
    def test_nothing_is_sent_outside_and_little_inside_and_all_goes_on(self) -> None:
        liar, victim = self.of_network(1)[1:3]
        hosts = [*self.of_network(1), self.of_network(2)[0]]
        self.sync(*hosts)
        nodes = self.start_all(hosts)
        self.until_known(nodes, 5)
        sent: Counter[str] = Counter()
        watched = Watched(victim, lambda packet: sent.update([receiver(packet)]))
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
        outside = [one for one in sent if one.startswith(OUTSIDE)]
        self.assertEqual(outside, [])
        inside = [one for one in sent if one.startswith(PRIVATE)]
        self.assertLessEqual(len(inside), BURST + RATE * passed + 1)
        self.assertGreater(len(inside), 5)
        # A connection that nobody answers is a packet, and another one a second later.
        self.assertLessEqual(max(sent[one] for one in inside), 8)
        names = {host.name for host in hosts} - {victim.name}
        self.assertEqual(set(nodes[2].peers()), names)
