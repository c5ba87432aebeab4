"""Asks this machine's node: over its loopback face, and, to change something, its unix socket.

Whatever fails is a NodeError, whose sentence says what to do.
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

from treq.client import HTTPClient
from twisted.internet import defer
from twisted.internet import error as failing
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
)
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.failure import Failure
from twisted.web.client import Agent, ResponseNeverReceived
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from flocon.connections.answers import ExcessError, MirrorPool
from flocon.errors import FloconError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Seconds to wait for a node on this very machine.
PATIENCE = 5
#: Seconds for an answer that takes peers or pacman to find out.
LONG_PATIENCE = 40
OK = 200
#: Bytes of an answer that is no file.
LARGEST_ANSWER = 64 << 20
_T = TypeVar("_T")
#: As long as a file's name can be.
LONGEST_NAME = 255


class NodeError(FloconError):
    """The node could not be asked, or refused."""


def package_name(text: str) -> str:
    """Return what was given as a package's name or a file's, if it can be one."""
    name = text.strip()
    if not name:
        raise NodeError("an empty name is no package's; say which one")
    if len(name.encode("utf-8", "replace")) > LONGEST_NAME:
        raise NodeError(f"no package has a name of more than {LONGEST_NAME} bytes")
    return name


class Node:
    """The node on this machine."""

    def __init__(self, reactor: Any, port: int) -> None:
        self.reactor = reactor
        self.port = port

    async def ask(
        self, path: str, fields: Mapping[str, str] | None = None, patience: float = PATIENCE
    ) -> Any:
        """Return what the node answers at ``path``, as JSON's values."""
        query = f"?{urlencode(fields)}" if fields else ""
        try:
            asked = _whole(self.get(path + query))
            response, body = await in_time(self.reactor, patience, asked)
        except Exception as error:  # noqa: BLE001 - whatever it was, the user reads one sentence
            raise self.silent(error) from None
        if response.code != OK:
            raise NodeError(
                f"what answers on port {self.port} does not know {path} ({response.code}): it is no"
                " node's loopback port, or a node of another version; name the port with --port"
            )
        try:
            return json.loads(body)
        except ValueError:
            raise NodeError(
                f"what answers on port {self.port} is not a node; name its port with --port"
            ) from None

    def get(self, path: str) -> Any:
        """Begin to get what is at ``path``, at whichever loopback address a node listens."""
        agent = self._agent(_Loopback(self.reactor))
        url = f"http://localhost:{self.port}{path}"
        return HTTPClient(agent).get(url, reactor=self.reactor, unbuffered=True)

    def _agent(self, endpoints: Any) -> Any:
        # Where no node runs, any user of this machine may listen in its place.
        pool = MirrorPool(self.reactor, persistent=False)
        return Agent.usingEndpointFactory(self.reactor, endpoints, pool)

    def silent(self, error: Exception) -> Exception:
        """Return what to say where no node answered."""
        return _unless_ended(
            error,
            f"no node answers on port {self.port} ({_reason(error)}); start one with"
            " 'systemctl start flocon' or 'twistd flocon', or name its port with --port",
        )

    async def tell(self, *words: str, patience: float = LONG_PATIENCE) -> str:
        """Have the node do something; return what it says. Raises NodeError with a refusal."""
        return (await self.hand(*words, patience=patience)).strip()

    async def hand(self, *words: str, body: bytes = b"", patience: float = LONG_PATIENCE) -> str:
        """Tell it something that comes with a ``body``; return its answer as it is."""
        path = (await self.ask("/status.json")).get("control")
        if not path:
            raise NodeError("the node has no control socket; its log says why")
        agent = self._agent(_Socket(self.reactor, path))
        url = "http://localhost/" + "/".join(quote(word, safe="") for word in words)
        try:
            asked = HTTPClient(agent).post(
                url, data=body or None, reactor=self.reactor, unbuffered=True
            )
            response, answer = await in_time(self.reactor, patience, _whole(asked))
            text = answer.decode("utf-8", "replace")
        except ConnectError as error:
            raise _closed(path, error) from None
        except Exception as error:  # noqa: BLE001 - as above
            raise _unless_ended(error, f"{path}: no answer ({_reason(error)})") from None
        if response.code != OK:
            raise NodeError(text.strip() or f"the node refuses ({response.code})")
        return text


