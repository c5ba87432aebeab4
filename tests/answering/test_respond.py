"""A coroutine's answer: always given, cancelled when the client leaves, never in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import Request

from flocon.answering import respond as respond_module
from flocon.answering.respond import (
    LONGEST_PRIORITY,
    PAUSE,
    Failures,
    finish_text,
    is_unhurried,
    refuse,
    respond,
)
from tests.faces.web import Browser


class Answering:
    def __init__(self, answer: Callable[[Request], Awaitable[None]]) -> None:
        self.answer = answer
        self.counters: Counter[str] = Counter()

    def render(self, request: Request) -> None:
        respond(request, self.answer(request), self.counters)  # type: ignore[arg-type]


class RespondTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(respond_module, "_failures", Failures())

    def browser(self, answer: Callable[[Request], Awaitable[None]]) -> Browser:
        browser = Browser(Clock(), Answering(answer))
        self.addCleanup(browser.close)
        return browser

    def test_an_answer_may_take_its_time(self) -> None:
        waiting: Deferred[None] = Deferred()

        async def answer(request: Request) -> None:
            await waiting
            finish_text(request, b"hello", "text/plain")

        exchange = self.browser(answer).ask("/")
        self.assertFalse(exchange.answered)
        waiting.callback(None)
        self.assertEqual((exchange.answer.status, exchange.answer.body), (200, b"hello"))

    def test_it_is_cancelled_when_the_client_leaves(self) -> None:
        waiting: Deferred[None] = Deferred()
        ended: list[bool] = []

        async def answer(_: Request) -> None:
            try:
                await waiting
            finally:
                ended.append(True)

        exchange = self.browser(answer).ask("/")
        exchange.leave()
        self.assertEqual(ended, [True])
        self.assertTrue(waiting.called)

    def test_an_error_is_logged_and_answered_without_a_body(self) -> None:
        async def answer(_: Request) -> None:
            raise ZeroDivisionError

        found = self.browser(answer).get("/")
        self.assertEqual(
            (found.status, found.headers["content-length"], found.body), (500, "0", b"")
        )
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_however_often_an_answer_fails_it_is_counted_and_logged_once(self) -> None:
        async def answer(request: Request) -> None:
            if request.path == b"/other":
                raise ZeroDivisionError
            raise KeyError(request.path)

        face = Answering(answer)
        browser = Browser(Clock(), face)
        self.addCleanup(browser.close)
        for path in [f"/{at}" for at in range(50)] + ["/other"] * 50:
            self.assertEqual(browser.get(path).status, 500)
        self.assertEqual(face.counters, {"answering failed": 100})
        logged = [failure.type for failure in self.flushLoggedErrors()]
        self.assertEqual(logged, [KeyError, ZeroDivisionError])

    def test_what_goes_on_failing_is_told_of_each_minute(self) -> None:
        failures = Failures()

        def failure() -> Failure:
            try:
                1 / 0  # noqa: B018 - for what it raises
            except ZeroDivisionError:
                return Failure()
            raise AssertionError

        times = [at for at in range(200) if failures.is_news(failure(), 1_000.0 + at)]
        self.assertEqual(times, [0, PAUSE, 2 * PAUSE, 3 * PAUSE])

    def test_an_error_amid_the_answer_cuts_it(self) -> None:
        async def answer(request: Request) -> None:
            request.setHeader("Content-Length", "100")
            request.write(b"half")
            raise ZeroDivisionError

        exchange = self.browser(answer).ask("/")
        self.assertTrue(exchange.cut)
        self.assertEqual(exchange.answer.body, b"half")
        self.flushLoggedErrors(ZeroDivisionError)

    def test_an_error_after_the_answer_is_logged_alone(self) -> None:
        async def answer(request: Request) -> None:
            finish_text(request, b"hello", "text/plain")
            raise ZeroDivisionError

        exchange = self.browser(answer).ask("/")
        self.assertEqual(exchange.answer.body, b"hello")
        self.flushLoggedErrors(ZeroDivisionError)

    def test_a_refusal_says_nothing_but_its_status(self) -> None:
        async def answer(request: Request) -> None:
            request.setHeader("Content-Type", "text/plain")
            refuse(request, 404)

        found = self.browser(answer).get("/")
        self.assertEqual(
            (found.status, found.headers["content-length"], found.body), (404, "0", b"")
        )
        self.assertNotIn("content-type", found.headers)

    def test_a_text_is_never_stored_and_without_body_for_head(self) -> None:
        async def answer(request: Request) -> None:
            finish_text(request, b"hello", "text/plain")

        found = self.browser(answer).ask("/", "HEAD").answer
        self.assertEqual((found.headers["content-length"], found.body), ("5", b""))
        self.assertEqual(found.headers["cache-control"], "no-store")


class Urgency(SynchronousTestCase):
    """Whether somebody waits for an answer, as RFC 9218 has it said."""

    def is_unhurried(self, *values: bytes) -> bool:
        found: list[bool] = []

        async def answer(request: Request) -> None:
            request.requestHeaders.setRawHeaders(b"Priority", list(values))
            found.append(is_unhurried(request))
            refuse(request, 404)

        browser = Browser(Clock(), Answering(answer))
        self.addCleanup(browser.close)
        browser.get("/")
        return found[0]

    def test_only_what_is_background_is_waited_for_by_nobody(self) -> None:
        for value in (b"u=7", b"i, u=7", b" u=7 , i", b"u=7;a=1", b"u=1, u=7"):
            self.assertTrue(self.is_unhurried(value), value)
        for value in (b"", b"u=6", b"u=3, i", b"u=77", b"u", b"i", b"v=7", b"u=7, u=2", b'a="u=7"'):
            self.assertFalse(self.is_unhurried(value), value)
        self.assertFalse(self.is_unhurried())

    def test_several_fields_are_one(self) -> None:
        self.assertTrue(self.is_unhurried(b"i", b"u=7"))

    def test_what_is_longer_than_any_is_not_read(self) -> None:
        self.assertFalse(self.is_unhurried(b"i, " * LONGEST_PRIORITY + b"u=7"))

    @given(st.lists(st.binary(max_size=300), max_size=5))
    def test_whatever_is_said_it_is_read(self, values: list[bytes]) -> None:
        self.assertIsInstance(self.is_unhurried(*values), bool)
