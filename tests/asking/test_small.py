"""Small answers: files of a few bytes, and dates."""

from __future__ import annotations

from typing import Any

from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.python.failure import Failure
from twisted.web.client import Agent, ResponseFailed
from twisted.web.http_headers import Headers

from flocon.asking.fetch import Wanted
from flocon.asking.small import fetch_small, fetch_small_with_head, last_modified
from flocon.errors import Broken, Refused, SourceError, Unreachable
from tests.asking.fetch_case import LIMITS, URL, FetchTestCase
from tests.fakes import FakeResponse


class Small(FetchTestCase):
    def small(self, most: int) -> Deferred[bytes]:
        return ensureDeferred(
            fetch_small(self.agent, self.clock, Wanted(URL, "s"), LIMITS, most)  # type: ignore[arg-type]
        )

    def test_a_few_bytes(self) -> None:
        coming = self.small(3)
        self.agent.last.whole(b"abc")
        self.assertEqual(self.successResultOf(coming), b"abc")

    def test_an_answer_that_is_the_same_has_no_bytes(self) -> None:
        wanted = Wanted(URL, "s", none_match='"abc"')
        asking = fetch_small_with_head(self.agent, self.clock, wanted, LIMITS, 3)  # type: ignore[arg-type]
        coming = ensureDeferred(asking)
        self.assertEqual(self.agent.last.header("If-None-Match"), '"abc"')
        self.agent.last.answer(304, ETag='"abc"')
        head, data = self.successResultOf(coming)
        self.assertEqual((head.status, head.etag, data), (304, '"abc"', b""))

    def test_an_answer_bears_its_etag(self) -> None:
        asking = fetch_small_with_head(self.agent, self.clock, Wanted(URL, "s"), LIMITS, 3)  # type: ignore[arg-type]
        coming = ensureDeferred(asking)
        self.agent.last.whole(b"abc", ETag='"abc"')
        head, data = self.successResultOf(coming)
        self.assertEqual((head.etag, data), ('"abc"', b"abc"))

    def test_too_many_announced(self) -> None:
        coming = self.small(3)
        response = self.agent.last.answer(200, Content_Length="4")
        self.failureResultOf(coming, Broken)
        self.assertTrue(response.left)

    def test_too_many_unannounced(self) -> None:
        coming = self.small(3)
        response = self.agent.last.answer(200)
        response.send(b"ab")
        response.send(b"cd")
        self.failureResultOf(coming, Broken)


class Dates(FetchTestCase):
    """A HEAD for nothing but the date."""

    def setUp(self) -> None:
        super().setUp()
        self.methods: list[bytes] = []
        self.asked: Deferred[object] = Deferred()

    def request(self, method: bytes, url: bytes, _: object) -> Deferred[object]:
        self.methods.append(method)
        return self.asked

    def last_modified(self) -> Deferred[str]:
        return ensureDeferred(
            last_modified(self, self.clock, Wanted(URL, "s"), 2.0)  # type: ignore[arg-type]
        )

    def answer(self, code: int, **headers: str) -> None:
        fields = {name.replace("_", "-"): [value] for name, value in headers.items()}
        self.asked.callback(FakeResponse(code, Headers(fields)))

    def test_the_date_is_passed_on_as_it_came(self) -> None:
        coming = self.last_modified()
        self.answer(200, Last_Modified="then")
        self.assertEqual(self.successResultOf(coming), "then")
        self.assertEqual(self.methods, [b"HEAD"])
        self.assertQuiet()

    def test_no_date_or_another_status_is_refused(self) -> None:
        for code, headers in ((200, {}), (404, {"Last_Modified": "then"})):
            self.asked = Deferred()
            coming = self.last_modified()
            self.answer(code, **headers)
            self.assertEqual(self.failureResultOf(coming, Refused).value.status, code)

    def test_silence_is_waited_for_no_longer_than_allowed(self) -> None:
        coming = self.last_modified()
        self.clock.advance(1.9)
        self.assertNoResult(coming)
        self.clock.advance(0.1)
        self.failureResultOf(coming, SourceError)
        self.assertQuiet()

    def test_half_an_answer_that_is_waited_for_no_longer_is_told_as_silence(self) -> None:
        half = ResponseFailed([Failure(CancelledError())])
        self.asked = Deferred(lambda asked: asked.errback(half))
        coming = self.last_modified()
        self.clock.advance(2.0)
        failure = self.failureResultOf(coming, Unreachable)
        self.assertIn("no answer within 2 s", str(failure.value))

    def test_whatever_the_agent_makes_of_it_is_the_sources_failure(self) -> None:
        for reason in (error.ConnectionRefusedError(), ResponseFailed([]), ZeroDivisionError()):
            self.asked = Deferred()
            coming = self.last_modified()
            self.asked.errback(reason)
            self.failureResultOf(coming, Unreachable)

    def test_an_address_that_cannot_be_asked_is_unreachable(self) -> None:
        wanted = Wanted("http://h/a b", "s")
        agent: Any = Agent(self.clock)
        coming = ensureDeferred(last_modified(agent, self.clock, wanted, 2.0))
        self.failureResultOf(coming, Unreachable)

    def test_a_date_that_is_no_text_is_the_sources_failure(self) -> None:
        coming = self.last_modified()
        self.asked.callback(FakeResponse(200, Headers({b"Last-Modified": [b"\xff"]})))
        self.failureResultOf(coming, Broken)

    def test_cancelled_it_ends_as_cancelled(self) -> None:
        coming = self.last_modified()
        coming.cancel()
        self.failureResultOf(coming, CancelledError)
        self.assertQuiet()
