"""A far node that gets another address, as at the end of a lease."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from tests.lan.lan import LAN_PORT
from tests.sites_on_lan.case import SitesCase, until
from tests.sites_on_lan.routed import RoutedHost
from tests.sites_on_lan.test_sites import MEETING

if TYPE_CHECKING:
    from tests.lan.lan import Host, Node

#: Seconds within which one that has moved is known where it is now; the next beat is 30 s away.
MOVING = 6.0
#: Seconds for which somebody lies: after half of three beats an address may count as left.
LYING = 55.0


class MovingTests(SitesCase):
    """Two networks of two machines: in the second one, one that greets, and its neighbour."""

    def setUp(self) -> None:
        super().setUp()
        self.others = self.of_network(1)[:2]
        self.greeter, self.neighbour = self.of_network(2)[:2]
        permitted = {"networks": ["10.77.0.0/16"]}
        greeting = {**permitted, "static": [self.others[0].address]}
        self.nodes = [
            self.others[0].start_node(settings={"peers": permitted}),
            self.others[1].start_node(),
            self.greeter.start_node(settings={"peers": greeting}),
            self.neighbour.start_node(),
        ]
        for node in self.nodes:
            node.wait_ready()
        self.until_known(self.nodes, MEETING)

    def move(self, host: Host, address: str) -> None:
        assert isinstance(host, RoutedHost)
        self.addCleanup(host.renumber, host.address)
        host.renumber(address)

    def assert_known_at(self, host: Host, address: str, nodes: list[Node]) -> None:
        took = until(
            lambda: all(one.peers()[host.name]["address"] == address for one in nodes),
            4 * MOVING,
            f"{host.name} is known at {address}",
        )
        self.assertLess(took, MOVING)

    def test_one_that_greets_and_one_it_introduces_are_soon_known_where_they_are(self) -> None:
        for number, host in enumerate((self.greeter, self.neighbour), 77):
            address = f"10.77.2.{number}"
            self.move(host, address)
            self.assert_known_at(host, address, self.nodes[:2])

    def test_who_says_that_it_has_moved_there_and_answers_as_it_takes_nobody_away(self) -> None:
        liar = self.of_network(3)[0]
        target = self.neighbour
        answer = self.greeter.request("/inventory", address=target.address, port=LAN_PORT)
        epoch = answer.body.split()[2].decode()
        node = self.nodes[0].peers()[target.name]["node"]
        log = liar.folder / "double.log"
        words = (liar.address, self.others[0].address, node, epoch)
        liar.start([sys.executable, "-m", "tests.sites_on_lan.double", *words], log=log)
        until(lambda: log.read_text().count("asked") > 1, 10, "the liar is asked, and answers")
        end = time.monotonic() + LYING
        while time.monotonic() < end:
            known = [one.peers()[target.name]["address"] for one in self.nodes[:2]]
            self.assertEqual(known, [target.address] * 2)
            time.sleep(0.5)
        # Nor is it kept where it was, or led away, once it has really moved.
        self.move(target, "10.77.2.99")
        self.assert_known_at(target, "10.77.2.99", self.nodes[:2])
