"""States that stay until they are dropped, and which one the LAN is to have: taken, used, told.

What is said here is a sentence for a person; what cannot be done is a MirrorError.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredLock

from flocon.errors import FloconError, MirrorError
from flocon.log import logger
from flocon.machine.reactor_threads import in_thread
from flocon.snapshots import differences, sayings
from flocon.snapshots.comparing import compare, names_of
from flocon.snapshots.dated import read_day
from flocon.states import names, publication
from flocon.states.archive import SNAPSHOTS
from flocon.states.names import Names
from flocon.states.policies import (
    MOST_SNAPSHOTS,
    NOW,
    bounded,
    demand_name,
    free_name,
    parse_day,
    parse_policy,
)
from flocon.states.publication import SNAPSHOT, Policy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import TypeVar

    from flocon.settings.settings import Mirror as MirrorSettings
    from flocon.states.archive import Archive
    from flocon.states.generation import Generation, Where
    from flocon.states.states import States

    T = TypeVar("T")

#: The name of the file beside a snapshot that has what it lists; it can be made anew.
_NAMES = ".names"


class Snapshots:
    """Those of one mirror. ``read`` reads the state of some servers into ``archive``.

    ``mirrored`` tells what is mirrored now, ``settings`` the settings in force.
    """

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        *,
        states: States,
        archive: Archive,
        settings: Callable[[], MirrorSettings],
        mirrored: Callable[[], Sequence[Where]],
        read: Callable[[Mapping[Where, Sequence[str]]], Awaitable[Generation]],
    ) -> None:
        self._reactor = reactor
        self._states = states
        self._archive = archive
        self._settings = settings
        self._mirrored = mirrored
        self._read = read
        self._lock = DeferredLock()
        #: What all of them list; None until that is known.
        self._names: Names | None = None
        #: Of which states that is, by the snapshot's name.
        self._known: dict[str, str] = {}
        #: Called when something else is protected than before.
        self.changed: Callable[[], None] = lambda: None

    async def gather(self) -> None:
        """Find out what all list, where that is not known; the states must be open."""
        await self._exclusively(self._gather)

    def is_gathered(self) -> bool:
        """Whether it is known what all list that are here; where it is not, all is protected."""
        here = {name: one.identity for name, (one, _) in self._states.snapshots.items()}
        if here.items() <= self._known.items():
            return self._names is not None
        self._names = None
        return False

    def protects(self, file_name: str, sha256: bytes) -> bool:
        """Whether a snapshot lists a package: as long as that is not known, it may."""
        return self._names is None or self._names.has(file_name, sha256)

    # Taking

    async def take(self, name: str = "", of: str = NOW) -> str:
        """Keep a state under a name, by default the one that is given out; "" for its day's."""

        async def take() -> str:
            return await self._take(name, self.find(of))

        return await self._exclusively(take)

    async def take_day(self, text: str, name: str = "") -> str:
        """Keep the state of a day, as the archive that is set has it."""
        archive, day = self._settings().archive, parse_day(text, time.time())
        if not archive:
            remedy = 'set archive = "https://HOST/repos/$date/$repo/os/$arch" in [mirror]'
            raise MirrorError("no archive of states by date is set", remedy)
        self._demand_room(name)
        self._demand_open()
        newest = next(reversed(self._states.read), None)
        with self._archive.gathering():
            generation, substitutes = await read_day(
                archive, day, self._mirrored(), newest, self._read
            )
            taken = await self._exclusively(lambda: self._take(name, generation))
        return sayings.with_substitutes(taken, substitutes)

    async def keep(self, name: str, generation: Generation) -> str:
        """Keep a state whose contents are in the archive; whoever took them there gathers."""
        return await self._exclusively(lambda: self._take(name, generation))

    async def _take(self, name: str, generation: Generation) -> str:
        self._demand_room(name)
        day = datetime.fromtimestamp(generation.age_from, UTC).date()
        name = name or free_name(day, self._states.snapshots)
        with self._archive.gathering():
            listed = await in_thread(self._reactor, names_of, self._archive, generation)
            await in_thread(self._reactor, _write_names, self._archive, name, generation, listed)
            # Protected first, kept then: between the two nothing of it is cleared.
            joined = await in_thread(self._reactor, listed.joined, self._names or Names())
            if self._names is not None:
                self._names = joined
                self._known[name] = generation.identity
            await self._states.keep_snapshot(name, generation, int(time.time()))
        return sayings.taken(name, generation, len(listed))

    def _demand_room(self, name: str) -> None:
        if name:
            demand_name(name)
        if name in self._states.snapshots:
            remedy = f"choose another name, or drop it: 'flocon snapshot drop {name}'"
            raise MirrorError(f"there is a snapshot {name!r} already", remedy)
        if len(self._states.snapshots) >= MOST_SNAPSHOTS:
            remedy = "drop one: 'flocon snapshot list' shows them"
            raise MirrorError(f"there are {MOST_SNAPSHOTS} snapshots, as many as can be", remedy)

    # Using

    async def use(self, text: str, *, longer: bool = False) -> str:
        """Have the LAN given another state, from now on."""
        return await self._exclusively(lambda: self._use(text, longer=longer))

    async def _use(self, text: str, *, longer: bool) -> str:
        now, before = time.time(), self._states.published
        policy = parse_policy(text, now)
        generation = self._meant(policy, now)
        if not longer:
            policy = bounded(policy, generation, now, self._settings().hold_at_most)
        await self._states.use(policy, generation.identity)
        found = None
        if before is not None and before[0].identity != generation.identity:
            found = await self._count(before[0], generation)
        return sayings.used(policy, generation, before[0] if before else None, found)

    async def _count(self, before: Generation, after: Generation) -> differences.Counts | None:
        try:
            found = await in_thread(self._reactor, compare, self._archive, before, after)
        except FloconError:
            return None
        return differences.counts(found)

    def _meant(self, policy: Policy, now: float) -> Generation:
        """Return the state that a policy means; raises MirrorError where there is none."""
        if policy.kind == SNAPSHOT:
            if policy.name not in self._states.snapshots:
                raise _unknown(policy.name)
            # Not another one with the same databases, read at another time.
            return self._states.snapshots[policy.name][0]
        identity = publication.chosen(policy, self._states.read, {}, now)
        generation = self._states.find(identity) if identity is not None else None
        if generation is None:
            raise MirrorError("no state has been read yet", "try 'flocon mirror refresh'")
        return generation

    async def drop(self, name: str) -> str:
        """Let go of a snapshot, unless it is the LAN's state."""
        return await self._exclusively(lambda: self._drop(name))

    async def _drop(self, name: str) -> str:
        if name not in self._states.snapshots:
            raise _unknown(name)
        policy = publication.in_force(self._states.state.policy, time.time())
        if policy.kind == SNAPSHOT and policy.name == name:
            remedy = "have another used first, like 'flocon snapshot use latest'"
            raise MirrorError(f"{name!r} is the state that the LAN is given", remedy)
        await self._states.drop_snapshot(name)
        await in_thread(self._reactor, self._archive.drop_bytes, SNAPSHOTS, name + _NAMES)
        self._names = None
        await self._gather()
        return f"{name!r} is dropped; its packages stay no longer for its sake"

    # Telling

    def find(self, word: str) -> Generation:
        """Return the state that a word means: a snapshot's name, one for now, or an identity."""
        published = self._states.published
        if word == NOW and published is not None:
            return published[0]
        if word in self._states.snapshots:
            return self._states.snapshots[word][0]
        generation = self._states.find(word)
        if generation is None:
            now = time.time()
            generation = self._meant(Policy() if word == NOW else parse_policy(word, now), now)
        return generation

    async def compare(self, before: str, after: str) -> dict[str, Any]:
        """Return what the second state has otherwise, for two words that mean states."""
        self._demand_open()
        one, other = self.find(before), self.find(after)
        found = await in_thread(self._reactor, compare, self._archive, one, other)
        return sayings.told_difference(one, other, found)

    def describe(self) -> dict[str, Any]:
        """Return what ``/snapshots.json`` says."""
        self._demand_open()
        return sayings.told_snapshots(
            self._states.state, self._states.published, self._states.snapshots, self._states.read
        )

    # What they list

    async def _gather(self) -> None:
        """Find out what all list. As long as one cannot be read, all is protected."""
        if self.is_gathered():
            return
        every, known = Names(), {}
        for name, (generation, _) in list(self._states.snapshots.items()):
            try:
                listed = await in_thread(
                    self._reactor, _read_names, self._archive, name, generation
                )
            except FloconError as error:
                self._log.error(
                    "no package is cleared until the snapshot {name} is dropped, of which nobody"
                    " knows what it lists: {error}",
                    name=name,
                    error=error,
                )
                return
            every = await in_thread(self._reactor, every.joined, listed)
            known[name] = generation.identity
        self._names, self._known = every, known
        self.changed()

    def _demand_open(self) -> None:
        if not self._states.is_open:
            remedy = "try again in a moment; the node's log says if it cannot"
            raise MirrorError("what this mirror has is not read yet", remedy)

    async def _exclusively(self, do: Callable[[], Awaitable[T]]) -> T:
        async def done() -> T:
            self._demand_open()
            return await do()

        return await self._lock.run(lambda: Deferred.fromCoroutine(done()))


def _unknown(name: str) -> MirrorError:
    return MirrorError(f"there is no snapshot {name!r}", "'flocon snapshot list' shows them")


def _read_names(archive: Archive, name: str, generation: Generation) -> Names:
    data = archive.read_bytes(SNAPSHOTS, name + _NAMES, names.LARGEST)
    known = names.load(data, generation.identity) if data is not None else None
    if known is None:
        known = names_of(archive, generation)
        _write_names(archive, name, generation, known)
    return known


def _write_names(archive: Archive, name: str, generation: Generation, listed: Names) -> None:
    archive.write_bytes(SNAPSHOTS, name + _NAMES, listed.dump(generation.identity))
