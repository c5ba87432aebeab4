"""A coroutine's answer: always given, cancelled when the client leaves, never in silence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import Request

from flocon.answering.respond import finish_text, refuse, respond
from tests.faces.web import Browser


class Answering:
    def __init__(self, answer: Callable[[Request], Awaitable[None]]) -> None:
        self.answer = answer

    def render(self, request: Request) -> None:
        respond(request, self.answer(request))  # type: ignore[arg-type]


class RespondTests(SynchronousTestCase):
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
