"""Who has a file: asked of all at once, waited for only so long, and not asked twice."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.foreign.asking import Asking
from flocon.foreign.found import KNOWN_FOR, NOBODY_FOR
from flocon.foreign.place import Place, Tool
from flocon.foreign.places import MULTICAST, SETTING, THERE_FOR, Places
from flocon.foreign.rounds import (
    BORNE,
    BORNE_AGAIN,
    MOST_ASKED,
    MOST_QUESTIONS,
    NOT_WAITING,
    PATIENCE,
    Rounds,
)
from tests.foreign.machines import NAME, PACREDIR, PACSERVE, SECOND, SIZE, Agent, Question
from tests.foreign.test_places import numbered


class RoundsTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000)
        self.agent = Agent()
        self.places = Places(lambda *_: True)
        self.rounds = Rounds(self.clock, self.places, Asking(self.clock, self.agent))
        self.addCleanup(self.assert_nothing_left)

    def assert_nothing_left(self) -> None:
        self.rounds.stop()
        self.clock.advance(PATIENCE)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def prove(self, *places: Place) -> None:
        for place in places:
            self.places.heard(place, MULTICAST, "", self.clock.seconds())
            self.places.answered(place, self.clock.seconds())

    def look(self, name: str = NAME, size: int = SIZE) -> list[bool]:
        """Look for a file; return what tells that it is known who has it."""
        done: list[bool] = []
        waiting = self.rounds.look(name, size)
        if waiting is None:
            return [False]
        waiting.addCallback(lambda _: done.append(True))
        return done

    def asked(self) -> dict[str, Question]:
        return {one.url: one for one in self.agent.take()}


class Asked(RoundsTestCase):
    def test_all_are_asked_at_once_by_their_ways(self) -> None:
        self.prove(PACREDIR, SECOND, PACSERVE)
        done = self.look()
        asked = self.agent.take()
        self.assertEqual(
            [(one.method, one.url) for one in asked],
            [
                ("HEAD", f"http://10.0.0.7:7078/pkg/{NAME}"),
                ("HEAD", f"http://10.0.0.6:7078/pkg/{NAME}"),
                ("POST", "http://10.0.0.8:15678/"),
            ],
        )
        self.assertEqual(asked[2].said, {"type": "file check", "paths": [f"pkg/{NAME}"], "hops": 0})
        self.assertEqual(done, [])

    def test_others_are_asked_for_what_one_lists_that_was_silent_since(self) -> None:
        self.prove(PACREDIR, PACSERVE)
        self.places.listed(PACSERVE, {NAME: SIZE}, self.clock.seconds())
        self.assertEqual((self.look(), self.agent.take()), ([False], []))
        self.clock.advance(THERE_FOR)
        done = self.look()
        # It may be gone, and then it is too late to ask who else has it.
        self.agent.one().head(200, Content_Length=str(SIZE))
        self.assertEqual(done, [True])
        self.assertEqual(self.rounds.holding(NAME, SIZE), [PACREDIR, PACSERVE])
        self.clock.advance(KNOWN_FOR)
        self.places.answered(PACSERVE, self.clock.seconds())
        self.assertEqual((self.look(), self.agent.take()), ([False], []))

    def test_it_is_over_as_soon_as_one_has_it(self) -> None:
        self.prove(PACREDIR, SECOND)
        done = self.look()
        first, second = self.agent.take()
        second.head()
        self.assertEqual(done, [True])
        self.assertEqual(self.rounds.holding(NAME, SIZE), [SECOND])
        first.head()
        self.assertEqual(set(self.rounds.holding(NAME, SIZE)), {PACREDIR, SECOND})

    def test_it_is_over_when_nobody_has_it(self) -> None:
        self.prove(PACREDIR, PACSERVE)
        done = self.look()
        head, post = self.agent.take()
        head.head(404)
        self.assertEqual(done, [])
        post.post({})
        self.assertEqual(done, [True])
        self.assertEqual(self.rounds.holding(NAME, SIZE), [])
        self.assertEqual(len(self.places.askable(self.clock.seconds())), 2)

    def test_a_pacserve_that_has_it_is_told_by_its_answer(self) -> None:
        self.prove(PACSERVE)
        self.look()
        self.agent.one().post({f"pkg/{NAME}": f"pkg/{NAME}"})
        self.assertEqual(self.rounds.holding(NAME, SIZE), [PACSERVE])

    def test_a_file_of_another_size_is_another_one(self) -> None:
        self.prove(PACREDIR)
        self.look()
        self.agent.one().head(size=SIZE + 1)
        self.assertEqual(self.rounds.holding(NAME, SIZE), [])

    def test_nobody_is_followed_elsewhere(self) -> None:
        self.prove(PACREDIR)
        done = self.look()
        self.agent.one().head(302, Location=f"http://203.0.113.7/{NAME}")
        self.assertEqual((done, self.rounds.holding(NAME, SIZE)), ([True], []))
        self.assertEqual(self.agent.take(), [])

    def test_many_places_of_few_machines_keep_no_other_one_from_being_asked(self) -> None:
        many = [
            Place(Tool.PACREDIR, f"10.0.9.{number}", 1 + port)
            for number in range(MOST_ASKED // 4)
            for port in range(4)
        ]
        self.prove(*many, PACREDIR)
        self.look()
        asked = self.asked()
        self.assertIn(PACREDIR.url(NAME), asked)
        self.assertEqual(len(asked), MOST_ASKED)

    def test_all_have_their_turn_and_whom_the_operator_named_always(self) -> None:
        many = [numbered(number) for number in range(2 * MOST_ASKED)]
        self.prove(*many)
        self.places.heard(many[-1], SETTING, "nas", self.clock.seconds())
        asked: set[str] = set()
        for number in range(3):
            self.clock.advance(1)
            name = f"{number}-1-1-any.pkg.tar.zst"
            self.look(name)
            urls = self.asked()
            self.assertIn(many[-1].url(name), urls)
            asked |= {url.removesuffix(name) for url in urls}
            for question in urls.values():
                question.head(404)
        self.assertEqual(asked, {one.url("") for one in many})

    def test_a_listing_that_is_cut_short_does_not_stand_for_an_answer(self) -> None:
        self.prove(PACSERVE)
        self.places.listed(PACSERVE, {NAME: SIZE}, self.clock.seconds(), whole=False)
        self.assertEqual(self.look(), [False])
        self.look("other-1-1-any.pkg.tar.zst")
        self.assertEqual(self.agent.one().url, PACSERVE.root)

    def test_who_has_just_told_what_it_has_is_not_asked_for_the_rest(self) -> None:
        self.prove(PACSERVE)
        self.places.listed(PACSERVE, {NAME: SIZE}, self.clock.seconds())
        self.assertEqual(self.look(), [False])
        self.assertEqual(self.rounds.holding(NAME, SIZE), [PACSERVE])
        self.assertEqual(self.look("other-1-1-any.pkg.tar.zst"), [False])
        self.assertEqual(self.agent.take(), [])


class Patience(RoundsTestCase):
    def test_the_silent_cost_half_a_second_once(self) -> None:
        self.prove(PACREDIR, SECOND)
        done = self.look()
        self.asked()[SECOND.url(NAME)].head(404)
        self.clock.advance(PATIENCE - 0.01)
        self.assertEqual(done, [])
        self.clock.advance(0.01)
        self.assertEqual(done, [True])
        self.look("other-1-1-any.pkg.tar.zst")
        self.assertEqual(list(self.asked()), [SECOND.url("other-1-1-any.pkg.tar.zst")])

    def test_who_refuses_is_left_alone_at_once(self) -> None:
        self.prove(PACREDIR)
        done = self.look()
        self.agent.one().refuse()
        self.assertEqual(done, [True])
        self.assertEqual(self.look("other-1-1-any.pkg.tar.zst"), [False])

    def test_who_is_busy_is_no_bad_one(self) -> None:
        self.prove(PACREDIR)
        done = self.look()
        self.agent.one().head(503)
        self.assertEqual(done, [True])
        self.look("other-1-1-any.pkg.tar.zst")
        self.assertEqual(len(self.agent.take()), 1)

    def test_what_a_library_raises_costs_nobody_more(self) -> None:
        self.prove(PACREDIR, PACSERVE)
        done = self.look()
        head, post = self.agent.take()
        head.deferred.errback(ZeroDivisionError())
        post.post(b"\xff not json")
        self.assertEqual(done, [True])

    def test_an_endless_answer_is_cut(self) -> None:
        self.prove(PACSERVE)
        done = self.look()
        response = self.agent.one().post(b"[" * (1 << 20))
        self.assertEqual(done, [True])
        self.assertTrue(response.left)
        self.assertEqual(self.places.askable(self.clock.seconds()), [])


class InVain(RoundsTestCase):
    """There may be always another one that is silent: pacman does not wait for all of them."""

    def wait_in_vain(self, number: int) -> bool:
        """Look for a file at one that is silent; return whether somebody waited."""
        name = f"p{number}-1-1-any.pkg.tar.zst"
        self.prove(PACREDIR)
        waiting = self.rounds.look(name, SIZE)
        self.agent.take()
        self.clock.advance(PATIENCE)
        if waiting is not None:
            self.successResultOf(waiting)
        self.places.forget(PACREDIR, MULTICAST)
        return waiting is not None

    def test_after_so_many_seconds_nobody_waits(self) -> None:
        waited = [self.wait_in_vain(number) for number in range(60)]
        most = BORNE + 60 * PATIENCE * BORNE_AGAIN
        self.assertLessEqual(sum(waited) * PATIENCE, most + 3 * PATIENCE)
        self.assertTrue(all(waited[: int(BORNE / PATIENCE)]))
        self.assertFalse(waited[int(most / PATIENCE) + 3])

    def test_who_says_no_just_in_time_is_not_waited_for_either(self) -> None:
        self.prove(PACREDIR)
        waited = 0.0
        for number in range(60):
            waiting = self.rounds.look(f"p{number}-1-1-any.pkg.tar.zst", SIZE)
            self.clock.advance(0.9 * PATIENCE)
            self.agent.one().head(404)
            waited += 0.9 * PATIENCE * (waiting is not None)
        self.assertLess(waited, BORNE + 60 * PATIENCE * BORNE_AGAIN + 3)

    def test_who_has_it_is_heard_all_the_same(self) -> None:
        for number in range(20):
            self.wait_in_vain(number)
        self.prove(SECOND)
        self.assertIsNone(self.rounds.look(NAME, SIZE))
        self.agent.one().head()
        self.assertEqual(self.rounds.holding(NAME, SIZE), [SECOND])

    def test_later_somebody_may_wait_again(self) -> None:
        for number in range(20):
            self.wait_in_vain(number)
        self.clock.advance(NOT_WAITING)
        self.assertTrue(self.wait_in_vain(99))


class Remembered(RoundsTestCase):
    def test_many_wait_for_one_round(self) -> None:
        self.prove(PACREDIR)
        first, second = self.look(), self.look()
        self.agent.one().head()
        self.assertEqual((first, second), ([True], [True]))

    def test_one_that_leaves_leaves_the_others_waiting(self) -> None:
        self.prove(PACREDIR)
        waiting = self.rounds.look(NAME, SIZE)
        assert waiting is not None
        waiting.addErrback(lambda _: None)
        second = self.look()
        waiting.cancel()
        self.agent.one().head()
        self.assertEqual(second, [True])

    def test_nobody_is_asked_again_for_a_while(self) -> None:
        self.prove(PACREDIR)
        self.look()
        self.agent.one().head()
        self.assertEqual(self.look(), [False])
        self.clock.advance(KNOWN_FOR)
        self.look()
        self.agent.one().head(404)
        self.assertEqual(self.look(), [False])
        self.clock.advance(NOBODY_FOR)
        self.look()
        self.assertEqual(len(self.agent.take()), 1)

    def test_who_failed_has_nothing_any_more(self) -> None:
        self.prove(PACREDIR)
        self.look()
        self.agent.one().head()
        self.rounds.failed(PACREDIR, "broke off")
        self.assertEqual(self.rounds.holding(NAME, SIZE), [])

    def test_who_has_gone_has_nothing(self) -> None:
        self.prove(PACREDIR)
        self.look()
        self.agent.one().head()
        self.places.forget(PACREDIR, MULTICAST)
        self.assertEqual(self.rounds.holding(NAME, SIZE), [])


class Bounds(RoundsTestCase):
    def test_few_are_asked_for_one_file(self) -> None:
        self.prove(*map(numbered, range(40)))
        self.look()
        self.assertEqual(len(self.agent.take()), MOST_ASKED)

    def test_few_questions_wait_at_a_time(self) -> None:
        self.prove(*map(numbered, range(40)))
        for number in range(100):
            self.look(f"p{number}-1-1-any.pkg.tar.zst")
        self.assertEqual(len(self.agent.take()), MOST_QUESTIONS)

    def test_with_nobody_to_ask_nobody_waits(self) -> None:
        self.assertEqual(self.look(), [False])
