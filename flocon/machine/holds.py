"""How long the reactor was held: the time from one wait for events to the next.

While one handler runs, nobody else is served; this is what a node says about that of itself. The
wait itself is wrapped, so everything counts that runs between two of them (handlers, delayed calls,
what threads have handed in), and a node at rest is not woken for it. Python's lock changing hands
with threads counts as well, and so does a machine that gave the processor to somebody else.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds that no turn of the reactor is meant to exceed.
LONG = 0.05


class _Poller:
    """Stands in for an epoll or poll object; times from one wait's end to the next one's begin."""

    def __init__(self, poller: Any, holds: Holds) -> None:
        self._wait = poller.poll
        self._poller = poller
        self._holds = holds
        self._clock = holds.clock
        self._since: float | None = None
        # Asked at every write that has to wait: looked up once.
        for name in ("register", "unregister", "modify"):
            setattr(self, name, getattr(poller, name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poller, name)

    def poll(self, *arguments: Any) -> Any:
        if self._since is not None:
            held = self._clock() - self._since
            self._holds.longest = max(self._holds.longest, held)
            if held > LONG:
                self._holds.long += 1
        try:
            return self._wait(*arguments)
        finally:
            self._since = self._clock()


class Holds(Service):
    """Measures while it runs; ``longest`` is in seconds, ``long`` counts those above 50 ms.

    Only of epollreactor and pollreactor, which are what twistd chooses on Linux, is it known where
    they wait; with another reactor ``measures`` stays False and nothing is claimed.
    """

    def __init__(self, reactor: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._reactor = reactor
        self.clock = clock
        self.longest = 0.0
        self.long = 0
        self._poller: _Poller | None = None

    @property
    def measures(self) -> bool:
        return self._poller is not None

    def startService(self) -> None:
        super().startService()
        poller = getattr(self._reactor, "_poller", None)
        if self._poller is None and hasattr(poller, "poll"):
            self._poller = self._reactor._poller = _Poller(poller, self)  # noqa: SLF001

    def stopService(self) -> None:
        if self._poller is not None and self._reactor._poller is self._poller:  # noqa: SLF001
            self._reactor._poller = self._poller._poller  # noqa: SLF001
        self._poller = None
        super().stopService()

    def status(self) -> dict[str, Any] | None:
        """Return what ``/status.json`` says of it, None where it is not measured."""
        if not self.measures:
            return None
        return {
            "longest_hold_ms": round(self.longest * 1_000, 1),
            "holds_over_50_ms": self.long,
        }
