"""How file descriptors are shared out, and who is let in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.shares import (
    ENOUGH,
    LAN_COST,
    LOOPBACK_COST,
    MIRROR_COST,
    MOST_LAN,
    MOST_LOOPBACK,
    OWN,
    Crowd,
    network_of,
    share_out,
)

#: What is needed for the least of everything.
LEAST = 256


class Sharing(SynchronousTestCase):
    @given(st.integers(LEAST, 1 << 20))
    def test_all_shares_together_fit_in(self, descriptors: int) -> None:
        shares = share_out(descriptors)
        taken = OWN + shares.lan * LAN_COST + shares.loopback * LOOPBACK_COST
        self.assertLessEqual(taken, descriptors)

    @given(st.integers(LEAST, 1 << 20), st.integers(1, 3))
    def test_also_where_faces_are_in_other_tools_places(self, descriptors: int, count: int) -> None:
        shares = share_out(descriptors, standins=count)
        taken = OWN + shares.lan * LAN_COST + shares.loopback * LOOPBACK_COST
        self.assertLessEqual(taken + count * shares.standin * LAN_COST, descriptors)
        self.assertGreaterEqual(min(shares.standin, shares.lan), 4)
        self.assertEqual(share_out(descriptors).standin, 0)

    @given(st.integers(LEAST, 1 << 20))
    def test_also_where_there_are_clients_of_a_mirror(self, descriptors: int) -> None:
        shares = share_out(descriptors, mirror=True)
        taken = OWN + shares.lan * LAN_COST + shares.loopback * LOOPBACK_COST
        self.assertLessEqual(taken + shares.mirror * MIRROR_COST, descriptors)
        self.assertGreaterEqual(min(shares.mirror, shares.mirror_per_address), 4)
        self.assertEqual(share_out(descriptors).mirror, 0)

    def test_hundreds_of_clients_have_room_with_enough(self) -> None:
        shares = share_out(ENOUGH, mirror=True)
        self.assertGreaterEqual(shares.mirror, 300 * 5)
        self.assertEqual(shares.mirror_per_address, 64)
        self.assertGreaterEqual(shares.lan, 500)

    @given(st.integers(0, 1 << 20))
    def test_nobody_has_all(self, descriptors: int) -> None:
        shares = share_out(descriptors)
        self.assertGreaterEqual(shares.loopback_per_user, 4)
        self.assertLess(shares.loopback_per_user, shares.loopback)
        self.assertLessEqual(shares.lan_per_address, max(4, shares.lan // 4))
        self.assertGreaterEqual(shares.lan_per_address, 4)

    def test_with_enough_every_bound_is_as_high_as_it_gets(self) -> None:
        for descriptors in (ENOUGH, 1 << 20):
            shares = share_out(descriptors)
            self.assertEqual((shares.lan, shares.loopback), (MOST_LAN, MOST_LOOPBACK))
            self.assertEqual((shares.lan_per_address, shares.loopback_per_user), (32, 256))

    def test_a_node_started_by_hand_has_room_for_many_pacmans(self) -> None:
        shares = share_out(1_024)
        self.assertGreaterEqual(shares.loopback, 64)
        self.assertGreaterEqual(shares.lan, 256)


class Crowds(SynchronousTestCase):
    def fill(self, crowd: Crowd, address: str) -> int:
        count = 0
        while not crowd.is_full() and crowd.has_room_for(address):
            crowd.enter(address)
            count += 1
        return count

    def test_a_proxy_of_this_machine_has_no_bound_but_that_of_all(self) -> None:
        crowd = Crowd(9, 2, 2, {"::1"})
        self.assertEqual(self.fill(crowd, "::2"), 2)
        self.assertEqual(self.fill(crowd, "::1"), 7)

    def test_one_address_has_its_bound_and_all_have_theirs(self) -> None:
        crowd = Crowd(10, 4)
        self.assertEqual([self.fill(crowd, f"10.0.0.{at}") for at in range(4)], [4, 4, 2, 0])
        self.assertTrue(crowd.is_full())
        crowd.leave("10.0.0.0")
        self.assertFalse(crowd.is_full())
        self.assertEqual(self.fill(crowd, "10.0.0.9"), 1)

    def test_addresses_of_one_ipv6_network_have_a_bound_together(self) -> None:
        crowd = Crowd(10, 2, 5)
        taken = [self.fill(crowd, f"2001:db8::{at:x}") for at in range(1, 9)]
        self.assertEqual(taken, [2, 2, 1, 0, 0, 0, 0, 0])
        self.assertEqual(self.fill(crowd, "2001:db8:0:1::1"), 2)
        self.assertEqual(self.fill(crowd, "10.0.0.1"), 2)

    def test_who_left_is_not_remembered(self) -> None:
        crowd = Crowd(10, 2, 5)
        for _ in range(3):
            self.fill(crowd, "fe80::1%eth0")
            crowd.leave("fe80::1%eth0")
            crowd.leave("fe80::1%eth0")
        self.assertEqual((crowd._addresses, crowd._networks), ({}, {}))

    def test_the_network_of_an_address(self) -> None:
        for address, network in {
            "10.0.0.1": "",
            "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
            "fe80::1%eth0": "fe80::/64%eth0",
            "": "",
            "no:address": "",
        }.items():
            self.assertEqual(network_of(address), network)


class Unhurried(SynchronousTestCase):
    def test_who_waits_keeps_most_of_what_there_is_however_little(self) -> None:
        for descriptors in (64, 256, 1024, ENOUGH):
            shares = share_out(descriptors)
            crowd = shares.unhurried()
            for number in range(shares.lan):
                if crowd.has_room_for("10.0.0.1") and not crowd.is_full():
                    crowd.enter("10.0.0.1")
                address = f"10.1.{number // 250}.{number % 250}"
                if not crowd.is_full():
                    crowd.enter(address)
            self.assertTrue(crowd.is_full())
            self.assertLessEqual(crowd.most, max(1, shares.lan // 4))

    def test_one_address_has_as_many_as_a_node_fetches_at_once(self) -> None:
        crowd = share_out(ENOUGH).unhurried()
        for _ in range(8):
            self.assertTrue(crowd.has_room_for("10.0.0.1"))
            crowd.enter("10.0.0.1")
        self.assertFalse(crowd.has_room_for("10.0.0.1"))
