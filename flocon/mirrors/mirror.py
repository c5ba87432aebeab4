"""The mirror for the whole LAN, put together: states, what of them is wanted, what is refreshed.

Nothing of it runs, and no file is read, where the operator has not asked for it.
"""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredLock

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
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from twisted.internet.interfaces import IDelayedCall

    from flocon.files import Asked
    from flocon.mirrors.clients import Clients
    from flocon.mirrors.generation import Generation
    from flocon.mirrors.snapshots import Snapshots
    from flocon.pacman.entries import Entry
    from flocon.pacman.watch import PacmanWatch
    from flocon.settings.settings import Mirror as MirrorSettings

#: Seconds between two looks at whether a state is to be held no longer.
LONGEST_WAIT = 3_600.0


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
        self._archive = archive
        #: Called when another state may be published.
        self.published: Callable[[], None] = lambda: None
        self._upstream = Upstream(reactor, agent, archive)
        #: When the policy means another state by itself.
        self._later: IDelayedCall | None = None
        self._refreshing = DeferredLock()
        self._work: set[Deferred[Any]] = set()
        self.steering = Steering(self)
        #: Who asks without a node.
        self.clients: Clients | None = None
        #: Told of each package of a state that a client asks for.
        self.asked_for: Callable[[Where, Entry], None] = lambda *_: None
        #: Why the last refresh failed, and "" where it did not.
        self.problem = ""

    @cached_property
    def snapshots(self) -> Snapshots:
        """Return those that are taken and used, which a node that is no mirror has not."""
        from flocon.mirrors.snapshots import Snapshots  # noqa: PLC0415 - only a mirror needs it

        snapshots = Snapshots(
            self._reactor,
            states=self.states,
            archive=self._archive,
            settings=self._settings,
            mirrored=lambda: list(mirrored(self._settings(), self._pacman.configuration)),
            read=self._upstream.read,
        )
        snapshots.changed = self._changed
        return snapshots

    @property
    def serves(self) -> bool:
        return self._settings().serve

    def startService(self) -> None:
        super().startService()
        if self.serves:
            self._run(self._begin())

    def stopService(self) -> None:
        super().stopService()
        if self._later is not None and self._later.active():
            self._later.cancel()
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
        self._changed()
        await self.settle()
        await self._pacman.configured()
        await self.refresh()

    def _changed(self) -> None:
        self._pacman.mirror(self.states.catalogue.databases)
        self.published()
        self._look_later()
        if not self.snapshots.is_gathered():
            self._run(self.snapshots.gather())

    def _look_later(self) -> None:
        """Settle again when the policy means another state by itself."""
        if self._later is not None and self._later.active():
            self._later.cancel()
        policy, now = self.states.state.policy, time.time()
        seconds = publication.next_look(policy, self.states.read, now)
        if seconds is not None and self.running:
            # Clocks are set, and machines sleep: it is looked more often than need be.
            wait = min(seconds + 1.0, LONGEST_WAIT)
            self._later = self._reactor.callLater(wait, self._look)

    def _look(self) -> None:
        self._run(self._settle_in_time())

    async def _settle_in_time(self) -> None:
        try:
            await self.settle()
        finally:
            self._look_later()

    @property
    def gives(self) -> bool:
        """Whether there is a state that others can follow."""
        return self.serves and self.states.published is not None

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

    def servers_of_the_past(self, asked: Asked, entry: Entry | None) -> tuple[str, ...]:
        """Return who may have what only past states list; () where there are none."""
        archive = self._settings().archive
        if not self.serves or not archive:
            return ()
        from flocon.mirrors.dated import servers_of_the_past  # noqa: PLC0415 - as above

        return servers_of_the_past(self.states, archive, asked, entry)

    async def refresh(self) -> None:
        """Read the state that the mirrors have now, and publish what is due."""
        await self._refreshing.run(lambda: Deferred.fromCoroutine(self._refresh()))

    async def _refresh(self) -> None:
        servers = mirrored(self._settings(), self._pacman.configuration)
        try:
            with self._archive.gathering():
                generation = await self._upstream.read(servers)
                await self.states.add(generation)
            await self.settle()
        except FloconError as error:
            self.problem = str(error)
            self._log.warn("the mirror's databases cannot be read: {error}", error=error)
        else:
            self.problem = ""

    async def settle(self) -> None:
        """Publish the generation that the policy means, once it may be."""
        states, settings = self.states, self._settings()
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
        await states.wait_for(meant, policy)
        due = publication.is_due(
            states.state,
            time.time(),
            complete=settings.publish == "complete",
            within=settings.publish_within,
            is_complete=self.is_complete,
        )
        if due:
            await states.publish(meant, policy)

    def is_complete(self) -> bool:
        """Whether all that is wanted of the generation that waits is here."""
        return True

    def describe(self) -> dict[str, Any]:
        """Return what ``/mirror.json`` says, see ``telling``."""
        # Nobody asks a node that is no mirror.
        from flocon.mirrors import telling  # noqa: PLC0415

        states = self.states
        published = states.published
        told = telling.describe(
            states.state,
            published=published[0] if published is not None else None,
            waiting=states.waiting,
            read=states.read,
            snapshots=states.snapshots,
            packages=self._packages,
        )
        clients = None if self.clients is None else self.clients.describe()
        return {"serves": self.serves, "problem": self.problem, **told, "clients": clients}

    def _packages(self, generation: Generation, where: Where) -> int | None:
        database = self.states.catalogue.database(generation, where)
        return None if database is None else len(database.entries)

    def tell(self) -> Iterator[dict[str, Any]]:
        """Yield what the doctor is to tell of it; nothing where this is no mirror."""
        if self.serves:
            from flocon.mirrors import telling  # noqa: PLC0415 - as above

            yield from telling.problems(self.describe(), time.time())

    def status(self) -> dict[str, Any] | None:
        """Return what ``/status.json`` says: the same, None where this is no mirror."""
        return self.describe() if self.serves else None
