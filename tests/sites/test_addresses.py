"""Which addresses may be asked because somebody told of them."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.links import Link
from flocon.sites.addresses import PRIVATE, Permitted, told_addresses

LINKS = (Link("eth0", 2, (ip_interface("10.7.1.5/24"), ip_interface("fd07::5/64"))),)


class PermittedTests(SynchronousTestCase):
    def allowed(self, *addresses: str, networks: tuple[str, ...] = ()) -> list[str]:
        permitted = Permitted(tuple(map(ip_network, networks)), LINKS)
        return [one for one in addresses if permitted.allows(one)]

    def test_private_addresses_of_other_networks_are(self) -> None:
        private = ["10.8.0.1", "172.16.0.9", "192.168.1.1", "fd00::7", "10.7.2.5"]
        self.assertEqual(self.allowed(*private), private)

    def test_others_are_where_the_operator_names_their_network(self) -> None:
        self.assertEqual(self.allowed("198.51.100.7", "2001:db8::7"), [])
        named = ("198.51.100.0/24", "2001:db8::/32")
        self.assertEqual(
            self.allowed("198.51.100.7", "2001:db8::7", networks=named),
            ["198.51.100.7", "2001:db8::7"],
        )

    def test_the_ends_of_a_named_network_are_no_machine(self) -> None:
        named = ("198.51.100.0/24",)
        self.assertEqual(self.allowed("198.51.100.0", "198.51.100.255", networks=named), [])

    def test_an_address_on_a_link_and_an_own_one_are_not(self) -> None:
        self.assertEqual(self.allowed("10.7.1.5", "10.7.1.77", "10.7.1.255", "fd07::9"), [])

    def test_one_of_ipv4_that_is_wrapped_is_nowhere(self) -> None:
        wrapped = ["::ffff:10.7.1.5", "::ffff:10.7.1.77", "::ffff:10.8.0.1"]
        self.assertEqual(self.allowed(*wrapped), [])

    def test_an_own_one_on_a_link_without_multicast_is_not(self) -> None:
        permitted = Permitted(links=LINKS, own=lambda address: address == "10.8.0.1")
        self.assertTrue(permitted.is_own("10.8.0.1"))
        self.assertFalse(permitted.allows("10.8.0.1"))
        self.assertTrue(permitted.allows("10.8.0.2"))

    def test_what_is_no_other_machine_is_not_whatever_is_named(self) -> None:
        never = ["127.0.0.1", "::1", "224.0.0.1", "ff02::1", "169.254.0.1", "fe80::1", "0.0.0.0"]
        never += ["::", "255.255.255.255", "240.0.0.1", "::ffff:127.0.0.1", "no", ""]
        self.assertEqual(self.allowed(*never, networks=("0.0.0.0/0", "::/0")), [])

    def test_by_ipv6_one_is_told_of_to_whom_it_leads(self) -> None:
        permitted = Permitted(links=LINKS)
        for listener, address, others, wanted in (
            ("10.8.0.1", "10.7.1.9", ["fd07::9"], "10.7.1.9"),
            ("fd08::1", "10.7.1.9", ["fd07::9"], "fd07::9"),
            ("fd08::1", "10.7.1.9", ["fd07::9", "fd07::8"], "fd07::9"),
            ("fd08::1", "10.7.1.9", [], "10.7.1.9"),
            # Not where the neighbour says that somebody else is.
            ("fd08::1", "10.7.1.9", ["fd09::9", "2001:db8::9"], "10.7.1.9"),
            ("10.8.0.1", "fe80::9%eth0", ["fd07::9"], "fd07::9"),
            ("fd08::1", "fe80::9%eth0", ["fd09::9"], "fe80::9%eth0"),
        ):
            self.assertEqual(permitted.told_to(listener, address, others), wanted)

    @given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
    def test_without_a_setting_nothing_outside_private_networks_is(self, address: object) -> None:
        if not any(address in network for network in PRIVATE):
            self.assertEqual(self.allowed(str(address)), [])


class NeighbourTests(SynchronousTestCase):
    def test_who_is_within_this_machine_or_heard_link_local_alone_is_not_told_of(self) -> None:
        bridge = Link("docker0", 3, (ip_interface("172.17.0.1/16"),))
        permitted = Permitted(links=(*LINKS, bridge))
        self.assertTrue(permitted.leads_there("10.7.1.9", ()))
        self.assertFalse(permitted.leads_there("172.17.0.2", ()))
        self.assertFalse(permitted.leads_there("fe80::9%eth0", ()))
        self.assertTrue(permitted.leads_there("fe80::9%eth0", ("fd07::9",)))


class OwnTests(SynchronousTestCase):
    def test_told_are_two_lasting_ones_of_ipv6_the_private_first(self) -> None:
        ones = ("10.7.1.5/24", "fe80::5/64", "2001:db8:7::5/64", "fd07::5/64", "fd07::6/64")
        links = [Link("eth0", 2, tuple(map(ip_interface, ones)))]
        self.assertEqual(told_addresses(links, {"fd07::5"}), ("fd07::6", "2001:db8:7::5"))
        self.assertEqual(told_addresses(links), ("fd07::5", "fd07::6"))
        self.assertEqual(told_addresses([Link("eth0", 2, links[0].addresses[:2])]), ())
