"""What this machine holds on disk, put together from its parts, started and stopped.

A look-up is memory only (``offering``); disk is touched in threads. Whoever needs a part takes it
from here: this is the only module that knows all of them.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from flocon.errors import FolderSilent
from flocon.holdings.clearing import Clearing
from flocon.holdings.hashing import Hashing
from flocon.holdings.keeping import Keeping
from flocon.holdings.known import KnownFolders
from flocon.holdings.looking import Looking
from flocon.holdings.offering import Offering, listed_beside, needed_beside
from flocon.holdings.opening import Opening
from flocon.holdings.politeness import PAUSE, Politeness
from flocon.holdings.recollection import Recollection
from flocon.machine.inotify import FolderWatch
from flocon.store.accounts import Accounts
from flocon.store.incoming import Arrivals
from flocon.store.store import Store
from flocon.store.waiting import Threads

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from twisted.python.threadpool import ThreadPool

    from flocon.files import Content
    from flocon.holdings.adopting import Adopting
    from flocon.holdings.inventory import Change
    from flocon.holdings.late_signatures import LateSignatures
    from flocon.holdings.offering import Listed
    from flocon.holdings.reading import Watch

#: Seconds for which is waited until it is known whether a package is here, and between two looks.
JUDGED_WITHIN = 5.0
LOOK_AGAIN = 0.1


class Holdings(Service):
    """The parts, by what they do; ``offering`` explains what it is asked and tells.

    ``store`` is the store's folder, bounded by ``max_size`` bytes, and ``directories`` are pacman's
    CacheDirs, ``adopt`` other tools' folders. For ``pause`` seconds after each package that comes
    in, what can wait leaves the machine to those who wait. ``startService`` raises StoreError if
    another node uses the store.
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
        adopt: Sequence[Path] = (),
        offered: Callable[[str, Content], bool] = lambda _, __: True,
        watch: Callable[[Any, Callable[[Path, str], None]], Watch] = FolderWatch,
        pool: ThreadPool | None = None,
        wall: Callable[[], float] = time.time,
        pause: float = PAUSE,
    ) -> None:
        listed = listed_beside(listed)
        signature_needed = needed_beside(signature_needed)
        self.threads = threads = Threads(reactor, pool)
        self.politeness = politeness = Politeness(reactor, pause)
        self.store = Store(store)
        self.accounts = accounts = Accounts(max_size, lambda: self.store.space, wall)
        self.arrivals = Arrivals(self.store, accounts, threads.some_time)
        self.recollection = recollection = Recollection(reactor, threads)
        self._reactor = reactor
        self._folders = folders = KnownFolders(self.store.packages)
        self.offering = offering = Offering(
            folders,
            accounts,
            recollection,
            listed=listed,
            signature_needed=signature_needed,
            changed=changed,
            offered=offered,
            wall=wall,
        )
        self.opening = Opening(
            reactor,
            threads=threads,
            politeness=politeness,
            offering=offering,
            accounts=accounts,
            recollection=recollection,
            listed=listed,
        )
        self.hashing = Hashing(
            reactor,
            threads=threads,
            politeness=politeness,
            folders=folders,
            offering=offering,
            recollection=recollection,
        )
        self.clearing = clearing = Clearing(
            reactor,
            threads=threads,
            folders=folders,
            store=self.store,
            accounts=accounts,
            offering=offering,
            recollection=recollection,
        )
        self.looking = Looking(
            reactor,
            threads=threads,
            politeness=politeness,
            folders=folders,
            store=self.store,
            accounts=accounts,
            offering=offering,
            clearing=clearing,
            recollection=recollection,
            watch=watch,
        )
        self.keeping = Keeping(
            threads=threads,
            politeness=politeness,
            store=self.store,
            accounts=accounts,
            arrivals=self.arrivals,
            offering=offering,
            clearing=clearing,
            recollection=recollection,
            store_read=self.looking.store_read,
            signature_needed=signature_needed,
        )
        self.looking.set_directories(directories)
        self._fetching: Callable[[LateSignatures], None] = lambda _: None
        self.adopting = self._adopting(adopt) if adopt else None

    def adopt(self, roots: Sequence[Path]) -> None:
        """Have these folders of other tools adopted from now on, and no others."""
        if self.adopting is not None:
            self.adopting.set_roots(roots)
        elif roots:
            self.adopting = self._adopting(roots)
            self._fetching(self.adopting.signatures)
            if self.running:
                self.adopting.start()

    def _adopting(self, roots: Sequence[Path]) -> Adopting:
        # On few machines alone.
        from flocon.holdings.adopting import Adopting  # noqa: PLC0415
        from flocon.holdings.late_signatures import LateSignatures  # noqa: PLC0415

        signatures = LateSignatures(
            self._reactor,
            self.store.path / "signatures.json",
            threads=self.threads,
            politeness=self.politeness,
            offering=self.offering,
        )
        self.offering.late_signature = signatures.find
        return Adopting(
            self._reactor,
            roots,
            threads=self.threads,
            folders=self._folders,
            looking=self.looking,
            signatures=signatures,
        )

    def fetch_signatures(
        self,
        fetch: Callable[[str, Content, int], Awaitable[bytes | None]],
        may_ask: Callable[[], bool],
    ) -> None:
        """Have ``fetch`` asked for those that lie beside no package of other tools' folders."""

        def have_fetched(signatures: LateSignatures) -> None:
            signatures.fetch, signatures.may_ask = fetch, may_ask

        self._fetching = have_fetched
        if self.adopting is not None:
            have_fetched(self.adopting.signatures)

    def describe_adopted(self) -> list[dict[str, Any]]:
        """Return what ``/status.json`` says of the folders that are adopted."""
        return [] if self.adopting is None else self.adopting.describe()

    def describe_silent(self) -> list[dict[str, Any]]:
        """Return what ``/status.json`` says of the folders that do not answer."""
        silences = self.threads.lanes.silences()
        return [{"path": str(path), "seconds": round(silences[path], 1)} for path in silences]

    def tell(self) -> Iterator[dict[str, Any]]:
        """Yield what the doctor is to tell of other tools' folders, and of what hangs."""
        # At pacman's own folders the doctor looks itself.
        caches = {str(folder.root) for folder in self._folders if folder.origin == "cache"}
        for one in self.describe_silent():
            lack = self.threads.lanes.lack(Path(one["path"]))
            if lack:
                yield _lacking(one["path"], lack)
                continue
            if one["path"] in caches:
                continue
            yield {
                "check": "silent",
                "wrong": False,
                "reason": f"{FolderSilent(one['path'], one['seconds'])}: what lies there is not"
                " offered until it does",
                "remedy": "look after the server that has it, or the disk; mount names them; where"
                " it answers others, systemctl restart flocon",
            }
        if self.keeping.problem and not self.store.problem:
            yield {
                "check": "keeping",
                "wrong": True,
                "reason": f"what came last was not kept in {self.store.path}:"
                f" {self.keeping.problem}",
                "remedy": "look whether it is full (df) or read-only (mount), and what the kernel"
                " says of the disk (dmesg); what comes once it is mended is kept again",
            }
        if self.adopting is not None:
            yield from self.adopting.tell()

    def startService(self) -> None:
        self.store.open()
        if self.store.problem:
            self._log.warn(
                "nothing is kept for the LAN: {problem}; {remedy}, then start the node again",
                problem=self.store.problem,
                remedy=self.store.remedy,
            )
        else:
            self.recollection.open(self.store.path / "state.sqlite")
        super().startService()
        self.threads.start()
        self.threads.some_time(self.arrivals.prepare)
        for part in (self.looking, self.hashing, self.clearing, self.recollection):
            part.start()
        if self.adopting is not None:
            self.adopting.start()

    async def judged(self, file_name: str) -> None:
        """Return once it is known whether the store has a package, or after ``JUDGED_WITHIN``.

        After a start the store has to be read, and hashed what nothing is remembered of.
        """
        until = self._reactor.seconds() + JUDGED_WITHIN
        while not self.store.problem and self._folders.is_unjudged(file_name):
            if self._reactor.seconds() >= until:
                return
            await deferLater(self._reactor, LOOK_AGAIN)

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self.threads.stopped.set()
        self.threads.lanes.stop()
        self.politeness.stop()
        if self.adopting is not None:
            await self.adopting.stop()
        parts = (self.looking, self.hashing, self.clearing, self.recollection)
        for ended in [part.stop() for part in parts]:
            await ended
        await self.clearing.placing.acquire()
        await self.recollection.close()
        self.threads.stop()
        self.arrivals.close()
        self.store.close()
        self.clearing.placing.release()


def _lacking(path: str, lack: str) -> dict[str, Any]:
    """Return what the doctor is to tell of a folder for which there is no thread."""
    return {
        "check": "silent",
        "wrong": True,
        "reason": f"what lies in {path} cannot be looked at, for want of a thread ({lack})",
        "remedy": "let the node have more: TasksMax= and LimitNPROC= of its unit, or ulimit -u and"
        " -v; systemctl status flocon tells how many it has",
    }
