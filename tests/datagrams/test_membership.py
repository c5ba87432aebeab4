"""Where the group is joined, and when again."""

from __future__ import annotations

from ipaddress import ip_interface

from twisted.trial.unittest import SynchronousTestCase

from flocon.datagrams.membership import Join, JoinFailed, JoinMended, Leave, Membership, Place
from flocon.machine.links import Link

V4 = ip_interface("10.0.0.5/24")
V6 = ip_interface("fe80::5/64")
BOTH = Link("eth0", 2, (V4, V6))
RADIO = Link("wlan0", 3, (ip_interface("10.0.1.5/24"),))


class MembershipTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.membership = Membership()

    def answer(self, *, now: float = 0.0, reason: str = "") -> list[Join | Leave]:
        steps = self.membership.take_steps()
        for step in steps:
            if isinstance(step, Join) and reason:
                self.membership.failed(now, step.place, reason)
            elif isinstance(step, Join):
                self.membership.joined(step.place)
        return steps

    def test_joins_each_version_that_has_an_address(self) -> None:
        self.membership.links_changed(0, [BOTH, RADIO])
        expected = [Place(BOTH, 4), Place(BOTH, 6), Place(RADIO, 4)]
        self.assertEqual(self.answer(), [Join(place) for place in expected])
        self.assertEqual(self.membership.places(), expected)

    def test_joins_no_version_without_a_socket(self) -> None:
        membership = Membership(versions=(4,))
        membership.links_changed(0, [BOTH])
        self.assertEqual(membership.take_steps(), [Join(Place(BOTH, 4))])

    def test_the_same_links_again_are_no_change(self) -> None:
        self.membership.links_changed(0, [BOTH])
        self.answer()
        self.membership.links_changed(1, [BOTH])
        self.assertEqual(self.answer(), [])

    def test_leaves_a_link_that_went(self) -> None:
        self.membership.links_changed(0, [BOTH, RADIO])
        self.answer()
        self.membership.links_changed(1, [BOTH])
        self.assertEqual(self.answer(), [Leave(Place(RADIO, 4))])
        self.assertEqual(self.membership.places(), [Place(BOTH, 4), Place(BOTH, 6)])

    def test_an_ipv4_address_that_changed_is_joined_anew(self) -> None:
        self.membership.links_changed(0, [RADIO])
        self.answer()
        moved = Link("wlan0", 3, (ip_interface("10.9.1.5/24"),))
        self.membership.links_changed(1, [moved])
        self.assertEqual(self.answer(), [Leave(Place(RADIO, 4)), Join(Place(moved, 4))])

    def test_an_ipv6_address_that_changed_needs_no_join(self) -> None:
        self.membership.links_changed(0, [Link("e", 2, (V6,))])
        self.answer()
        after = Link("e", 2, (V6, ip_interface("fd00::5/64")))
        self.membership.links_changed(1, [after])
        self.assertEqual(self.answer(), [])
        self.assertEqual(self.membership.places(), [Place(after, 6)])

    def test_a_failure_is_told_once_and_tried_every_5_s_for_15_minutes(self) -> None:
        self.membership.links_changed(100, [RADIO])
        self.answer(now=100, reason="ENODEV")
        self.assertEqual(self.membership.take_events(), [JoinFailed(Place(RADIO, 4), "ENODEV")])
        tries = []
        while (when := self.membership.deadline()) is not None:
            tries.append(when)
            self.membership.tick(when)
            self.assertEqual(self.answer(now=when, reason="ENODEV"), [Join(Place(RADIO, 4))])
        self.assertEqual(tries, [100 + 5.0 * count for count in range(1, 181)])
        self.assertEqual(self.membership.take_events(), [])
        self.assertEqual(self.membership.places(), [])

    def test_a_tick_before_the_time_tries_nothing(self) -> None:
        self.membership.links_changed(0, [RADIO])
        self.answer(reason="ENODEV")
        self.membership.tick(4.9)
        self.assertEqual(self.answer(), [])

    def test_a_join_that_succeeds_after_all_is_told(self) -> None:
        self.membership.links_changed(0, [RADIO])
        self.answer(reason="ENODEV")
        self.membership.tick(5)
        self.answer()
        self.assertEqual(self.membership.take_events()[1:], [JoinMended(Place(RADIO, 4))])
        self.assertIsNone(self.membership.deadline())

    def give_up(self) -> None:
        self.membership.links_changed(0, [RADIO])
        self.answer(reason="ENODEV")
        while (when := self.membership.deadline()) is not None:
            self.membership.tick(when)
            self.answer(now=when, reason="ENODEV")
        self.membership.take_events()

    def test_given_up_another_link_lets_it_try_again_without_a_word(self) -> None:
        self.give_up()
        self.membership.links_changed(2000, [RADIO, BOTH])
        self.assertIn(Join(Place(RADIO, 4)), self.answer(now=2000, reason="ENODEV"))
        told = [event.place for event in self.membership.take_events()]
        self.assertNotIn(Place(RADIO, 4), told)
        self.assertEqual(self.membership.deadline(), 2005)

    def test_rejoin_leaves_and_joins_everywhere_and_tells_again(self) -> None:
        self.give_up()
        self.membership.rejoin(2000)
        place = Place(RADIO, 4)
        self.assertEqual(self.answer(now=2000, reason="x"), [Leave(place), Join(place)])
        self.assertEqual(self.membership.take_events(), [JoinFailed(place, "x")])

    def test_an_answer_for_a_link_that_went_meanwhile_is_nothing(self) -> None:
        self.membership.links_changed(0, [RADIO])
        self.membership.take_steps()
        self.membership.links_changed(0, [])
        self.membership.failed(0, Place(RADIO, 4), "late")
        self.membership.joined(Place(RADIO, 4))
        self.assertEqual(self.membership.places(), [])
        self.assertEqual(self.membership.take_events(), [])

    def test_leave_leaves_everywhere(self) -> None:
        self.membership.links_changed(0, [BOTH])
        self.answer()
        self.membership.leave()
        self.assertEqual(self.answer(), [Leave(Place(BOTH, 4)), Leave(Place(BOTH, 6))])
        self.assertEqual(self.membership.places(), [])
