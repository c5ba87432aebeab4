"""Which datagrams of mDNS are read."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.links import Link
from flocon.mdns.sieve import (
    ALL_BURST,
    ALL_RECORDS_BURST,
    LONGEST,
    MOST_HOSTS,
    SOURCE_BURST,
    SOURCE_RECORDS_BURST,
    Sieve,
)

LINK = Link("eth0", 2, (IPv4Interface("10.0.0.1/16"), IPv6Interface("fe80::1/64")))
NEIGHBOUR = "10.0.0.2"


def message(*labels: str, records: int = 1) -> bytes:
    """Return an answer with so many records, it says, and a name of these labels."""
    header = b"\0\0\x84\0\0\0" + records.to_bytes(2) + bytes(4)
    return header + b"".join(bytes([len(one)]) + one.encode() for one in labels) + b"\0"


ABOUT_US = message("_pacserve", "_tcp", "local")


class SieveTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.sieve = Sieve(["_pacserve", "_flocon"])
        self.sieve.set_links([LINK])

    def admits(self, data: bytes = ABOUT_US, host: str = NEIGHBOUR, now: float = 0.0) -> bool:
        return self.sieve.admits(now, host, data)


class Subjects(SieveTestCase):
    def test_what_is_about_our_types_is_read_in_any_case(self) -> None:
        self.assertTrue(self.admits())
        self.assertTrue(self.admits(message("_PacServe", "_TCP", "local")))

    def test_a_printer_is_not_read(self) -> None:
        self.assertFalse(self.admits(message("_ipp", "_tcp", "local")))
        self.assertEqual(self.sieve.counters, {"unrelated": 1})

    def test_part_of_a_longer_label_is_no_label(self) -> None:
        self.assertFalse(self.admits(message("my_pacserve", "local")))

    def test_a_host_is_read_while_it_is_looked_up(self) -> None:
        answer = message("grace", "local")
        self.assertFalse(self.admits(answer))
        self.sieve.expect("Grace.local.")
        self.assertTrue(self.admits(answer))
        self.sieve.forget_hosts()
        self.assertFalse(self.admits(answer))

    def test_few_hosts_are_looked_up_at_a_time(self) -> None:
        for number in range(MOST_HOSTS + 5):
            self.sieve.expect(f"host{number}.local.")
        self.assertTrue(self.admits(message("host0", "local")))
        self.assertFalse(self.admits(message(f"host{MOST_HOSTS}", "local")))

    def test_own_words_that_come_back_are_told_apart(self) -> None:
        self.sieve.set_labels(["_pacserve"], "ada-flocon")
        own = message("ada-flocon", "local")
        self.assertTrue(self.admits(own, NEIGHBOUR))
        self.assertEqual(self.sieve.counters["own"], 0)
        self.assertTrue(self.admits(own, "10.0.0.1"))
        self.assertEqual(self.sieve.counters["own"], 1)


class Senders(SieveTestCase):
    def test_who_is_on_no_link_of_ours_is_not_read(self) -> None:
        for host in ("8.8.8.8", "127.0.0.1", "fe80::2%7", "fd00::2", "nonsense"):
            self.assertFalse(self.admits(host=host), host)
        self.assertEqual(self.sieve.counters, {"outside": 5})

    def test_a_neighbour_by_ipv6_is_read(self) -> None:
        self.assertTrue(self.admits(host="fe80::2%2"))

    def test_other_programs_of_this_machine_are_read(self) -> None:
        self.assertTrue(self.admits(host="10.0.0.1"))

    def test_after_a_change_of_links_others_are_neighbours(self) -> None:
        self.admits()
        self.sieve.set_links([Link("eth0", 2, (IPv4Interface("192.168.0.1/24"),))])
        self.assertFalse(self.admits())
        self.assertTrue(self.admits(host="192.168.0.2"))


class Bounds(SieveTestCase):
    def test_sizes(self) -> None:
        self.assertFalse(self.admits(b"\x09_pacserve"))
        self.assertFalse(self.admits(ABOUT_US + bytes(LONGEST)))
        self.assertEqual(self.sieve.counters, {"malformed": 2})

    def test_one_machine_is_read_so_often(self) -> None:
        admitted = sum(self.admits(message("_flocon", records=0)) for _ in range(10_000))
        self.assertEqual(admitted, SOURCE_BURST)
        self.assertTrue(self.admits(host="10.0.0.3"))

    def test_one_machine_may_tell_so_many_records(self) -> None:
        full = message("_flocon", records=100)
        self.assertEqual(sum(self.admits(full) for _ in range(100)), SOURCE_RECORDS_BURST // 100)

    def test_a_datagram_that_says_more_records_than_fit_is_not_read(self) -> None:
        self.assertFalse(self.admits(message("_flocon", records=65_535)))

    def test_any_number_of_machines_together_are_read_so_often(self) -> None:
        hosts = [f"10.0.{number // 250}.{number % 250 + 2}" for number in range(5_000)]
        few = message("_flocon", records=1)
        self.assertEqual(sum(self.admits(few, host) for host in hosts), ALL_BURST)

    def test_any_number_of_machines_together_may_tell_so_many_records(self) -> None:
        hosts = [f"10.0.{number // 250}.{number % 250 + 2}" for number in range(5_000)]
        many = message("_flocon", records=500)
        self.assertEqual(sum(self.admits(many, host) for host in hosts), ALL_RECORDS_BURST // 500)

    def test_after_a_while_it_is_read_again(self) -> None:
        for _ in range(1_000):
            self.admits()
        self.assertTrue(self.admits(now=10.0))

    @given(st.binary(max_size=200), st.text(max_size=40))
    def test_anything_from_anybody_is_survived_and_counted_once(
        self, data: bytes, host: str
    ) -> None:
        sieve = Sieve(["_pacserve"])
        sieve.set_links([LINK])
        sieve.admits(0.0, host, data)
        self.assertEqual(sum(sieve.counters.values()), 1)
