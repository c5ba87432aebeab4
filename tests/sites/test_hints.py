"""Whom mDNS tells of, and where."""

from __future__ import annotations

from flocon.mdns.services import Found
from flocon.sites.hints import Hint, hints
from tests.sites.virtual_networks import PORT, NetworksTestCase, Node

NODE, EPOCH = "0123456789abcdef", "89abcdef"


def announced(*addresses: str, node: str = NODE, epoch: str = EPOCH) -> Found:
    texts = (f"node={node}", f"epoch={epoch}")
    return Found("flocon on ada", "ada-flocon.local", addresses, PORT, texts)


class Hints(NetworksTestCase):
    def test_each_address_without_a_zone_may_be_where_it_is(self) -> None:
        self.assertEqual(
            hints([announced("172.17.0.1", "10.9.0.1", "fe80::1%eth0")]),
            [Hint((one, PORT), NODE, EPOCH) for one in ("172.17.0.1", "10.9.0.1")],
        )

    def test_what_names_no_node_is_none(self) -> None:
        self.assertEqual(hints([announced("10.9.0.1", node="ada"), announced("10.9.0.1")])[1:], [])
        self.assertEqual(hints([announced("10.9.0.1", epoch="")]), [])

    def test_one_that_tells_the_bridge_of_its_containers_first_is_found(self) -> None:
        self.meshed(1, 1)
        far = self.networks.add(Node(2, 1))
        self.networks.start(far)
        self.networks.run(2)
        here = self.at(1, 1)
        for one, other in ((here, far), (far, here)):
            assert one.sites is not None
            told = announced("172.17.0.1", other.address, node=other.node, epoch=other.epoch)
            one.sites.hinted(self.networks.now, hints([told]))
        self.assert_within(8, self.networks.all_know_all)
