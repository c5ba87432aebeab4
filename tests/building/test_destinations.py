"""Where a job may connect to."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from flocon.building.destinations import Destinations

FAR = ("1.1.1.1", "140.82.121.3", "2606:4700::1111", "2a01:4f8::1")
NEAR = (
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "192.0.0.8",
    "198.18.0.1",
    "192.0.2.1",
    "224.0.0.251",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd12::1",
    "ff02::fb",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:192.168.1.1",
    "::192.168.1.1",
    "64:ff9b::192.168.1.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::c0a8:101",
    "64:ff9b:1:c0a8:1:100:808:808",
    "64:ff9b:1::808:808",
    "::ffff:0:7f00:1",
    "::ffff:0:c0a8:101",
    "2002:c0a8:101::1",
    "2002:7f00:1::",
    "not an address",
    "",
    "2130706433",
    "0177.0.0.1",
)


def _teredo(client: str) -> str:
    return str(IPv6Address((0x2001_0000 << 96) | (0xFFFF_FFFF ^ int(IPv4Address(client)))))


class DestinationsTests(SynchronousTestCase):
    """Without anything that an operator lets in, and with it."""

    def test_the_internet_may_be_asked(self) -> None:
        for address in FAR:
            with self.subTest(address=address):
                self.assertTrue(Destinations().permit(address, 443))

    def test_what_is_near_may_not(self) -> None:
        for address in (*NEAR, _teredo("192.168.1.1"), _teredo("127.0.0.1")):
            with self.subTest(address=address):
                self.assertFalse(Destinations().permit(address, 443))

    def test_the_networks_of_its_links_are_near_though_they_are_public(self) -> None:
        here = Destinations(near=[ip_network("203.113.0.0/24"), ip_network("2a01:4f8::/64")])
        for address in ("203.113.0.9", "::ffff:203.113.0.9", "2a01:4f8::9"):
            self.assertFalse(here.permit(address, 443))
        self.assertTrue(here.permit("203.113.1.9", 443))

    def test_other_networks_of_the_same_site_are_near(self) -> None:
        """Behind the same router, which lets them through: what it has of addresses is public."""
        for near in ("2a01:4f8::/64", "2a01:4f8:0:1::5/128", "2a01:4f8:0:ff00::/56"):
            here = Destinations(near=[ip_network(near)])
            for address in ("2a01:4f8::9", "2a01:4f8:0:1::9", "2a01:4f8:0:ffff::9"):
                self.assertFalse(here.permit(address, 443))
            self.assertTrue(here.permit("2a01:4f8:1::9", 443))
            named = Destinations([ip_network("2a01:4f8:0:7::/64")], near=[ip_network(near)])
            self.assertTrue(named.permit("2a01:4f8:0:7::9", 443))

    def test_ports_of_other_services_are_not_asked(self) -> None:
        asked = {
            port: Destinations().permit("1.1.1.1", port) for port in (22, 25, 53, 445, 0, 65_536)
        }
        self.assertFalse(any(asked.values()))
        self.assertTrue(Destinations().permit("1.1.1.1", 8_443))

    def test_an_operator_lets_a_network_in(self) -> None:
        here = Destinations([ip_network("10.0.0.0/8")], near=[ip_network("10.0.0.0/24")])
        self.assertTrue(here.permit("10.0.0.9", 21))
        self.assertTrue(here.permit("::ffff:10.0.0.9", 80))
        self.assertFalse(here.permit("192.168.1.1", 80))

    def test_this_machine_is_let_in_by_its_own_name_alone(self) -> None:
        own = [ip_address("10.0.0.5")]
        wide = Destinations([ip_network("10.0.0.0/8"), ip_network("0.0.0.0/0")], own=own)
        self.assertFalse(wide.permit("10.0.0.5", 80))
        self.assertFalse(wide.permit("127.0.0.1", 80))
        named = Destinations([ip_network("10.0.0.5/32"), ip_network("127.0.0.0/8")], own=own)
        self.assertTrue(named.permit("10.0.0.5", 80))
        self.assertTrue(named.permit("127.0.0.1", 80))

    @given(some.ip_addresses(v=4))
    def test_an_address_means_the_same_within_another(self, address: IPv4Address) -> None:
        here = Destinations()
        plain = here.permit(str(address), 443)
        number = int(address)
        for form in (
            IPv6Address((0xFFFF << 32) | number),
            IPv6Address((0x0064_FF9B << 96) | number),
            IPv6Address((0x2002 << 112) | (number << 80) | 1),
        ):
            self.assertEqual(here.permit(str(form), 443), plain)
