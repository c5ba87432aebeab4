"""Which addresses a link reaches."""

from __future__ import annotations

from ipaddress import ip_interface

from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.links import Link

CABLE = Link(
    "eth0",
    2,
    (
        ip_interface("192.168.1.5/24"),
        ip_interface("10.0.0.5/8"),
        ip_interface("fe80::5/64"),
        ip_interface("fd00:1::5/64"),
    ),
)


class LinkTests(SynchronousTestCase):
    def test_reaches_the_networks_of_its_addresses(self) -> None:
        for near in ("192.168.1.77", "10.200.0.1", "fd00:1::77", "192.168.1.5"):
            self.assertTrue(CABLE.reaches(near), near)
        for far in ("192.168.2.77", "8.8.8.8", "fd00:2::77", "127.0.0.1", "::1"):
            self.assertFalse(CABLE.reaches(far), far)

    def test_a_link_local_address_is_of_the_link_it_names(self) -> None:
        self.assertTrue(CABLE.reaches("fe80::77%eth0"))
        self.assertTrue(CABLE.reaches("fe80::77%2"))
        self.assertFalse(CABLE.reaches("fe80::77%wlan0"))
        self.assertFalse(CABLE.reaches("fe80::77"))

    def test_a_link_without_ipv6_reaches_no_link_local_address(self) -> None:
        old = Link("eth0", 2, CABLE.of_family(4))
        self.assertFalse(old.reaches("fe80::77%eth0"))

    def test_what_is_no_address_is_not_reached(self) -> None:
        for text in ("", "x", "1.2.3", "1.2.3.4%eth0", ":::", "192.168.1.5/24"):
            self.assertFalse(CABLE.reaches(text), text)

    def test_addresses_are_told_by_family(self) -> None:
        self.assertEqual([one.version for one in CABLE.of_family(4)], [4, 4])
        self.assertEqual([one.version for one in CABLE.of_family(6)], [6, 6])
