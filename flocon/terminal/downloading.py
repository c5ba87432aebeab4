"""Gets a file from this machine's node as it comes, and tells what came."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet import defer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.web.client import ResponseDone

from flocon.faces.pacman_request import SOURCE_HEADER
from flocon.terminal.asking import OK, Node, NodeError, in_time
from flocon.terminal.printing import size

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.python.failure import Failure

#: Seconds for the first byte, and without any: the node has given up on its sources before.
PATIENCE = 60
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Received:
    """What arrived: bytes, SHA-256 in hex, and whom the node had it from."""

    bytes: int
    sha256: str
    source: str


async def download(
    node: Node,
    path: str,
    name: str,
    write: Callable[[bytes], None],
    move: Callable[[int], None] = lambda _: None,
) -> Received | None:
    """Get a file ``name`` at ``path`` from the node; None where it answers that nobody has it."""
    asked = node.get(path)
    try:
        response = await in_time(node.reactor, PATIENCE, asked)
    except Exception as error:  # noqa: BLE001 - whatever it was, the user reads one sentence
        raise node.silent(error) from None
    if response.code == _NOT_FOUND:
        return None
    if response.code != OK:
        raise NodeError(
            f"{name}: no source could deliver it ({response.code}); see 'flocon why {name}'"
        )
    body = _Body(node.reactor, name, write, move)
    # treq's own deliverBody would keep what it has delivered.
    response.original.deliverBody(body)
    await body.done
    source = response.headers.getRawHeaders(SOURCE_HEADER, ["the node"])[0]
    return Received(body.length, body.digest.hexdigest(), source)


class _Body(Protocol):
    """Takes an answer as it comes; hashes it on the way, and gives up on one that stands still."""

    transport: Any

    def __init__(
        self,
        reactor: Any,
        name: str,
        write: Callable[[bytes], None],
        move: Callable[[int], None],
    ) -> None:
        self._name = name
        self._write = write
        self._move = move
        self._problem: NodeError | None = None
        self._late = reactor.callLater(PATIENCE, self._stalled)
        self.length = 0
        self.digest = hashlib.sha256()
        self.done: defer.Deferred[None] = defer.Deferred()

    def _stalled(self) -> None:
        self._give_up(NodeError(f"{self._name}: nothing came for {PATIENCE} s"))

    def _give_up(self, problem: NodeError) -> None:
        self._problem = self._problem or problem
        self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        if self._problem is not None:
            return
        self._late.reset(PATIENCE)
        try:
            self._write(data)
        except NodeError as problem:
            self._give_up(problem)
            return
        self.digest.update(data)
        self.length += len(data)
        self._move(self.length)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._late.active():
            self._late.cancel()
        if self._problem is None and not reason.check(ResponseDone):
            self._problem = NodeError(f"{self._name}: ended after {size(self.length)}; try again")
        if self._problem is not None:
            self.done.errback(self._problem)
        else:
            self.done.callback(None)
