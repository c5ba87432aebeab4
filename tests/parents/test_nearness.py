"""Which addresses are the LAN's: what decides whether a server can be a parent at all."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.links import Link
from flocon.parents.nearness import is_near

LINK = Link("eth0", 2, (IPv4Interface("203.0.113.7/24"), IPv6Interface("2001:db8:1::7/64")))


class Nearness(SynchronousTestCase):
    def near(self, address: str) -> bool:
        return is_near(address, (), ())

    def test_private_addresses_and_this_machines_own_are(self) -> None:
        for address in (
            *("10.1.2.3", "172.16.0.1", "192.168.1.9", "169.254.3.4", "127.0.0.1"),
            *("fd00::5", "fe80::1%eth0", "::1", "::ffff:192.168.1.9"),
        ):
            self.assertTrue(self.near(address), address)

    def test_those_of_the_internet_and_no_addresses_are_not(self) -> None:
        for address in (
            *("1.1.1.1", "172.32.0.1", "100.64.0.1", "203.0.113.7", "2001:db8:1::7"),
            *("::ffff:1.1.1.1", "224.0.0.1", "ff02::1", "0.0.0.0", "::", "nas", ""),
        ):
            self.assertFalse(self.near(address), address)

    def test_those_of_this_machines_links_are_whatever_they_are(self) -> None:
        for address in ("203.0.113.9", "2001:db8:1::9"):
            self.assertTrue(is_near(address, (LINK,), ()))
        self.assertFalse(is_near("203.0.112.9", (LINK,), ()))

    def test_those_of_networks_that_the_operator_names_are(self) -> None:
        self.assertTrue(is_near("100.64.0.1", (), (ip_network("100.64.0.0/10"),)))

    @given(st.ip_addresses())
    def test_without_links_none_that_the_internet_routes_is(
        self, address: IPv4Address | IPv6Address
    ) -> None:
        mapped = getattr(address, "ipv4_mapped", None) or address
        if mapped.is_global:
            self.assertFalse(self.near(str(address)))
