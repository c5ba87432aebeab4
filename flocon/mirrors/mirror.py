"""The mirror for the whole LAN, put together: states, what of them is wanted, what is refreshed.

Nothing of it runs, and no file is read, where the operator has not asked for it.
"""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredLock, succeed

from flocon.errors import FloconError
from flocon.log import logger
from flocon.mirrors.archive import FOLDER, Archive
from flocon.mirrors.catalogue import Catalogue
from flocon.mirrors.generation import Where
from flocon.mirrors.states import States
from flocon.mirrors.steering import Steering
from flocon.mirrors.upstream import Upstream, mirrored, servers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flocon.ahead.coming import Means
    from flocon.files import Asked
    from flocon.mirrors.clients import Clients
    from flocon.mirrors.generation import Generation
    from flocon.mirrors.settling import Settling
    from flocon.mirrors.snapshots import Snapshots
    from flocon.mirrors.wanting import Wanting
    from flocon.pacman.entries import Entry
    from flocon.pacman.watch import PacmanWatch
    from flocon.settings.settings import Mirror as MirrorSettings


class Mirror(Service):
    """``settings`` gives those in force; ``store`` is the store's folder, ``most`` its bytes."""

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        *,
        settings: Callable[[], MirrorSettings],
        store: Path,
        most: int,
        pacman: PacmanWatch,
        agent: Any,
        means: Means,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._pacman = pacman
        archive = Archive(store / FOLDER)
        self.states = States(reactor, archive, Catalogue(reactor, archive))
        self.states.changed = self._changed
        self._archive = archive
        self._upstream = Upstream(reactor, agent, archive)
        self._refreshing = DeferredLock()
        self._work: set[Deferred[Any]] = set()
        self._means = means
        self._store, self._most = store, most
        #: Whether the link costs nothing.
        self._free = False
        #: Both are there once it has begun.
        self.wanting: Wanting | None = None
        self._settling: Settling | None = None
        self.steering = Steering(self)
        #: Who asks without a node.
        self.clients: Clients | None = None
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

    def stopService(self) -> Deferred[None]:
        super().stopService()
        remembered: Deferred[None] = succeed(None)
        if self.wanting is not None:
            remembered = self.wanting.stop()
        if self._settling is not None:
            self._settling.stop()
        for work in list(self._work):
            work.cancel()
        self.states.close()
        return remembered

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
        await self._pacman.configured()
        await self._begin_to_bring()
        await self.settle()
        await self.refresh()

    async def _begin_to_bring(self) -> None:
        """Make what only a mirror has."""
        from flocon.mirrors.settling import Settling  # noqa: PLC0415
        from flocon.mirrors.wanting import Wanting  # noqa: PLC0415

        self.wanting = wanting = Wanting(
            self._reactor,
            self._means,
            settings=self._settings,
            mirrored=lambda: list(mirrored(self._settings(), self._pacman.configuration)),
            store=self._store,
            most=self._most,
            states=self.states,
            archive=self._archive,
            pacman=self._pacman,
            arrived=lambda: settling.look(),  # noqa: PLW0108 - it is made after this
        )
        self._settling = settling = Settling(
            self._reactor,
            self.states,
            settings=self._settings,
            is_complete=wanting.is_complete,
            run=self._run,
        )
        wanting.allow(free=self._free)
        await wanting.open()

    def _changed(self) -> None:
        self._pacman.mirror(self.states.catalogue.databases)
        if self._settling is not None:
            self._settling.changed()
        if not self.snapshots.is_gathered():
            self._run(self.snapshots.gather())
        if self.wanting is not None:
            self.wanting.changed()

    def allow(self, *, free: bool) -> None:
        """Learn whether the link costs nothing: otherwise nothing is brought."""
        self._free = free
        if self.wanting is not None:
            self.wanting.allow(free=free)

    def held(self) -> None:
        """Learn that what is held here is not what it was."""
        if self.wanting is not None:
            self.wanting.held()

    def asked(self, client: str, where: Where, entry: Entry) -> None:
        """Note that a client without a node asked for a package that a state lists."""
        if self.wanting is not None:
            self.wanting.asked(client, where, entry.name)

    async def settle(self) -> None:
        """Publish the generation that the policy means, once it may be; raises StoreError."""
        if self._settling is not None:
            await self._settling.settle()

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

    def with_files(self, generation: Generation, where: Where) -> Deferred[Generation | None]:
        """Return a state with the list of files of one repository, None where it cannot be had."""
        return succeed(None)

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
        told["clients"] = None if self.clients is None else self.clients.describe()
        return {"serves": self.serves, "problem": self.problem, **told}

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
