"""Networks that multicast does not join, but one name of each: all of them are one LAN."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lan.lan import LAN_PORT
from tests.lan.test_one_crossing import ONCE
from tests.sites_on_lan.case import SitesCase, until

if TYPE_CHECKING:
    from tests.lan.lan import Node

#: Seconds within which all know all, from the moment when the last one was started.
MEETING = 5.0


class ThreeNetworksTests(SitesCase):
    """Eight machines in three networks, of which one each is named to the others."""

    def test_all_know_all_in_a_moment_and_a_package_crosses_the_wan_once_for_all(self) -> None:
        self.sync(*self.hosts)
        nodes = self.start_all()
        self.until_known(nodes, MEETING)
        self.mirror.reset()
        rush = self.rush(self.hosts, self.packages)
        self.assert_all_got(self.hosts, rush, self.packages)
        self.assert_crossed(self.packages, ONCE)

    def test_a_network_that_is_cut_off_goes_on_alone_and_is_one_of_them_again(self) -> None:
        hosts = [*self.of_network(1)[:2], *self.of_network(3)]
        self.sync(*hosts)
        nodes = self.start_all(hosts, beat=1.0)
        here, there = nodes[:2], nodes[2:]
        self.until_known(nodes, MEETING)
        self.sites.lan.cut(3)
        self.until_known(here, 10)
        self.until_known(there, 10)
        few = self.packages[:5]
        rush = self.rush([one.host for one in here], few)
        self.assert_all_got([one.host for one in here], rush, few)
        self.sites.lan.mend(3)
        self.until_known(nodes, 10)
        self.mirror.reset()
        late = self.rush([one.host for one in there], few)
        self.assert_all_got([one.host for one in there], late, few)
        self.assert_mirror_gave_no_packages()

    def test_without_far_owners_each_network_fetches_for_itself_and_none_waits(self) -> None:
        hosts = [*self.of_network(1)[:2], *self.of_network(3)]
        self.sync(*hosts)
        nodes = self.start_all(hosts, far="no owners")
        self.until_known(nodes, MEETING)
        path = f"/relay/steady/x86_64/{self.packages[0].file_name}"
        answers = [
            asker.request(path, address=asked.address, port=LAN_PORT).status
            for asker, asked in ((hosts[2], hosts[0]), (hosts[0], hosts[2]))
        ]
        self.assertEqual(answers, [503, 503])
        few = self.packages[::3]
        self.mirror.reset()
        rush = self.rush(hosts[:2], few)
        self.assert_all_got(hosts[:2], rush, few)
        # Half of them would be fetched by the other network, were it asked.
        clients = {one.client for one in self.mirror.packages()}
        self.assertEqual(clients, {one.address for one in hosts[:2]})
        # What is held is given all the same: once what came last was looked at, and told of.
        for node in nodes[:2]:
            self.wait_for_files(node, len(few))
        self.meet(*nodes)
        self.mirror.reset()
        late = self.rush(hosts[2:], few)
        self.assert_all_got(hosts[2:], late, few)
        self.assert_mirror_gave_no_packages()


class NobodyNamedTests(SitesCase):
    """The router forwards no multicast: without a name, networks are strangers."""

    def test_networks_of_which_nobody_is_named_know_nothing_of_each_other(self) -> None:
        near, far = self.of_network(1)[0], self.of_network(2)[0]
        nodes = [near.start_node(), far.start_node()]
        for node in nodes:
            node.wait_ready()
        # There is a way between them.
        near.connect(far.address, LAN_PORT).close()
        # A hello is said at the start, and again a second later.
        until(lambda: all(_uptime(node) > 2 for node in nodes), 5, "both have said hello twice")
        self.assertEqual([node.peers() for node in nodes], [{}, {}])


def _uptime(node: Node) -> float:
    return float(node.status()["uptime_seconds"])
