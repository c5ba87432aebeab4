"""Which of its addresses a peer is met at."""

from __future__ import annotations

from flocon.presence.peer import rank
from tests.presence.heard import CABLE, GLOBAL, LOCAL, RADIO, PeersTestCase, said


class AddressTests(PeersTestCase):
    def test_ipv4_is_better_than_ipv6_and_link_local_is_last(self) -> None:
        self.assertLess(rank(CABLE), rank(GLOBAL))
        self.assertLess(rank(GLOBAL), rank(LOCAL))
        for address in (LOCAL, GLOBAL, CABLE):
            self.hear(0, address, said())
            self.assertEqual(self.peer().address, address)

    def test_an_address_that_went_silent_is_not_the_best(self) -> None:
        self.hear(0, CABLE, said(1))
        self.hear(0, LOCAL, said(1))
        self.hear(30, LOCAL, said(2))
        self.assertEqual(self.peer().address, CABLE)
        self.hear(60, LOCAL, said(3))
        self.assertEqual(self.peer().address, LOCAL)

    def test_an_address_silent_for_three_beats_is_forgotten(self) -> None:
        self.hear(0, CABLE, said(1))
        self.hear(0, LOCAL, said(1))
        self.hear(91, LOCAL, said(2))
        self.assertFalse(self.peers.has_address(CABLE))

    def test_four_addresses_are_kept_and_no_fifth(self) -> None:
        for number in range(4):
            self.hear(0, f"10.0.0.{number}", said(1))
        self.assertEqual(self.hear(0, "10.0.0.9", said(2)), "crowded")
        self.assertEqual(self.peer().generation, 10)
        self.assertEqual(self.hear(0, "10.0.0.0", said(2)), "news")

    def test_addresses_out_of_reach_go_where_another_is_left(self) -> None:
        self.hear(0, CABLE, said(1))
        self.hear(0, RADIO, said(1))
        self.peers.networks_changed(lambda address: address == RADIO)
        self.assertEqual(self.peer().address, RADIO)
        self.peers.networks_changed(lambda _: False)
        self.assertEqual(self.peer().address, RADIO)
