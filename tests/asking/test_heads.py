"""What mirrors say of a file without sending it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError as Refusing
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from flocon.asking.heads import LONGEST_VALUE, PATIENCE, PATIENCE_OF_ALL, Told, ask_heads
from flocon.asking.source import Origin, Source

A, B, C = (Source(Origin.MIRROR, key, key, f"http://{key}/core.db") for key in "abc")
THEN = "Tue, 14 Nov 2023 22:13:20 GMT"


class Answering:
    def __init__(self, code: int, **fields: str) -> None:
        self.code = code
        pairs = {name.replace("_", "-"): [value] for name, value in fields.items()}
        self.headers = Headers(pairs)


class FakeAgent:
    def __init__(self) -> None:
        self.asked: list[tuple[bytes, bytes, Headers]] = []
        self.answers: list[Deferred[Any]] = []

    def request(self, method: bytes, uri: bytes, headers: Headers) -> Deferred[Any]:
        self.asked.append((method, uri, headers))
        self.answers.append(Deferred())
        return self.answers[-1]


class Asking(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.agent = FakeAgent()
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))

    def ask(self, *sources: Source, since: str | None = None) -> Deferred[Told]:
        agent: Any = self.agent
        return Deferred.fromCoroutine(ask_heads(agent, self.clock, sources, since))

    def answer(self, code: int, **fields: str) -> None:
        self.agent.answers[-1].callback(Answering(code, **fields))

    def test_the_first_that_has_it_tells(self) -> None:
        told = self.ask(A, B, since=THEN)
        method, uri, headers = self.agent.asked[0]
        self.assertEqual((method, uri), (b"HEAD", b"http://a/core.db"))
        self.assertEqual(headers.getRawHeaders("If-Modified-Since"), [THEN])
        self.answer(404)
        self.answer(200, Content_Length="7", Last_Modified=THEN, Set_Cookie="x")
        found = self.successResultOf(told)
        self.assertEqual((found.status, found.source), (200, B))
        self.assertEqual(dict(found.fields), {"Content-Length": "7", "Last-Modified": THEN})

    def test_nothing_new_is_told_as_such(self) -> None:
        told = self.ask(A, since=THEN)
        self.answer(304)
        self.assertEqual(self.successResultOf(told), Told(304, A))

    def test_only_where_every_mirror_lacks_it_it_is_missing(self) -> None:
        told = self.ask(A, B)
        self.answer(404)
        self.answer(404)
        self.assertEqual(self.successResultOf(told), Told(404))
        told = self.ask(A, B)
        self.answer(404)
        self.agent.answers[-1].errback(Refusing())
        self.assertEqual(self.successResultOf(told), Told(503))
        self.assertEqual(self.successResultOf(self.ask()), Told(503))

    def test_mirrors_that_are_silent_are_waited_for_in_one_patience(self) -> None:
        told = self.ask(*(A, B, C) * 10)
        while not told.called:
            self.clock.advance(0.5)
        self.assertLessEqual(self.clock.seconds(), PATIENCE_OF_ALL + PATIENCE)
        self.assertLessEqual(self.clock.seconds(), 9.0)
        self.assertEqual(self.successResultOf(told).status, 503)

    def test_a_strangers_header_is_bounded_and_text(self) -> None:
        told = self.ask(A)
        self.agent.answers[-1].callback(
            Answering(200, Content_Length="7", Last_Modified="x" * (LONGEST_VALUE + 1), ETag="é")
        )
        self.assertEqual(self.successResultOf(told).fields, (("Content-Length", "7"),))

    def test_who_leaves_ends_it(self) -> None:
        told = self.ask(A, B)
        told.cancel()
        self.failureResultOf(told)
        self.assertEqual(len(self.agent.asked), 1)
