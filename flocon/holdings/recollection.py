"""What is to be remembered of files, collected for some seconds and then written together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.machine.threads import Delay
from flocon.machine.worker import Worker
from flocon.store.index import Index, Remembered

if TYPE_CHECKING:
    from pathlib import Path

    from twisted.internet.defer import Deferred

    from flocon.holdings.known import KnownFile
    from flocon.store.waiting import Threads

#: Seconds for which what is to be remembered is collected.
SAVE_AFTER = 5.0


class Recollection:
    """The hashes of files and the turns of packages that ``index`` has not got yet."""

    def __init__(self, reactor: Any, threads: Threads) -> None:
        self._threads = threads
        #: In memory only until ``open``.
        self.index = Index(None)
        self._files: dict[tuple[Path, str], Remembered | None] = {}
        self._turns: dict[str, int | None] = {}
        self._due = False
        self._worker = Worker(reactor, self._save_on)
        self._delay = Delay(reactor, self._become_due)

    def open(self, path: Path) -> None:
        """Remember in the file ``path`` from now on."""
        self.index = Index(path)

    def start(self) -> None:
        self._worker.start()

    def stop(self) -> Deferred[None]:
        self._delay.stop()
        return self._worker.stop()

    async def close(self) -> None:
        """Save what there is, and close the file."""
        await self._save()
        await self._threads.run(self._threads.keeping, self.index.close)

    def remember(self, directory: Path, name: str, file: KnownFile) -> None:
        """Remember a file's hash, if it is known."""
        if file.sha256 is not None:
            self._files[directory, name] = Remembered(file.found.stamp, file.sha256, file.confirmed)
            self._delay.begin(SAVE_AFTER)

    def forget(self, directory: Path, name: str) -> None:
        self._files[directory, name] = None
        self._delay.begin(SAVE_AFTER)

    def remember_turn(self, name: str, turn: int | None) -> None:
        """Remember when a package of the store was last used; None: it is gone."""
        self._turns[name] = turn
        self._delay.begin(SAVE_AFTER)

    def is_saved(self, directory: Path, name: str) -> None:
        """Learn that ``index`` was told of a package itself."""
        self._files.pop((directory, name), None)
        self._turns.pop(name, None)

    def _become_due(self) -> None:
        self._due = True
        self._worker.wake()

    async def _save_on(self) -> bool:
        if self._due:
            self._due = False
            await self._save()
        return False

    async def _save(self) -> None:
        files, self._files = self._files, {}
        turns, self._turns = self._turns, {}
        await self._threads.run(self._threads.keeping, self.index.save, files, turns)
