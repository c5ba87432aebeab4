"""Networks between which a router repeats mDNS, and nothing else: nobody is named anywhere."""

from __future__ import annotations

import subprocess
import sys

from tests.lan.lan import environment
from tests.sites_on_lan.case import SitesCase, until

#: Seconds until all know all: mDNS is given 5 s, since the own multicast is quicker where it works.
MEETING = 20.0


class ReflectedTests(SitesCase):
    def test_nodes_find_each_other_give_and_say_goodbye(self) -> None:
        near, far = self.of_network(1)[:2], self.of_network(2)[:2]
        hosts = [*near, *far]
        self.sync(*hosts)
        self.hold(far[0], self.packages[:5])
        self.reflect(1, 2)
        nodes = [host.start_node(settings={"mdns": True}) for host in hosts]
        for node in nodes:
            node.wait_ready(60)
        self.until_known(nodes, MEETING)
        self.mirror.reset()
        rush = self.rush(near, self.packages[:5])
        self.assert_all_got(near, rush, self.packages[:5])
        self.assert_mirror_gave_no_packages()
        nodes[2].stop()
        until(
            lambda: all(far[0].name not in node.peers() for node in nodes[:2]),
            10,
            "its goodbye is heard in the other network",
        )

    def reflect(self, *networks: int) -> None:
        """Have the router repeat mDNS between these networks."""
        legs = [f"leg{network}=10.77.{network}.254" for network in networks]
        program = [sys.executable, "-m", "tests.sites_on_lan.reflector", *legs]
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.sites.lan.router, *program],
            env=environment(),
            stdout=subprocess.PIPE,
        )

        def end() -> None:
            process.kill()
            process.wait(5)
            assert process.stdout is not None
            process.stdout.close()

        self.addCleanup(end)
        assert process.stdout is not None
        self.assertEqual(process.stdout.readline(), b"reflecting\n")
