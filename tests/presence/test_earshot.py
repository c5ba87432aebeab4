"""Which datagrams are read, whoever sends how many."""

from __future__ import annotations

from ipaddress import ip_interface

from flocon.machine.links import Link
from flocon.presence import earshot
from tests.presence.virtual_lan import CABLE, DropTestCase, said


class RateTests(DropTestCase):
    def test_a_source_off_every_link_is_dropped(self) -> None:
        for address in ("8.8.8.8", "127.0.0.1", "fe80::9%wlan0", "fe80::9", "::1", "junk"):
            self.presence.receive(0, address, said())
        self.assert_counted(off_link=6)

    def test_loopback_is_a_link_like_another_once_it_was_chosen(self) -> None:
        lo = Link("lo", 1, (ip_interface("127.0.0.1/8"), ip_interface("::1/128")))
        self.presence.networks_changed(0, [lo])
        self.presence.receive(0, "127.0.0.1", said())
        self.presence.receive(0, "::1", said())
        self.assert_counted()
        self.assertEqual(self.presence.peers()[0].address, "127.0.0.1")

    def test_one_source_is_read_so_often_only(self) -> None:
        for sequence in range(1, 1001):
            self.presence.receive(0, CABLE, said(sequence))
        self.assert_counted(rate=1000 - int(earshot.SOURCE_BURST))
        self.presence.receive(10, CABLE, said(2000))
        self.assertEqual(self.presence.counters["rate"], 800)

    def test_strangers_together_do_not_drown_a_peer(self) -> None:
        self.presence.receive(0, CABLE, said(1))
        for number in range(5000):
            self.presence.receive(0, f"10.0.{number // 250}.{number % 250}", b"noise")
        self.assertGreater(self.presence.counters["rate"], 2900)
        self.presence.take_events()
        self.presence.receive(0, CABLE, said(2))
        self.assertEqual(len(self.presence.take_events()), 1)

    def test_a_flood_of_addresses_leaves_every_table_bounded(self) -> None:
        for number in range(earshot.MOST_REACHED + 200):
            address = f"10.0.{number // 250}.{number % 250}"
            self.presence.receive(number / 100, address, said(node=number + 100))
        self.assertLessEqual(len(self.presence._earshot._sources), earshot.MOST_SOURCES)
        self.assertLessEqual(len(self.presence._earshot._reached), earshot.MOST_REACHED)
        self.assertEqual(len(self.presence.peers()), 1024)
