"""Who gets in: connections that a port cannot accept, and requests of who is not this machine.

Of a rush some are taken in each turn of the reactor: in between those leave that make room for it.
Without descriptors Twisted writes three lines for each connection that is refused, which a stranger
can make as many as he likes: here they are counted, and a line a minute is written at most. What is
answered to who is let in is not known here.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.logger import ILogObserver, Logger
from zope.interface import implementer

from flocon.answering.respond import is_for
from flocon.answering.visitors import Admission, Names, host_name, loopback_names
from flocon.log import logger
from flocon.serving.site import MOST_LEAVING, host_of

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from twisted.logger import LogEvent
    from twisted.web.http import Request

#: Seconds between two lines.
PAUSE = 60.0
#: Connections taken at one port in a turn; a face may have two: no more than can make room.
MOST_IN_A_TURN = MOST_LEAVING // 2


@implementer(ILogObserver)
class Accepting:
    """Takes the place of a port's log observer; ``counters`` gets ``not accepted``."""

    _log = logger()

    def __init__(self, reactor: Any, counters: Counter[str]) -> None:
        self._reactor = reactor
        self._counters = counters
        self._said: float | None = None

    def watch(self, port: Any) -> None:
        """Have ``port`` tell this, and take few at once, if it is one that accepts by itself."""
        if isinstance(getattr(port, "_logger", None), Logger):
            port._logger = Logger(namespace=__name__, observer=self)  # noqa: SLF001 - no other way
            port.doRead = partial(_take_few, port, port.doRead)

    def __call__(self, event: LogEvent) -> None:
        # Of the three lines this one is written for each connection.
        if "address" not in event and "acceptError" not in event:
            return
        self._counters["not accepted"] += 1
        now = self._reactor.seconds()
        if self._said is None or now - self._said >= PAUSE:
            self._said = now
            self._log.warn(
                "connections are not accepted: this process has no file descriptors left; give it"
                " more (LimitNOFILE= in its unit, or ulimit -n)"
            )


def _take_few(port: Any, accept: Callable[[], None]) -> None:
    """Accept what waits, but no more than is taken in a turn; Twisted's own bound has no end."""
    port.numberAccepts = min(port.numberAccepts, MOST_IN_A_TURN)
    accept()


class Admitting:
    """Whom a face for pacman lets in, by where a request comes from and what it calls this machine.

    ``names`` are those of the face; ``admission`` are networks that may ask as this machine.
    """

    def __init__(self, names: Names | None, admission: Admission | None) -> None:
        self._names = names or loopback_names()
        self._admission = admission or Admission()

    def admits(self, request: Request) -> bool:
        return self._is_admitted(request) and self._is_meant(request)

    def _is_admitted(self, request: Request) -> bool:
        """Whether this machine asks, by whatever of its addresses, or a network that may."""
        client = host_of(request.client)
        return client == host_of(request.getHost()) or self._admission.admits(client)

    def _is_meant(self, request: Request) -> bool:
        """Whether ``Host`` is a name of this face, or the very address that was connected to."""
        if is_for(self._names, request):
            return True
        address = host_of(request.getHost())
        hosts = request.requestHeaders.getRawHeaders("Host", [])
        return bool(address) and all(host_name(one) == address for one in hosts)
