"""Signatures of what lies in other tools' folders without one: fetched once, and remembered."""

from __future__ import annotations

import os
from unittest import mock

from flocon.errors import Unreachable
from flocon.files import Content
from flocon.holdings import late_signatures as module
from flocon.holdings.late_signatures import AGAIN, LOOK_AGAIN, PACE, WRITE_AFTER
from tests.holdings.machine import OLD, A, B, HoldingsCase, content_of

DATA = b"the data of a package"


class LateSignaturesTests(HoldingsCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = self.machine.top / "pkgstash" / "extra" / "os" / "x86_64"
        self.folder.mkdir(parents=True)
        self.machine.adopt = [self.machine.top / "pkgstash"]
        self.asked: list[str] = []
        #: What a mirror says of each; nothing is a failure.
        self.given: dict[str, bytes | None] = {A: b"of A", B: b"of B"}
        self.may_ask = True
        self.make()

    def make(self) -> None:
        self.machine.make()
        self.machine.holdings.fetch_signatures(self.fetch, lambda: self.may_ask)

    async def fetch(self, name: str, content: Content, descriptor: int) -> bytes | None:
        self.assertEqual(content_of(os.pread(descriptor, content.size + 1, 0)), content)
        self.asked.append(name)
        if name not in self.given:
            raise Unreachable("mirror", "is away")
        return self.given[name]

    def put(self, name: str, data: bytes = DATA) -> None:
        (self.folder / name).write_bytes(data)
        os.utime(self.folder / name, (OLD, OLD))
        self.machine.listing[name] = [content_of(data)]

    def pass_time(self, seconds: float) -> None:
        self.machine.reactor.advance(seconds)
        self.machine.settle()

    def test_what_is_verified_is_held_with_the_one_that_was_fetched(self) -> None:
        self.put(A)
        self.start()
        self.assertEqual(self.machine.read(A), DATA)
        self.assertEqual(self.machine.read(A, signature=True), b"of A")
        self.assertEqual(set(self.machine.held()), {A})
        self.assertEqual({path.name for path in self.folder.iterdir()}, {A})

    def test_one_is_asked_for_at_a_time_and_some_time_after_the_other(self) -> None:
        self.put(A)
        self.put(B, DATA + b"B")
        self.start()
        self.assertEqual(len(self.asked), 1)
        self.pass_time(PACE)
        self.assertEqual(len(self.asked), 2)

    def test_it_is_fetched_once_and_remembered_over_a_restart(self) -> None:
        self.put(A)
        self.start()
        self.pass_time(WRITE_AFTER)
        self.machine.stop()
        self.make()
        self.machine.start()
        self.pass_time(AGAIN)
        self.assertEqual(self.asked, [A])
        self.assertEqual(self.machine.read(A, signature=True), b"of A")

    def test_what_was_written_down_and_damaged_is_fetched_anew(self) -> None:
        self.put(A)
        self.start()
        self.machine.stop()
        notes = {"zz": "x", "00": "eA==", content_of(DATA).sha256.hex(): "no base64"}
        with mock.patch.object(module, "recall", lambda *_: notes):
            self.make()
        self.machine.start()
        self.assertEqual(self.asked, [A, A])
        self.assertIsNotNone(self.machine.cache.find(A))

    def test_one_that_is_not_to_be_had_is_asked_for_again_much_later(self) -> None:
        ways: list[dict[str, bytes | None]] = [{}, {A: None}]
        for given in ways:
            with self.subTest(given=given):
                self.asked.clear()
                self.given = given
                self.put(A)
                self.start()
                self.machine.cache.listing_changed()
                self.pass_time(PACE)
                self.assertEqual((self.asked, self.machine.held()), ([A], {}))
                self.pass_time(AGAIN)
                self.machine.cache.listing_changed()
                self.machine.settle()
                self.assertEqual(self.asked, [A, A])
                self.machine.stop()
                self.make()
        self.machine.start()

    def test_nothing_is_asked_while_the_link_costs_by_the_byte(self) -> None:
        self.may_ask = False
        self.put(A)
        self.start()
        self.assertEqual(self.asked, [])
        self.may_ask = True
        self.pass_time(LOOK_AGAIN)
        self.assertEqual(self.asked, [A])

    def test_nothing_is_asked_of_what_is_not_listed_or_carried_by_the_database(self) -> None:
        self.put(A)
        self.put(B)
        del self.machine.listing[B]
        self.machine.signatures[content_of(DATA)] = b"of the database"
        self.start()
        self.pass_time(PACE)
        self.assertEqual(self.asked, [])
        self.assertEqual(self.machine.read(A, signature=True), b"of the database")

    def test_so_many_are_remembered_and_no_more(self) -> None:
        self.patch(module, "MOST", 1)
        self.put(A)
        self.put(B, DATA + b"B")
        self.start()
        self.pass_time(PACE)
        adopting = self.machine.holdings.adopting
        assert adopting is not None
        self.assertEqual(len(adopting.signatures._known), 1)
