"""A store, its accounts and what comes into it, in one hand: most tests need all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.store.accounts import Accounts
from flocon.store.incoming import Arrivals, Incoming
from flocon.store.store import Store as Folder

A = "a-1-1-any.pkg.tar.zst"
B = "b-1-1-any.pkg.tar.zst"
C = "c-1-1-any.pkg.tar.zst"
MIB = 1 << 20


class Store:
    """The parts, put together as ``holdings.holdings`` does it."""

    def __init__(
        self,
        path: Path,
        max_size: int,
        later: Callable[[Callable[[], None]], None] = lambda work: work(),
    ) -> None:
        self.path = path
        self.folder = Folder(path)
        self.accounts = Accounts(max_size, lambda: self.folder.space)
        self.arrivals = Arrivals(self.folder, self.accounts, later)
        self.packages = self.folder.packages
        self.open = self.folder.open
        self.sweep = self.folder.sweep
        self.measure = self.folder.measure
        self.place = self.folder.place
        self.incoming = self.arrivals.begin
        self.spare = self.arrivals.spare
        self.can_keep = self.arrivals.can_keep
        self.harden = self.arrivals.harden
        self.placed = self.arrivals.placed
        self.room = self.accounts.room
        self.account = self.accounts.account
        self.lend = self.accounts.lend
        self.end = self.accounts.end
        self.use = self.accounts.use
        self.bound = self.accounts.bound
        self.victims = self.accounts.victims

    @property
    def problem(self) -> str:
        return self.folder.problem

    @property
    def remedy(self) -> str:
        return self.folder.remedy

    @property
    def size(self) -> int:
        return self.accounts.size

    @property
    def is_crowded(self) -> bool:
        return self.accounts.is_crowded

    def close(self) -> None:
        self.arrivals.close()
        self.folder.close()


class StoreTestCase(SynchronousTestCase):
    """A place for a store, and what is to be closed behind it."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute() / "store"

    def open(self, max_size: int = 1000) -> Store:
        store = Store(self.path, max_size)
        store.open()
        self.addCleanup(store.close)
        return store

    def incoming(self, store: Store, size: int | None) -> Incoming:
        incoming = store.incoming(size)
        self.addCleanup(incoming.close)
        return incoming

    def names(self, folder: str = "packages") -> set[str]:
        return {path.name for path in (self.path / folder).iterdir()}
