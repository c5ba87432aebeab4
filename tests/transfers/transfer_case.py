"""One transfer in virtual time, its sources answered by hand, and a client that follows it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.attempts import Attempt, Limits
from flocon.asking.source import Origin, Source
from flocon.files import Content
from flocon.transfers.reader import Reader
from flocon.transfers.subjects import Subject
from flocon.transfers.transfer import Transfer
from tests.fakes import FakeAgent, FakeTools, Request

NAME = "a-1-1-any.pkg.tar.zst"
DATA = bytes(at % 251 for at in range(20_000))
WRONG = DATA[:-1] + b"\xff"
LIMITS = Limits(first_byte=60.0, stall=100.0)
PEER_A, PEER_B = (Source(Origin.PEER, key, key, f"http://{key}/pkg/{NAME}") for key in "ab")
MIRROR_A, MIRROR_B = (Source(Origin.MIRROR, key, key, f"http://{key}/{NAME}") for key in "mn")


def content(data: bytes) -> Content:
    return Content(len(data), hashlib.sha256(data).digest())


class Client:
    """Takes from a reader what it may have, like an answer on a connection."""

    def __init__(
        self,
        transfer: Transfer,
        start: int = 0,
        *,
        verifies: bool = False,
        hurried: bool = True,
    ) -> None:
        self.transfer = transfer
        self.data = b""
        self.aborted = False
        self.failure: Any = None
        self.begun = False
        self.paused = False
        self.reader = Reader(transfer, transfer.subject.start, verifies=verifies, hurried=hurried)
        self._start = start
        transfer.begun.wait().addCallbacks(self._begin, self._failed)

    def _begin(self, _: object) -> None:
        self.begun = True
        self.reader.move(self._start)
        self.reader.attach(self.poke, self.abort)

    def _failed(self, failure: Any) -> None:
        self.failure = failure.value

    def poke(self) -> None:
        position = self.reader.position
        count = self.reader.limit(position) - position
        if self.paused or self.aborted or count <= 0:
            return
        data = os.pread(self.transfer.incoming.fileno(), count, position)
        assert len(data) == count
        self.data += data
        self.reader.sent(count)

    def resume(self) -> None:
        self.paused = False
        self.poke()

    def abort(self) -> None:
        self.aborted = True

    def leave(self) -> None:
        self.reader.close()


class TransferTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.tools = FakeTools()
        self.clock = self.tools.reactor
        self.addCleanup(self.close_files)

    def close_files(self) -> None:
        for file in self.tools.files:
            if not file.closed:
                file.close()

    def chooser(self, *sources: Source) -> Callable[[Sequence[Attempt]], Attempt | None]:
        def choose(tried: Sequence[Attempt]) -> Attempt | None:
            left = sources[len(tried) :]
            return Attempt(left[0], LIMITS) if left else None

        return choose

    def transfer(self, *sources: Source, subject: Subject | None = None) -> Transfer:
        transfer = Transfer(
            self.tools, subject or Subject(NAME, content(DATA)), self.chooser(*sources)
        )
        self.addCleanup(transfer.cancel)
        transfer.start()
        return transfer

    def asked(self, source: Source) -> Request:
        """Return the newest request to ``source``."""
        agent: FakeAgent = self.tools.agent(source)
        return agent.last

    def was_asked(self, source: Source) -> bool:
        return bool(self.tools.agent(source).requests)

    def assertOver(self, transfer: Transfer, *clients: Client) -> None:
        """Check that nothing is left of ``transfer``."""
        for client in clients:
            client.leave()
        transfer.retire()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual([file.closed for file in self.tools.files], [1] * len(self.tools.files))
