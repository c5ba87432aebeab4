"""How pacman gets a sync database and its signature."""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from twisted.internet import error
from twisted.internet.defer import Deferred, succeed

from flocon.databases.given import Arrived, Missing, OwnCopy, Signature, Unchanged
from flocon.faces import absent as module
from flocon.transfers.reader import Reader
from flocon.transfers.release import MIRROR_HOLD
from flocon.transfers.subjects import Subject
from tests.faces.pacman_case import (
    DATA,
    DB,
    MIRROR_A,
    MIRROR_B,
    PATH,
    PEER,
    SIGNATURE,
    THEN,
    LoopbackTestCase,
)
from tests.faces.web import OpenedBytes

if TYPE_CHECKING:
    from flocon.databases.given import Given


class Databases(LoopbackTestCase):
    def test_it_is_relayed_as_it_comes_with_its_date(self) -> None:
        exchange = self.browser.ask(DB)
        self.asked(MIRROR_A).head(len(DATA), Last_Modified=THEN).send(DATA[:10])
        self.clock.advance(MIRROR_HOLD)
        self.assertEqual(exchange.answer.body, DATA[:10])
        self.assertEqual(exchange.answer.headers["last-modified"], THEN)

    def test_one_without_a_length_goes_as_it_comes_and_ends_when_it_does(self) -> None:
        exchange = self.browser.ask(DB)
        response = self.asked(MIRROR_A).answer(200, Last_Modified=THEN)
        response.send(DATA[:10])
        self.clock.advance(MIRROR_HOLD)
        found = exchange.answer
        self.assertEqual((found.status, found.headers["transfer-encoding"]), (200, "chunked"))
        self.assertNotIn("content-length", found.headers)
        self.assertEqual(found.body, b"a\r\n" + DATA[:10] + b"\r\n")
        response.send(DATA[10:30])
        response.end()
        self.assertTrue(exchange.answer.body.endswith(b"14\r\n" + DATA[10:30] + b"\r\n0\r\n\r\n"))

    def test_one_without_a_length_that_breaks_off_does_not_look_whole(self) -> None:
        self.desk.sources = (MIRROR_A,)
        exchange = self.browser.ask(DB)
        response = self.asked(MIRROR_A).answer(200)
        response.send(DATA[:10])
        self.clock.advance(MIRROR_HOLD)
        response.break_off()
        self.assertTrue(exchange.cut)
        self.assertFalse(exchange.answer.body.endswith(b"0\r\n\r\n"))

    def test_an_error_is_not_answered_where_pacman_has_a_local_server_left(self) -> None:
        """It would take that one's unchanged database for failed."""
        self.desk.others.add("core")
        for status in (404, 503):
            for path in (DB, "/core/os/x86_64/core.files"):
                exchange = self.browser.ask(path)
                self.asked(MIRROR_A).answer(status)
                self.asked(MIRROR_B).answer(status)
                self.assertEqual(exchange.raw, b"")
                self.assertTrue(exchange.cut)
        for path in (DB + ".sig", PATH, DB.replace("core", "extra")):
            exchange = self.browser.ask(path)
            self.asked(MIRROR_A).answer(404)
            self.asked(MIRROR_B).answer(404)
            self.assertRefused(exchange.answer, 404)

    def test_a_configuration_that_was_just_written_is_waited_for(self) -> None:
        self.desk.settling = Deferred()
        exchange = self.browser.ask("/lastupdate")
        self.assertEqual(self.desk.tools.agent(MIRROR_A).requests, [])
        self.desk.settling.callback(None)
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(exchange.answer.body, DATA)

    def test_every_path_of_a_mirror_is_relayed(self) -> None:
        for path in (
            *("/core/os/x86_64/core.db.tar.gz", "//core/os/x86_64/core.files.tar.gz.sig"),
            *("/lastupdate", "/lastsync"),
        ):
            exchange = self.browser.ask(path)
            self.asked(MIRROR_A).whole(DATA, Last_Modified=THEN)
            self.assertEqual((exchange.answer.status, exchange.answer.body), (200, DATA), path)
            self.assertEqual(exchange.answer.headers["last-modified"], THEN)

    def test_nothing_new_is_a_304_as_the_mirror_said_it(self) -> None:
        exchange = self.browser.ask(DB, If_Modified_Since=THEN)
        self.assertEqual(self.asked(MIRROR_A).header("If-Modified-Since"), THEN)
        self.asked(MIRROR_A).answer(304, Last_Modified=THEN)
        found = exchange.answer
        self.assertEqual((found.status, found.body), (304, b""))
        self.assertEqual(found.headers["last-modified"], THEN)

    def test_a_date_to_come_is_told_to_nobody(self) -> None:
        """It would keep every mirror's database from pacman until then."""
        for source in (MIRROR_A, PEER):
            self.desk.sources = (source,)
            for tomorrow in ("Tue, 19 Jan 2038 03:14:07 GMT", "not a date"):
                exchange = self.browser.ask(DB)
                self.asked(source).whole(DATA, Last_Modified=tomorrow)
                found = exchange.answer
                self.assertEqual((found.status, found.body), (200, DATA))
                self.assertNotIn("last-modified", found.headers)

    def test_a_signature_that_is_known_already_is_given(self) -> None:
        self.patch(self.desk, "database", lambda *_: succeed(Signature(SIGNATURE)))
        found = self.get(DB + ".sig")
        self.assertEqual((found.status, found.body), (200, SIGNATURE))
        self.assertNotIn("last-modified", found.headers)

    def test_it_is_as_new_as_its_database_and_newer_than_what_pacman_has(self) -> None:
        """By its date pacman takes it, and the next one of a mirror's database."""
        at = 1_700_000_000
        self.patch(self.desk, "database", lambda *_: succeed(Signature(SIGNATURE, at)))
        for has, told in ((None, at), (at - 9, at), (at, at + 1), (at + 60, at + 61)):
            headers = {} if has is None else {"If_Modified_Since": formatdate(has, usegmt=True)}
            found = self.get(DB + ".sig", **headers)
            self.assertEqual((found.status, found.body), (200, SIGNATURE))
            self.assertEqual(found.headers["last-modified"], formatdate(told, usegmt=True))
        found = self.get(DB + ".sig", If_Modified_Since=formatdate(2**32, usegmt=True))
        self.assertNotIn("last-modified", found.headers)

    def test_with_a_database_that_is_unchanged_it_is_unchanged(self) -> None:
        given = Signature(SIGNATURE, 1_700_000_000, is_new=False)
        self.patch(self.desk, "database", lambda *_: succeed(given))
        date = formatdate(1_700_000_000, usegmt=True)
        self.assertEqual(self.get(DB + ".sig", If_Modified_Since=date).status, 304)
        self.assertEqual(self.get(DB + ".sig").body, SIGNATURE)

    def absent(self, path: str) -> None:
        exchange = self.browser.ask(path)
        self.asked(MIRROR_A).answer(404)
        self.asked(MIRROR_B).answer(404)
        self.assertRefused(exchange.answer, 404)

    def requests(self) -> int:
        return len(self.desk.tools.agent(MIRROR_A).requests)

    def test_a_missing_signature_is_remembered(self) -> None:
        self.absent(DB + ".sig")
        before = self.requests()
        self.assertRefused(self.get(DB + ".sig"), 404)
        self.assertEqual(self.requests(), before)

    def test_it_is_asked_for_again_beside_a_new_database(self) -> None:
        self.absent(DB + ".sig")
        exchange = self.browser.ask(DB)
        self.asked(MIRROR_A).whole(DATA)
        self.assertEqual(exchange.answer.body, DATA)
        before = self.requests()
        exchange = self.browser.ask(DB + ".sig")
        self.assertEqual(self.requests(), before + 1)
        self.asked(MIRROR_A).whole(SIGNATURE)
        self.assertEqual(exchange.answer.body, SIGNATURE)

    def test_it_is_not_asked_for_again_where_nothing_is_new(self) -> None:
        self.absent(DB + ".sig")
        self.browser.ask(DB, If_Modified_Since=THEN)
        self.asked(MIRROR_A).answer(304)
        before = self.requests()
        self.assertRefused(self.get(DB + ".sig"), 404)
        self.assertEqual(self.requests(), before)

    def test_it_may_be_there_for_another_architecture(self) -> None:
        self.absent(DB + ".sig")
        exchange = self.browser.ask("/core/os/aarch64/core.db.sig")
        self.asked(MIRROR_A).whole(SIGNATURE)
        self.assertEqual(exchange.answer.body, SIGNATURE)

    def test_a_missing_database_is_not_remembered(self) -> None:
        self.absent(DB)
        before = self.requests()
        self.browser.ask(DB)
        self.assertEqual(self.requests(), before + 1)

    def test_a_signature_that_could_not_be_asked_for_is_not_remembered(self) -> None:
        exchange = self.browser.ask(DB + ".sig")
        self.asked(MIRROR_A).answer(404)
        self.asked(MIRROR_B).fail(error.ConnectionRefusedError())
        self.assertRefused(exchange.answer, 503)
        before = self.requests()
        self.browser.ask(DB + ".sig")
        self.assertEqual(self.requests(), before + 1)

    def test_no_more_are_remembered_than_there_can_be(self) -> None:
        self.patch(module, "MOST_ABSENT", 2)
        for repository in ("a", "b", "c"):
            self.absent(f"/{repository}/os/any/{repository}.db.sig")
        self.assertEqual(len(self.face._absent), 2)


