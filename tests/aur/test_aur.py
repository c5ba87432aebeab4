"""Asking the AUR by its RPC."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import parse_qs, urlsplit

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.aur import aur as aur_module
from flocon.aur.aur import LONGEST_URL, Aur
from flocon.aur.records import Record
from flocon.errors import Broken, BuildError, Refused, SourceError, Stalled, Unreachable
from tests.aur.test_records import FOO, answer
from tests.fakes import FakeAgent


class Asking(SynchronousTestCase):
    def setUp(self) -> None:
        self.agent = FakeAgent()
        self.clock = Clock()
        self.aur = Aur(self.clock, self.agent, "https://aur.example")  # type: ignore[arg-type]  # enough of one

    def info(self, names: Collection[str], *, urgent: bool = False) -> Deferred[dict[str, Record]]:
        return Deferred.fromCoroutine(self.aur.info(names, urgent=urgent))

    def search(self, name: str) -> Deferred[tuple[Record, ...]]:
        return Deferred.fromCoroutine(self.aur.search_provides(name))

    def fail(self, status: int = 503, **headers: str) -> None:  # type: ignore[override]
        """Have a question be answered so."""
        coming = self.info(["foo"], urgent=True)
        self.agent.last.answer(status, **headers).end()
        self.failureResultOf(coming, Refused)


class Questions(Asking):
    def test_all_names_are_asked_for_at_once(self) -> None:
        coming = self.info(["foo", "foo-bin", "c++x"])
        self.assertEqual(
            self.agent.last.url,
            "https://aur.example/rpc/v5/info?arg%5B%5D=c%2B%2Bx&arg%5B%5D=foo&arg%5B%5D=foo-bin",
        )
        self.agent.last.whole(answer(FOO))
        self.assertEqual([*self.successResultOf(coming)], ["foo-bin"])

    def test_many_are_asked_for_one_question_after_the_other(self) -> None:
        names = [f"package-{number:04}" for number in range(500)]
        coming = self.info(names)
        asked: list[str] = []
        while not coming.called:
            url = self.agent.last.url
            self.assertLessEqual(len(url), LONGEST_URL)
            words = parse_qs(urlsplit(url).query)["arg[]"]
            asked += words
            before = len(self.agent.requests)
            results = [{**FOO, "Name": word, "PackageBase": word} for word in words]
            self.agent.last.whole(answer(*results))
            self.assertLessEqual(len(self.agent.requests), before + 1)
        self.assertEqual(asked, names)
        self.assertEqual([*self.successResultOf(coming)], names)
        self.assertEqual(len(self.agent.requests), 3)

    def test_what_nobody_asked_for_is_not_taken(self) -> None:
        coming = self.info(["foo"])
        self.agent.last.whole(answer({**FOO, "Name": "other"}))
        self.assertEqual(self.successResultOf(coming), {})

    def test_what_is_no_name_is_not_asked_for(self) -> None:
        self.assertEqual(self.successResultOf(self.info(["foo>=1", "../x", ""])), {})
        self.assertEqual(self.agent.requests, [])

    def test_too_many_names_are_said_to_be(self) -> None:
        self.failureResultOf(self.info([f"p{number}" for number in range(3_001)]), BuildError)

    def test_a_search_gives_those_that_provide_a_name_by_votes(self) -> None:
        coming = self.search("libfoo++")
        self.assertEqual(
            self.agent.last.url, "https://aur.example/rpc/v5/search/libfoo%2B%2B?by=provides"
        )
        few = {**FOO, "Name": "few", "NumVotes": 1}
        self.agent.last.whole(answer(few, FOO, type="search"))
        self.assertEqual([one.name for one in self.successResultOf(coming)], ["foo-bin", "few"])

    def test_what_is_too_short_to_search_for_is_not_asked(self) -> None:
        self.assertEqual(self.successResultOf(self.search("x")), ())
        self.assertEqual(self.agent.requests, [])


class Unchanged(Asking):
    def test_an_answer_is_asked_for_by_its_etag_and_kept_while_it_is_the_same(self) -> None:
        self.info(["foo-bin"])
        self.agent.last.whole(answer(FOO), ETag='"abc"')
        coming = self.info(["foo-bin"])
        self.assertEqual(self.agent.last.header("If-None-Match"), '"abc"')
        self.agent.last.answer(304).end()
        self.assertEqual(self.successResultOf(coming)["foo-bin"].votes, 12)

    def test_another_answer_takes_its_place(self) -> None:
        self.info(["foo-bin"])
        self.agent.last.whole(answer(FOO), ETag='"abc"')
        coming = self.info(["foo-bin"])
        self.agent.last.whole(answer({**FOO, "NumVotes": 13}), ETag='"def"')
        self.assertEqual(self.successResultOf(coming)["foo-bin"].votes, 13)
        self.info(["foo-bin"])
        self.assertEqual(self.agent.last.header("If-None-Match"), '"def"')

    def test_a_304_to_what_was_never_answered_is_none(self) -> None:
        coming = self.info(["foo"])
        self.agent.last.answer(304).end()
        self.failureResultOf(coming, Refused)

    def test_what_is_kept_has_so_many_bytes_together(self) -> None:
        for number in range(4):
            coming = self.info([f"foo{number}"])
            large = {**FOO, "Depends": ["x" * 4_000] * 250}
            self.agent.last.whole(answer(large), ETag='"abc"')
            self.successResultOf(coming)
        self.assertEqual(len(self.aur._kept), 3)
        self.assertLessEqual(self.aur._bytes_kept(), aur_module.MOST_BYTES_KEPT)

    def test_so_many_answers_are_kept(self) -> None:
        for number in range(100):
            self.info([f"p{number}"])
            self.agent.last.whole(answer(), ETag='"abc"')
        self.assertEqual(len(self.aur._kept), aur_module.MOST_KEPT)


class Dates(Asking):
    def told(self, **headers: str) -> int:
        """Return when the AUR said something, by its own clock."""
        coming = self.info(["foo-bin"])
        self.agent.last.whole(answer(FOO), **headers)
        return self.successResultOf(coming)["foo-bin"].told

    def test_what_time_it_is_there_comes_with_each_answer(self) -> None:
        self.assertEqual(self.told(Date="Sat, 28 Nov 2026 10:00:00 GMT"), 1_795_860_000)
        self.assertEqual(self.told(), 0)

    def test_what_is_no_date_is_none(self) -> None:
        odd = "28 Xyz 2026", "28 Nov 0001", "Nov"
        for said in ("", "now", *(f"Sat, {one} 10:00:00 GMT" for one in odd)):
            self.assertEqual(self.told(Date=said), 0, said)


class Trouble(Asking):
    def assert_left_alone(self, *, urgent: bool = False) -> SourceError:
        asked = len(self.agent.requests)
        failure = self.failureResultOf(self.info(["foo"], urgent=urgent), Unreachable).value
        self.assertEqual(len(self.agent.requests), asked)
        assert isinstance(failure, SourceError)
        return failure

    def test_after_a_failure_it_is_left_alone_for_a_while(self) -> None:
        self.fail(503)
        self.clock.advance(20)
        failure = self.assert_left_alone()
        self.assertEqual(str(failure), "aur.example: is left alone for 40 s more: answered 503")
        self.clock.advance(41)
        coming = self.info(["foo-bin"])
        self.agent.last.whole(answer(FOO))
        self.successResultOf(coming)

    def test_who_waits_for_it_asks_again_at_once(self) -> None:
        self.fail(503)
        coming = self.info(["foo-bin"], urgent=True)
        self.agent.last.whole(answer(FOO))
        self.successResultOf(coming)

    def test_asked_too_often_nobody_asks_before_the_time_it_says(self) -> None:
        self.fail(429, Retry_After="1000")
        self.assert_left_alone(urgent=True)
        self.clock.advance(999)
        self.assert_left_alone(urgent=True)
        self.clock.advance(2)
        self.info(["foo"], urgent=True)
        self.assertEqual(len(self.agent.requests), 2)

    def test_no_connection_is_a_failure(self) -> None:
        coming = self.info(["foo"])
        self.agent.last.fail(error.ConnectionRefusedError())
        self.failureResultOf(coming, Unreachable)
        self.assert_left_alone()

    def test_a_page_that_is_no_answer_is_a_failure(self) -> None:
        coming = self.info(["foo"])
        self.agent.last.whole(b"<html>sign in</html>")
        self.failureResultOf(coming, Broken)
        self.assert_left_alone()

    def test_what_the_aur_says_is_wrong_with_a_question_is_no_reason_to_leave_it(self) -> None:
        coming = self.search("python")
        said = answer(type="error", error="Too many package results.")
        self.agent.last.whole(said)
        failure = self.failureResultOf(coming, Broken).value
        self.assertEqual(str(failure), "aur.example: the AUR says: Too many package results.")
        self.info(["foo"])
        self.assertEqual(len(self.agent.requests), 2)

    def test_an_answer_that_is_too_large_is_left(self) -> None:
        coming = self.info(["foo"])
        response = self.agent.last.answer(200)
        for _ in range(80):
            response.send(b" " * (64 << 10))
        self.failureResultOf(coming, Broken)
        self.assertTrue(response.left)

    def test_an_answer_that_drips_ends_in_time(self) -> None:
        coming = self.info(["foo"])
        response = self.agent.last.answer(200)
        for _ in range(30):
            self.clock.advance(19)
            response.send(b" " * (16 << 10))
        failure = self.failureResultOf(coming, Stalled).value
        self.assertEqual(str(failure), "aur.example: took longer than 120 s")
        self.assertTrue(response.left)

    def test_one_machine_asks_only_so_often(self) -> None:
        for _ in range(200):
            self.info(["foo"])
            self.agent.last.whole(answer())
        self.assertIn("as often today", str(self.assert_left_alone(urgent=True)))

    def test_cancelled_nothing_is_learned(self) -> None:
        coming = self.info(["foo"])
        coming.cancel()
        self.failureResultOf(coming)
        self.info(["foo"])
        self.assertEqual(len(self.agent.requests), 2)
