"""Whom to ask for a newer generation, and for how long who disappointed is left alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.joined.offers import (
    FORGOTTEN_AFTER,
    MOST_FOREIGN,
    MOST_PROVEN,
    MOST_REMEMBERED,
    PAUSES,
    Offer,
    Offers,
    Wrong,
)

NOW = 1_000.0


def offer(host: int = 1, signed: int = 5, name: str = "home") -> Offer:
    return Offer(name, f"node{host}", f"10.0.0.{host}", 1, signed)


class ChoiceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.offers = Offers()

    def test_newest_is_asked_first(self) -> None:
        chosen = self.offers.choose([offer(1, 5), offer(2, 7), offer(3, 6)], 4, NOW)
        self.assertEqual(chosen, offer(2, 7))

    def test_nobody_is_asked_for_what_is_no_newer(self) -> None:
        self.assertIsNone(self.offers.choose([offer(1, 5), offer(2, 4)], 5, NOW))

    def test_offers_are_spread_over_those_that_have_it(self) -> None:
        equal = [offer(host, 5) for host in range(1, 20)]
        chosen = {
            self.offers.choose([offer(host, s) for host in range(1, 20)], 4, NOW)
            for s in range(5, 40)
        }
        self.assertGreater(len({one.address for one in chosen if one}), 5)
        self.assertEqual(self.offers.choose(equal, 4, NOW), self.offers.choose(equal[::-1], 4, NOW))


class DisappointmentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.offers = Offers()

    def test_each_time_longer_and_by_address(self) -> None:
        now = NOW
        for pause in (*PAUSES, PAUSES[-1]):
            self.offers.disappointed(offer(), Wrong.FORGED, now)
            other_node = Offer("other", "elsewise", offer().address, 2, 9)
            self.assertIsNone(self.offers.choose([offer(), other_node], 1, now + pause - 1))
            self.assertEqual(self.offers.next_try([offer()], 1, now), now + pause)
            now += pause
            self.assertEqual(self.offers.choose([offer()], 1, now), offer())
        self.assertEqual(self.offers.refused, {"forged": len(PAUSES) + 1})

    def test_others_are_asked_meanwhile(self) -> None:
        self.offers.disappointed(offer(1, 9), Wrong.AWAY, NOW)
        self.assertEqual(self.offers.choose([offer(1, 9), offer(2, 5)], 1, NOW), offer(2, 5))

    def test_who_disappointed_comes_behind_others_whatever_it_offers(self) -> None:
        self.offers.disappointed(offer(1, 9), Wrong.AWAY, NOW)
        later = NOW + PAUSES[0]
        self.assertEqual(self.offers.choose([offer(1, 9), offer(2, 5)], 1, later), offer(2, 5))
        self.assertEqual(self.offers.choose([offer(1, 9)], 1, later), offer(1, 9))

    def test_a_good_one_makes_up_for_it(self) -> None:
        self.offers.disappointed(offer(), Wrong.AWAY, NOW)
        self.offers.came(offer())
        self.assertEqual(self.offers.choose([offer()], 1, NOW), offer())

    def test_after_a_day_it_begins_anew(self) -> None:
        for _ in range(3):
            self.offers.disappointed(offer(), Wrong.AWAY, NOW)
        later = NOW + FORGOTTEN_AFTER + 1
        self.offers.disappointed(offer(), Wrong.AWAY, later)
        self.assertEqual(self.offers.next_try([offer()], 1, later), later + PAUSES[0])

    @given(st.lists(st.integers(0, 5_000), max_size=600))
    def test_what_is_remembered_is_bounded(self, hosts: list[int]) -> None:
        offers = Offers()
        for host in hosts:
            one = Offer("home", "n", str(host), 1, 5)
            offers.disappointed(one, Wrong.OTHER, NOW)
            offers.disappointed(one, Wrong.FOREIGN, NOW, "AB" * 20)
        self.assertLessEqual(len(offers._disappointing), MOST_REMEMBERED)
        self.assertLessEqual(len(offers.foreign("home")), MOST_FOREIGN)


class AnnouncedTests(SynchronousTestCase):
    """What a datagram announced, which anybody may have sent."""

    def test_however_often_it_is_left_alone_for_moments(self) -> None:
        offers = Offers()
        now = NOW
        for _ in range(9):
            offers.disappointed(offer(1, 5), Wrong.BEHIND, now)
            self.assertIsNone(offers.choose([offer(1, 6)], 1, now))
            now += PAUSES[0]
            self.assertEqual(offers.choose([offer(1, 6)], 1, now), offer(1, 6))
        self.assertIsNone(offers.next_try([offer(1, 6)], 1, now))

    def test_who_had_it_before_is_asked_before_others_all_the_same(self) -> None:
        offers = Offers()
        offers.came(offer(1, 5))
        offers.disappointed(offer(1, 9), Wrong.BEHIND, NOW)
        strangers = [offer(host, 9) for host in range(2, 200)]
        chosen = offers.choose([*strangers, offer(1, 6)], 5, NOW + PAUSES[0])
        self.assertEqual(chosen, offer(1, 6))

    def test_what_it_did_itself_is_not_forgotten_for_that(self) -> None:
        offers = Offers()
        for _ in PAUSES:
            offers.disappointed(offer(1, 5), Wrong.FORGED, NOW)
        offers.disappointed(offer(1, 5), Wrong.BEHIND, NOW)
        self.assertEqual(offers.next_try([offer(1, 5)], 1, NOW), NOW + PAUSES[-1])


class ForeignTests(SynchronousTestCase):
    """Another key: another repository of that name, or a new key; a person is told."""

    def setUp(self) -> None:
        self.offers = Offers()
        self.offers.disappointed(offer(1, 5), Wrong.FOREIGN, NOW, "AB" * 20)

    def test_the_same_is_not_asked_for_again_a_later_one_is(self) -> None:
        self.assertIsNone(self.offers.choose([offer(1, 5)], 1, NOW + 1e9))
        self.assertIsNone(self.offers.next_try([offer(1, 5)], 1, NOW))
        self.assertEqual(self.offers.next_try([offer(1, 6)], 1, NOW), NOW + PAUSES[0])
        later = NOW + PAUSES[0]
        self.assertEqual(self.offers.choose([offer(1, 6)], 1, later), offer(1, 6))

    def test_it_is_told_whose_key_it_is(self) -> None:
        (one,) = self.offers.foreign("home")
        self.assertEqual((one.address, one.fingerprint), ("10.0.0.1", "AB" * 20))
        self.assertEqual(self.offers.foreign("other"), [])

    def test_with_other_keys_trusted_it_is_asked_for_again(self) -> None:
        self.offers.trust_anew("home")
        self.assertEqual(self.offers.choose([offer(1, 5)], 1, NOW), offer(1, 5))

    def test_only_what_no_honest_node_does_is_an_offence(self) -> None:
        innocent = {one for one in Wrong if not one.is_offence}
        self.assertEqual(innocent, {Wrong.AWAY, Wrong.BEHIND, Wrong.UNUSABLE, Wrong.FOREIGN})


class ManyTests(SynchronousTestCase):
    """Many that each say they have something newer, and take their time."""

    def test_who_had_it_before_is_asked_before_them(self) -> None:
        offers = Offers()
        offers.came(offer(1, 5))
        strangers = [offer(host, 9) for host in range(2, 200)]
        self.assertEqual(offers.choose([*strangers, offer(1, 6)], 5, NOW), offer(1, 6))
        offers.disappointed(offer(1, 6), Wrong.AWAY, NOW)
        self.assertIn(offers.choose([*strangers, offer(1, 6)], 5, NOW), strangers)

    def test_those_remembered_are_bounded(self) -> None:
        offers = Offers()
        for host in range(4 * MOST_PROVEN):
            offers.came(offer(host))
        self.assertEqual(len(offers._proven), MOST_PROVEN)


class AnotherKey(SynchronousTestCase):
    """Those with another key under the same name, many of them, or again and again."""

    def setUp(self) -> None:
        self.offers = Offers()

    def asked(self, offers: list[Offer], times: int) -> list[str]:
        """Return who is asked, each of whom has another key but for the first host."""
        asked = []
        for _ in range(times):
            chosen = self.offers.choose(offers, 4, NOW)
            if chosen is None:
                break
            asked.append(chosen.address)
            if chosen.address == offer(1).address:
                break
            self.offers.disappointed(chosen, Wrong.FOREIGN, NOW, "F" * 40)
        return asked

    def test_however_many_each_is_asked_once(self) -> None:
        strangers = [offer(host, 9) for host in range(2, 4 * MOST_FOREIGN)]
        asked = self.asked([*strangers, offer(1, 5)], 1_000)
        self.assertEqual((len(asked), asked[-1]), (len(strangers) + 1, offer(1).address))

    def test_one_that_says_all_the_time_that_it_has_a_newer_one_is_asked_seldom(self) -> None:
        for signed in range(9, 99):
            chosen = self.offers.choose([offer(2, signed), offer(1, 5)], 4, NOW)
            if chosen == offer(1, 5):
                break
            self.offers.disappointed(offer(2, signed), Wrong.FOREIGN, NOW, "F" * 40)
        self.assertEqual(self.offers.refused, {"foreign": 1})

    def test_another_repository_of_that_address_is_asked_for(self) -> None:
        self.offers.disappointed(offer(2), Wrong.FOREIGN, NOW, "F" * 40)
        other = offer(2, name="other")
        self.assertEqual(self.offers.choose([other], 1, NOW), other)
