"""When the next state is given out: as soon as it may be, and when its time is up.

Which one that is, and whether it may be, is ``publication``'s.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredLock

from flocon.log import logger
from flocon.machine.threads import Alarm
from flocon.states import publication

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from flocon.settings.settings import Mirror as MirrorSettings
    from flocon.states.publication import Policy, Published
    from flocon.states.states import States

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
        self._states = states
        self._settings = settings
        self._is_complete = is_complete
        self._run = run
        self._lock = DeferredLock()
        self._reactor = reactor
        self._stopped = False
        self._again = Alarm(reactor, self.look)
        #: Of which state, given since when, the log has told.
        self._told: Published | None = None

    def look(self) -> None:
        """Publish what is due, in the background."""
        self._run(self.settle())

    def stop(self) -> None:
        self._stopped = True
        self._again.stop()

    async def settle(self) -> None:
        """Publish the generation that the policy means, once it may be; raises StoreError."""
        try:
            await self._lock.run(lambda: Deferred.fromCoroutine(self._settle()))
        finally:
            self.changed()

    def changed(self) -> None:
        """Look again where that may change what is due: a state waits, lags behind, or is held."""
        self._tell()
        if self._stopped:
            return
        states, now = self._states, time.time()
        seconds = publication.next_look(states.state.policy, states.read, now)
        if states.state.waiting:
            left = states.state.waiting_since + self._settings().publish_within - now
            seconds = left if seconds is None else min(seconds, left)
        if seconds is not None:
            self._look_in(min(LOOK_AGAIN, max(SOON, seconds)))

    def _look_in(self, seconds: float) -> None:
        """Look after so many seconds, or when that was to be anyway where that is sooner."""
        due, pending = self._reactor.seconds() + seconds, self._again.pending
        if pending is None or due < pending.getTime():
            self._again.set(due)

    def _tell(self) -> None:
        """Have the log say which state clients are given, each time that this is another one."""
        published = self._states.published
        if published is None or published[1] == self._told:
            return
        generation, self._told = published
        moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(generation.age_from))
        self._log.info(
            "clients are given the state of {moment} from {source} ({policy})",
            moment=moment,
            source=generation.source,
            policy=self._states.state.policy,
        )

    async def _policy(self) -> Policy:
        """Return the policy that is in force, and follow it."""
        followed = self._states.state.policy
        policy = publication.in_force(followed, time.time())
        if policy != followed:
            self._log.warn("{state} is held no longer: the newest is given again", state=followed)
            await self._states.follow(policy)
        return policy

    async def _settle(self) -> None:
        states, settings = self._states, self._settings()
        policy = await self._policy()
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
