"""Calls that are put off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Delay:
    """Calls once after some seconds, however often that is asked for; never after ``stop``."""

    def __init__(self, reactor: Any, call: Callable[[], None]) -> None:
        self._reactor = reactor
        self._call = call
        self._pending: Any = None
        self._stopped = False

    def begin(self, seconds: float) -> None:
        """Call after so many seconds, unless that is on its way already."""
        if self._pending is None and not self._stopped:
            self._pending = self._reactor.callLater(seconds, self._due)

    def stop(self) -> None:
        self._stopped = True
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None

    def _due(self) -> None:
        self._pending = None
        self._call()


class Alarm:
    """One call at a time, which is moved as what is due first changes.

    ``reactor`` is an IReactorTime; times are by its clock.
    """

    def __init__(self, reactor: Any, call: Callable[[], None]) -> None:
        self._reactor = reactor
        self._call = call
        self.pending: Any = None

    def set(self, due: float | None) -> None:
        """Call at that time, or as soon as may be where it is past; not at all for None."""
        if due is None:
            self.stop()
            return
        delay = max(0.0, due - self._reactor.seconds())
        if self.pending is None:
            self.pending = self._reactor.callLater(delay, self._due)
        else:
            self.pending.reset(delay)

    def stop(self) -> None:
        """Call no more, until it is set again."""
        if self.pending is not None:
            self.pending.cancel()
            self.pending = None

    def _due(self) -> None:
        self.pending = None
        self._call()
