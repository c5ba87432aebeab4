"""What faces answer in the turn they are asked in is what they answer the long way."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred

from flocon.answering.pace import Pacer
from flocon.books.recent import Answered
from flocon.faces.at_once import AT_A_TIME, LATER, LOOKED_LATELY, MOST_UNWRITTEN, HeldAtOnce
from flocon.faces.lan import Lan
from flocon.faces.loopback import MIRROR
from flocon.precedence import QUIET
from tests.faces import lan_case
from tests.faces.pacman_case import (
    DATA,
    DB,
    NAME,
    PATH,
    SIGNATURE,
    HeldFile,
    LoopbackTestCase,
)
from tests.faces.web import Browser, Exchange


def undated(raw: bytes) -> list[bytes]:
    """Return the lines of an answer but its date, which may be another second's."""
    return [line for line in raw.split(b"\r\n") if not line.startswith(b"Date: ")]


class ForPacman(LoopbackTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.desk.here[NAME] = HeldFile()
        self.browser = Browser(self.clock, self.face, at_once=self.face.at_once)
        self.exchange = self.browser.ask(PATH)
        self.long = self.exchange.raw
        self.opened = len(self.desk.opened)

    def finish(self) -> None:
        self.clock.pump([LATER, 0.0, 0.0])
        super().finish()

    def again(self, path: str) -> bytes:
        self.exchange.again(self.browser.request(path))
        return self.exchange.raw

    def assertAtOnce(self, *, was: bool = True) -> None:
        """Whether the last file was given without being opened for the kernel to send."""
        self.assertEqual(len(self.desk.opened) == self.opened, was)

    def test_a_package_is_answered_as_the_long_way(self) -> None:
        self.assertEqual(undated(self.again(PATH)), undated(self.long))
        self.assertTrue(self.long.endswith(DATA))
        self.assertAtOnce()

    def test_so_is_its_signature(self) -> None:
        long = self.browser.ask(f"{PATH}.sig").raw
        self.opened += 1
        self.assertEqual(undated(self.again(f"{PATH}.sig")), undated(long))
        self.assertTrue(long.endswith(SIGNATURE))
        self.assertAtOnce()

    def test_what_was_answered_is_written_down_a_moment_later(self) -> None:
        self.again(PATH)
        self.assertEqual(len(list(self.recent)), 1)
        self.clock.advance(LATER / 2)
        self.assertEqual(len(list(self.recent)), 1)
        self.clock.advance(LATER / 2)
        long, told = self.recent
        self.assertEqual(
            (told.file_name, told.repository, told.status, told.source, told.bytes),
            (long.file_name, long.repository, long.status, long.source, long.bytes),
        )

    def test_before_anything_else_is_answered_it_is(self) -> None:
        self.again(PATH)
        self.browser.get("/status.json")
        self.assertEqual(len(list(self.recent)), 2)

    def test_while_pacman_asks_only_what_is_too_much_is_written_down(self) -> None:
        written: list[Answered] = []
        at_once = HeldAtOnce(self.desk.parts(), written.append)
        for _ in range(MOST_UNWRITTEN - 1):
            at_once.find(None, PATH.encode())
            self.clock.advance(LATER / 2)
        self.assertEqual(written, [])
        at_once.find(None, PATH.encode())
        self.assertEqual(len(written), AT_A_TIME)
        self.clock.pump([LATER, *[0.0] * (MOST_UNWRITTEN // AT_A_TIME)])
        self.assertEqual(len(written), MOST_UNWRITTEN)

    def test_what_is_needed_beside_it_is_fetched_ahead(self) -> None:
        self.again(PATH)
        self.assertEqual([one.file_name for one in self.desk.noticed], [NAME, NAME])

    def test_its_signature_is_owed(self) -> None:
        owed: Any = self.face._leaving.owed
        owed.asked(NAME)
        self.again(PATH)
        self.assertTrue(owed.is_due(self.clock.seconds()))
        self.again(f"{PATH}.sig")
        self.assertFalse(owed.is_due(self.clock.seconds()))

    def test_it_counts_as_the_long_way_does(self) -> None:
        traffic = self.desk.traffic
        before = traffic.to_pacman_bytes, traffic.answers["cache"]
        self.again(PATH)
        after = traffic.to_pacman_bytes, traffic.answers["cache"]
        self.assertEqual((after[0] - before[0], after[1] - before[1]), before)

    def test_what_nobody_waits_for_stands_still_after_it(self) -> None:
        precedence = self.desk.tools.precedence
        self.clock.advance(QUIET + 1)
        self.assertFalse(precedence.holds_back)
        self.again(PATH)
        self.assertTrue(precedence.holds_back)

    def test_another_user_goes_the_long_way(self) -> None:
        self.exchange._channel.user = os.getuid() + 1
        self.desk.tools.precedence.set_users([0])
        self.again(PATH)
        self.assertAtOnce(was=False)

    def test_so_does_what_is_gone_and_what_is_not_listed(self) -> None:
        self.desk.listed.clear()
        self.again(PATH)
        self.assertAtOnce(was=False)

    def test_a_database_that_was_just_replaced_is_waited_for(self) -> None:
        self.clock.advance(LOOKED_LATELY)
        self.desk.settling = Deferred()
        self.assertEqual(self.again(PATH), b"")
        self.desk.settling.callback(None)
        self.assertTrue(self.exchange.raw.endswith(DATA))

    def test_databases_and_other_paths_go_the_long_way(self) -> None:
        for path in (DB, "/check", "/status.json", "/nothing", "/", MIRROR.decode() + NAME):
            self.assertIsNone(self.face.at_once(self.exchange._channel, path.encode(), None), path)

    def test_nothing_is_begun_once_the_node_leaves(self) -> None:
        leaving = Deferred.fromCoroutine(self.face.leave())
        self.assertIsNone(self.face.at_once(self.exchange._channel, PATH.encode(), None))
        self.clock.pump([1.0] * 4)
        self.successResultOf(leaving)


class ForPeers(lan_case.LanTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.shelf.files[NAME] = lan_case.DATA
        self.browse(self.lan)

    def browse(self, face: Lan) -> None:
        self.browser.close()
        self.browser = Browser(
            self.shelf.tools.reactor, face, "10.0.0.9", "10.0.0.1", at_once=face.at_once
        )

    def asked_twice(self, path: str, **headers: str) -> tuple[Exchange, bytes]:
        exchange = self.browser.ask(path, host="10.0.0.1", **headers)
        long = exchange.raw
        exchange.again(self.browser.request(path, host="10.0.0.1", **headers))
        return exchange, long

    def test_a_package_is_answered_as_the_long_way(self) -> None:
        for headers in ({}, {"If_Match": f'"{lan_case.CONTENT.sha256.hex()}"'}):
            exchange, long = self.asked_twice(f"/pkg/{NAME}", **headers)
            self.assertEqual(undated(exchange.raw), undated(long))
            self.assertTrue(long.endswith(lan_case.DATA))
        self.assertEqual(len(self.shelf.opened), 2)

    def test_so_is_its_signature(self) -> None:
        exchange, long = self.asked_twice(f"/pkg/{NAME}.sig")
        self.assertEqual(undated(exchange.raw), undated(long))

    def test_it_counts_as_the_long_way_does(self) -> None:
        self.asked_twice(f"/pkg/{NAME}")
        self.assertEqual(self.lan.counters["files"], 2)
        self.assertEqual(
            self.shelf.traffic.takers.most_first(), [("10.0.0.9", 2 * len(lan_case.DATA))]
        )
        self.assertTrue(self.shelf.tools.precedence.holds_back)

    def test_another_content_than_is_held_goes_the_long_way(self) -> None:
        exchange, _ = self.asked_twice(f"/pkg/{NAME}", If_Match=f'"{"00" * 32}"')
        self.assertEqual(exchange.answer.status, 404)

    def test_so_does_one_that_is_named_in_small_letters(self) -> None:
        request = self.browser.request(
            f"/pkg/{NAME}", host="10.0.0.1", If_Match=f'"{"00" * 32}"'
        ).replace(b"If-Match", b"if-match")
        exchange = self.browser.ask(f"/pkg/{NAME}", host="10.0.0.1")
        for _ in range(2):
            exchange.again(request)
            self.assertEqual(exchange.answer.status, 404)

    def test_what_nobody_waits_for_goes_the_long_way(self) -> None:
        self.asked_twice(f"/pkg/{NAME}", Priority="u=7")
        self.assertEqual(len(self.shelf.opened), 2)

    def test_a_bound_of_the_operators_holds(self) -> None:
        self.browse(Lan(self.shelf.parts(), Pacer(self.shelf.tools.reactor, 1e9)))
        self.asked_twice(f"/pkg/{NAME}")
        self.assertEqual(len(self.shelf.opened), 2)
