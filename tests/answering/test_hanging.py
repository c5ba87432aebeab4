"""Files that may hang while they are sent, over real loopback connections."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted
from twisted.web.client import ResponseFailed, readBody
from twisted.web.http import Request

from flocon.answering.held import send_opened
from flocon.answering.respond import respond
from flocon.answering.sendfile import sender
from flocon.errors import FolderSilent
from flocon.extents import Extent
from tests.answering import test_held

#: Up to where the file can be read.
HANGS_AT = 1_700_000


class _Hanging(test_held.OpenedFile):
    """A file that is read elsewhere, up to ``HANGS_AT``."""

    def __init__(self, path: Path, hangs_at: int) -> None:
        super().__init__(path)
        self.reads = self._read
        self._hangs_at = hangs_at

    async def _read(self, position: int, count: int) -> bytes:
        if position >= self._hangs_at:
            raise FolderSilent("/far", 3.0)
        return os.pread(self.fileno(), min(count, self._hangs_at - position), position)


class _HangingFiles(test_held.Files):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.hangs_at = HANGS_AT
        self.goes_on = True
        self.rests: list[Extent] = []
        #: Whether the rest is there only in a moment.
        self.later = False

    def render(self, request: Request) -> None:
        async def rest(extent: Extent) -> None:
            self.rests.append(extent)
            await self._rest(request, extent)

        self.opened = _Hanging(self.path, self.hangs_at)
        respond(
            request,
            send_opened(
                request,
                self.opened,
                self.digest,
                self.count,
                rest=rest if self.goes_on else None,
            ),
        )

    async def _rest(self, request: Request, extent: Extent) -> None:
        """Send it as what comes from elsewhere is sent."""
        most = extent.start if self.later else extent.end
        with self.path.open("rb") as file:
            body = sender(
                request,
                extent.start,
                extent.end,
                fileno=file.fileno,
                limit=lambda _: most,
                sent=self.count,
            )
            body.start()
            if self.later:
                turn: Deferred[None] = Deferred()
                reactor.callLater(0.05, turn.callback, None)
                await turn
                most = extent.end
                body.poke()
            with contextlib.suppress(ConnectionAborted):
                await body.done
                request.finish()


class Hanging(test_held.HeldTests):
    """All that holds of files holds of these, too; and what cannot be read comes from elsewhere."""

    make_files = _HangingFiles

    @property
    def hanging(self) -> _HangingFiles:
        assert isinstance(self.files, _HangingFiles)
        return self.files

    async def test_what_can_be_read_is_sent_from_here_and_the_rest_from_elsewhere(self) -> None:
        for _ in range(3):
            response, body = await self.body()
            self.assertEqual((response.code, body), (200, self.data))
        self.assertEqual(self.hanging.rests, [Extent(HANGS_AT, 3_000_000)] * 3)
        self.assertEqual(self.hanging.sent, 3 * len(self.data))

    async def test_the_rest_may_come_later(self) -> None:
        self.hanging.later = True
        _, body = await self.body()
        self.assertEqual(body, self.data)

    async def test_the_rest_of_a_range_ends_where_it_does(self) -> None:
        response, body = await self.body(Range="bytes=1600000-1800000")
        self.assertEqual((response.code, body), (206, self.data[1_600_000:1_800_001]))
        self.assertEqual(self.hanging.rests, [Extent(HANGS_AT, 1_800_001)])

    async def test_where_nobody_has_the_rest_it_is_never_taken_for_whole(self) -> None:
        self.hanging.goes_on = False
        with self.assertRaises(ResponseFailed):
            await readBody(await self.get())

    async def test_all_of_it_comes_from_here_where_it_does_not_hang(self) -> None:
        self.hanging.hangs_at = len(self.data)
        _, body = await self.body()
        self.assertEqual((body, self.hanging.rests), (self.data, []))
