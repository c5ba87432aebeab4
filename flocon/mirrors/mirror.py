"""The mirror for the whole LAN, put together: states, what of them is wanted, what is refreshed.

A node makes one, and imports this, only where the operator has asked for it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed

from flocon.errors import FloconError, MirrorError
from flocon.log import logger
from flocon.mirrors.clearing import begin
from flocon.mirrors.describing import describe
from flocon.mirrors.protection import IN_SNAPSHOT, IN_USE, PINNED, pins
from flocon.mirrors.repositories import Repositories
from flocon.mirrors.settling import Settling
from flocon.mirrors.steering import Steering
from flocon.snapshots.importing import Folder
from flocon.snapshots.snapshots import Snapshots
from flocon.states.archive import FOLDER, Archive
from flocon.states.catalogue import Catalogue
from flocon.states.states import States
from flocon.upstream.one_mirror import Tools
from flocon.upstream.refreshing import Refreshing
from flocon.wanted.wanting import Wanting

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flocon.ahead.coming import Means
    from flocon.files import Asked
    from flocon.mirrors.clearing import Clearing, Shelf
    from flocon.mirrors.clients import Clients
    from flocon.pacman.entries import Entry
    from flocon.pacman.keyring import Keyring
    from flocon.pacman.watch import PacmanWatch
    from flocon.settings.settings import Mirror as MirrorSettings
    from flocon.snapshots.importing import Importing
    from flocon.states.generation import Generation, Where


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
        shelf: Shelf,
        pacman: PacmanWatch,
        agent: Any,
        keyring: Callable[[], Keyring],
        means: Means,
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._pacman = pacman
        self._shelf = shelf
        self._most = most
        self.repositories = Repositories(settings, lambda: pacman.configuration)
        self.archive = archive = Archive(store / FOLDER)
        self.states = States(reactor, archive, Catalogue(reactor, archive))
        self.states.changed = self._changed
        self.refreshing = Refreshing(
            Tools(reactor, agent, archive, keyring, self.repositories.signature_level, time.time),
            settings=settings,
            configuration=lambda: pacman.configuration,
            states=self.states,
            came=self.settle,
        )
        self.snapshots = Snapshots(
            reactor,
            states=self.states,
            archive=archive,
            settings=settings,
            mirrored=self.repositories.mirrored,
            read=self.refreshing.upstream.read_apart,
        )
        self.snapshots.changed = self._changed
        self._make_wanting = lambda: self._wanting_by(means, store)
        self._metered = True
        #: These are there once it has begun; what clears the store, once it is started.
        self.wanting: Wanting | None = None
        self._settling: Settling | None = None
        self.clearing: Clearing | None = None
        self._work: set[Deferred[Any]] = set()
        self.steering = Steering(self)
        #: Who asks without a node.
        self.clients: Clients | None = None
        #: Called when another state may be published.
        self.published: Callable[[], None] = lambda: None
        #: Makes what takes states in from folders, when that is first asked for.
        self.importing: Callable[[], Importing] = _no_importing
        #: Why there are no states here at all.
        self._unusable = ""

    def _wanting_by(self, means: Means, store: Path) -> tuple[Wanting, Settling]:
        wanting = Wanting(
            self._reactor,
            means,
            settings=self._settings,
            mirrored=self.repositories.mirrored,
            store=store,
            most=self._most,
            states=self.states,
            archive=self.archive,
            pacman=self._pacman,
            arrived=lambda: settling.look(),  # noqa: PLW0108 - it is made after this
        )
        settling = Settling(
            self._reactor,
            self.states,
            settings=self._settings,
            is_complete=wanting.is_complete,
            run=self._run,
        )
        wanting.allow(free=not self._metered)
        return wanting, settling

    @property
    def problem(self) -> str:
        """Why nothing is served, or nothing newer was read last; "" where all is well."""
        return self._unusable or self.refreshing.problem

    def startService(self) -> None:
        super().startService()
        # Before anything may go for the store's bound.
        self.clearing = self._make_clearing()
        self.clearing.freed = self._freed
        self._run(self._begin())

    def _freed(self) -> None:
        """Look again for what there was no room for."""
        if self.wanting is not None:
            self.wanting.changed()

    def _make_clearing(self) -> Clearing:
        guards = {
            IN_USE: self.states.catalogue.lists,
            IN_SNAPSHOT: self.snapshots.protects,
            PINNED: pins(self._pins),
        }
        return begin(
            self._reactor,
            settings=self._settings,
            max_size=self._most,
            shelf=self._shelf,
            guards=guards,
        )

    def _pins(self) -> set[str]:
        by_hand = () if self.wanting is None else self.wanting.requests.by_hand
        return {*self._settings().pins, *by_hand}

    def stopService(self) -> Deferred[None]:
        super().stopService()
        remembered = succeed(None) if self.wanting is None else self.wanting.stop()
        if self._settling is not None:
            self._settling.stop()
        self.refreshing.stop()
        for work in list(self._work):
            work.cancel()
        return Deferred.fromCoroutine(self._stop(remembered))

    async def _stop(self, remembered: Deferred[None]) -> None:
        await remembered
        if self.clearing is not None:
            await self.clearing.stop()
        await self.states.settled()
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
            self._unusable = str(error)
            self._log.error("the mirror for the LAN does not serve: {error}", error=error)
            return
        self._changed()
        await self._pacman.configured()
        self.wanting, self._settling = self._make_wanting()
        await self.wanting.open()
        await self.settle()
        await self.refreshing.start()

    def _changed(self) -> None:
        self._pacman.mirror(self.states.catalogue.databases)
        self.published()
        if self.clearing is not None:
            self.clearing.changed()
        if self._settling is not None:
            self._settling.changed()
        if not self.snapshots.is_gathered():
            self._run(self.snapshots.gather())
        if self.wanting is not None:
            self.wanting.changed()

    def servers(self, asked: Asked) -> tuple[str, ...]:
        """Return the servers of what is mirrored and is not pacman's own here; () for all else."""
        return self.repositories.servers(asked)

    def servers_of_the_past(self, asked: Asked, entry: Entry | None) -> tuple[str, ...]:
        """Return who may have what only past states list; () where there are none."""
        return self.repositories.servers_of_the_past(self.states, asked, entry)

    def allow(self, *, metered: bool) -> None:
        """Learn whether the link costs by the byte: nothing comes then, or is read but by hand."""
        self._metered = metered
        if self.wanting is not None:
            self.wanting.allow(free=not metered)
        self.refreshing.allow(not metered)

    def settings_changed(self) -> None:
        """Read the mirrors when they are to be read now."""
        self.refreshing.plan()
        if self.wanting is not None:
            self.wanting.changed()
        if self._settling is not None:
            self._settling.look()

    async def refresh(self) -> str:
        """Read the state that the mirrors have now; return what came of it.

        Raises a FloconError.
        """
        await self._pacman.configured()
        told = await self.refreshing.read()
        published = self.states.published
        newest = self.states.read[-1].identity if self.states.read else ""
        if published is not None and published[0].identity == newest:
            return told
        if self.states.state.waiting == newest:
            return f"{told}; clients are given it once what is wanted of it is here"
        return f"{told}; clients stay with {self.states.state.policy}"

    def with_files(self, generation: Generation, where: Where) -> Deferred[Generation | None]:
        """Return a state with the list of files of one repository, None where it cannot be had.

        Where nobody has asked before it is fetched, which can take minutes: whoever waits may
        leave, and it comes all the same.
        """
        return self.refreshing.files.find(generation, where)

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

    @property
    def gives(self) -> bool:
        """Whether there is a state that others can follow."""
        return self.states.published is not None

    async def clean(self, *, dry: bool) -> str:
        """Clear the store now, or say what would go; return sentences for a person."""
        if self.clearing is None:
            raise MirrorError("the mirror has not begun yet", "try again in a moment")
        return await self.clearing.clean(dry=dry)

    async def take_in(self, name: str, port: int, word: str) -> str:
        """Take in a state that a command of this machine serves; return what is to be said."""
        return await self.importing().take(name, Folder(port, word))

    def describe(self) -> dict[str, Any]:
        """Return what ``/mirror.json`` says, see ``telling``."""
        return describe(self)


def _no_importing() -> Any:
    raise MirrorError("this node takes no state in", "")
