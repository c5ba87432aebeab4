"""How the face for pacman ends: what may end, what is answered, and what is left to others."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.serving.awake import WAKES
from flocon.serving.leaving import ENDING, MOST_OWED, OWING, Owed
from tests.faces.pacman_case import (
    DATA,
    DB,
    MIRROR_A,
    NAME,
    PATH,
    SIGNATURE,
    HeldFile,
    LoopbackTestCase,
)
from tests.faces.web import Exchange

#: One look at whether all has ended.
LOOK = 0.02


class Owing(SynchronousTestCase):
    def test_a_signature_is_owed_until_it_is_asked_for(self) -> None:
        owed = Owed()
        self.assertFalse(owed.is_due(0.0))
        owed.given(0.0, "a")
        owed.given(0.0, "b")
        owed.asked("a")
        self.assertTrue(owed.is_due(0.1))
        owed.asked("b")
        self.assertFalse(owed.is_due(0.1))

    def test_who_does_not_ask_soon_wants_none(self) -> None:
        owed = Owed()
        owed.given(1.0, "a")
        self.assertTrue(owed.is_due(1.0 + OWING - 0.01))
        self.assertFalse(owed.is_due(1.0 + OWING))

    def test_a_package_given_again_is_owed_from_then_on(self) -> None:
        owed = Owed()
        owed.given(0.0, "a")
        owed.given(OWING, "a")
        self.assertTrue(owed.is_due(OWING + 0.1))

    def test_what_is_owed_is_bounded_and_the_newest_is_kept(self) -> None:
        owed = Owed()
        for number in range(MOST_OWED + 1):
            owed.given(0.0, str(number))
        for number in range(MOST_OWED):
            owed.asked(str(number))
        self.assertTrue(owed.is_due(0.0))
        owed.asked(str(MOST_OWED))
        self.assertFalse(owed.is_due(0.0))


class Ending(LoopbackTestCase):
    def leave(self) -> Deferred[None]:
        # Before all else is tidied up.
        self.addCleanup(self.later, ENDING + OWING + LOOK)
        return Deferred.fromCoroutine(self.face.leave())

    def later(self, seconds: float) -> None:
        self.clock.pump([LOOK] * round(seconds / LOOK))

    def hold(self) -> None:
        self.desk.here[NAME] = HeldFile()

    def ask_again(self, exchange: Exchange, path: str) -> None:
        exchange.again(self.browser.request(path))

    def test_at_rest_it_takes_no_time(self) -> None:
        self.successResultOf(self.leave())

    def test_what_is_being_given_ends(self) -> None:
        exchange = self.browser.ask(PATH)
        left = self.leave()
        self.later(ENDING / 2)
        self.assertNoResult(left)
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(exchange.answer.body, DATA)

    def test_what_takes_too_long_is_not_waited_for(self) -> None:
        self.browser.ask(PATH)
        left = self.leave()
        self.later(ENDING - 2 * LOOK)
        self.assertNoResult(left)
        self.later(4 * LOOK)
        self.successResultOf(left)

    def test_the_signature_of_what_was_given_is_waited_for_and_answered(self) -> None:
        self.hold()
        exchange = self.browser.ask(PATH)
        self.assertEqual(exchange.answer.body, DATA)
        left = self.leave()
        self.later(OWING / 2)
        self.assertNoResult(left)
        self.ask_again(exchange, PATH + ".sig")
        self.assertEqual(exchange.answer.body, SIGNATURE)
        self.later(LOOK)
        self.successResultOf(left)

    def test_so_is_that_of_what_ends_meanwhile(self) -> None:
        exchange = self.browser.ask(PATH)
        left = self.leave()
        self.asked(MIRROR_A).whole(DATA)
        self.later(OWING / 2)
        self.assertNoResult(left)
        self.ask_again(exchange, PATH + ".sig")
        self.desk.signs[0].callback(SIGNATURE)
        self.assertEqual(exchange.answer.body, SIGNATURE)
        self.later(LOOK)
        self.successResultOf(left)

    def test_a_signature_that_nobody_wants_is_not_waited_for_long(self) -> None:
        self.hold()
        self.get(PATH)
        left = self.leave()
        self.later(OWING + LOOK)
        self.successResultOf(left)

    def test_a_signature_alone_keeps_nobody_longer_than_a_file(self) -> None:
        self.hold()
        exchange = self.browser.ask(PATH)
        left = self.leave()
        for _ in range(round((ENDING + OWING) / LOOK) + 1):
            self.later(LOOK)
            if not left.called:
                self.face._leaving.owed.given(self.clock.seconds(), NAME)
        self.successResultOf(left)
        self.assertTrue(exchange.answered)

    def test_nothing_else_is_begun_and_nothing_is_answered_to_it(self) -> None:
        self.leave()
        for path in (PATH, DB):
            exchange = self.browser.ask(path)
            self.assertEqual(exchange.raw, b"")
            self.assertTrue(exchange.cut)
        self.assertEqual(list(self.desk.transfers), [])

    def test_what_pacman_has_nothing_of_yet_is_left_to_the_next_node(self) -> None:
        # curl asks once more where the connection had served it before.
        self.hold()
        exchange = self.browser.ask(PATH + ".sig")
        self.desk.here.clear()
        self.ask_again(exchange, PATH)
        self.leave()
        self.assertTrue(exchange.cut)
        self.assertEqual(exchange.raw, b"")

    def test_what_it_was_told_is_on_the_way_is_given(self) -> None:
        # curl does not ask again where a byte came.
        self.hold()
        exchange = self.browser.ask(PATH + ".sig")
        self.desk.here.clear()
        exchange.again(self.browser.request(PATH, User_Agent="pacman/7.1.0"))
        self.clock.advance(WAKES[0])
        self.leave()
        self.assertFalse(exchange.cut)
        self.asked(MIRROR_A).whole(DATA)
        self.assertTrue(exchange.raw.endswith(DATA))

    def test_on_a_new_connection_it_is_answered(self) -> None:
        exchange = self.browser.ask(PATH)
        self.leave()
        self.assertFalse(exchange.cut)
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(exchange.answer.body, DATA)

    def test_connections_are_closed_at_last_and_cut_in_the_middle_of_an_answer(self) -> None:
        self.hold()
        idle = self.browser.ask(PATH)
        self.desk.here.clear()
        running = self.browser.ask(PATH)
        self.browser.site.end()
        self.assertTrue(idle.transport.disconnecting)
        self.assertEqual(idle.answer.body, DATA)
        self.assertTrue(running.transport.disconnected or running.transport.disconnecting)
        self.assertEqual(running.raw, b"")
