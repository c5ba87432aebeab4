"""A connection that was kept for later, when it is used again: it may be dead, and not know it.

A router forgets connections that are idle, a firewall is loaded anew, the machine has slept or is
elsewhere: then what is sent arrives nowhere, and no end is told of.
"""

from __future__ import annotations

import socket
import time
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.error import NoRouteError
from twisted.web.client import _RetryingHTTP11ClientProtocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.python.failure import Failure
    from twisted.web.iweb import IResponse

#: Seconds without a sign that a request has arrived, after which it is sent on a new connection
#: too: on one that lives this is known within a round trip, and after two packets that were lost.
SILENCE = 1.0

# The class is private to twisted.web; its rule for what may be sent again is taken from it.
_Retrying: Any = _RetryingHTTP11ClientProtocol


class Kept(_Retrying):
    """Has one request answered, by a kept connection or, where that is dead, by a new one.

    ``renew`` makes that one; ``distrust`` is called where silence alone told that it is needed.
    """

    def __init__(
        self,
        connection: Any,
        clock: Any,
        renew: Callable[[], Deferred[Any]],
        distrust: Callable[[], None],
    ) -> None:
        super().__init__(connection, renew)
        self._clock = clock
        self._distrust = distrust
        self._request: Any = None
        self._answer: Deferred[IResponse] = Deferred(lambda _: self._end())
        self._watch: Any = None
        self._running: list[Deferred[Any]] = []
        self._renewed = self._over = False

    def request(self, request: Any) -> Deferred[IResponse]:
        self._request = request
        self._watch = self._clock.callLater(SILENCE, self._look)
        self._run(self._clientProtocol.request(request))
        return self._answer

    def _run(self, asked: Deferred[Any]) -> None:
        self._running.append(asked)
        asked.addCallbacks(
            self._answered, self._failed, callbackArgs=(asked,), errbackArgs=(asked,)
        )

    def _answered(self, response: IResponse, asked: Deferred[Any]) -> None:
        self._running.remove(asked)
        if not self._over:
            self._end()
            self._answer.callback(response)

    def _failed(self, failure: Failure, asked: Deferred[Any]) -> None:
        self._running.remove(asked)
        if self._over:
            return
        if not self._renewed and self._shouldRetry(self._request.method, failure.value, None):
            self._send_again()
        elif not self._running or isinstance(failure.value, NoRouteError):
            # Where this machine's own kernel knows no way, the old one has none either.
            self._end()
            self._answer.errback(failure)

    def _look(self) -> None:
        """Ask on a new connection beside this one, if nothing shows that the request arrived."""
        if not self._renewed and not self._clientProtocol.heard and not self._is_confirmed():
            self._distrust()
            self._send_again()

    def _is_confirmed(self) -> bool:
        """Whether the other end has the request: then it is only slow to answer."""
        return is_unconfirmed(_beneath(self._clientProtocol)) is False

    def _send_again(self) -> None:
        self._renewed = True
        self._run(self._newConnection().addCallback(lambda new: new.request(self._request)))

    def _end(self) -> None:
        """Leave nothing running."""
        self._over = True
        if self._watch.active():
            self._watch.cancel()
        for asked in list(self._running):
            asked.cancel()


def is_unconfirmed(transport: Any) -> bool | None:
    """Whether the kernel has bytes in its queue, sent or not, that nobody has confirmed (tcp(7)).

    None where that cannot be told: there is no socket, or it is closed.
    """
    handle = _handle(transport)
    if handle is None:
        return None
    try:
        return any(ioctl(handle, TIOCOUTQ, bytes(4)))
    except OSError:
        return None


def is_led_astray(connection: Any) -> bool:
    """Whether a new connection would go by another of this machine's addresses, or by none.

    The link is down then, or another network or a VPN has come. The kernel is asked for the way,
    and nothing is sent.
    """
    handle = _handle(_beneath(connection))
    if handle is None:
        return False
    try:
        asking = socket.socket(handle.family, socket.SOCK_DGRAM)
    except OSError:
        # There is no descriptor left for the question, nor for a new connection.
        return False
    with asking:
        try:
            asking.connect(handle.getpeername())
            return bool(asking.getsockname()[0] != handle.getsockname()[0])
        except OSError:
            return True


def _beneath(connection: Any) -> Any:
    """Return the transport with the socket: beneath TLS lies another one."""
    transport = connection.transport
    return getattr(transport, "transport", transport)


def _handle(transport: Any) -> socket.socket | None:
    """Return its socket; in memory there is none."""
    handle = getattr(transport, "socket", None)
    return handle if isinstance(handle, socket.socket) else None


def seconds_asleep() -> float:
    """Return for how many seconds this machine has slept since its start."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
