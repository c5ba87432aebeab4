"""The mirror for the whole LAN, put together: states, what of them is wanted, what is refreshed.

Nothing of it runs, and no file is read, where the operator has not asked for it.
"""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed

from flocon.errors import FloconError, MirrorError
from flocon.log import logger
from flocon.mirrors.archive import FOLDER, Archive
from flocon.mirrors.catalogue import Catalogue
from flocon.mirrors.generation import Where
from flocon.mirrors.servers import mirrored, servers_of
from flocon.mirrors.states import States
from flocon.mirrors.steering import Steering
from flocon.pacman.configuration import SignatureLevel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from flocon.ahead.coming import Means
    from flocon.files import Asked
    from flocon.mirrors.clearing import Clearing, Shelf
    from flocon.mirrors.clients import Clients
    from flocon.mirrors.generation import Generation
    from flocon.mirrors.importing import Importing
    from flocon.mirrors.refreshing import Refreshing
    from flocon.mirrors.settling import Settling
    from flocon.mirrors.snapshots import Snapshots
    from flocon.mirrors.wanting import Wanting
    from flocon.mirrors.whereabouts import Whereabouts
    from flocon.pacman.entries import Entry
    from flocon.pacman.keyring import Keyring
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
        shelf: Shelf,
        pacman: PacmanWatch,
        agent: Any,
        keyring: Callable[[], Keyring],
        means: Means,
    ) -> None:
        self._settings = settings
        self._pacman = pacman
        self.archive = self._archive = archive = Archive(store / FOLDER)
        self.states = States(reactor, archive, Catalogue(reactor, archive))
        self.states.changed = self._changed
        self._shelf = shelf
        #: Clears the store, on a mirror alone.
        self.clearing: Clearing | None = None
        self._most = most
        self._reactor = reactor
        self._make_refreshing = lambda: self._refreshing_by(reactor, agent, archive, keyring)
        self._refreshing: Refreshing | None = None
        self._metered = True
        self._make_wanting = lambda: self._wanting_by(reactor, means, archive, store, most)
        #: Called when another state may be published.
        self.published: Callable[[], None] = lambda: None
        #: Both are there once it has begun.
        self.wanting: Wanting | None = None
        self._settling: Settling | None = None
        self._work: set[Deferred[Any]] = set()
        self.steering = Steering(self)
        #: Who asks without a node.
        self.clients: Clients | None = None
        #: Makes what takes states in from folders, when that is first asked for.
        self.importing: Callable[[], Importing] = _no_importing
        #: Makes what tells of states, and of where their packages are, as well.
        self.whereabouts: Callable[[], Whereabouts] = _no_importing
        #: Why there are no states here at all.
        self._unusable = ""

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
            read=self._read_apart,
        )
        snapshots.changed = self._changed
        return snapshots

    async def _read_apart(self, servers: Mapping[Where, Sequence[str]]) -> Generation:
        return await self.refreshing.upstream.read_apart(servers)

    @property
    def serves(self) -> bool:
        return self._settings().serve

    @property
    def refreshing(self) -> Refreshing:
        """What reads the mirrors; made once it is needed."""
        if self._refreshing is None:
            self._refreshing = self._make_refreshing()
            self._refreshing.allow(not self._metered)
        return self._refreshing

    def _refreshing_by(
        self, reactor: Any, agent: Any, archive: Archive, keyring: Callable[[], Keyring]
    ) -> Refreshing:
        # Two hundred kilobytes that only a mirror needs.
        from flocon.mirrors.one_mirror import Tools  # noqa: PLC0415
        from flocon.mirrors.refreshing import Refreshing  # noqa: PLC0415

        return Refreshing(
            Tools(reactor, agent, archive, keyring, self._signature_level, time.time),
            settings=self._settings,
            configuration=lambda: self._pacman.configuration,
            states=self.states,
            came=self.settle,
        )

    def _wanting_by(
        self, reactor: Any, means: Means, archive: Archive, store: Path, most: int
    ) -> tuple[Wanting, Settling]:
        from flocon.mirrors.settling import Settling  # noqa: PLC0415 - as above
        from flocon.mirrors.wanting import Wanting  # noqa: PLC0415

        wanting = Wanting(
            reactor,
            means,
            settings=self._settings,
            mirrored=lambda: list(mirrored(self._settings(), self._pacman.configuration)),
            store=store,
            most=most,
            states=self.states,
            archive=archive,
            pacman=self._pacman,
            arrived=lambda: settling.look(),  # noqa: PLW0108 - it is made after this
            keeps_another=self._shelf.keeps_another,
        )
        settling = Settling(
            reactor,
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
        return self._unusable or (self._refreshing.problem if self._refreshing else "")

    def startService(self) -> None:
        super().startService()
        if self.serves:
            # Before anything may go for the store's bound.
            self.clearing = self._make_clearing()
            self._run(self._begin())

    def _make_clearing(self) -> Clearing:
        from flocon.mirrors.clearing import begin  # noqa: PLC0415 - on a mirror alone
        from flocon.mirrors.protection import IN_SNAPSHOT, IN_USE, PINNED, pins  # noqa: PLC0415

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
        if self._refreshing is not None:
            self._refreshing.stop()
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
        if not self.serves or not asked.repository or not asked.architecture:
            return ()
        settings, configuration = self._settings(), self._pacman.configuration
        where = Where(asked.architecture, asked.repository)
        own = configuration.repository(asked.repository) is not None
        if own and asked.architecture not in settings.upstream:
            return ()
        return servers_of(settings, configuration, where)

    def _signature_level(self, where: Where) -> SignatureLevel:
        configuration = self._pacman.configuration
        known = configuration.repository(where.repository)
        if known is None or where.architecture not in configuration.architectures:
            return SignatureLevel.OPTIONAL
        return known.database_signature

    def allow(self, *, metered: bool) -> None:
        """Learn whether the link costs by the byte: nothing comes then, or is read but by hand."""
        self._metered = metered
        if self.wanting is not None:
            self.wanting.allow(free=not metered)
        if self._refreshing is not None:
            self._refreshing.allow(not metered)

    def settings_changed(self) -> None:
        """Read the mirrors when they are to be read now."""
        if self._refreshing is not None:
            self._refreshing.plan()
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
        return self.serves and self.states.published is not None

    def servers_of_the_past(self, asked: Asked, entry: Entry | None) -> tuple[str, ...]:
        """Return who may have what only past states list; () where there are none."""
        archive = self._settings().archive
        if not self.serves or not archive:
            return ()
        from flocon.mirrors.dated import servers_of_the_past  # noqa: PLC0415 - as above

        return servers_of_the_past(self.states, archive, asked, entry)

    async def clean(self, *, dry: bool) -> str:
        """Clear the store now, or say what would go; return sentences for a person."""
        if self.clearing is None:
            problem = "this node has not been a mirror for the LAN since it was started"
            raise MirrorError(problem, "restart it")
        return await self.clearing.clean(dry=dry)

    async def take_in(self, name: str, port: int, word: str) -> str:
        """Take in a state that a command of this machine serves; return what is to be said."""
        from flocon.mirrors.importing import Folder  # noqa: PLC0415 - seldom needed

        return await self.importing().take(name, Folder(port, word))

    def order(self) -> list[str]:
        """Return the repositories in the order in which pacman looks through them."""
        known = mirrored(self._settings(), self._pacman.configuration)
        return list(dict.fromkeys(where.repository for where in known))

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
        if self.clearing is not None:
            told["clearing"] = self.clearing.describe()
        if self.clients is not None:
            told["clients"] = self.clients.describe()
        if self.wanting is not None:
            told["wanting"] = self.wanting.describe()
        told["missing"] = telling.missing(told)
        next_in = self._refreshing.next_in if self._refreshing is not None else None
        own = {"serves": self.serves, "problem": self.problem, "next_refresh_in": next_in}
        return {**own, **told}

    def _packages(self, generation: Generation, where: Where) -> int | None:
        database = self.states.catalogue.database(generation, where)
        return None if database is None else len(database.entries)

    def tell(self) -> Iterator[dict[str, Any]]:
        """Yield what the doctor is to tell of it; nothing where this is no mirror."""
        if self.serves:
            from flocon.mirrors import telling  # noqa: PLC0415 - as above

            yield from telling.problems(self.describe(), time.time())
        if self.clearing is not None:
            yield from self.clearing.tell()

    def status(self) -> dict[str, Any] | None:
        """Return what ``/status.json`` says: the same, None where this is no mirror."""
        return self.describe() if self.serves else None


def _no_importing() -> Any:
    raise MirrorError("this node takes no state in", "")
