"""Who is known, who may be asked, and who is left alone for how long."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from flocon.foreign.place import Place, Tool
from flocon.foreign.places import (
    BAD_FOR,
    FORGOTTEN_AFTER,
    LISTING_AGE,
    LONGEST_BAD,
    MDNS,
    MOST_LISTED,
    MOST_OF_ADDRESS,
    MOST_PLACES,
    MULTICAST,
    SETTING,
    USELESS_AFTER,
    Places,
)

PACREDIR = Place(Tool.PACREDIR, "10.0.0.7", 7_078)
PACSERVE = Place(Tool.PACSERVE, "10.0.0.8", 15_678)
PACLAN = Place(Tool.PACLAN, "10.0.0.9", 15_678)


def numbered(number: int) -> Place:
    return Place(Tool.PACREDIR, f"10.0.{number // 256}.{number % 256}", 7_078)


class PlacesTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 1_000.0
        self.forbidden: set[str] = set()
        self.places = Places(lambda address, named: named or address not in self.forbidden)

    def hear(self, place: Place, way: str = MULTICAST, name: str = "", identity: str = "") -> bool:
        return self.places.heard(place, way, name, self.now, identity)

    def prove(self, place: Place, way: str = MULTICAST) -> None:
        self.hear(place, way)
        self.places.answered(place, self.now)

    def askable(self) -> list[Place]:
        return [one.place for one in self.places.askable(self.now)]

    def due(self) -> list[Place]:
        return [one.place for one in self.places.due(self.now)]


class Proof(PlacesTestCase):
    def test_a_hint_is_looked_at_and_asked_for_nothing(self) -> None:
        self.assertTrue(self.hear(PACREDIR))
        self.assertEqual((self.due(), self.askable()), ([PACREDIR], []))
        self.assertFalse(self.hear(PACREDIR))

    def test_who_answered_is_asked(self) -> None:
        self.prove(PACREDIR)
        self.assertEqual((self.due(), self.askable()), ([], [PACREDIR]))

    def test_who_is_out_of_reach_is_neither_asked_nor_looked_at(self) -> None:
        self.prove(PACREDIR)
        self.hear(PACSERVE)
        self.forbidden = {PACREDIR.address, PACSERVE.address}
        self.assertEqual((self.due(), self.askable()), ([], []))

    def test_whom_the_operator_named_is_asked_wherever_it_is(self) -> None:
        self.forbidden = {PACREDIR.address}
        self.prove(PACREDIR, SETTING)
        self.assertEqual(self.askable(), [PACREDIR])

    def test_a_proved_one_need_not_show_what_others_say_in_its_name(self) -> None:
        self.hear(PACLAN, identity="aa")
        self.places.answered(PACLAN, self.now)
        self.hear(PACLAN, identity="bb")
        self.assertEqual(self.askable(), [PACLAN])


class Failing(PlacesTestCase):
    def test_who_fails_is_left_alone_and_has_to_answer_again(self) -> None:
        self.prove(PACREDIR)
        self.places.failed(PACREDIR, self.now, "silent")
        self.assertEqual((self.due(), self.askable()), ([], []))
        self.now += BAD_FOR
        self.assertEqual((self.due(), self.askable()), ([PACREDIR], []))

    def test_each_failure_in_a_row_costs_more(self) -> None:
        self.hear(PACREDIR, SETTING)
        terms = []
        for _ in range(25):
            self.places.failed(PACREDIR, self.now, "silent")
            began = self.now
            while not self.due():
                self.now += BAD_FOR
            terms.append(self.now - began)
        self.assertEqual(terms[:3], [BAD_FOR, 2 * BAD_FOR, 3 * BAD_FOR])
        self.assertEqual(max(terms), LONGEST_BAD)

    def test_several_questions_that_fail_at_once_are_one_failure(self) -> None:
        self.prove(PACREDIR)
        for _ in range(9):
            self.places.failed(PACREDIR, self.now, "silent")
        self.now += BAD_FOR
        self.assertEqual(self.due(), [PACREDIR])

    def test_one_answer_clears_it(self) -> None:
        self.prove(PACREDIR)
        self.places.failed(PACREDIR, self.now, "silent")
        self.places.answered(PACREDIR, self.now)
        self.assertEqual(self.askable(), [PACREDIR])

    def test_other_links_clear_it_too(self) -> None:
        self.prove(PACREDIR)
        self.places.failed(PACREDIR, self.now, "no route")
        self.places.pardon()
        self.assertEqual(self.due(), [PACREDIR])

    def test_who_was_only_heard_is_forgotten_in_the_end(self) -> None:
        for place, way in ((PACSERVE, MULTICAST), (PACREDIR, SETTING)):
            self.hear(place, way)
            for _ in range(FORGOTTEN_AFTER):
                self.places.failed(place, self.now, "silent")
                self.now += LONGEST_BAD
        self.assertIsNone(self.places.get(PACSERVE))
        self.assertIsNotNone(self.places.get(PACREDIR))


class Proving(PlacesTestCase):
    def test_who_shows_itself_and_fails_again_is_left_alone_for_longer(self) -> None:
        self.prove(PACREDIR)
        for times in range(1, 4):
            self.places.failed(PACREDIR, self.now, "silent")
            self.now += times * BAD_FOR - 1
            self.assertEqual(self.due(), [])
            self.now += 1
            self.assertEqual(self.due(), [PACREDIR])
            self.places.proved(PACREDIR, self.now)
            self.assertEqual(self.askable(), [PACREDIR])


class Ways(PlacesTestCase):
    def test_goodbye_ends_what_mdns_told(self) -> None:
        self.hear(PACREDIR, MDNS, "pacserve on ada")
        self.assertEqual(self.places.gone(MDNS, "pacserve on bob"), [])
        self.assertEqual(self.places.gone(MDNS, "pacserve on ada"), [PACREDIR])
        self.assertEqual(len(self.places), 0)

    def test_who_is_named_too_stays(self) -> None:
        self.hear(PACREDIR, MDNS, "pacserve on ada")
        self.hear(PACREDIR, SETTING, "ada")
        self.assertEqual(self.places.gone(MDNS, "pacserve on ada"), [])
        self.assertEqual(len(self.places), 1)


class Bounds(PlacesTestCase):
    def test_one_address_has_few_places(self) -> None:
        for port in range(1, 50):
            self.hear(Place(Tool.PACSERVE, "10.0.0.7", port))
        self.assertEqual(len(self.places), MOST_OF_ADDRESS)

    def test_forged_ones_make_room_for_others_and_proved_ones_stay(self) -> None:
        self.prove(PACREDIR)
        for number in range(1_000, 3_000):
            self.hear(numbered(number))
        self.assertEqual(len(self.places), MOST_PLACES)
        self.assertEqual(self.askable(), [PACREDIR])
        self.assertTrue(self.hear(PACSERVE))

    def test_where_all_have_proved_themselves_nobody_new_is_taken(self) -> None:
        for number in range(MOST_PLACES):
            self.prove(numbered(number))
        self.assertFalse(self.hear(PACSERVE))
        self.assertEqual(self.places.refused, 1)
        self.assertTrue(self.hear(PACLAN, SETTING))

    def test_but_where_one_of_them_gives_nothing_for_long_and_never_for_one_that_gave(self) -> None:
        for number in range(MOST_PLACES):
            self.prove(numbered(number))
        first = self.places.get(numbered(0))
        assert first is not None
        self.places.gave(first, 1, self.now)
        self.now += USELESS_AFTER - 1
        self.assertFalse(self.hear(PACSERVE))
        self.now += 1
        self.assertTrue(self.hear(PACSERVE))
        self.assertIsNotNone(self.places.get(numbered(0)))
        self.assertIsNone(self.places.get(numbered(1)))
        self.assertEqual(len(self.places), MOST_PLACES)

    def test_one_machine_with_many_places_keeps_no_other_one_out(self) -> None:
        for number in range(MOST_PLACES // MOST_OF_ADDRESS):
            for port in range(MOST_OF_ADDRESS):
                self.prove(Place(Tool.PACSERVE, f"10.0.1.{number}", 1 + port))
        self.assertTrue(self.hear(PACREDIR))
        self.assertEqual(len(self.places), MOST_PLACES)

    def test_who_fills_the_room_for_listings_keeps_nobody_from_being_asked(self) -> None:
        for number in range(5):
            self.prove(numbered(number))
            files = {f"{number} {one}": 1 for one in range(MOST_LISTED // 4)}
            self.places.listed(numbered(number), files, self.now)
        whole = [one.place for one in self.places if one.lists(self.now)]
        self.assertEqual(whole, [numbered(number) for number in range(4)])
        self.assertEqual(self.due(), [])

    def test_who_is_looked_at_for_long_keeps_nobody_waiting(self) -> None:
        for port in range(1, 4):
            self.hear(Place(Tool.PACSERVE, "10.0.1.1", port))
        self.hear(PACREDIR)
        first, second = self.places.due(self.now)
        self.assertEqual(second.place, PACREDIR)
        first.looking, first.looked_at = True, self.now
        self.assertEqual(self.due(), [PACREDIR])
        first.looking = False
        self.assertEqual(self.due()[0], PACREDIR)
        self.places.due(self.now)[0].looked_at = self.now + 1
        self.assertEqual(self.due(), [Place(Tool.PACSERVE, "10.0.1.1", 2), PACREDIR])

    def test_listings_are_bounded_altogether(self) -> None:
        for number in range(9):
            self.prove(numbered(number))
            files = {f"{one}": 1 for one in range(MOST_LISTED // 4)}
            self.places.listed(numbered(number), files, self.now)
        self.assertEqual(sum(len(one.files or ()) for one in self.places), MOST_LISTED)


class Listings(PlacesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.prove(PACSERVE)
        self.places.listed(PACSERVE, {"a": 7}, self.now)

    def test_it_tells_who_has_the_very_file(self) -> None:
        self.assertEqual(self.places.listing("a", 7, self.now), [PACSERVE])
        self.assertEqual(self.places.listing("a", 8, self.now), [])
        self.assertEqual(self.places.listing("b", 7, self.now), [])

    def test_it_is_read_again_when_it_is_old(self) -> None:
        self.assertEqual(self.due(), [])
        self.now += LISTING_AGE
        self.assertEqual(self.due(), [PACSERVE])

    def test_one_that_gives_none_is_not_asked_for_it_over_and_over(self) -> None:
        self.places.listed(PACSERVE, None, self.now)
        self.now += LISTING_AGE
        self.assertEqual(self.due(), [])

    def test_who_fails_lists_nothing(self) -> None:
        self.places.failed(PACSERVE, self.now, "gone")
        self.assertEqual(self.places.listing("a", 7, self.now), [])


class Machine(RuleBasedStateMachine):
    """Whatever is heard and whatever comes of it, the bounds hold."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.places = Places(lambda *_: True)

    _numbers = st.integers(0, 200)

    @rule(number=_numbers, way=st.sampled_from([MDNS, MULTICAST]), name=st.sampled_from("ab"))
    def hear(self, number: int, way: str, name: str) -> None:
        self.places.heard(numbered(number), way, name, self.now)

    @rule(number=_numbers)
    def answer(self, number: int) -> None:
        self.places.answered(numbered(number), self.now)

    @rule(number=_numbers)
    def fail(self, number: int) -> None:
        self.places.failed(numbered(number), self.now, "x")

    @rule(number=_numbers, count=st.sampled_from([0, 9, MOST_LISTED // 3]))
    def list_files(self, number: int, count: int) -> None:
        self.places.listed(numbered(number), {str(one): 1 for one in range(count)}, self.now)

    @rule(way=st.sampled_from([MDNS, MULTICAST]), name=st.sampled_from("ab"))
    def go(self, way: str, name: str) -> None:
        self.places.gone(way, name)

    @rule(seconds=st.floats(0, 700))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def bounds_hold(self) -> None:
        assert len(self.places) <= MOST_PLACES
        assert sum(len(one.files or ()) for one in self.places) <= MOST_LISTED

    @invariant()
    def nobody_is_asked_who_is_left_alone_or_has_proved_nothing(self) -> None:
        for record in self.places.askable(self.now):
            assert record.proved
            assert not record.is_bad(self.now)


class AnyCourse(SynchronousTestCase):
    def test_the_bounds_hold(self) -> None:
        run_state_machine_as_test(
            Machine, settings=settings(max_examples=30, stateful_step_count=30, deadline=None)
        )
