"""One at a time, and what a person waits for before what may as well be done later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, DeferredLock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import TypeVar

    T = TypeVar("T")


class Turns:
    """Gives one turn at a time, in the order in which they are asked for.

    Whoever is asked over the network may take minutes for each answer, by one byte after the other.
    """

    def __init__(self) -> None:
        self._lock = DeferredLock()
        #: What may be broken off, None where nothing of the kind goes on.
        self._running: Deferred[Any] | None = None
        self._makes_room = False

    async def take(self, work: Callable[[], Coroutine[Any, Any, T]], *, urgent: bool = False) -> T:
        """Do what may be broken off anywhere: it is begun anew then, behind who came meanwhile.

        Where a person waits (``urgent``), others of the kind make room for it, too.
        """
        while True:
            turn = self._lock.acquire()
            if urgent:
                self._break_off()
            await turn
            self._makes_room, urgent = False, False
            self._running = running = Deferred.fromCoroutine(work())
            try:
                return await running
            except CancelledError:
                # Else it is who waits for it that has cancelled it.
                if not self._makes_room:
                    raise
            finally:
                self._running = None
                self._lock.release()

    def _break_off(self) -> None:
        """Have it begin anew, behind all who have asked for a turn by now."""
        if self._running is not None and not self._makes_room:
            self._makes_room = True
            self._running.cancel()
