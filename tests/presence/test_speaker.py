"""All together stay within what the beats of a LAN may cost."""

from __future__ import annotations

from flocon.datagrams.messages import Kind, decode
from flocon.presence import speaker
from tests.datagrams.test_messages import REST
from tests.presence.virtual_lan import CABLE, REST_EPOCH, LanTestCase, make, said


class BudgetTests(LanTestCase):
    def test_forty_nodes_at_rest_stay_within_their_budget(self) -> None:
        nodes = self.lan_of(40, beat=1.0)
        for number, node in enumerate(nodes):
            self.lan.run_until(number / 50)
            node.start(number / 50)
        self.lan.run_until(400)
        self.assertEqual({len(node.peers()) for node in nodes}, {39})
        at_rest = [length for when, length in self.lan.sent if when >= 100]
        bits = sum(8 * (2 * length + speaker.HEADERS) for length in at_rest)
        self.assertLess(bits / 300, 10_000)
        self.assertGreater(bits / 300, 6_000)

    def test_one_of_a_thousand_takes_a_thousandth_of_the_budget(self) -> None:
        presence = make()
        presence.start(0)
        for number in range(2, 1001):
            address = f"10.0.{number // 250}.{number % 250 + 1}"
            presence.receive(number / 100, address, said(node=number, beat=3600.0))
            presence.answered(number / 100, address, REST.port, REST_EPOCH)
        self.assertEqual(len(presence.peers()), 999)
        presence.take_datagrams()
        bits = 0
        while (due := presence.deadline()) is not None and due < 10_000:
            presence.tick(due)
            bits += sum(8 * (2 * len(one) + speaker.HEADERS) for one in presence.take_datagrams())
        self.assertLess(bits / 10_000, 10.5)

    def test_a_thousand_that_started_together_do_not_beat_together(self) -> None:
        beats = []
        for number in range(1, 31):
            presence = make(number)
            presence.start(0)
            for other in range(200, 600):
                address = f"10.0.{other // 250}.{other % 250}"
                presence._peers.hear(0, address, decode(said(node=other, beat=999.0)))
                presence.answered(0, address, REST.port, REST_EPOCH)
            presence.receive(1, CABLE, said(node=150, kind=Kind.HELLO, beat=999.0))
            presence.take_datagrams()
            while True:
                due = presence.deadline()
                assert due is not None
                presence.tick(due)
                (datagram,) = presence.take_datagrams()
                if decode(datagram).kind is Kind.BEAT and due > 12:
                    beats.append(due)
                    break
        interval = 400 * 4.5 / 9
        in_first_half = sum(1 for due in beats if due < interval / 2)
        self.assertGreater(in_first_half, 5)
        self.assertGreater(max(beats) - min(beats), interval / 2)
