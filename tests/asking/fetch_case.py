"""One GET in virtual time, and sinks that keep what comes."""

from __future__ import annotations

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.answer import Head
from flocon.asking.attempts import Limits
from flocon.asking.bodies import Enough
from flocon.asking.fetch import Wanted, fetch
from tests.fakes import FakeAgent, FakeReactor

LIMITS = Limits(first_byte=2.0, stall=4.0)
URL = "http://h/x"


class Kept:
    """A sink that keeps everything, or refuses."""

    def __init__(self) -> None:
        self.heads: list[Head] = []
        self.writes: list[tuple[int, bytes]] = []
        self.refuse_head: Exception | None = None
        self.refuse_data: Exception | None = None

    def begin(self, head: Head) -> None:
        self.heads.append(head)
        if self.refuse_head:
            raise self.refuse_head

    def write(self, position: int, data: bytes) -> None:
        if self.refuse_data:
            raise self.refuse_data
        self.writes.append((position, data))

    @property
    def data(self) -> bytes:
        return b"".join(data for _, data in self.writes)


class Slow(Kept):
    """A sink that wants no more, each time, until the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.rooms: list[Deferred[None]] = []

    def write(self, position: int, data: bytes) -> Deferred[None]:  # type: ignore[override]  # or None
        super().write(position, data)
        self.rooms.append(Deferred())
        return self.rooms[-1]


class Sated(Kept):
    """A sink that has enough with the first bytes."""

    def write(self, position: int, data: bytes) -> None:
        super().write(position, data)
        raise Enough


class FetchTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = FakeReactor()
        self.agent = FakeAgent()
        self.sink = Kept()

    def fetch(self, **wanted: object) -> Deferred[Head]:
        what = Wanted(URL, "s", **wanted)  # type: ignore[arg-type]
        return ensureDeferred(fetch(self.agent, self.clock, what, self.sink, LIMITS))  # type: ignore[arg-type]

    def assertQuiet(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])
