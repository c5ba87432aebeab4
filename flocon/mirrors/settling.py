"""When the next state is given out: as soon as it may be, and when its time is up.

Which one that is, and whether it may be, is ``publication``'s.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredLock

from flocon.log import logger
from flocon.mirrors import publication

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from twisted.internet.interfaces import IDelayedCall

    from flocon.mirrors.states import States
    from flocon.settings.settings import Mirror as MirrorSettings

#: Seconds between two looks whether something is due while a state waits, and at the most while one
#: is held or lags behind: clocks are set, and machines sleep.
LOOK_AGAIN, LONGEST_WAIT = 60.0, 3_600.0
#: Seconds at the least: what was due and could not be done is not tried without end.
SOON = 1.0


class Settling:
    """Publishes what ``states`` has, by the settings in force.

    ``is_complete`` tells of a generation whether all that is wanted of it is here, ``run`` has work
    done in the background.
    """

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        states: States,
        *,
        settings: Callable[[], MirrorSettings],
        is_complete: Callable[[str], bool],
        run: Callable[[Coroutine[Deferred[Any], Any, None]], None],
    ) -> None:
        self._reactor = reactor
        self._states = states
        self._settings = settings
        self._is_complete = is_complete
        self._run = run
        self._lock = DeferredLock()
        #: When the policy means another state by itself, or what waits is looked at again.
        self._later: IDelayedCall | None = None
        self._stopped = False

    def look(self) -> None:
        """Publish what is due, in the background."""
        self._run(self.settle())

    def look_later(self) -> None:
        """Settle again when the policy means another state by itself."""
        self._cancel()
        if self._stopped:
            return
        policy, now = self._states.state.policy, time.time()
        seconds = publication.next_look(policy, self._states.read, now)
        wait = None if seconds is None else min(seconds + 1.0, LONGEST_WAIT)
        if self._states.waiting is not None:
            state = self._states.state
            left = max(SOON, state.waiting_since + self._settings().publish_within - now)
            wait = min(left, LOOK_AGAIN, LOOK_AGAIN if wait is None else wait)
        if wait is not None:
            self._later = self._reactor.callLater(wait, self.look)

    def stop(self) -> None:
        self._stopped = True
        self._cancel()

    def _cancel(self) -> None:
        if self._later is not None and self._later.active():
            self._later.cancel()

    async def settle(self) -> None:
        """Publish the generation that the policy means, once it may be; raises StoreError."""
        try:
            await self._lock.run(lambda: Deferred.fromCoroutine(self._settle()))
        finally:
            self.look_later()

    async def _settle(self) -> None:
        states, settings = self._states, self._settings()
        policy = publication.in_force(states.state.policy, time.time())
        if policy != states.state.policy:
            ended = states.state.policy
            self._log.warn("{state} is held no longer: the newest is given again", state=ended)
            await states.follow(policy)
        snapshots = {name: one for name, (one, _) in states.snapshots.items()}
        meant = publication.chosen(policy, states.read, snapshots, time.time())
        now = states.state.now
        if meant is None:
            return
        if now is not None and now.identity == meant:
            if states.state.waiting:
                await states.stop_waiting()
            return
        if states.state.waiting != meant:
            await states.wait_for(meant, policy)
        due = publication.is_due(
            states.state,
            time.time(),
            complete=settings.publish == "complete",
            within=settings.publish_within,
            is_complete=lambda: self._is_complete(meant),
        )
        if due:
            await states.publish(meant, policy)
