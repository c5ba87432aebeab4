"""When hellos are said and answered."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from twisted.trial.unittest import SynchronousTestCase

from flocon.datagrams.messages import Kind, decode
from tests.datagrams.test_messages import change
from tests.presence.virtual_lan import CABLE, LINK, OTHER_LINK, make, said


class AnswerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.presence = make()
        self.presence.start(0)
        self.settle(5)

    def settle(self, end: float) -> list[float]:
        times = []
        while (due := self.presence.deadline()) is not None and due < end:
            self.presence.tick(due)
            times += [due] * len(self.presence.take_datagrams())
        return times

    def test_a_hello_is_answered_after_a_short_pause(self) -> None:
        self.presence.receive(5, CABLE, said(kind=Kind.HELLO))
        (when,) = self.settle(10)
        self.assertTrue(5 <= when <= 5.3, when)

    def test_a_beat_is_not_answered(self) -> None:
        self.presence.receive(5, CABLE, said())
        self.assertEqual(self.settle(10), [])

    def test_many_hellos_are_answered_once_a_second(self) -> None:
        times = []
        for number in range(300):
            now = 5 + number / 50
            times += self.settle(now)
            address = f"10.0.{number % 200}.9"
            self.presence.receive(now, address, said(node=100 + number, kind=Kind.HELLO))
        self.assertLessEqual(len(times), 7)
        self.assertGreaterEqual(len(times), 2)
        gaps = [later - earlier for earlier, later in pairwise(times)]
        self.assertTrue(all(gap >= 0.999 for gap in gaps), gaps)

    def test_whatever_is_said_meanwhile_is_the_answer(self) -> None:
        self.presence.receive(5, CABLE, said(kind=Kind.HELLO))
        self.presence.rejoin(5)
        self.presence.take_datagrams()
        self.assertEqual(len(self.settle(20)), 1)  # the second hello only

    def test_a_replayed_hello_is_not_answered(self) -> None:
        self.presence.receive(5, CABLE, said(kind=Kind.HELLO))
        self.settle(8)
        self.presence.receive(8, CABLE, said(kind=Kind.HELLO))
        self.assertEqual(self.settle(12), [])


class HelloTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.presence = make()
        self.presence.start(0)

    def kinds(self, now: float) -> list[str]:
        self.presence.tick(now)
        return [decode(one).kind.value for one in self.presence.take_datagrams()]

    def test_is_said_at_once_and_again_after_a_second(self) -> None:
        self.assertEqual(self.kinds(0), ["hello"])
        self.assertEqual(self.kinds(0.8), [])
        self.assertEqual(self.kinds(1.2), ["hello"])
        self.assertEqual(self.kinds(5), [])

    def test_rejoin_says_it_again(self) -> None:
        self.kinds(1.2)
        self.presence.rejoin(10)
        self.assertEqual(self.kinds(10), ["hello"])
        self.assertEqual(self.kinds(11.2), ["hello"])

    def test_is_not_said_more_than_once_a_second(self) -> None:
        self.kinds(0)
        for number in range(1, 8):
            self.presence.rejoin(number / 10)
        self.assertEqual(self.kinds(0.8), [])
        self.assertEqual(self.kinds(1), ["hello"])
        self.assertEqual(self.kinds(2.2), ["hello"])

    def test_a_new_network_is_greeted(self) -> None:
        self.kinds(1.2)
        self.presence.networks_changed(10, [LINK, OTHER_LINK])
        self.assertEqual(self.kinds(10), ["hello"])

    def test_the_first_network_is_greeted_without_delay(self) -> None:
        presence = make(2)
        presence.networks_changed(0, [])
        presence.start(0)
        presence.take_datagrams()
        presence.networks_changed(0.01, [LINK])
        self.assertEqual([decode(one).kind for one in presence.take_datagrams()], [Kind.HELLO])

    def test_a_network_that_went_is_told_of_without_a_greeting(self) -> None:
        self.kinds(1.2)
        self.presence.networks_changed(10, [replace(LINK, addresses=LINK.addresses[1:])])
        self.assertEqual(self.kinds(10.2), ["beat"])
        self.assertEqual(self.kinds(12), [])

    def test_nothing_is_said_before_the_start_or_after_the_stop(self) -> None:
        idle = make(2)
        idle.rejoin(0)
        idle.tick(0)
        idle.inventory_changed(0, 1, 1, [change(1)])
        idle.receive(0, CABLE, said(kind=Kind.HELLO))
        idle.stop(0)
        self.assertEqual((idle.take_datagrams(), idle.take_events()), ([], []))
        self.assertIsNone(idle.deadline())
