"""Work that is seen through to its end, though nobody waits for it any more.

A thread cannot be stopped: whoever takes away what it works on has to wait until it has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")


async def see_through(work: Deferred[T], dropped: Callable[[T], object] = lambda _: None) -> T:
    """Return what comes of ``work``, which is never cancelled.

    Whoever waits and is cancelled gets CancelledError when it has ended; what came of it is given
    to ``dropped`` then.
    """
    waiting = _Waiting(work)
    is_wanted = True
    while not waiting.is_over:
        try:
            await waiting.once()
        except CancelledError:
            is_wanted = False
    result = waiting.result
    if not is_wanted:
        if not isinstance(result, Failure):
            dropped(result)
        raise CancelledError
    if isinstance(result, Failure):
        result.raiseException()
    return result  # type: ignore[no-any-return]


class _Waiting:
    def __init__(self, work: Deferred[T]) -> None:
        self.is_over = False
        self.result: Any = None
        self._told: Deferred[None] = Deferred()
        work.addBoth(self._ended)

    def once(self) -> Deferred[None]:
        """Return what fires when it is over; another one may be asked for if this is cancelled."""
        self._told = Deferred()
        return self._told

    def _ended(self, result: Any) -> None:
        self.is_over, self.result = True, result
        if not self._told.called:
            self._told.callback(None)
