"""The mirror for the whole LAN, put together: states, what of them is wanted, what is refreshed.

Nothing of it runs, and no file is read, where the operator has not asked for it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredLock, succeed

from flocon.errors import FloconError
from flocon.log import logger
from flocon.mirrors import publication
from flocon.mirrors.archive import FOLDER, Archive
from flocon.mirrors.catalogue import Catalogue
from flocon.mirrors.generation import Where
from flocon.mirrors.states import States
from flocon.mirrors.steering import Steering
from flocon.mirrors.upstream import Upstream, mirrored, servers_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flocon.files import Asked
    from flocon.mirrors.clients import Clients
    from flocon.mirrors.generation import Generation
    from flocon.pacman.entries import Entry
    from flocon.pacman.watch import PacmanWatch
    from flocon.settings.settings import Mirror as MirrorSettings


class Mirror(Service):
    """``settings`` gives those in force; ``store`` is the store's folder."""

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        *,
        settings: Callable[[], MirrorSettings],
        store: Path,
        pacman: PacmanWatch,
        agent: Any,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._pacman = pacman
        archive = Archive(store / FOLDER)
        self.states = States(reactor, archive, Catalogue(reactor, archive))
        self.states.changed = self._changed
        self._upstream = Upstream(reactor, agent, archive)
        self._refreshing = DeferredLock()
        self._work: set[Deferred[Any]] = set()
        self.steering = Steering(self)
        #: Who asks without a node.
        self.clients: Clients | None = None
        #: Told of each package of a state that a client asks for.
        self.asked_for: Callable[[str, Where, Entry], None] = lambda *_: None
        #: Why the last refresh failed, and "" where it did not.
        self.problem = ""

    @property
    def serves(self) -> bool:
        return self._settings().serve

    def startService(self) -> None:
        super().startService()
        if self.serves:
            self._run(self._begin())

    def stopService(self) -> None:
        super().stopService()
        for work in list(self._work):
            work.cancel()
        self.states.close()

    def _run(self, coroutine: Any) -> None:
        work: Deferred[Any] = Deferred.fromCoroutine(coroutine)
        self._work.add(work)

        def ended(result: Any) -> None:
            self._work.discard(work)
            if getattr(result, "check", None) and not result.check(CancelledError):
                self._log.failure("the mirror for the LAN failed", result)

        work.addBoth(ended)

    async def _begin(self) -> None:
        try:
            await self.states.open()
        except FloconError as error:
            self.problem = str(error)
            self._log.error("the mirror for the LAN does not serve: {error}", error=error)
            return
        await self._pacman.configured()
        await self.refresh()

    def _changed(self) -> None:
        self._pacman.mirror(self.states.catalogue.databases)

    def servers(self, asked: Asked) -> tuple[str, ...]:
        """Return the servers of what is mirrored and is not pacman's own here; () for all else."""
        if not self.serves or not asked.repository or not asked.architecture:
            return ()
        settings, configuration = self._settings(), self._pacman.configuration
        where = Where(asked.architecture, asked.repository)
        own = configuration.repository(asked.repository) is not None
        if own and asked.architecture not in settings.upstream:
            return ()
        return servers_of(settings, configuration, where)

    async def refresh(self) -> None:
        """Read the state that the mirrors have now, and publish what is due."""
        await self._refreshing.run(lambda: Deferred.fromCoroutine(self._refresh()))

    async def _refresh(self) -> None:
        servers = mirrored(self._settings(), self._pacman.configuration)
        try:
            generation = await self._upstream.read(servers)
            await self.states.add(generation)
            await self.settle()
        except FloconError as error:
            self.problem = str(error)
            self._log.warn("the mirror's databases cannot be read: {error}", error=error)
        else:
            self.problem = ""

    def with_files(self, generation: Generation, where: Where) -> Deferred[Generation | None]:
        """Return a state with the list of files of one repository, None where it cannot be had."""
        return succeed(None)

    async def settle(self) -> None:
        """Publish the generation that the policy means, once it may be."""
        states, settings = self.states, self._settings()
        snapshots = {name: one for name, (one, _) in states.snapshots.items()}
        meant = publication.chosen(states.state.policy, states.read, snapshots, time.time())
        now = states.state.now
        if meant is None or (now is not None and now.identity == meant):
            return
        await states.wait_for(meant)
        due = publication.is_due(
            states.state,
            time.time(),
            complete=settings.publish == "complete",
            within=settings.publish_within,
            is_complete=self.is_complete,
        )
        if due:
            await states.publish(meant)

    def is_complete(self) -> bool:
        """Whether all that is wanted of the generation that waits is here."""
        return True

    def describe(self) -> dict[str, Any]:
        """Return what ``/mirror.json`` says."""
        published, waiting = self.states.published, self.states.waiting
        return {
            "serves": self.serves,
            "problem": self.problem,
            "refreshed": self.states.state.refreshed,
            "policy": str(self.states.state.policy),
            "published": None
            if published is None
            else {
                "generation": published[0].identity,
                "since": published[1].since,
                "of": published[0].age_from,
                "source": published[0].source,
            },
            "waiting": None if waiting is None else {"generation": waiting.identity},
            "clients": None if self.clients is None else self.clients.describe(),
        }
