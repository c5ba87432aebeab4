"""Signatures of what lies in other tools' folders without one: fetched once, and remembered here.

A package counts only with its signature where pacman asks for one, and those tools keep it only if
somebody asked them for it. Nothing is written beside the package: it is another's folder.
"""

from __future__ import annotations

import base64
import binascii
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from flocon.errors import FloconError
from flocon.files import DIGEST_SIZE, Content
from flocon.holdings.far import open_far
from flocon.machine.remember import Notebook, recall
from flocon.machine.threads import Delay
from flocon.machine.worker import Worker
from flocon.store import folder as disk

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from twisted.internet.defer import Deferred

    from flocon.holdings.known import KnownFolder
    from flocon.holdings.offering import Offering
    from flocon.holdings.politeness import Politeness
    from flocon.store.waiting import Threads

#: Signatures that are remembered: 600 bytes each, and so many packages may wait for theirs.
MOST, MOST_WAITING = 1_024, 4_096
#: Seconds between two that are asked for, and until one that was not to be had is asked for again.
PACE, AGAIN = 1.0, 3_600.0
#: Seconds until it is looked again whether anything may be asked.
LOOK_AGAIN = 60.0
#: Seconds for which they are collected before they are written down.
WRITE_AFTER = 10.0


class LateSignatures:
    """Finds them by ``fetch``, by a package's name, content and open file; one at a time.

    ``fetch`` returns None where there is none, and is asked only while ``may_ask`` says so.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        file: Path,
        *,
        threads: Threads,
        politeness: Politeness,
        offering: Offering,
    ) -> None:
        self._reactor = reactor
        self._threads = threads
        self._politeness = politeness
        self._offering = offering
        self._notes = Notebook(reactor, file)
        self._known = _load(recall(file, lambda value: isinstance(value, dict)))
        self._waiting: OrderedDict[tuple[KnownFolder, str], None] = OrderedDict()
        #: When each was asked for that was not to be had.
        self._asked: OrderedDict[tuple[Path, str], float] = OrderedDict()
        self._worker = Worker(reactor, self._look_on)
        self._next = Delay(reactor, self._go_on)
        self._write = Delay(reactor, self._write_down)
        self._rests = False
        self.fetch: Callable[[str, Content, int], Awaitable[bytes | None]] | None = None
        self.may_ask: Callable[[], bool] = lambda: True
        offering.lacks_signature = self.need

    def start(self) -> None:
        self._worker.start()

    def stop(self) -> Deferred[None]:
        self._next.stop()
        self._write.stop()
        return self._worker.stop()

    def find(self, content: Content) -> bytes | None:
        """Return the signature of a package, where it was fetched."""
        return self._known.get(content.sha256)

    def need(self, folder: KnownFolder, name: str) -> None:
        """Have the signature of a package looked for, that is what it should be."""
        asked = self._asked.get((folder.path, name), float("-inf"))
        if self._reactor.seconds() - asked < AGAIN or len(self._waiting) >= MOST_WAITING:
            return
        self._waiting[folder, name] = None
        self._worker.wake()

    def _go_on(self) -> None:
        self._rests = False
        self._worker.wake()

    async def _look_on(self) -> bool:
        if not self._waiting or self._rests or self.fetch is None:
            return False
        if not self.may_ask():
            self._next.begin(LOOK_AGAIN)
            return False
        await self._politeness.quiet()
        if not self._waiting:
            return False
        (folder, name), _ = self._waiting.popitem(last=False)
        self._asked[folder.path, name] = self._reactor.seconds()
        if len(self._asked) > MOST_WAITING:
            self._asked.popitem(last=False)
        file = folder.files.get(name)
        if file is not None and file.sha256 is not None and not folder.gone:
            self._rests = True
            self._next.begin(PACE)
            content = Content(file.size, file.sha256)
            await self._find(folder, name, content)
        return bool(self._waiting)

    async def _find(self, folder: KnownFolder, name: str, content: Content) -> None:
        file = folder.files[name]
        assert self.fetch is not None  # noqa: S101 - looked at before
        try:
            opened = await self._open(folder, file.name_on_disk(name), file.found.stamp)
        except (OSError, FloconError):
            return
        try:
            signature = await self.fetch(name, content, opened.fileno())
        except FloconError as failure:
            self._log.debug("the signature of {name}: {failure}", name=name, failure=failure)
            return
        finally:
            opened.close()
        if signature is not None:
            self._known[content.sha256] = signature
            while len(self._known) > MOST:
                self._known.popitem(last=False)
            self._write.begin(WRITE_AFTER)
            self._offering.update(name)
            self._offering.tell()

    async def _open(self, folder: KnownFolder, on_disk: str, stamp: disk.Stamp) -> disk.Opened:
        if folder.far:
            return await open_far(
                self._threads, folder.root, folder.path / on_disk, stamp, own=False
            )
        return await self._threads.run(
            self._threads.opening, disk.open_now, folder.path, on_disk, stamp
        )

    def _write_down(self) -> None:
        self._notes.write(
            {key.hex(): base64.b64encode(value).decode() for key, value in self._known.items()}
        )


def _load(value: object) -> OrderedDict[bytes, bytes]:
    """Read what was written down, from a file that may be damaged."""
    known: OrderedDict[bytes, bytes] = OrderedDict()
    for key, text in value.items() if isinstance(value, dict) else ():
        try:
            sha256, signature = bytes.fromhex(key), base64.b64decode(text, validate=True)
        except (TypeError, ValueError, binascii.Error):
            continue
        if len(sha256) == DIGEST_SIZE and 0 < len(signature) <= disk.LARGEST_SIGNATURE:
            known[sha256] = signature
    while len(known) > MOST:
        known.popitem(last=False)
    return known
