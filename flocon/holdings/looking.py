"""Looking at the folders: what comes, goes and changes in them, and what was missed of that.

Each folder is looked at by itself, so that one that hangs holds up no other.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from flocon.errors import FolderSilent, NoDescriptors
from flocon.files import is_package
from flocon.holdings.judgement import SETTLING
from flocon.holdings.reading import Reading
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
    from flocon.holdings.reading import Watch
    from flocon.holdings.recollection import Recollection
    from flocon.store.accounts import Accounts
    from flocon.store.store import Store
    from flocon.store.waiting import Threads

#: Seconds between two scans of a folder that reports its changes, and of one that does not.
RESCAN = 600.0
POLL = 60.0
#: Seconds until a folder is read for which there were no descriptors.
AGAIN = 5.0


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
        self._offering = offering
        self._clearing = clearing
        self.ready: Deferred[None] = Deferred()
        self.store_read: Deferred[None] = Deferred()
        self._watch = watch(reactor, self._reported)
        self._unsettled: set[tuple[KnownFolder, str]] = set()
        self._unread: set[KnownFolder] = set()
        self._reading = Reading(
            reactor,
            self._watch,
            threads=threads,
            folders=folders,
            store=store,
            accounts=accounts,
            offering=offering,
            recollection=recollection,
        )
        self._started = False
        #: What looks, by the root: one that hangs holds up no other.
        self._workers: dict[Path, Worker] = {}
        self._judging = Worker(reactor, self._judge_on)
        #: Names that are to be judged again, and whether all are.
        self._judge_again: set[str] = set()
        self._judge_all = False
        self._polled = Delay(reactor, self._poll)
        self._rescanned = Delay(reactor, self._rescan)
        self._settled = Delay(reactor, self._look_at_unsettled)
        self._unread_due = Delay(reactor, self._look_at_unread)
        folders.wake = self._wake
        threads.lanes.changed = self._silence_changed
        offering.let_settle = self._let_settle

    def start(self) -> None:
        self._started = True
        self._judging.start()
        self._wake()
        self._polled.begin(POLL)
        self._rescanned.begin(RESCAN)

    def stop(self) -> Deferred[Any]:
        self._started = False
        for delay in (self._polled, self._rescanned, self._settled, self._unread_due):
            delay.stop()
        self._watch.close()
        return gatherResults([one.stop() for one in (self._judging, *self._workers.values())])

    def _wake(self) -> None:
        """Have looked at what is to be looked at, wherever it is."""
        for folder in self._folders:
            root = folder.root
            if root not in self._workers:
                self._workers[root] = Worker(self._reactor, partial(self._look_at, root))
            if self._started:
                self._workers[root].start()

    def set_directories(self, directories: Iterable[Path]) -> None:
        """Take these as pacman's CacheDirs, the first one first."""
        self._leave(self._folders.replace_caches(directories))

    def set_adopted(self, directories: Mapping[Path, Path]) -> None:
        """Take these as other tools' folders of packages, each with what it lies beneath."""
        self._leave(self._folders.replace_adopted(directories))

    def _leave(self, left: Sequence[KnownFolder]) -> None:
        for folder in left:
            self._watch.forget(folder.path)
        if left:
            self.listing_changed()
        self._wake()

    def listing_changed(self) -> None:
        """Judge every file again: the sync databases or pacman's SigLevel are different."""
        self._judge_all = True
        self._judging.wake()

    def _silence_changed(self, root: Path) -> None:
        """Offer nothing of what lies beneath a root while it hangs, and all of it afterwards."""
        silent = self._threads.lanes.silence(root) > 0
        for folder in self._folders.beneath(root):
            # What the store has nobody else knows: it is offered as long as it is not missed.
            if folder.silent != silent and folder is not self._folders.store:
                folder.silent = silent
                self._judge_again.update(folder.files)
                say = self._log.warn if silent else self._log.info
                does = "does not answer: what it has is not offered" if silent else "answers again"
                say("{path} {does}", path=folder.path, does=does)
        if not silent:
            # It may be another one by now, and what was looked for in the one before is not told.
            self._folders.look_at(self._folders.beneath(root))
        self._judging.wake()

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
        self._folders.compare()

    def _rescan(self) -> None:
        self._rescanned.begin(RESCAN)
        self._folders.look_at(self._folders)

    # Looking

    async def _look_at(self, root: Path) -> bool:
        try:
            return await self._look_on(root)
        except FolderSilent:
            # The node stops, and does not wait for it; or another folder is there now.
            return False

    async def _look_on(self, root: Path) -> bool:
        """Do one piece of looking beneath a root; return whether there may be more."""
        folders = self._folders.beneath(root)
        for folder in folders:
            if folder.rescan:
                folder.rescan = folder.comparing = False
                folder.names.clear()
                await self._scan(folder)
                return True
        for folder in folders:
            if folder.comparing:
                folder.comparing = False
                await self._reading.compare(folder)
                return True
        for folder in folders:
            if folder.names:
                await self._politeness.quiet()
                names, folder.names = folder.names, set()
                await self._look(folder, names)
                return True
        self._judging.wake()
        return False

    async def _judge_on(self) -> bool:
        """Judge again what is to be; return whether there was anything."""
        if self._judge_all:
            self._judge_all = False
            await self._reading.sliced(list(self._offering.names()), self._offering.update)
            return True
        if self._judge_again:
            names, self._judge_again = self._judge_again, set()
            await self._reading.sliced(list(names), self._offering.update)
            return True
        known = all(folder.read or folder.silent for folder in self._folders)
        if known and not self.ready.called:
            self.ready.callback(None)
        return False

    async def _scan(self, folder: KnownFolder) -> None:
        try:
            await self._reading.scan(folder)
        except NoDescriptors:
            # It is as it was, as far as anybody knows.
            self._unread.add(folder)
            self._unread_due.begin(AGAIN)
            return
        if folder.read and folder is self._folders.store:
            if not self.store_read.called:
                self.store_read.callback(None)
            self._clearing.trim()

    async def _look(self, folder: KnownFolder, names: set[str]) -> None:
        try:
            await self._reading.look(folder, names)
        except NoDescriptors:
            for name in names:
                self._let_settle(folder, name)
            return
        if folder is self._folders.store:
            self._clearing.trim()
