"""The states that are here: read, waiting, published; each client has those of one.

Which is to be published is ``publication``'s, where they lie ``archive``'s.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.python.failure import Failure

from flocon.errors import StoreError
from flocon.log import logger
from flocon.machine.reactor_threads import in_thread
from flocon.states import publication
from flocon.states.archive import SNAPSHOTS
from flocon.states.generation import dump as dump_generation
from flocon.store.folder import Opened, stamp_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable

    from flocon.states.archive import Archive
    from flocon.states.catalogue import Catalogue
    from flocon.states.generation import Generation, Piece, Where
    from flocon.states.publication import Policy, Published, State

#: Clients of which it is remembered what they were given last.
MOST_CLIENTS = 4_096
#: Generations that were read and are kept, so that the state can lag behind: one for each day.
MOST_KEPT = 40


class States:
    """All of one mirror. One change is made at a time; ``changed`` is called after each."""

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        archive: Archive,
        catalogue: Catalogue,
        wall: Callable[[], float] | None = None,
    ) -> None:
        """``wall`` gives the time of day, in seconds since 1970."""
        self._reactor = reactor
        self._wall = wall or _wall
        self._archive = archive
        self.catalogue = catalogue
        self._lock = DeferredLock()
        self.state = publication.State()
        #: Those that were read, by identity, the oldest first.
        self._read: dict[str, Generation] = {}
        #: Those that stay until they are dropped, by name, with when they were taken.
        self.snapshots: dict[str, tuple[Generation, int]] = {}
        self._given: OrderedDict[tuple[str, Where], Published] = OrderedDict()
        self.changed: Callable[[], None] = lambda: None
        self.is_open = False

    async def open(self) -> None:
        """Read what is here; raises StoreError."""
        from flocon.states.policies import load_snapshot  # noqa: PLC0415 - only a mirror needs it

        await in_thread(self._reactor, self._archive.open)
        state, read, notes = await in_thread(self._reactor, self._recall)
        self._read = {one.identity: one for one in read}
        for name, value in notes:
            snapshot = load_snapshot(name, value)
            if snapshot is not None:
                self.snapshots[name] = snapshot
        known = {*self._read, *(one.identity for one, _ in self.snapshots.values())}
        self.state = publication.forget(state, known)
        await self._use()
        self.is_open = True

    def _recall(self) -> tuple[State, list[Generation], list[tuple[str, Any]]]:
        archive = self._archive
        state, read = publication.load(archive.read_state()), archive.generations()
        used = {state.waiting, *(one.identity for one in state.published)}
        if archive.remove_damaged(_pieces(one for one in read if one.identity in used)):
            read = archive.generations()
        return state, read, archive.notes(SNAPSHOTS)

    async def settled(self) -> None:
        """Wait until no change is being made."""
        await self._lock.run(lambda: None)

    def close(self) -> None:
        self._archive.close()

    # What is here

    @property
    def read(self) -> list[Generation]:
        """Return those that were read from a mirror, the oldest first."""
        return list(self._read.values())

    def find(self, identity: str) -> Generation | None:
        found = self._read.get(identity)
        if found is None:
            named = (one for one, _ in self.snapshots.values() if one.identity == identity)
            found = next(named, None)
        return found

    def piece(self, sha256: str) -> Piece | None:
        """Return a content of a state that is here, None where none has it."""
        snapshots = (one for one, _ in self.snapshots.values())
        pieces = _pieces((*self._read.values(), *snapshots))
        return next((one for one in pieces if one.sha256 == sha256), None)

    @property
    def published(self) -> tuple[Generation, Published] | None:
        """Return what clients are given now, None before there is anything."""
        now = self.state.now
        generation = self.find(now.identity) if now is not None else None
        return None if now is None or generation is None else (generation, now)

    @property
    def waiting(self) -> Generation | None:
        """Return what is to be published next."""
        return self.find(self.state.waiting) if self.state.waiting else None

    def in_use(self) -> list[Generation]:
        """Return those whose packages are given out: the published, earlier ones, the waiting."""
        found = (self.find(identity) for identity in self._used)
        return [one for one in found if one is not None]

    @property
    def _used(self) -> list[str]:
        identities = [one.identity for one in reversed(self.state.published)]
        return list(dict.fromkeys([*identities, self.state.waiting]))

    async def open_piece(self, piece: Piece) -> Opened:
        """Open a content that a generation lists; raises StoreError."""
        return await in_thread(self._reactor, _open, self._archive, piece)

    # What clients have

    def give(self, client: str, where: Where) -> tuple[Generation, Published] | None:
        """Return what a client is given whose pacman asks for a database, and remember that."""
        published = self.published
        if published is None:
            return None
        self._given[client, where] = published[1]
        self._given.move_to_end((client, where))
        while len(self._given) > MOST_CLIENTS:
            self._given.popitem(last=False)
        return published

    def given(self, client: str, where: Where) -> tuple[Generation, Published] | None:
        """Return what a client was given last, the published where that is not known any more."""
        given = self._given.get((client, where))
        generation = self.find(given.identity) if given is not None else None
        if given is None or generation is None:
            return self.published
        return generation, given

    # What changes

    @asynccontextmanager
    async def taking(self) -> AsyncIterator[None]:
        """Have what is taken into the archive stay, and go in the end if nothing refers to it."""
        try:
            with self._archive.gathering():
                yield
        finally:
            # Where that cannot be done now it is done with the next change.
            with suppress(StoreError):
                await self._to_its_end(self._sweep)

    async def add(self, generation: Generation) -> None:
        """Keep a generation that was read, whose contents are in the archive; it waits now."""
        await self._to_its_end(lambda: self._add(generation))

    async def _add(self, generation: Generation) -> None:
        for one in reversed(read := publication.added(self.read, generation)):
            if one != self._read.get(one.identity):
                await in_thread(self._reactor, self._archive.keep, one)
        self._read = {one.identity: one for one in read}
        await self._save(publication.refreshed(self.state, self._wall()))

    async def _keep(self, generation: Generation) -> None:
        await in_thread(self._reactor, self._archive.keep, generation)
        read = {**self._read, generation.identity: generation}
        self._read = dict(sorted(read.items(), key=lambda item: item[1].made))

    async def add_files(
        self, identity: str, where: Where, files: Piece, signature: Piece | None
    ) -> None:
        """Add the list of files of one repository to a generation; its contents were taken."""

        async def add() -> None:
            generation = self._read.get(identity)
            if generation is not None:
                await self._keep(generation.with_files(where, files, signature))
            for name, (one, taken) in list(self.snapshots.items()):
                if one.identity == identity:
                    await self._note(name, one.with_files(where, files, signature), taken)
            self.changed()

        await self._to_its_end(add)

    async def wait_for(self, identity: str, under: Policy | None = None) -> None:
        """Have a generation wait until it may be published: what it lists is listed from now on.

        Nothing is done where another policy is followed by now than the one under which it was
        chosen; so it is with ``publish``.
        """
        await self._change(lambda: publication.wait_for(self.state, identity, self._wall()), under)

    async def publish(self, identity: str, under: Policy | None = None) -> None:
        """Give out a generation from now on."""
        await self._change(lambda: publication.publish(self.state, identity, self._wall()), under)

    async def follow(self, policy: Policy) -> None:
        """Have another policy; what follows from it is the caller's."""
        await self._change(lambda: publication.follow(self.state, policy))

    async def use(self, policy: Policy, identity: str) -> None:
        """Have another policy, and give out what it means at once."""
        await self._change(lambda: publication.use(self.state, policy, identity, self._wall()))

    async def stop_waiting(self) -> None:
        """Have nothing wait: what is meant is given out."""
        await self._change(lambda: publication.stop_waiting(self.state))

    async def refreshed(self) -> None:
        """Remember that a mirror was read to its end, and had nothing new."""
        await self._change(lambda: publication.refreshed(self.state, self._wall()))

    async def keep_snapshot(self, name: str, generation: Generation, taken: int) -> None:
        """Keep a generation under a name."""

        async def keep() -> None:
            await self._note(name, generation, taken)
            self.changed()

        await self._to_its_end(keep)

    async def _note(self, name: str, generation: Generation, taken: int) -> None:
        value = {"taken": taken, "generation": dump_generation(generation)}
        await in_thread(self._reactor, self._archive.write_note, SNAPSHOTS, name, value)
        self.snapshots[name] = generation, taken

    async def drop_snapshot(self, name: str) -> None:
        """Let go of a snapshot, and of what nothing else refers to."""

        async def drop() -> None:
            found = self.snapshots.get(name)
            if found is not None and found[0].identity in {*self._used} - {*self._read}:
                # What is given out stays as long as it is; where the disk is full, nothing is to
                # be written that is there already.
                await self._keep(found[0])
            await in_thread(self._reactor, self._archive.drop_note, SNAPSHOTS, name)
            self.snapshots.pop(name, None)
            self.changed()
            await self._sweep()

        await self._to_its_end(drop)

    async def _change(self, to: Callable[[], State], under: Policy | None = None) -> None:
        def changed() -> State:
            return to() if under in {None, self.state.policy} else self.state

        await self._to_its_end(lambda: self._save(changed()))

    async def _to_its_end(self, change: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Make a change, one at a time; it goes on where who asked for it is gone."""
        done: Deferred[None] = Deferred(lambda _: None)
        work = self._lock.run(lambda: Deferred.fromCoroutine(change()))

        def ended(result: Any) -> None:
            if not done.called:
                done.callback(result)
            elif isinstance(result, Failure):
                self._log.failure("a change that nobody waits for any more failed", result)

        work.addBoth(ended)
        await done

    async def _save(self, state: State) -> None:
        """Write a state down, and only then be in it."""
        if state != self.state:
            await in_thread(self._reactor, self._archive.write_state, publication.dump(state))
            self.state = state
        await self._use()
        self.changed()
        await self._sweep()

    async def _use(self) -> None:
        await self.catalogue.use(self.in_use())

    async def _sweep(self) -> None:
        kept = publication.kept(self.read, self.state, MOST_KEPT)
        self._read = {one.identity: one for one in self.read if one.identity in kept}
        snapshots = (one for one, _ in self.snapshots.values())
        pieces = {piece.sha256 for piece in _pieces((*self._read.values(), *snapshots))}
        try:
            await in_thread(self._reactor, self._archive.sweep, set(self._read), pieces)
        except StoreError as error:
            # What was to be changed is; the next change tries again.
            self._log.warn("what no state needs any more stays: {error}", error=error)


def _wall() -> float:
    return time.time()


def _pieces(generations: Iterable[Generation]) -> Iterable[Piece]:
    for generation in generations:
        yield from generation.pieces()


def _open(archive: Archive, piece: Piece) -> Opened:
    descriptor = archive.open_piece(piece)
    return Opened(descriptor, stamp_of(os.fstat(descriptor)))
