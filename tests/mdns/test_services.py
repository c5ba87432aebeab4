"""Names, texts and addresses of mDNS."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.links import Link
from flocon.mdns.services import (
    FLOCON,
    LONGEST_LABEL,
    MOST_ADDRESSES,
    MOST_TEXTS,
    PACSERVE,
    Found,
    Own,
    announced_addresses,
    differences,
    in_reach,
    interfaces_of,
    label,
    names_of,
    packed,
    unpacked,
)

OWN = Own("0123456789abcdef", "89abcdef", "ada", 19432, "arch", ("x86_64", "x86_64_v3"))
ETH = Link(
    "eth0",
    2,
    (
        IPv4Interface("10.0.0.1/24"),
        IPv6Interface("fe80::1/64"),
        IPv6Interface("fd00::1/64"),
    ),
)
OLD = Link("eth1", 3, (IPv4Interface("192.168.1.1/24"), IPv4Interface("192.168.1.7/24")))


def found(instance: str, **changed: object) -> Found:
    values: dict[str, object] = {
        "host": "ada.local",
        "addresses": ("10.0.0.2",),
        "port": 7078,
        "texts": ("id=arch", "arch=x86_64"),
    }
    return Found(instance, **{**values, **changed})  # type: ignore[arg-type]


class Naming(SynchronousTestCase):
    def test_the_target_is_another_one_than_the_machine_s(self) -> None:
        names = names_of(OWN, clashed=False)
        self.assertEqual((names.instance, names.target), ("flocon on ada", "ada-flocon.local."))
        self.assertEqual(names.of(PACSERVE), "flocon on ada._pacserve._tcp.local.")

    def test_after_a_clash_the_id_makes_names_unique(self) -> None:
        names = names_of(OWN, clashed=True)
        self.assertEqual(names.instance, "flocon on ada (01234567)")
        self.assertEqual(names.target, "ada-01234567-flocon.local.")

    def test_a_name_without_a_letter_that_hosts_may_have_is_replaced(self) -> None:
        names = names_of(Own("0" * 16, "", "\N{SNOWMAN}", 1, "arch", ()), clashed=False)
        self.assertEqual(names.target, "node-flocon.local.")

    @given(st.text(max_size=100), st.booleans())
    def test_any_name_becomes_labels_that_fit(self, name: str, clashed: bool) -> None:
        names = names_of(Own("0123456789abcdef", "", name, 1, "arch", ()), clashed=clashed)
        for one in (names.instance, names.host):
            self.assertLessEqual(len(one.encode()), LONGEST_LABEL)
            self.assertNotIn(".", one)
        self.assertRegex(names.host, r"^[a-z0-9-]+$")


class Texts(SynchronousTestCase):
    def test_pacservers_are_told_what_they_compare_and_that_it_is_a_node(self) -> None:
        self.assertEqual(
            OWN.texts(PACSERVE),
            ("id=arch", "arch=x86_64", "arch=x86_64_v3", "flocon=0123456789abcdef"),
        )

    def test_nodes_are_told_who_it_is(self) -> None:
        self.assertEqual(OWN.texts(FLOCON), ("node=0123456789abcdef", "epoch=89abcdef"))

    def test_texts_come_back_as_they_were(self) -> None:
        self.assertEqual(unpacked(packed(OWN.texts(PACSERVE))), OWN.texts(PACSERVE))

    @given(st.binary(max_size=2_000))
    def test_of_any_record_some_printable_texts_are_read(self, record: bytes) -> None:
        texts = unpacked(record)
        self.assertLessEqual(len(texts), MOST_TEXTS)
        self.assertTrue(all(one.isprintable() for one in texts))

    def test_a_text_that_was_cut_short_is_left_out(self) -> None:
        self.assertEqual(unpacked(b"\x02ab\x09cut"), ("ab",))

    def test_keys_have_no_case_and_may_stand_several_times(self) -> None:
        one = found("x", texts=("Arch=x86_64", "arch=any", "other"))
        self.assertEqual(one.values("arch"), ("x86_64", "any"))

    def test_a_node_says_so(self) -> None:
        self.assertTrue(found("x", texts=("flocon=0123",)).is_node)
        self.assertFalse(found("x", texts=("id=arch",)).is_node)


class Labels(SynchronousTestCase):
    def test_the_type_is_taken_off(self) -> None:
        self.assertEqual(label(f"pacserve on ada.{PACSERVE}", PACSERVE), "pacserve on ada")

    @given(st.text(max_size=300))
    def test_what_is_shown_is_printable_and_bounded(self, name: str) -> None:
        shown = label(name, PACSERVE)
        self.assertTrue(shown.isprintable() and len(shown) <= LONGEST_LABEL)


class Addresses(SynchronousTestCase):
    def test_only_neighbours_addresses_are_of_use(self) -> None:
        told = ["8.8.8.8", "fd00::9", "10.0.0.9", "127.0.0.1", "224.0.0.251", "nonsense"]
        self.assertEqual(in_reach(told, (ETH,)), ("10.0.0.9", "fd00::9"))

    def test_own_addresses_are_nobody_else_s(self) -> None:
        self.assertEqual(in_reach(["10.0.0.1", "192.168.1.7"], (ETH, OLD)), ())

    def test_a_network_and_all_of_it_are_no_machine(self) -> None:
        self.assertEqual(in_reach(["10.0.0.0", "10.0.0.255"], (ETH,)), ())

    def test_a_link_local_address_names_its_link(self) -> None:
        self.assertEqual(in_reach(["fe80::2%2", "fe80::3"], (ETH,)), ("fe80::2%eth0",))

    def test_another_network_is_reached_where_the_operator_names_it(self) -> None:
        told = ["10.9.0.1", "8.8.8.8", "fd11::1"]
        networks = (IPv4Network("8.8.0.0/16"), IPv6Network("fd11::/16"))
        self.assertEqual(in_reach(told, (ETH,), networks), ("8.8.8.8", "fd11::1"))

    def test_far_ones_are_private_ones(self) -> None:
        told = ["10.9.0.1", "172.20.0.1", "192.168.7.1", "fd11::1", "8.8.8.8", "2001:db8::1"]
        self.assertEqual(in_reach(told, (ETH,), far=True), tuple(told[:4]))
        for never in (
            "127.0.0.1",
            "169.254.0.1",
            "224.0.0.1",
            "0.0.0.0",
            "::1",
            "fe80::5",
            "ff02::1",
        ):
            self.assertEqual(in_reach([never], (ETH,), far=True), (), never)

    def test_neighbours_come_before_what_a_bridge_of_containers_has(self) -> None:
        told = ["172.17.0.1", "192.168.122.1", "fd11::1", "10.88.0.1", "10.0.0.9", "fd00::9"]
        found = in_reach(told, (ETH,), far=True)
        self.assertEqual(found, ("10.0.0.9", "fd00::9", "172.17.0.1", "192.168.122.1"))

    @given(st.lists(st.one_of(st.text(max_size=40), st.ip_addresses().map(str)), max_size=20))
    def test_nothing_public_is_ever_reached(self, told: list[str]) -> None:
        for one in in_reach(told, (ETH,), far=True):
            self.assertTrue(ip_address(one.partition("%")[0]).is_private, one)

    def test_a_few_are_enough(self) -> None:
        told = [f"10.0.0.{number}" for number in range(2, 60)]
        self.assertEqual(len(in_reach(told, (ETH,))), MOST_ADDRESSES)

    def test_bridges_within_a_machine_are_not_told_where_there_are_others(self) -> None:
        within = [
            Link(name, number, (IPv4Interface(f"172.17.{number}.1/24"),))
            for number, name in enumerate(["docker0", "br-0123456789ab", "virbr0"], 7)
        ]
        self.assertEqual(announced_addresses((*within, ETH)), announced_addresses((ETH,)))
        self.assertEqual(announced_addresses(within[:1]), ("172.17.7.1",))
        lan = Link("br0", 9, (IPv4Interface("10.3.0.1/24"),))
        self.assertIn("10.3.0.1", announced_addresses((lan, ETH)))

    def test_link_local_ones_are_not_told_where_there_are_others(self) -> None:
        self.assertEqual(announced_addresses((ETH,)), ("10.0.0.1", "fd00::1"))
        alone = Link("eth0", 2, (IPv6Interface("fe80::1/64"),))
        self.assertEqual(announced_addresses((alone,)), ("fe80::1",))

    def test_each_link_is_listened_on_once_by_each_family(self) -> None:
        self.assertEqual(interfaces_of((ETH, OLD)), ("10.0.0.1", 2, "192.168.1.1"))


class Differences(SynchronousTestCase):
    def test_what_left_and_what_came_or_changed(self) -> None:
        before = (found("a"), found("b"), found("c"))
        moved = found("b", port=80)
        left, came = differences(before, (found("a"), moved, found("d")))
        self.assertEqual((left, came), (("c",), (moved, found("d"))))
