"""What a port says of connections that it cannot accept: counted, and a line a minute at most.

Without descriptors Twisted writes three lines for each connection that is refused, which a stranger
can make as many as he likes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.logger import ILogObserver, Logger
from zope.interface import implementer

from flocon.log import logger

if TYPE_CHECKING:
    from collections import Counter

    from twisted.logger import LogEvent

#: Seconds between two lines.
PAUSE = 60.0


@implementer(ILogObserver)
class Accepting:
    """Takes the place of a port's log observer; ``counters`` gets ``not accepted``."""

    _log = logger()

    def __init__(self, reactor: Any, counters: Counter[str]) -> None:
        self._reactor = reactor
        self._counters = counters
        self._said: float | None = None

    def watch(self, port: Any) -> None:
        """Have ``port`` tell this, if it is one that accepts by itself."""
        if isinstance(getattr(port, "_logger", None), Logger):
            port._logger = Logger(namespace=__name__, observer=self)  # noqa: SLF001 - no other way

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
