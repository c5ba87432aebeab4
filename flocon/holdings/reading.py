"""Reading one folder: what lies in it is found in a thread, and noted a slice at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from flocon.errors import FolderSilent, NoDescriptors, StoreError
from flocon.holdings.known import MOST_ADOPTED
from flocon.machine.mounts import is_far
from flocon.store import folder as disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from flocon.holdings.known import KnownFolder, KnownFolders
    from flocon.holdings.offering import Offering
    from flocon.holdings.recollection import Recollection
    from flocon.store.accounts import Accounts
    from flocon.store.folder import Found
    from flocon.store.index import Remembered
    from flocon.store.lanes import Lane
    from flocon.store.store import Store
    from flocon.store.waiting import Threads

_T = TypeVar("_T")

#: Seconds of one turn of the reactor that merging may take, and items between two looks.
TURN = 0.01
_ITEMS = 64
#: What is said of an adopted folder of which not all is looked at.
FULL = f"has more packages than are looked at ({MOST_ADOPTED} in all that are adopted)"


if TYPE_CHECKING:

    class Watch(Protocol):
        """What is used of ``machine.inotify.FolderWatch``."""

        def follow(self, folder: Path) -> bool: ...

        def forget(self, folder: Path) -> None: ...

        def close(self) -> None: ...


class Reading:
    """Has ``offering`` take note of what lies in a folder, which may hang."""

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        watch: Watch,
        *,
        threads: Threads,
        folders: KnownFolders,
        store: Store,
        accounts: Accounts,
        offering: Offering,
        recollection: Recollection,
    ) -> None:
        self._reactor = reactor
        self._watch = watch
        self._threads = threads
        self._folders = folders
        self._store = store
        self._accounts = accounts
        self._offering = offering
        self._recollection = recollection

    async def compare(self, folder: KnownFolder) -> None:
        """Have a folder read that is another one by now."""
        if await self._in_thread(folder, disk.identity, folder.path) != folder.identity:
            folder.rescan = True

    async def scan(self, folder: KnownFolder) -> None:
        """Read all of a folder; raises NoDescriptors where it cannot be now."""
        folder.touched.clear()
        before = {name: file.found for name, file in folder.files.items()}
        try:
            folder.far = await self._in_thread(folder, is_far, folder.path)
            # Followed before it is read, so that nothing is missed in between. What others change
            # in one that is far is not reported, and to follow it takes the reactor's time.
            folder.watched = not folder.far and self._watch.follow(folder.path)
            if folder.far:
                self._watch.forget(folder.path)
            folder.identity = await self._in_thread(folder, disk.identity, folder.path)
            scanned, remembered = await self._in_thread(folder, self._read, folder, before)
        except (NoDescriptors, FolderSilent):
            raise
        except StoreError as error:
            self._say_problem(folder, error.reason)
            scanned, remembered = disk.Scanned({}, list(before)), {}
        else:
            folder.problem = ""
        if not self._threads.stopped.is_set():
            await self._merge(folder, scanned, remembered)
        folder.read = True

    def _read(
        self, folder: KnownFolder, before: Mapping[str, Found]
    ) -> tuple[disk.Scanned, Mapping[str, Remembered]]:
        """Read a folder and, where nothing was known of it, what is remembered; in a thread."""
        stopped = self._lane(folder).beating(self._threads.stopped.is_set)
        index = self._recollection.index
        turns: dict[str, int] = {}
        if folder is self._folders.store and not folder.read:
            self._store.sweep()
            turns = index.turns()
            self._reactor.callFromThread(self._accounts.recall, turns)
        most = self._folders.room_in(folder)
        scanned = disk.scan(folder.path, before, stopped, escaped=folder.adopted, most=most)
        if before or stopped():
            return scanned, {}
        remembered = index.files(folder.path)
        found = scanned.different
        # A folder that is empty may only be not mounted yet.
        if found and not stopped():
            forgotten = {(folder.path, name): None for name in remembered if name not in found}
            index.save(forgotten, {name: None for name in turns if name not in found})
        return scanned, remembered

    async def _merge(
        self, folder: KnownFolder, scanned: disk.Scanned, remembered: Mapping[str, Remembered]
    ) -> None:
        def merge(name: str) -> None:
            if name not in folder.touched and not folder.gone:
                found = scanned.different.get(name)
                self._offering.note(folder, name, found, remembered.get(name))

        await self.sliced(scanned.gone, merge)
        await self.sliced(list(scanned.different), merge)
        if len(folder.files) == self._folders.room_in(folder):
            self._say_problem(folder, FULL)

    async def look(self, folder: KnownFolder, names: set[str]) -> None:
        """Look at some files of a folder; raises NoDescriptors where nobody can tell."""
        folder.touched.clear()
        found = await self._in_thread(folder, self._look_into, folder, names)
        room = self._folders.room_in(folder)

        def merge(name: str) -> None:
            is_known = room is None or name in folder.files or len(folder.files) < room
            if is_known and name not in folder.touched and not folder.gone:
                self._offering.note(folder, name, found.get(name))

        await self.sliced(list(names), merge)

    def _look_into(self, folder: KnownFolder, names: Iterable[str]) -> dict[str, Found]:
        """Look at some files of a folder; in a thread."""
        beat = self._lane(folder).beat
        return disk.look(folder.path, _beating(names, beat), escaped=folder.adopted)

    def _say_problem(self, folder: KnownFolder, problem: str) -> None:
        is_said = folder is self._folders.store and self._store.problem
        if problem != folder.problem and not is_said:
            self._log.warn("{path} {problem}", path=folder.path, problem=problem)
        folder.problem = problem

    async def sliced(self, items: Sequence[_T], each: Callable[[_T], None]) -> None:
        """Call ``each`` with every item, without holding the reactor for long."""
        began = self._reactor.seconds()
        for count, item in enumerate(items, 1):
            each(item)
            if count % _ITEMS == 0 and self._reactor.seconds() - began > TURN:
                self._offering.tell()
                if self._threads.stopped.is_set():
                    return
                await self._next_turn()
                began = self._reactor.seconds()
        self._offering.tell()

    def _next_turn(self) -> Deferred[None]:
        turn: Deferred[None] = Deferred()
        self._reactor.callLater(0, turn.callback, None)
        return turn

    def _lane(self, folder: KnownFolder) -> Lane:
        return self._threads.lanes.lane(folder.root, "looking")

    def _in_thread(
        self, folder: KnownFolder, work: Callable[..., _T], *arguments: object
    ) -> Deferred[_T]:
        return self._lane(folder).run(work, *arguments)


def _beating(items: Iterable[_T], beat: Callable[[], None]) -> Iterator[_T]:
    """Yield the items; that one was done with is an answer."""
    for item in items:
        beat()
        yield item
