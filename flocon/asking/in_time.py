"""A bound for all of what one source is asked, however steadily it drips."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from twisted.internet.defer import Deferred, TimeoutError  # noqa: A004 - Twisted's own

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from twisted.internet.interfaces import IReactorTime

    from flocon.errors import SourceError

T = TypeVar("T")


async def in_time(
    clock: IReactorTime, seconds: float, asking: Coroutine[Any, Any, T], late: SourceError
) -> T:
    """Return what is answered; where that takes longer it is ended, and ``late`` raised."""
    answer = Deferred.fromCoroutine(asking)
    answer.addTimeout(max(0.0, seconds), clock)
    try:
        return await answer
    except TimeoutError:
        raise late from None