@implementer(IAgentEndpointFactory)
class _Socket:
    """Connects to one unix socket, whatever is asked for."""

    def __init__(self, reactor: Any, path: str) -> None:
        self._reactor = reactor
        self._path = path

    def endpointForURI(self, uri: Any) -> Any:
        return UNIXClientEndpoint(self._reactor, self._path, timeout=PATIENCE)


@implementer(IAgentEndpointFactory)
class _Loopback:
    """Connects to a port of this machine, whatever host is asked for."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def endpointForURI(self, uri: Any) -> Any:
        return _EitherAddress(self._reactor, uri.port)


@implementer(IStreamClientEndpoint)
class _EitherAddress:
    """Connects to 127.0.0.1, and where nobody listens there to ::1."""

    def __init__(self, reactor: Any, port: int) -> None:
        self._reactor = reactor
        self._port = port

    def connect(self, protocolFactory: Any) -> defer.Deferred[Any]:  # noqa: N803
        return defer.Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: Any) -> Any:
        first = TCP4ClientEndpoint(self._reactor, "127.0.0.1", self._port, timeout=PATIENCE)
        second = TCP6ClientEndpoint(self._reactor, "::1", self._port, timeout=PATIENCE)
        try:
            return await first.connect(factory)
        except failing.ConnectionRefusedError as refused:
            try:
                return await second.connect(factory)
            except ConnectError:  # as where this machine has no IPv6
                raise refused from None


def in_time(reactor: Any, patience: float, asked: defer.Deferred[_T]) -> defer.Deferred[_T]:
    """Have it fire with TimeoutError where it takes longer."""

    # Not treq's own bound, which ends a request in the words in which it ends with its command.
    def late(outcome: _T | Failure, _: float) -> _T | Failure:
        return Failure(failing.TimeoutError()) if isinstance(outcome, Failure) else outcome

    return asked.addTimeout(patience, reactor, late)


def _whole(asked: Any) -> defer.Deferred[tuple[Any, bytes]]:
    """Fire with an answer and its body."""

    async def whole() -> tuple[Any, bytes]:
        response = await asked
        pieces: list[bytes] = []
        room = LARGEST_ANSWER

        def take(piece: bytes) -> None:
            nonlocal room
            room -= len(piece)
            if room < 0:
                raise ExcessError(f"more than {LARGEST_ANSWER} bytes")
            pieces.append(piece)

        await response.collect(take)
        return response, b"".join(pieces)

    return defer.Deferred.fromCoroutine(whole())


def _unless_ended(error: Exception, sentence: str) -> Exception:
    """Return an error with this sentence; CancelledError where the command itself is ended."""
    reasons = [reason.value for reason in getattr(error, "reasons", ())]
    ends = (defer.CancelledError, ConnectingCancelledError)
    ended = any(isinstance(one, ends) for one in (error, *reasons))
    return defer.CancelledError() if ended else NodeError(sentence)


def _reason(error: Exception) -> str:
    """Return in words why nobody answered."""
    if isinstance(error, failing.ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, (failing.TimeoutError, ResponseNeverReceived)):
        return "whoever listens there is silent"
    if isinstance(error, ConnectError) and error.osError:
        return os.strerror(error.osError)
    return "the connection ended early"


def _closed(path: str, error: ConnectError) -> NodeError:
    number = error.osError
    if number in {errno.EACCES, errno.EPERM}:
        return NodeError(
            f"{path}: permission denied; run it as root or as a member of {_group_of(path)}"
        )
    return NodeError(f"{path}: nobody listens there; is the node being restarted?")


def _group_of(path: str) -> str:
    """Return in words the group that may use a socket."""
    try:
        return f"the group {Path(path).group()}"
    except (OSError, KeyError):
        return "the socket's group"
