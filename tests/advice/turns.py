"""Virtual time in which what is due at once has its own turn."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock

#: Seconds that a turn takes.
TURN = 0.001


class Turns(Clock):
    """A clock that does nothing twice in one turn, however soon it is due."""

    def callLater(  # noqa: N802
        self,
        delay: float,
        callable: Callable[..., object],  # noqa: A002 - Twisted's own
        *args: object,
        **kw: object,
    ) -> IDelayedCall:
        return super().callLater(max(delay, TURN), callable, *args, **kw)
