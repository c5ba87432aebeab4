"""Whole files over real loopback connections: bodies, ranges, conditions, keep-alive."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet import defer, reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import (
    Agent,
    HTTPConnectionPool,
    ResponseFailed,
    ResponseNeverReceived,
    readBody,
)
from twisted.web.http import Request
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from flocon.answering.held import Editions, InMemory, send_opened
from flocon.answering.respond import respond
from flocon.serving.site import Site


class OpenedFile:
    """A file opened by path."""

    #: What reads of it where it may hang.
    reads: Callable[[int, int], Awaitable[bytes]] | None = None

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.size = os.fstat(self._file.fileno()).st_size
        self.modified = os.fstat(self._file.fileno()).st_mtime
        self.fileno = self._file.fileno
        self.close = self._file.close

    def lend(self, cut: Callable[[], None]) -> None:
        raise AssertionError("nothing here is sent to strangers")


class Files:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.digest = hashlib.sha256(path.read_bytes()).digest()
        self.sent = 0
        self.opened: OpenedFile | None = None

    def render(self, request: Request) -> None:
        self.opened = OpenedFile(self.path)
        respond(request, send_opened(request, self.opened, self.digest, self.count))

    def count(self, number: int) -> None:
        self.sent += number


class HeldTests(TestCase):
    make_files: type[Files] = Files

    def setUp(self) -> None:
        path = Path(self.mktemp())
        self.data = os.urandom(3_000_000)
        path.write_bytes(self.data)
        os.utime(path, (1_700_000_000, 1_700_000_000))
        self.files = self.make_files(path)
        self.site = Site(reactor, self.files, most_connections=100, most_per_address=4)
        self.port = reactor.listenTCP(0, self.site, interface="127.0.0.1")  # type: ignore[arg-type]  # stubs: a Site is a factory
        host: Any = self.port.getHost()
        self.number = host.port
        self.addCleanup(self.port.stopListening)
        self.pool = HTTPConnectionPool(reactor)
        self.addCleanup(self.pool.closeCachedConnections)
        self.agent = Agent(reactor, pool=self.pool)

    def get(self, *, method: bytes = b"GET", **headers: Any) -> Deferred[IResponse]:
        url = f"http://127.0.0.1:{self.number}/x".encode()
        fields = {name.replace("_", "-"): [value] for name, value in headers.items()}
        return self.agent.request(method, url, Headers(fields))

    async def body(self, **headers: Any) -> tuple[IResponse, bytes]:
        response = await self.get(**headers)
        return response, await readBody(response)

    async def test_the_whole_file_arrives_with_its_digest(self) -> None:
        response, body = await self.body()
        self.assertEqual((response.code, body), (200, self.data))
        self.assertEqual(response.headers.getRawHeaders("ETag"), [f'"{self.files.digest.hex()}"'])
        self.assertEqual(self.files.sent, len(self.data))

    async def test_a_range_is_a_206_with_its_place(self) -> None:
        response, body = await self.body(Range="bytes=1000000-")
        self.assertEqual((response.code, body), (206, self.data[1_000_000:]))
        self.assertEqual(
            response.headers.getRawHeaders("Content-Range"), ["bytes 1000000-2999999/3000000"]
        )

    async def test_a_range_behind_the_end_is_a_416_without_body(self) -> None:
        response, body = await self.body(Range="bytes=3000000-")
        self.assertEqual((response.code, body, response.length), (416, b"", 0))

    async def test_a_file_not_changed_since_is_a_304(self) -> None:
        response, _ = await self.body(If_Modified_Since="Tue, 14 Nov 2023 22:13:20 GMT")
        self.assertEqual(response.code, 304)

    async def test_a_known_etag_is_a_304(self) -> None:
        response, _ = await self.body(If_None_Match=f'"{self.files.digest.hex()}"')
        self.assertEqual(response.code, 304)

    async def test_a_file_changed_since_is_sent(self) -> None:
        response, _ = await self.body(If_Modified_Since="Tue, 14 Nov 2023 22:13:19 GMT")
        self.assertEqual(response.code, 200)

    async def test_a_date_that_is_none_is_no_condition(self) -> None:
        for date in (";", "", ",", "Tue, 14 Nov 99999 22:13:20 GMT", "9" * 5_000, "x" * 9_000):
            response, body = await self.body(If_Modified_Since=date)
            self.assertEqual((response.code, len(body)), (200, len(self.data)), date)

    async def test_so_are_tags_that_are_none(self) -> None:
        for tags in ("", ",", '"', 'W/"x', "," * 3_000):
            response, _ = await self.body(If_None_Match=tags, If_Range=tags, Range=tags)
            self.assertEqual(response.code, 200, tags)

    async def test_one_known_etag_of_several_is_enough(self) -> None:
        known = f'"{self.files.digest.hex()}"'
        for tags in (f'"a", {known}', f'"a",{known}', "*", f"W/{known}", f'W/"a", W/{known}'):
            response, _ = await self.body(If_None_Match=tags)
            self.assertEqual(response.code, 304, tags)

    async def test_another_etag_wins_over_the_date(self) -> None:
        response, _ = await self.body(
            If_None_Match='"other"', If_Modified_Since="Tue, 14 Nov 2023 22:13:20 GMT"
        )
        self.assertEqual(response.code, 200)

    async def test_if_range_of_another_version_gives_the_whole(self) -> None:
        response, body = await self.body(Range="bytes=5-", If_Range='"other"')
        self.assertEqual((response.code, len(body)), (200, len(self.data)))

    async def test_head_has_the_length_and_no_body(self) -> None:
        response = await self.get(method=b"HEAD")
        self.assertEqual(response.headers.getRawHeaders("Content-Length"), ["3000000"])
        self.assertEqual(await readBody(response), b"")

    async def test_one_connection_serves_many_files_one_after_the_other(self) -> None:
        for _ in range(10):
            _, body = await self.body()
            self.assertEqual(body, self.data)

    async def test_several_connections_are_served_at_once(self) -> None:
        answers = await defer.gatherResults([defer.ensureDeferred(self.body()) for _ in range(4)])
        self.assertEqual({body for _, body in answers}, {self.data})

    async def test_a_file_cut_meanwhile_is_never_taken_for_whole(self) -> None:
        # Larger than what both kernels' buffers can take before the client reads.
        os.truncate(self.files.path, 200_000_000)
        response = await self.get()
        os.truncate(self.files.path, 10)
        with self.assertRaises(ResponseFailed):
            await readBody(response)

    async def test_a_connection_above_the_bound_is_closed_at_once(self) -> None:
        hold = [self.get() for _ in range(4)]
        responses = [await one for one in hold]
        with self.assertRaises(ResponseNeverReceived):
            await self.get()
        for response in responses:
            await readBody(response)
        self.assertEqual(self.site.counters["too many connections"], 1)


class EditionsTests(SynchronousTestCase):
    """Old versions of a text, and who still reads them."""

    def edition(self) -> InMemory:
        edition = InMemory(bytes(100))
        self.addCleanup(edition.close)
        return edition

    def test_who_reads_the_oldest_is_cut_off_when_there_are_too_many(self) -> None:
        editions = Editions(most=250)
        cut: list[int] = []

        def begin(number: int) -> None:
            edition = self.edition()

            def reader() -> None:
                cut.append(number)
                editions.end(edition, reader)

            editions.begin(edition, reader)

        for number in range(5):
            begin(number)
            self.assertLessEqual(editions.bytes, 250)
        self.assertEqual(cut, [0, 1, 2])

    def test_any_number_may_read_the_newest(self) -> None:
        editions = Editions(most=150)
        edition = self.edition()
        for _ in range(100):
            editions.begin(edition, lambda: self.fail("cut off"))
        self.assertEqual(editions.bytes, 100)

    def test_what_nobody_reads_any_more_does_not_count(self) -> None:
        editions = Editions(most=150)
        for _ in range(3):
            edition = self.edition()
            reader = mock.Mock()
            editions.begin(edition, reader)
            editions.end(edition, reader)
            editions.end(edition, reader)
            self.assertFalse(reader.called)
        self.assertEqual(editions.bytes, 0)
