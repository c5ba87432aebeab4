"""SIGUSR1, SIGUSR2 and SIGHUP, installed when the node starts and put back when it stops.

A service and not a module-level call: twistd installs its own SIGUSR1 handler (log rotation)
when it opens its log, which is before services start, so ours wins.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Signals(Service):
    """Calls ``handlers[signal]`` in the reactor when a signal has arrived.

    Those of one kind that arrive before the reactor comes to it are one, as with the system's own.
    """

    def __init__(self, reactor: Any, handlers: Mapping[signal.Signals, Callable[[], None]]) -> None:
        self._reactor = reactor
        self._handlers = dict(handlers)
        self._previous: dict[signal.Signals, Any] = {}
        #: Signals that arrived and are not handled yet: one is as good as a thousand.
        self._waiting: set[signal.Signals] = set()

    def startService(self) -> None:
        super().startService()
        for number in self._handlers:
            self._previous[number] = signal.signal(number, self._received)

    def stopService(self) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, previous if previous is not None else signal.SIG_DFL)
        self._previous.clear()
        super().stopService()

    def _received(self, number: int, _frame: object) -> None:
        # Runs between two bytecodes of whatever the reactor does: hand it over.
        arrived = signal.Signals(number)
        if arrived not in self._waiting:
            self._waiting.add(arrived)
            self._reactor.callFromThread(self._handle, arrived)

    def _handle(self, arrived: signal.Signals) -> None:
        # What arrives from here on was not seen by this call.
        self._waiting.discard(arrived)
        self._handlers[arrived]()
