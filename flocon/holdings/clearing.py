"""Clearing the store: what it need not keep, and what has to go for the bound."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.internet.defer import DeferredLock

from flocon.files import beside, known_as
from flocon.holdings.judgement import is_superfluous
from flocon.machine.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twisted.internet.defer import Deferred

    from flocon.files import Content
    from flocon.holdings.known import KnownFolders
    from flocon.holdings.offering import Offering
    from flocon.holdings.recollection import Recollection
    from flocon.store.accounts import Accounts
    from flocon.store.store import Store
    from flocon.store.waiting import Threads


#: Packages removed at a time: what arrives is not to wait for thousands.
_AT_A_TIME = 64


class InStore(NamedTuple):
    """A package of the store: ``size`` with its signature in bytes, ``used`` since 1970.

    ``sha256`` is None where nobody knows it (yet), or the file is not what it should be;
    ``is_open`` if somebody reads it.
    """

    file_name: str
    size: int
    sha256: bytes | None
    used: float
    is_open: bool


class Clearing:
    """Removes packages from the store; whoever has ``placing`` changes them, nobody else."""

    def __init__(
        self,
        reactor: Any,
        *,
        threads: Threads,
        folders: KnownFolders,
        store: Store,
        accounts: Accounts,
        offering: Offering,
        recollection: Recollection,
    ) -> None:
        self._threads = threads
        self._folders = folders
        self._store = store
        self._accounts = accounts
        self._offering = offering
        self._recollection = recollection
        self._superfluous: set[str] = set()
        self._trim_due = False
        #: Who says which packages of the store stay in any case, and which do at this moment.
        self._protectors: dict[str, tuple[Callable[[str], bool], Callable[[str], bool]]] = {}
        self.placing = DeferredLock()
        self._worker = Worker(reactor, self._clear_on)
        offering.judged_in_store = self._consider

    def start(self) -> None:
        self._worker.start()

    def stop(self) -> Deferred[None]:
        return self._worker.stop()

    def trim(self) -> None:
        """Have the store brought within its bound."""
        self._trim_due = True
        self._worker.wake()

    # What others have a say in

    def protect(
        self,
        protects: Callable[[str], bool],
        now: Callable[[str], bool] | None = None,
        by: str = "mirror",
    ) -> None:
        """Have packages stay that ``protects`` says of, whatever the store's bound.

        ``now`` says the same as it is at this moment, for one in whose place another is to be. It
        takes the place of what was said ``by`` the same before; others' words count beside it.
        """
        self._protectors[by] = protects, now or protects
        self._accounts.protect(self._protects)

    def _protects(self, name: str) -> bool:
        return any(protects(name) for protects, _ in self._protectors.values())

    def sha256(self, name: str) -> bytes | None:
        """Return what lies in the store under a name; None where nobody knows, or it is damaged."""
        file = self._folders.store.files.get(name)
        return None if file is None or file.faulty else file.sha256

    def name_for(self, name: str, content: Content) -> str | None:
        """Return under which name a package is kept: its own, unless another has it, and stays.

        None where there is no such name, or it is one as what lies beside another package has.
        """
        if known_as(name) != name:
            return None
        sha256 = self.sha256(name)
        if sha256 in {None, content.sha256} or not self._protects_now(name):
            return name
        return beside(name, content.sha256)

    def _protects_now(self, name: str) -> bool:
        return any(now(name) for _, now in self._protectors.values())

    def stored(self) -> list[InStore]:
        """Return what is in the store, in the order in which it may go for its bound."""
        files = self._folders.store.files
        return [
            InStore(
                name,
                share.size,
                self.sha256(name),
                max(self._accounts.turns[name], file.modified),
                bool(share.lessees),
            )
            for name, share in self._accounts.in_order()
            if (file := files.get(name)) is not None
        ]

    async def remove(self, names: Iterable[str]) -> list[str]:
        """Remove packages that may go still; return which those were."""
        removed: list[str] = []
        left = iter(names)
        while some := list(islice(left, _AT_A_TIME)):
            await self.placing.acquire()
            try:
                if self._store.problem or self._threads.stopped.is_set():
                    break
                going = [name for name in some if self._may_go(name)]
                self.forget(going)
                await self._threads.run(self._threads.keeping, self._store.drop, going)
                removed += going
            finally:
                self.placing.release()
        return removed

    def _may_go(self, name: str) -> bool:
        is_here = name in self._folders.store.files
        return is_here and not self._accounts.is_open(name) and not self._protects(name)

    # Removing

    def forget(self, names: Iterable[str]) -> None:
        """Offer packages of the store no longer: they are about to go."""
        names = list(names)
        self._offering.note_ours(names, None)
        for name in names:
            self._recollection.forget(self._folders.store.path, name)
            self._recollection.remember_turn(name, None)
        self._offering.tell()

    def _consider(self, name: str) -> None:
        if self._is_superfluous(name):
            self._superfluous.add(name)
            self._worker.wake()

    def _is_superfluous(self, name: str) -> bool:
        own = self._folders.store.files.get(name)
        if own is None or (not own.faulty and self._protects(name)):
            return False
        # What another tool has may be gone by tomorrow, and what hangs is.
        caches = (one for one in self._folders if one.origin == "cache" and not one.silent)
        others = (folder.files.get(name) for folder in caches)
        return is_superfluous(own, (other for other in others if other is not None))

    async def _clear_on(self) -> bool:
        """Remove from the store what it need not keep; return whether there was any."""
        if not self._superfluous and not self._trim_due:
            return False
        await self.placing.acquire()
        try:
            names, self._superfluous = self._superfluous, set()
            going = [name for name in names if self._is_superfluous(name)]
            if self._trim_due:
                self._trim_due = False
                going += [name for name in self._accounts.victims(0) or () if name not in going]
            if going and not self._store.problem:
                self.forget(going)
                await self._threads.run(self._threads.keeping, self._store.drop, going)
        finally:
            self.placing.release()
        return True
