"""When the next state is given out: as soon as it may be, and when its time is up.

Which one that is, and whether it may be, is ``publication``'s.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredLock

from flocon.machine.threads import Delay
from flocon.mirrors import publication

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from flocon.mirrors.states import States
    from flocon.settings.settings import Mirror as MirrorSettings

#: Seconds between two looks whether something is due, while a state waits or lags behind: clocks
#: are set, and machines sleep.
LOOK_AGAIN = 60.0
#: Seconds at the least: what was due and could not be done is not tried without end.
SOON = 1.0


class Settling:
    """Publishes what ``states`` has, by the settings in force.

    ``is_complete`` tells of a generation whether all that is wanted of it is here, ``run`` has work
    done in the background.
    """

    def __init__(
        self,
        reactor: Any,
        states: States,
        *,
        settings: Callable[[], MirrorSettings],
        is_complete: Callable[[str], bool],
        run: Callable[[Coroutine[Deferred[Any], Any, None]], None],
    ) -> None:
        self._states = states
        self._settings = settings
        self._is_complete = is_complete
        self._run = run
        self._lock = DeferredLock()
        self._again = Delay(reactor, self.look)

    def look(self) -> None:
        """Publish what is due, in the background."""
        self._run(self.settle())

    def stop(self) -> None:
        self._again.stop()

    async def settle(self) -> None:
        """Publish the generation that the policy means, once it may be; raises StoreError."""
        await self._lock.run(lambda: Deferred.fromCoroutine(self._settle()))
        state = self._states.state
        if state.waiting:
            left = state.waiting_since + self._settings().publish_within - time.time()
            self._again.begin(min(LOOK_AGAIN, max(SOON, left)))
        elif state.policy.kind == publication.BEHIND:
            self._again.begin(LOOK_AGAIN)

    async def _settle(self) -> None:
        states, settings = self._states, self._settings()
        snapshots = {name: one for name, (one, _) in states.snapshots.items()}
        meant = publication.chosen(states.state.policy, states.read, snapshots, time.time())
        now = states.state.now
        if meant is None or (now is not None and now.identity == meant):
            return
        if states.state.waiting != meant:
            await states.wait_for(meant)
        due = publication.is_due(
            states.state,
            time.time(),
            complete=settings.publish == "complete",
            within=settings.publish_within,
            is_complete=lambda: self._is_complete(meant),
        )
        if due:
            await states.publish(meant)
