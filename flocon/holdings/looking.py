"""Looking at the folders: what comes, goes and changes in them, and what was missed of that.

Disk is touched in a thread, one folder at a time, and what it finds is merged in slices, so that
the reactor is never held for long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from flocon.errors import NoDescriptors, StoreError
from flocon.files import is_package
from flocon.holdings.judgement import SETTLING
from flocon.holdings.known import MOST_ADOPTED
from flocon.machine.threads import Delay
from flocon.machine.worker import Worker
from flocon.store import folder as disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from flocon.holdings.clearing import Clearing
    from flocon.holdings.known import KnownFolder, KnownFolders
    from flocon.holdings.offering import Offering
    from flocon.holdings.politeness import Politeness
    from flocon.holdings.recollection import Recollection
    from flocon.machine.threads import Threads
    from flocon.store.accounts import Accounts
    from flocon.store.folder import Found
    from flocon.store.index import Remembered
    from flocon.store.store import Store

_T = TypeVar("_T")

#: Seconds between two scans of a folder that reports its changes, and of one that does not.
RESCAN = 600.0
POLL = 60.0
#: Seconds until a folder is read for which there were no descriptors.
AGAIN = 5.0
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


class Looking:
    """Has ``offering`` take note of what lies in ``folders``.

    ``ready`` fires when every folder known at start was read once; hashes may be outstanding.
    ``store_read`` fires when the store was.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        *,
        threads: Threads,
        politeness: Politeness,
        folders: KnownFolders,
        store: Store,
        accounts: Accounts,
        offering: Offering,
        clearing: Clearing,
        recollection: Recollection,
        watch: Callable[[Any, Callable[[Path, str], None]], Watch],
    ) -> None:
        self._reactor = reactor
        self._threads = threads
        self._politeness = politeness
        self._folders = folders
        self._store = store
        self._accounts = accounts
        self._offering = offering
        self._clearing = clearing
        self._recollection = recollection
        self.ready: Deferred[None] = Deferred()
        self.store_read: Deferred[None] = Deferred()
        self._watch = watch(reactor, self._reported)
        self._judge_again = False
        self._unsettled: set[tuple[KnownFolder, str]] = set()
        self._unread: set[KnownFolder] = set()
        #: Whether it is being looked at whether the folders are still the same.
        self._comparing = False
        self._worker = Worker(reactor, self._look_on)
        self._polled = Delay(reactor, self._poll)
        self._rescanned = Delay(reactor, self._rescan)
        self._settled = Delay(reactor, self._look_at_unsettled)
        self._unread_due = Delay(reactor, self._look_at_unread)
        folders.wake = self._worker.wake
        offering.let_settle = self._let_settle

    def start(self) -> None:
        self._worker.start()
        self._polled.begin(POLL)
        self._rescanned.begin(RESCAN)

    def stop(self) -> Deferred[None]:
        for delay in (self._polled, self._rescanned, self._settled, self._unread_due):
            delay.stop()
        self._watch.close()
        return self._worker.stop()

    def set_directories(self, directories: Iterable[Path]) -> None:
        """Take these as pacman's CacheDirs, the first one first."""
        self._leave(self._folders.replace_caches(directories))

    def set_adopted(self, directories: Iterable[Path]) -> None:
        """Take these as other tools' folders of packages."""
        self._leave(self._folders.replace_adopted(directories))

    def _leave(self, left: Sequence[KnownFolder]) -> None:
        for folder in left:
            self._watch.forget(folder.path)
        if left:
            self._judge_again = True
        self._worker.wake()

    def listing_changed(self) -> None:
        """Judge every file again: the sync databases or pacman's SigLevel are different."""
        self._judge_again = True
        self._worker.wake()

    # What gives reason to look

    def _reported(self, path: Path, name: str) -> None:
        """Take a report of the watch."""
        folder = self._folders.at(path)
        if folder is None:
            return
        subject = name.removesuffix(".sig")
        if folder.adopted:
            subject = disk.package_name(subject)
        if not name:
            self._folders.look_at([folder])
        elif subject in folder.names or is_package(subject):
            self._folders.look_again(folder, subject)

    def _let_settle(self, folder: KnownFolder, name: str) -> None:
        self._unsettled.add((folder, name))
        self._settled.begin(1.5 * SETTLING)

    def _look_at_unsettled(self) -> None:
        unsettled, self._unsettled = self._unsettled, set()
        for folder, name in unsettled:
            self._folders.look_again(folder, name)

    def _look_at_unread(self) -> None:
        unread, self._unread = self._unread, set()
        self._folders.look_at(folder for folder in unread if not folder.gone)

    def _poll(self) -> None:
        self._polled.begin(POLL)
        self._folders.look_at(folder for folder in self._folders if not folder.watched)
        self._threads.some_time(self._store.measure)
        if not self._comparing:
            self._comparing = True
            paths = [folder.path for folder in self._folders]
            self._in_thread(disk.identities, paths).addCallback(self._compare)

    def _compare(self, identities: Mapping[Path, disk.Identity | None]) -> None:
        self._comparing = False
        self._folders.compare(identities)

    def _rescan(self) -> None:
        self._rescanned.begin(RESCAN)
        self._folders.look_at(self._folders)

    # Looking

    async def _look_on(self) -> bool:
        """Do one piece of looking; return whether there may be more."""
        # The store first: what was received meanwhile waits for it.
        for folder in reversed(self._folders):
            if folder.rescan:
                folder.rescan = False
                folder.names.clear()
                await self._scan(folder)
                return True
        for folder in self._folders:
            if folder.names:
                await self._politeness.quiet()
                names, folder.names = folder.names, set()
                await self._look(folder, names)
                return True
        if self._judge_again:
            self._judge_again = False
            await self._sliced(list(self._offering.names()), self._offering.update)
            return True
        if not self.ready.called and all(folder.read for folder in self._folders):
            self.ready.callback(None)
        return False

    async def _scan(self, folder: KnownFolder) -> None:
        folder.touched.clear()
        # Followed before it is read, so that nothing is missed in between.
        folder.watched = self._watch.follow(folder.path)
        before = {name: file.found for name, file in folder.files.items()}
        try:
            folder.identity = await self._in_thread(disk.identity, folder.path)
            scanned, remembered = await self._in_thread(self._read, folder, before)
        except NoDescriptors:
            # It is as it was, as far as anybody knows.
            self._unread.add(folder)
            self._unread_due.begin(AGAIN)
            return
        except StoreError as error:
            self._say_problem(folder, error.reason)
            scanned, remembered = disk.Scanned({}, list(before)), {}
        else:
            folder.problem = ""
        if not self._threads.stopped.is_set():
            await self._merge(folder, scanned, remembered)
        folder.read = True
        if folder is self._folders.store:
            if not self.store_read.called:
                self.store_read.callback(None)
            self._clearing.trim()

    def _read(
        self, folder: KnownFolder, before: Mapping[str, Found]
    ) -> tuple[disk.Scanned, Mapping[str, Remembered]]:
        """Read a folder and, where nothing was known of it, what is remembered; in a thread."""
        stopped = self._threads.stopped.is_set
        index = self._recollection.index
        turns: dict[str, int] = {}
        if folder is self._folders.store and not folder.read:
            self._store.sweep()
            turns = index.turns()
            self._reactor.callFromThread(self._accounts.recall, turns)
        most = self._folders.room_in(folder)
        scanned = disk.scan(folder.path, before, stopped, escaped=folder.adopted, most=most)
        if before:
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

        await self._sliced(scanned.gone, merge)
        await self._sliced(list(scanned.different), merge)
        if len(folder.files) == self._folders.room_in(folder):
            self._say_problem(folder, FULL)

    async def _look(self, folder: KnownFolder, names: set[str]) -> None:
        folder.touched.clear()
        try:
            found = await self._in_thread(self._look_into, folder, names)
        except NoDescriptors:
            for name in names:
                self._let_settle(folder, name)
            return

        room = self._folders.room_in(folder)

        def merge(name: str) -> None:
            is_known = room is None or name in folder.files or len(folder.files) < room
            if is_known and name not in folder.touched and not folder.gone:
                self._offering.note(folder, name, found.get(name))

        await self._sliced(list(names), merge)
        if folder is self._folders.store:
            self._clearing.trim()

    def _look_into(self, folder: KnownFolder, names: Iterable[str]) -> dict[str, Found]:
        """Look at some files of a folder; in a thread."""
        return disk.look(folder.path, names, escaped=folder.adopted)

    def _say_problem(self, folder: KnownFolder, problem: str) -> None:
        is_said = folder is self._folders.store and self._store.problem
        if problem != folder.problem and not is_said:
            self._log.warn("{path} {problem}", path=folder.path, problem=problem)
        folder.problem = problem

    async def _sliced(self, items: Sequence[_T], each: Callable[[_T], None]) -> None:
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

    def _in_thread(self, work: Callable[..., _T], *arguments: object) -> Deferred[_T]:
        return self._threads.run(self._threads.looking, work, *arguments)
