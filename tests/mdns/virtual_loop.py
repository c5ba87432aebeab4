"""An event loop of asyncio in which nobody waits: its clock goes to what is due next."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class _Selector(selectors.SelectSelector):
    """Tells the time that would have been waited, and waits for nothing."""

    def __init__(self, waited: Callable[[float], None]) -> None:
        super().__init__()
        self._waited = waited

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # Never nothing: a clock that stands still has somebody wait for ever.
        self._waited(max(timeout or 0.0, 1e-6))
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Selector(self._wait))

    def time(self) -> float:
        return self._now

    def _wait(self, seconds: float) -> None:
        self._now += seconds


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end in virtual time."""
    loop = VirtualLoop()
    try:
        loop.run_until_complete(coroutine)
    finally:
        loop.close()
