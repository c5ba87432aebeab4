"""How pacman gets the signature of a package."""

from __future__ import annotations

import hashlib

from flocon.files import Content
from flocon.transfers.subjects import Subject
from tests.faces.pacman_case import (
    DATA,
    MIRROR_A,
    MIRROR_B,
    NAME,
    PATH,
    SIGNATURE,
    LoopbackTestCase,
)


class Signatures(LoopbackTestCase):
    def test_one_that_the_database_has_is_given_at_once(self) -> None:
        self.desk.embedded = SIGNATURE
        found = self.get(PATH + ".sig")
        self.assertEqual((found.status, found.body), (200, SIGNATURE))
        self.assertEqual(found.headers["flocon-source"], "database")

    def fetched(self) -> None:
        self.browser.ask(PATH)
        self.asked(MIRROR_A).whole(DATA)

    def test_it_is_there_when_pacman_asks_for_it(self) -> None:
        self.fetched()
        self.desk.signs[0].callback(SIGNATURE)
        found = self.get(PATH + ".sig")
        self.assertEqual((found.status, found.body), (200, SIGNATURE))
        self.assertEqual(found.headers["flocon-source"], "mirror m")

    def test_it_is_waited_for(self) -> None:
        self.fetched()
        exchange = self.browser.ask(PATH + ".sig")
        self.assertFalse(exchange.answered)
        self.desk.signs[0].callback(SIGNATURE)
        self.assertEqual(exchange.answer.body, SIGNATURE)

    def test_where_there_is_none_the_mirrors_are_asked(self) -> None:
        self.fetched()
        self.desk.signs[0].callback(None)
        exchange = self.browser.ask(PATH + ".sig")
        self.asked(MIRROR_A).whole(b"theirs")
        self.assertEqual(exchange.answer.body, b"theirs")

    def test_mirrors_that_have_just_said_that_there_is_none_are_not_asked_again(self) -> None:
        self.fetched()
        self.desk.signs[0].callback(None)
        self.desk.unsigned = True
        before = len(self.desk.tools.agent(MIRROR_A).requests)
        self.assertRefused(self.get(PATH + ".sig"), 404)
        self.assertEqual(len(self.desk.tools.agent(MIRROR_A).requests), before)

    def test_that_of_another_content_is_not_given(self) -> None:
        other = Content(3, hashlib.sha256(b"abc").digest())
        self.desk.transfers.join(Subject(NAME, other), self.desk.chooser(MIRROR_A))
        self.asked(MIRROR_A).whole(b"abc")
        self.desk.signs[0].callback(b"of another")
        exchange = self.browser.ask(PATH + ".sig")
        self.asked(MIRROR_A).whole(b"theirs")
        self.assertEqual(exchange.answer.body, b"theirs")

    def test_one_never_heard_of_is_asked_of_the_mirrors(self) -> None:
        exchange = self.browser.ask(PATH + ".sig")
        self.asked(MIRROR_A).answer(404)
        self.asked(MIRROR_B).answer(404)
        self.assertRefused(exchange.answer, 404)
