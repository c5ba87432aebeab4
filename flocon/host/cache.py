"""What this machine holds on disk, in pacman's CacheDirs and the store: found, hashed, offered.

The look-up is memory only. Disk is touched in threads, one folder at a time and one file hashed
at a time, and what they find is merged in slices, so that the reactor is never held for long.

When a file is offered is one decision, ``Cache._judge``: a package with its signature (where one
is needed), under its own SHA-256. Until that is known, a file in a CacheDir goes by the one that
the sync database lists for its name and size; a file in the store is not offered before it was
hashed. A file whose hash contradicts what is listed, or what it was before, is reported once
and not offered until it changes.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from flocon.core.content import Content
from flocon.core.inventory import Inventory
from flocon.core.names import is_package
from flocon.core.room import OWN
from flocon.errors import StoreError
from flocon.host import folder as disk
from flocon.host.index import Index, Remembered
from flocon.host.store import Incoming, Store
from flocon.host.watch import FolderWatch
from flocon.host.worker import PoliteThreadPool, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from flocon.core.inventory import Change
    from flocon.core.room import Lessee
    from flocon.host.folder import Found, Stamp
    from flocon.host.store import Loan, Received

_T = TypeVar("_T")
Origin = Literal["cache", "store"]

#: Seconds between two scans of a folder that reports its changes, and of one that does not.
RESCAN = 600.0
POLL = 60.0
#: A file written to within so many seconds may still be growing.
SETTLING = 1.0
#: Seconds for which what is to be remembered is collected.
SAVE_AFTER = 5.0
#: Seconds of one turn of the reactor that merging may take, and items between two looks.
TURN = 0.01
_ITEMS = 64
#: While packages come in, what can wait waits: so many seconds after each, but for no longer than
#: the second figure as long as they keep coming.
PAUSE = 1.0
LONGEST_PAUSE = 5.0
#: The same for what was received itself: peers are told of it only once it has its name.
KEEPING_PAUSE = 0.25
LONGEST_KEEPING_PAUSE = 0.5
#: More single names than this are looked at by scanning the folder.
MOST_NAMES = 2_000
#: Files made safe at once: they mostly wait for the disk, and it for several together.
MOST_KEEPING = 4
#: Files opened at once for strangers.
MOST_OPENING = 2


class Listed(Protocol):
    """What a sync database says of a file: size in bytes, raw SHA-256, and its signature."""

    @property
    def size(self) -> int: ...

    @property
    def sha256(self) -> bytes: ...

    def read_signature(self) -> bytes | None:
        """Return the signature; None where there is none, or it cannot be had."""


class Watch(Protocol):
    """What is used of ``host.watch.FolderWatch``."""

    def follow(self, folder: Path) -> bool: ...

    def forget(self, folder: Path) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Held:
    """A package that is offered.

    ``verified`` if ``content.sha256`` was computed here and not only taken from a sync database;
    ``stamp`` and ``signature`` are what the two files must still be like when they are opened.
    """

    file_name: str
    content: Content
    directory: Path
    origin: Origin
    verified: bool
    stamp: Stamp
    signature: Stamp | None

    @property
    def signed(self) -> bool:
        return self.signature is not None


class Opened:
    """An open, whole, regular file: its size in bytes and its mtime in seconds.

    It is a ``Lessee``: it counts as opened for pacman until ``lend`` says otherwise.
    """

    def __init__(self, descriptor: int, stamp: Stamp) -> None:
        self._descriptor = descriptor
        #: What closes the descriptor.
        self.discard: Callable[[int], None] = os.close
        self._cut: Callable[[], None] | None = None
        self.size = stamp.size
        self.modified = stamp.mtime_ns / 1e9

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    @property
    def own(self) -> bool:
        return self._cut is None

    def lend(self, cut: Callable[[], None]) -> None:
        """Have ``cut`` called where the room is needed for this machine's own pacman."""
        self._cut = cut

    def cut(self) -> None:
        if self._cut is not None:
            self._cut()

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        """Give the descriptor back; again is no error."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            self.discard(descriptor)


class _File:
    """A package file of one folder, offered or not; ``sha256`` is its own, once known."""

    __slots__ = ("confirmed", "faulty", "found", "reported", "sha256")

    def __init__(self, found: Found) -> None:
        self.found = found
        self.sha256: bytes | None = None
        #: A sync database once listed these very bytes.
        self.confirmed = False
        #: It cannot be read, or is no longer what it was.
        self.faulty = False
        self.reported = False

    @property
    def size(self) -> int:
        return self.found.stamp.size

    def recall(self, known: Remembered) -> None:
        if known.stamp == self.found.stamp:
            self.sha256, self.confirmed = known.sha256, known.confirmed

    def inherit(self, earlier: _File) -> None:
        """Take over what was known of the same file."""
        if earlier.found.stamp == self.found.stamp:
            self.sha256, self.confirmed = earlier.sha256, earlier.confirmed
            self.faulty, self.reported = earlier.faulty, earlier.reported


class _Folder:
    """One folder and what is known of it."""

    def __init__(self, path: Path, origin: Origin) -> None:
        self.path = path
        self.origin: Origin = origin
        self.files: dict[str, _File] = {}
        #: What has to be looked at: everything, or some names.
        self.rescan = True
        self.names: set[str] = set()
        #: Names that changed under our own hands since the last look began.
        self.touched: set[str] = set()
        self.read = False
        self.watched = False
        self.gone = False
        self.problem = ""
        #: Which folder it was when it was last read: it can be another one without an event, where
        #: something was mounted over it.
        self.identity: disk.Identity | None = None


class Cache(Service):
    """What this machine holds, as one inventory; see the module.

    ``listed(file_name)`` returns what the sync databases list under a name, and
    ``signature_needed(file_name)`` whether such a package counts only with its signature; both
    are asked in the reactor's thread. ``changed`` gets every change of ``inventory``, which tells
    what is ``offered``, a part of what is held; ask again with ``listing_changed``. ``ready``
    fires when every folder known at start was read once; hashes may be outstanding. For ``pause``
    seconds after each package that comes in, what can wait leaves the machine to those who wait.

    ``startService`` raises StoreError if another node uses the store.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        *,
        store: Path,
        max_size: int,
        listed: Callable[[str], Sequence[Listed]],
        signature_needed: Callable[[str], bool],
        changed: Callable[[list[Change]], None],
        directories: Iterable[Path] = (),
        offered: Callable[[str, Content], bool] = lambda _, __: True,
        watch: Callable[[Any, Callable[[Path, str], None]], Watch] = FolderWatch,
        pool: ThreadPool | None = None,
        wall: Callable[[], float] = time.time,
        pause: float = PAUSE,
    ) -> None:
        self._reactor = reactor
        self._listed = listed
        self._signature_needed = signature_needed
        self._changed = changed
        self._offered = offered
        self._wall = wall
        self._pause = pause
        self.inventory = Inventory()
        self.store = Store(store, max_size, self._some_time)
        self.ready: Deferred[None] = Deferred()
        self._watch = watch(reactor, self._reported)
        # Threads of its own for what may wait long for a disk: the reactor's are there for what
        # pacman waits for. One hashes, so one file at a time.
        self._hashing = pool or PoliteThreadPool(0, 1, "hashing")
        self._looks = pool or ThreadPool(0, 1, "looking")
        self._keeps = pool or ThreadPool(0, MOST_KEEPING, "keeping")
        self._opens = pool or ThreadPool(0, MOST_OPENING, "opening")
        #: For hashing what comes in and only strangers wait for.
        self.for_strangers = pool or ThreadPool(0, 1, "for strangers")
        self._index = Index(None)
        self._shelf = _Folder(self.store.packages, "store")
        self._folders: list[_Folder] = [self._shelf]
        self._held: dict[str, Held] = {}
        self._urgent: dict[tuple[_Folder, str], None] = {}
        self._later: dict[tuple[_Folder, str], None] = {}
        self._unsettled: set[tuple[_Folder, str]] = set()
        self._judge_again = False
        self._superfluous: set[str] = set()
        self._trim_due = False
        self._save_due = False
        self._failing = False
        #: Whether it is being looked at whether the folders are still the same.
        self._comparing = False
        #: Changes of the inventory that were not told yet.
        self._untold: list[Change] = []
        self._unsaved: dict[tuple[Path, str], Remembered | None] = {}
        self._turns: dict[str, int | None] = {}
        #: Only one thing at a time changes the store's packages.
        self._placing = DeferredLock()
        self._shelf_read: Deferred[None] = Deferred()
        self._stopped = Event()
        self._calls: dict[str, Any] = {}
        #: When packages began to come in one after the other, and until when to leave them alone.
        self._busy_since = self._busy_until = self._came = float("-inf")
        self._patient: list[Deferred[None]] = []
        self._keeping: list[Deferred[None]] = []
        self._looking = Worker(reactor, self._look_on)
        self._digesting = Worker(reactor, self._hash_on)
        self._clearing = Worker(reactor, self._clear_on)
        self.set_directories(directories)

    # Its life

    def startService(self) -> None:
        self.store.open()
        if self.store.problem:
            self._log.warn(
                "nothing is kept for the LAN: {problem}; make {store} a folder this user can write",
                problem=self.store.problem,
                store=self.store.path,
            )
        else:
            self._index = Index(self.store.path / "state.sqlite")
        super().startService()
        for pool in self._pools:
            pool.start()
        self._some_time(self.store.prepare)
        for worker in (self._looking, self._digesting, self._clearing):
            worker.start()
        self._call_later("poll", POLL, self._poll)
        self._call_later("rescan", RESCAN, self._rescan)

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._stopped.set()
        for call in self._calls.values():
            call.cancel()
        self._calls.clear()
        self._release_patient()
        self._release_keeping()
        self._watch.close()
        for worker in (self._looking, self._digesting, self._clearing):
            await worker.stop()
        await self._placing.acquire()
        await self._save()
        await self._keep(self._index.close)
        for pool in self._pools:
            if pool.started:
                pool.stop()
        self.store.close()
        self._placing.release()

    @property
    def _pools(self) -> list[ThreadPool]:
        pools = (self._hashing, self._looks, self._keeps, self._opens, self.for_strangers)
        return list(dict.fromkeys(pools))

    def set_directories(self, directories: Iterable[Path]) -> None:
        """Take these as pacman's CacheDirs, the first one first."""
        wanted = [path for path in dict.fromkeys(directories) if path != self._shelf.path]
        known = {folder.path: folder for folder in self._folders if folder is not self._shelf}
        left = [known[path] for path in known if path not in wanted]
        caches = [known.get(path) or _Folder(path, "cache") for path in wanted]
        self._folders = [*caches, self._shelf]
        for folder in left:
            folder.gone = True
            self._watch.forget(folder.path)
        if left:
            self._judge_again = True
        self._looking.wake()

    def listing_changed(self) -> None:
        """Judge every file again: the sync databases or pacman's SigLevel are different."""
        self._judge_again = True
        self._looking.wake()

    # What others ask

    def find(self, file_name: str) -> Held | None:
        """Return the package of this name, if it is held; never touches the disk."""
        return self._held.get(file_name)

    def open(self, held: Held, *, signature: bool = False, own: bool = True) -> Deferred[Opened]:
        """Open a held package, or its signature.

        Where a sync database carries the signature of this very content, that one is given and not
        whatever lies beside the package: what is there may belong to something else. Otherwise it
        is given unseen; who takes it has to verify it anyway, and to do that here would be a read
        of the whole package for each file. ``own`` if this machine's pacman asks: it does not wait
        behind others.

        Fails with StoreError if that is not possible any more; then it is no longer offered.
        """
        return Deferred.fromCoroutine(self._open(held, signature, own))

    async def _open(self, held: Held, signature: bool, own: bool) -> Opened:
        listed = self._listed_signature(held) if signature else None
        if listed is not None:
            return _in_memory(listed, held)
        expected = held.signature if signature else held.stamp
        if expected is None:
            raise StoreError(str(held.directory / held.file_name), "has no signature beside it")
        name = held.file_name + ".sig" if signature else held.file_name
        try:
            opened = await self._open_file(held.directory, name, expected, own)
        except (OSError, StoreError) as error:
            self._lose(held)
            if isinstance(error, StoreError):
                raise
            raise StoreError(str(held.directory / name), error.strerror or str(error)) from None
        self._count(held, opened)
        return opened

    async def _open_file(self, directory: Path, name: str, expected: Stamp, own: bool) -> Opened:
        descriptor = disk.open_at_once(directory, name, expected)
        if descriptor is not None:
            return Opened(descriptor, expected)

        def open_file() -> Opened:
            # Closed with this object, should nobody wait for it any more.
            return Opened(disk.open_file(directory, name, expected), expected)

        pool = self._reactor.getThreadPool() if own else self._opens
        return await self._in_thread(pool, open_file)

    def _count(self, held: Held, opened: Opened) -> None:
        """Count an open file as long as it is open, and have it closed in a thread."""
        loan: Loan | None = None

        def discard(descriptor: int) -> None:
            # Whoever was the last to have a deleted file open waits for the disk to free it.
            self.store.discard(descriptor, None)
            if loan is not None:
                self.store.end(loan)

        opened.discard = discard
        if held.origin == "store":
            self._use(held.file_name)
            loan = self.store.lend(held.file_name, opened)

    def _listed_signature(self, held: Held) -> bytes | None:
        for one in self._listed(held.file_name):
            if Content(one.size, one.sha256) == held.content and (found := one.read_signature()):
                return found
        return None

    async def check(self, file_name: str) -> Held | None:
        """Hash every file of this name now; return what is held of it then."""
        for folder in list(self._folders):
            file = folder.files.get(file_name)
            if file is not None:
                await self._hash(folder, file_name, file)
        return self.find(file_name)

    # What comes in

    def incoming(self, size: int | None, lessee: Lessee = OWN) -> Incoming:
        """Return a new file for a transfer; it can be published if its ``keep`` is True.

        Raises StoreError where ``lessee`` may not take so much: see ``core.room``.
        """
        self._hold_back()
        incoming = self.store.incoming(size, lessee)
        if self.store.is_crowded:
            self._trim()
        return incoming

    def can_keep(self, size: int) -> bool:
        """Return whether a file of this size would be kept, with nobody cut off for it."""
        return self.store.can_keep(size)

    def spare(self, size: int | None = None, lessee: Lessee = OWN) -> Incoming:
        """Return a new file that cannot be published, for when the store's disk is full."""
        return self.store.spare(size, lessee)

    def _trim(self) -> None:
        self._trim_due = True
        self._clearing.wake()

    async def publish(
        self, incoming: object, file_name: str, content: Content, signature: bytes | None
    ) -> bool:
        """Take a received file into the store; return whether this node holds it then.

        ``content`` was verified by the caller. Cancelling does not interrupt it halfway.
        """
        if not is_package(file_name) or not isinstance(incoming, Incoming) or not incoming.keep:
            return self._holds(file_name, content)
        if signature is None and self._signature_needed(file_name):
            return self._holds(file_name, content)
        if signature is not None and not 0 < len(signature) <= disk.LARGEST_SIGNATURE:
            return self._holds(file_name, content)
        self._hold_back()
        # The caller may go and close it; the work goes on.
        incoming.retain()
        work = Deferred.fromCoroutine(self._publish(incoming, file_name, content, signature))
        work.addErrback(self._publish_failed, file_name)
        done: Deferred[bool] = Deferred(lambda _: None)

        def ended(kept: bool) -> None:
            incoming.release()
            if not done.called:
                done.callback(kept)

        work.addCallback(ended)
        return await done

    def _holds(self, file_name: str, content: Content) -> bool:
        held = self._held.get(file_name)
        return held is not None and held.content == content

    def _publish_failed(self, failure: Any, file_name: str) -> bool:
        if failure.check(OSError):
            # Said once for all files until one is kept again.
            if not self._failing:
                reason = failure.value.strerror
                self._log.warn("{file} is not kept: {reason}", file=file_name, reason=reason)
            self._failing = True
        else:
            self._log.failure("keeping {file} failed", failure, file=file_name)
        return False

    async def _publish(
        self, incoming: Incoming, file_name: str, content: Content, signature: bytes | None
    ) -> bool:
        await self._shelf_read
        await self._lull()

        def harden() -> Received | None:
            if os.fstat(incoming.fileno()).st_size != content.size:
                return None
            return self.store.harden(incoming, signature)

        received = await self._keep(harden)
        if received is None:
            return False
        await self._placing.acquire()
        taken = False
        try:
            taken = await self._place(incoming, file_name, content, received, signature)
        finally:
            self._placing.release()
            if not taken:
                self._some_time(lambda: self.store.dismiss(received, incoming.name))
        return taken or self._holds(file_name, content)

    async def _place(
        self,
        incoming: Incoming,
        file_name: str,
        content: Content,
        received: Received,
        signature: bytes | None,
    ) -> bool:
        """Make room, then let the package have its name; in the meantime nothing is offered.

        Return whether ``received`` was taken.
        """
        held = self._held.get(file_name)
        if held and held.content == content and held.verified and (held.signed or not signature):
            return False
        needed = content.size + len(signature or b"")
        victims = self.store.victims(needed, file_name, incoming)
        if self._stopped.is_set() or not incoming.keep or victims is None:
            return False
        self._forget(victims)
        turn = self.store.use(file_name)
        confirmed = content in self._contents(file_name)

        def place() -> tuple[Found, Remembered]:
            self.store.drop(victims)
            found = self.store.place(received, file_name)
            known = Remembered(found.stamp, content.sha256, confirmed)
            self._index.save({(self._shelf.path, file_name): known}, {file_name: turn})
            return found, known

        found, known = await self._keep(place)
        incoming.name = None
        self._failing = False
        self._unsaved.pop((self._shelf.path, file_name), None)
        self._turns.pop(file_name, None)
        self._shelf.touched.add(file_name)
        self._set(self._shelf, file_name, found, known)
        self.store.placed(incoming, file_name)
        self._tell()
        return True

    # What is offered

    def _contents(self, file_name: str) -> list[Content]:
        return [Content(one.size, one.sha256) for one in self._listed(file_name)]

    def _set(
        self, folder: _Folder, name: str, found: Found | None, known: Remembered | None = None
    ) -> None:
        """Take note of what is on disk under ``name``, and offer it or not."""
        earlier = folder.files.get(name)
        if found is None:
            folder.files.pop(name, None)
        elif earlier is None or earlier.found != found:
            file = folder.files[name] = _File(found)
            if earlier is not None:
                file.inherit(earlier)
            if known is not None:
                file.recall(known)
        if folder is self._shelf:
            self.store.account(name, _size_of(found))
        self._update(name)

    def _update(self, name: str) -> None:
        """Offer the best file of this name: listed before others, hashed before others."""
        listed = self._contents(name)
        best: Held | None = None
        for folder in self._folders:
            file = folder.files.get(name)
            held = file and self._judge(folder, name, file, listed)
            if held and (best is None or _rank(held, listed) > _rank(best, listed)):
                best = held
        if best is None:
            if self._held.pop(name, None) is not None:
                self._untold += self.inventory.remove(name)
        else:
            if best != self._held.get(name):
                self._held[name] = best
            if self._offered(name, best.content):
                self._untold += self.inventory.put(name, best.content)
            else:
                self._untold += self.inventory.remove(name)
        if name in self._shelf.files and self._is_superfluous(name):
            self._superfluous.add(name)
            self._clearing.wake()

    def _judge(
        self, folder: _Folder, name: str, file: _File, listed: Sequence[Content]
    ) -> Held | None:
        """Return the file as it may be offered; see to it that it is hashed."""
        signature = file.found.signature
        if file.faulty or not file.size or (signature is None and self._signature_needed(name)):
            return None
        fitting = {content for content in listed if content.size == file.size}
        if file.sha256 is not None:
            content = Content(file.size, file.sha256)
            if not self._is_right(folder, name, file, content, listed):
                return None
        else:
            if listed and not fitting:
                return None
            if not fitting and self._may_grow(file):
                self._settle(folder, name)
                return None
            self._queue(folder, name, urgent=bool(fitting))
            if folder is self._shelf or len(fitting) != 1:
                return None
            (content,) = fitting
        return Held(
            name,
            content,
            folder.path,
            folder.origin,
            file.sha256 is not None,
            file.found.stamp,
            signature,
        )

    def _is_right(
        self, folder: _Folder, name: str, file: _File, content: Content, listed: Sequence[Content]
    ) -> bool:
        """Whether a file may be offered under its own hash.

        One that was listed once is held as what it is, whatever is listed by now. One that never
        was, while others are listed under its name, is cut short or spoilt, and not for others.
        """
        if content in listed and not file.confirmed:
            file.confirmed = True
            self._remember(folder, name, file)
        if file.confirmed or not listed:
            return True
        for other in listed:
            if other.size == content.size:
                self._report(folder, name, file, other.sha256, content.sha256)
                # The store is ours to clear.
                file.faulty = folder is self._shelf
                break
        return False

    def _report(
        self, folder: _Folder, name: str, file: _File, expected: bytes, actual: bytes
    ) -> None:
        if not file.reported:
            file.reported = True
            self._log.warn(
                "{path} is damaged and not offered: its SHA-256 should be {expected} and is"
                " {actual}; remove it, pacman will fetch it again",
                path=folder.path / name,
                expected=expected.hex(),
                actual=actual.hex(),
            )

    def _may_grow(self, file: _File) -> bool:
        return abs(self._wall() - file.found.stamp.mtime_ns / 1e9) < SETTLING

    def _settle(self, folder: _Folder, name: str) -> None:
        """Look at a file again when it has had time to settle."""
        self._unsettled.add((folder, name))
        self._call_later("settle", 1.5 * SETTLING, self._look_at_unsettled)

    def _look_at_unsettled(self) -> None:
        unsettled, self._unsettled = self._unsettled, set()
        for folder, name in unsettled:
            self._look_again(folder, name)

    def _lose(self, held: Held) -> None:
        """Offer a file no longer that could not be opened, until it was looked at again."""
        name = held.file_name
        for folder in self._folders:
            file = folder.files.get(name)
            if folder.path == held.directory and file and file.found.stamp == held.stamp:
                self._set(folder, name, None)
                folder.touched.add(name)
                self._look_again(folder, name)
        self._tell()

    def _use(self, name: str) -> None:
        self._turns[name] = self.store.use(name)
        self._save_soon()

    def _tell(self) -> None:
        """Hand the changes of the inventory on."""
        changes, self._untold = self._untold, []
        if changes:
            try:
                self._changed(changes)
            except Exception:  # noqa: BLE001 - whoever listens must not stop the scan
                self._log.failure("changes of the inventory were not taken")

    # Looking at folders

    def _reported(self, path: Path, name: str) -> None:
        """Take a report of the watch."""
        for folder in self._folders:
            if folder.path == path:
                subject = name.removesuffix(".sig")
                if not name:
                    folder.rescan = True
                    self._looking.wake()
                elif is_package(subject):
                    self._look_again(folder, subject)

    def _look_again(self, folder: _Folder, name: str) -> None:
        folder.names.add(name)
        if len(folder.names) > MOST_NAMES:
            folder.rescan = True
        self._looking.wake()

    def _poll(self) -> None:
        self._call_later("poll", POLL, self._poll)
        for folder in self._folders:
            folder.rescan = folder.rescan or not folder.watched
        self._looking.wake()
        self._some_time(self.store.measure)
        if not self._comparing:
            self._comparing = True
            paths = [folder.path for folder in self._folders]
            self._look_in_thread(disk.identities, paths).addCallback(self._compare)

    def _compare(self, identities: Mapping[Path, disk.Identity | None]) -> None:
        """Read those folders anew that are other folders by now."""
        self._comparing = False
        for folder in self._folders:
            if folder.read and identities.get(folder.path) != folder.identity:
                folder.rescan = True
        self._looking.wake()

    def _rescan(self) -> None:
        self._call_later("rescan", RESCAN, self._rescan)
        for folder in self._folders:
            folder.rescan = True
        self._looking.wake()

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
                await self._quiet()
                names, folder.names = folder.names, set()
                await self._look(folder, names)
                return True
        if self._judge_again:
            self._judge_again = False
            names = set(self._held).union(*(folder.files for folder in self._folders))
            await self._sliced(list(names), self._update)
            return True
        if not self.ready.called and all(folder.read for folder in self._folders):
            self.ready.callback(None)
        return False

    async def _scan(self, folder: _Folder) -> None:
        folder.touched.clear()
        # Followed before it is read, so that nothing is missed in between.
        folder.watched = self._watch.follow(folder.path)
        before = {name: file.found for name, file in folder.files.items()}
        try:
            folder.identity = await self._look_in_thread(disk.identity, folder.path)
            scanned, known = await self._look_in_thread(self._read, folder, before)
        except StoreError as error:
            self._say_problem(folder, error.reason)
            scanned, known = disk.Scanned({}, list(before)), {}
        else:
            folder.problem = ""
        if not self._stopped.is_set():
            await self._merge(folder, scanned, known)
        folder.read = True
        if folder is self._shelf:
            if not self._shelf_read.called:
                self._shelf_read.callback(None)
            self._trim()

    def _read(
        self, folder: _Folder, before: Mapping[str, Found]
    ) -> tuple[disk.Scanned, Mapping[str, Remembered]]:
        """Read a folder and, where nothing was known of it, what is remembered; in a thread."""
        turns: dict[str, int] = {}
        if folder is self._shelf and not folder.read:
            self.store.sweep()
            turns = self._index.turns()
            self._reactor.callFromThread(self.store.recall, turns)
        scanned = disk.scan(folder.path, before, self._stopped.is_set)
        if before:
            return scanned, {}
        known = self._index.files(folder.path)
        found = scanned.different
        # A folder that is empty may only be not mounted yet.
        if found and not self._stopped.is_set():
            forgotten = {(folder.path, name): None for name in known if name not in found}
            self._index.save(forgotten, {name: None for name in turns if name not in found})
        return scanned, known

    async def _merge(
        self, folder: _Folder, scanned: disk.Scanned, known: Mapping[str, Remembered]
    ) -> None:
        def merge(name: str) -> None:
            if name not in folder.touched and not folder.gone:
                self._set(folder, name, scanned.different.get(name), known.get(name))

        await self._sliced(scanned.gone, merge)
        await self._sliced(list(scanned.different), merge)

    async def _look(self, folder: _Folder, names: set[str]) -> None:
        folder.touched.clear()
        found = await self._look_in_thread(disk.look, folder.path, names)

        def merge(name: str) -> None:
            if name not in folder.touched and not folder.gone:
                self._set(folder, name, found.get(name))

        await self._sliced(list(names), merge)
        if folder is self._shelf:
            self._trim()

    def _say_problem(self, folder: _Folder, problem: str) -> None:
        if problem != folder.problem and not (folder is self._shelf and self.store.problem):
            self._log.warn("{path} {problem}", path=folder.path, problem=problem)
        folder.problem = problem

    async def _sliced(self, items: Sequence[_T], each: Callable[[_T], None]) -> None:
        """Call ``each`` with every item, without holding the reactor for long."""
        began = self._reactor.seconds()
        for count, item in enumerate(items, 1):
            each(item)
            if count % _ITEMS == 0 and self._reactor.seconds() - began > TURN:
                self._tell()
                if self._stopped.is_set():
                    return
                await self._next_turn()
                began = self._reactor.seconds()
        self._tell()

    def _next_turn(self) -> Deferred[None]:
        turn: Deferred[None] = Deferred()
        self._reactor.callLater(0, turn.callback, None)
        return turn

    # Hashing

    def _queue(self, folder: _Folder, name: str, *, urgent: bool) -> None:
        key = (folder, name)
        if urgent:
            self._later.pop(key, None)
            self._urgent[key] = None
        elif key not in self._urgent:
            self._later[key] = None
        self._digesting.wake()

    async def _hash_on(self) -> bool:
        if not self._urgent and not self._later:
            return False
        await self._quiet()
        queue = self._urgent or self._later
        if not queue:
            return False
        folder, name = next(iter(queue))
        del queue[folder, name]
        file = folder.files.get(name)
        if file and not folder.gone and file.sha256 is None and not file.faulty:
            await self._hash(folder, name, file)
        return True

    async def _hash(self, folder: _Folder, name: str, file: _File) -> None:
        """Hash a file, and take note of the result if it is still the same file then."""
        stamp = file.found.stamp
        sha256: bytes | None = None
        unreadable: OSError | None = None
        try:
            sha256 = await deferToThreadPool(
                self._reactor,
                self._hashing,
                disk.digest,
                folder.path,
                name,
                stamp,
                self._stopped.is_set,
            )
        except (StoreError, FileNotFoundError):
            self._look_again(folder, name)
            return
        except OSError as error:
            unreadable = error
        current = folder.files.get(name)
        if self._stopped.is_set() or current is None or current.found.stamp != stamp:
            return
        if unreadable is not None:
            current.faulty = True
            self._log.warn(
                "{path} cannot be read and is not offered: {reason}",
                path=folder.path / name,
                reason=unreadable.strerror,
            )
        elif sha256 is not None:
            self._hashed(folder, name, current, sha256)
        self._update(name)
        self._tell()

    def _hashed(self, folder: _Folder, name: str, file: _File, sha256: bytes) -> None:
        if file.sha256 in {None, sha256}:
            file.sha256 = sha256
            self._remember(folder, name, file)
        else:
            # Nobody wrote to it, and yet it is another one: the disk has lost bits of it.
            self._report(folder, name, file, file.sha256 or b"", sha256)
            file.faulty = True
            self._unsaved[folder.path, name] = None
            self._save_soon()

    # What is remembered

    def _remember(self, folder: _Folder, name: str, file: _File) -> None:
        if file.sha256 is not None:
            known = Remembered(file.found.stamp, file.sha256, file.confirmed)
            self._unsaved[folder.path, name] = known
            self._save_soon()

    def _save_soon(self) -> None:
        def due() -> None:
            self._save_due = True
            self._clearing.wake()

        self._call_later("save", SAVE_AFTER, due)

    async def _save(self) -> None:
        files, self._unsaved = self._unsaved, {}
        turns, self._turns = self._turns, {}
        await self._keep(self._index.save, files, turns)

    # Clearing the store

    async def _clear_on(self) -> bool:
        """Save, or remove from the store what it need not keep; return whether there was any."""
        if self._save_due:
            self._save_due = False
            await self._save()
            return True
        if not self._superfluous and not self._trim_due:
            return False
        await self._placing.acquire()
        try:
            names, self._superfluous = self._superfluous, set()
            going = [name for name in names if self._is_superfluous(name)]
            if self._trim_due:
                self._trim_due = False
                going += [name for name in self.store.victims(0) or () if name not in going]
            if going and not self.store.problem:
                self._forget(going)
                await self._keep(self.store.drop, going)
        finally:
            self._placing.release()
        return True

    def _is_superfluous(self, name: str) -> bool:
        """Whether the store's file is damaged, or pacman's own cache has the same."""
        own = self._shelf.files.get(name)
        if own is None or own.faulty or own.sha256 is None:
            return own is not None and own.faulty
        for folder in self._folders:
            other = folder.files.get(name)
            if folder is self._shelf or other is None or other.faulty:
                continue
            same = other.sha256 == own.sha256 and other.size == own.size
            if same and (other.found.signature or not own.found.signature):
                return True
        return False

    def _forget(self, names: Iterable[str]) -> None:
        """Offer packages of the store no longer: they are about to go."""
        for name in names:
            self._shelf.touched.add(name)
            self._set(self._shelf, name, None)
            self._unsaved[self._shelf.path, name] = None
            self._turns[name] = None
        self._save_soon()
        self._tell()

    # Leaving the machine to those who wait

    def _hold_back(self) -> None:
        """Put off what can wait: a package is coming in, and others are likely to follow."""
        now = self._came = self._reactor.seconds()
        if now >= self._busy_until + self._pause:
            self._busy_since = now
        self._busy_until = min(now + self._pause, max(self._busy_since + LONGEST_PAUSE, now))

    def _quiet(self) -> Deferred[None]:
        """Return what fires when nothing has come in for a moment, or when stopping."""
        quiet: Deferred[None] = Deferred()
        left = self._busy_until - self._reactor.seconds()
        if left <= 0 or self._stopped.is_set():
            quiet.callback(None)
        else:
            self._patient.append(quiet)
            self._call_later("quiet", left, self._look_whether_quiet)
        return quiet

    def _look_whether_quiet(self) -> None:
        left = self._busy_until - self._reactor.seconds()
        if left > 0:
            self._call_later("quiet", left, self._look_whether_quiet)
        else:
            self._release_patient()

    def _release_patient(self) -> None:
        patient, self._patient = self._patient, []
        for one in patient:
            one.callback(None)

    async def _lull(self) -> None:
        """Wait a moment for what else comes in, and only a moment."""
        pause = min(self._pause, KEEPING_PAUSE)
        latest = self._reactor.seconds() + LONGEST_KEEPING_PAUSE
        while not self._stopped.is_set():
            left = min(self._came + pause, latest) - self._reactor.seconds()
            if left <= 0:
                return
            turn: Deferred[None] = Deferred()
            self._keeping.append(turn)
            self._call_later("lull", left, self._release_keeping)
            await turn

    def _release_keeping(self) -> None:
        keeping, self._keeping = self._keeping, []
        for one in keeping:
            one.callback(None)

    # Threads and time

    def _keep(self, work: Callable[..., _T], *arguments: object) -> Deferred[_T]:
        return self._in_thread(self._keeps, work, *arguments)

    def _look_in_thread(self, work: Callable[..., _T], *arguments: object) -> Deferred[_T]:
        return self._in_thread(self._looks, work, *arguments)

    def _in_thread(
        self, pool: ThreadPool, work: Callable[..., _T], *arguments: object
    ) -> Deferred[_T]:
        if not pool.started:
            return maybeDeferred(work, *arguments)
        result: Deferred[_T] = deferToThreadPool(self._reactor, pool, work, *arguments)
        return result

    def _some_time(self, work: Callable[[], None]) -> None:
        """Have something done that nobody waits for, in a thread while there are any."""
        self._keep(work).addErrback(lambda failure: self._log.failure("disk work failed", failure))

    def _call_later(self, what: str, delay: float, call: Callable[[], None]) -> None:
        """Call once after ``delay`` seconds, unless that is on its way already."""
        if what in self._calls or self._stopped.is_set():
            return

        def due() -> None:
            del self._calls[what]
            call()

        self._calls[what] = self._reactor.callLater(delay, due)


def _in_memory(signature: bytes, held: Held) -> Opened:
    """Return an opened file of these bytes, as old as the package; raise StoreError."""
    try:
        descriptor = os.memfd_create("signature", os.MFD_CLOEXEC)
    except OSError as error:
        raise StoreError(held.file_name, error.strerror or str(error)) from None
    opened = Opened(descriptor, held.stamp._replace(size=len(signature)))
    os.pwrite(descriptor, signature, 0)
    return opened


def _size_of(found: Found | None) -> int | None:
    if found is None:
        return None
    return found.stamp.size + (found.signature.size if found.signature else 0)


def _rank(held: Held, listed: Sequence[Content]) -> tuple[bool, bool]:
    return held.content in listed, held.verified