class OfTheState(LoopbackTestCase):
    """What is given of the state that is followed."""

    def give(self, given: Given) -> None:
        self.patch(self.desk, "database", lambda *_: succeed(given))

    def test_what_pacman_has_stands(self) -> None:
        self.give(Unchanged("peer 10.0.0.2"))
        found = self.browser.ask(DB, If_Modified_Since=THEN).answer
        self.assertEqual((found.status, found.body), (304, b""))
        self.assertEqual(found.headers["flocon-source"], "peer 10.0.0.2")
        self.assertEqual(self.desk.tools.agent(MIRROR_A).requests, [])

    def test_where_there_is_none_pacman_goes_on_to_its_next_server(self) -> None:
        self.give(Missing(503))
        self.assertRefused(self.get(DB), 503)
        self.desk.others.add("core")
        exchange = self.browser.ask(DB)
        self.assertEqual((exchange.raw, exchange.cut), (b"", True))

    def test_a_signature_that_a_state_has_not_is_absent(self) -> None:
        self.give(Missing(404))
        self.assertRefused(self.get(f"{DB}.sig"), 404)

    def test_this_nodes_own_is_sent_whatever_pacman_has(self) -> None:
        for dated in (True, False):
            opened: Any = OpenedBytes(DATA, 1_700_000_000.0)
            self.desk.opened.append(opened)
            self.give(OwnCopy(opened, dated))
            since = formatdate(1_699_999_999 + (not dated) * 9_999, usegmt=True)
            found = self.browser.ask(DB, If_Modified_Since=since).answer
            self.assertEqual((found.status, found.body), (200, DATA))
            self.assertEqual(found.headers.get("last-modified"), THEN if dated else None)

    def test_what_arrived_is_sent_with_the_date_that_it_is_to_have(self) -> None:
        subject = Subject("core.db", dated=THEN, find_problem=lambda _: "")
        transfer = self.desk.transfers.alone(subject, self.desk.chooser(PEER))
        arrived = Arrived(transfer, Reader(transfer, 0))
        self.asked(PEER).whole(DATA, Last_Modified="Tue, 14 Nov 2023 22:13:19 GMT")
        self.successResultOf(transfer.finished.wait())
        self.give(arrived)
        found = self.browser.ask(DB).answer
        self.assertEqual((found.status, found.body), (200, DATA))
        self.assertEqual(found.headers["last-modified"], THEN)
        self.assertFalse(transfer.followed)
