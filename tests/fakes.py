"""Sources in memory: requests that a test answers by hand, in virtual time."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH

from flocon.asking.patience import Pace
from flocon.asking.source import Source
from flocon.errors import SourceError, StoreError
from flocon.precedence import Precedence
from flocon.writing.descriptors import write_all
from flocon.writing.growing_file import Backlog

if TYPE_CHECKING:
    from flocon.files import Content
    from flocon.store.room import Lessee


class FakeReactor(Clock):
    """Virtual time, and threads that run when the test says so (at once, unless ``held``)."""

    def __init__(self) -> None:
        super().__init__()
        self.held = False
        self._work: list[Callable[[], None]] = []

    def getThreadPool(self) -> FakeReactor:  # noqa: N802
        return self

    def callFromThread(  # noqa: N802
        self, function: Callable[..., Any], *arguments: Any, **keywords: Any
    ) -> None:
        function(*arguments, **keywords)

    def callInThreadWithCallback(  # noqa: N802
        self,
        result: Callable[[bool, Any], None],
        function: Callable[..., Any],
        *arguments: Any,
        **keywords: Any,
    ) -> None:
        def run() -> None:
            try:
                value = function(*arguments, **keywords)
            except Exception:  # noqa: BLE001 - what a thread pool does
                result(False, Failure())
            else:
                result(True, value)

        self._work.append(run)
        if not self.held:
            self.work()

    def work(self) -> None:
        """Do what the threads have to do."""
        while self._work:
            self._work.pop(0)()


class _Transport:
    def __init__(self, lost: Callable[[], None], resumed: Callable[[], None]) -> None:
        self.disconnecting = False
        self.paused = False
        self._lost = lost
        self._resumed = resumed

    def loseConnection(self) -> None:  # noqa: N802
        self.disconnecting = True
        self._lost()

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False
        self._resumed()


class FakeResponse:
    """An answer whose body is sent by the test."""

    def __init__(self, code: int, headers: Headers, length: int | None = None) -> None:
        self.code = code
        self.length: object = UNKNOWN_LENGTH if length is None else length
        self.headers = headers
        self.transport = _Transport(self._be_left, self._deliver)
        self._protocol: IProtocol | None = None
        self._before: list[bytes] = []
        self._reason: Failure | None = None

    @property
    def left(self) -> bool:
        """Whether the client closed the connection."""
        return self.transport.disconnecting

    def deliverBody(self, protocol: IProtocol) -> None:  # noqa: N802
        self._protocol = protocol
        protocol.makeConnection(self.transport)  # type: ignore[arg-type]  # enough of one
        self._deliver()

    @property
    def paused(self) -> bool:
        """Whether the client reads no more for now."""
        return self.transport.paused

    def _deliver(self) -> None:
        """Hand over what was sent, as far as the client reads it."""
        while self._before and self._protocol is not None and not self.paused:
            self._protocol.dataReceived(self._before.pop(0))
        if self._reason is not None and not self._before:
            self._lose(self._reason)

    def send(self, data: bytes) -> None:
        if not self.left:
            self._before.append(data)
            self._deliver()

    def end(self) -> None:
        self._reason = Failure(ResponseDone())
        self._deliver()

    def break_off(self) -> None:
        self._reason = Failure(ResponseFailed([Failure(ConnectionDone())]))
        self._deliver()

    def _be_left(self) -> None:
        self._lose(Failure(ResponseFailed([Failure(ConnectionDone())])))

    def _lose(self, reason: Failure) -> None:
        self._reason = reason
        if self._protocol is not None:
            protocol, self._protocol = self._protocol, None
            protocol.connectionLost(reason)


@dataclass
class Request:
    """A request that waits for the test to answer it."""

    url: str
    headers: Headers
    deferred: Deferred[Any] = field(default_factory=Deferred)

    def header(self, name: str) -> str | None:
        values = self.headers.getRawHeaders(name)
        return values[0] if values else None

    @property
    def start(self) -> int:
        """Where the asked range begins."""
        match = re.fullmatch(r"bytes=([0-9]+)-", self.header("Range") or "bytes=0-")
        assert match, self.header("Range")
        return int(match[1])

    def answer(self, code: int, **headers: str) -> FakeResponse:
        fields = {name.replace("_", "-"): [value] for name, value in headers.items()}
        # Agent keeps this one header back.
        length = fields.pop("Content-Length", None)
        response = FakeResponse(code, Headers(fields), int(length[0]) if length else None)
        self.deferred.callback(response)
        return response

    def head(self, size: int, **headers: str) -> FakeResponse:
        """Answer for a file of ``size`` bytes as an honest server does."""
        start = self.start
        length = {"Content_Length": str(size - start)}
        if not start:
            return self.answer(200, **length, **headers)
        place = f"bytes {start}-{size - 1}/{size}"
        return self.answer(206, Content_Range=place, **length, **headers)

    def whole(self, data: bytes, **headers: str) -> FakeResponse:
        """Answer with ``data`` from where it was asked for."""
        response = self.head(len(data), **headers)
        response.send(data[self.start :])
        response.end()
        return response

    def fail(self, error: Exception) -> None:
        self.deferred.errback(error)


class FakeAgent:
    """Keeps what was asked, oldest first."""

    method = b"GET"

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: Any = None,  # noqa: N803
    ) -> Deferred[Any]:
        assert method == self.method
        request = Request(uri.decode("ascii"), headers or Headers())
        self.requests.append(request)
        return request.deferred

    @property
    def last(self) -> Request:
        return self.requests[-1]


class HeadsAgent(FakeAgent):
    """Is asked for heads alone."""

    method = b"HEAD"


class Memory:
    """A file in memory; ``room`` is how many bytes the disk has for it, None for plenty."""

    def __init__(
        self, room: int | None = None, *, keep: bool = True, in_memory: bool = False
    ) -> None:
        self.keep = keep
        #: Whether it is to be taken for one: it lies there in any case.
        self.in_memory = in_memory
        self.closed = 0
        self._users = 1
        self._fd = os.memfd_create("test", os.MFD_ALLOW_SEALING)
        if room is not None:
            os.ftruncate(self._fd, room)
            fcntl.fcntl(self._fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)

    def fileno(self) -> int:
        assert not self.closed, "used after it was closed"
        return self._fd

    def write(self, position: int, data: bytes) -> None:
        write_all(self.fileno(), position, data)

    def grow(self, size: int) -> None:
        """There is no bound on memory."""

    def retain(self) -> None:
        self._users += 1

    def release(self) -> None:
        self._users -= 1
        if not self._users:
            os.close(self._fd)

    @property
    def is_open(self) -> bool:
        return self._users > 0

    def close(self) -> None:
        self.closed += 1
        if self.closed == 1:
            self.release()


class FakeTools:
    """What a node gives its transfers; remembers what they told and took."""

    def __init__(self) -> None:
        self.reactor: Any = FakeReactor()
        self.agents: dict[str, FakeAgent] = {}
        self.files: list[Memory] = []
        self.room: int | None = None
        self.spare_room: int | None = None
        self.no_spare = False
        self.in_memory = False
        self.spare_in_memory = False
        #: The threads for what only strangers wait for.
        self.for_strangers: Any = self.reactor.getThreadPool()
        self.began_with: list[Source] = []
        self.ended_with: list[tuple[str, int, SourceError | None]] = []
        self.blamed: list[tuple[str, list[str]]] = []
        self.left_with: list[tuple[str, int]] = []
        self.took_from: list[tuple[str, int]] = []
        self.sent_on: list[tuple[str, str]] = []
        self.slow_ones: list[str] = []
        self.pace = Pace()
        self.precedence = Precedence(self.reactor)
        self.backlog = Backlog()
        #: Whom to ask is known at once.
        self.look_up: Callable[[str, Content], Deferred[None] | None] = lambda *_: None

    @property
    def reporter(self) -> FakeTools:
        return self

    def began(self, source: Source) -> None:
        self.began_with.append(source)

    def ended(self, source: Source, size: int, seconds: float, failure: SourceError | None) -> None:
        self.ended_with.append((source.key, size, failure))

    def left(self, source: Source, size: int, seconds: float) -> None:
        self.left_with.append((source.key, size))

    def sent_elsewhere(self, parent: Source, answering: Source) -> None:
        self.sent_on.append((parent.key, str(answering)))

    def led_back(self, parent: Source) -> None:
        self.sent_on.append((parent.key, "a node"))

    def took(self, source: Source, size: int) -> None:
        self.took_from.append((source.key, size))

    def slow(self, source: Source) -> None:
        self.slow_ones.append(source.key)

    def contradicted(self, file_name: str, contributors: Sequence[Source]) -> None:
        self.blamed.append((file_name, [source.key for source in contributors]))

    def agent(self, source: Source) -> Any:
        return self.agents.setdefault(source.key, FakeAgent())

    def threads(self, own: bool) -> Any:
        return self.reactor.getThreadPool() if own else self.for_strangers

    def incoming(self, size: int | None, lessee: Lessee) -> Memory:
        self.files.append(Memory(self.room, in_memory=self.in_memory))
        return self.files[-1]

    def spare(self, size: int | None, lessee: Lessee) -> Memory:
        if self.no_spare:
            raise StoreError("/store", "no room for a file")
        self.files.append(Memory(self.spare_room, keep=False, in_memory=self.spare_in_memory))
        return self.files[-1]
