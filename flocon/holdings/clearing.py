"""Clearing the store: what it need not keep, and what has to go for the bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import DeferredLock

from flocon.holdings.judgement import is_superfluous
from flocon.machine.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.internet.defer import Deferred

    from flocon.holdings.known import KnownFolders
    from flocon.holdings.offering import Offering
    from flocon.holdings.recollection import Recollection
    from flocon.machine.threads import Threads
    from flocon.store.accounts import Accounts
    from flocon.store.store import Store


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
        if own is None:
            return False
        caches = (folder for folder in self._folders if folder is not self._folders.store)
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
