"""Files that many are sent at once: each is open once, however many read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from flocon.asking.waiting import Outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable
    from typing import Any

    from flocon.answering.held import Opened


class SharedFiles:
    """Open files by what they are: a key that says the content, too."""

    def __init__(self) -> None:
        self._files: dict[Hashable, _File] = {}

    def __len__(self) -> int:
        """Return how many files are open, or being opened."""
        return len(self._files)

    async def open(
        self, key: Hashable, opening: Callable[[], Awaitable[Opened]], modified: float | None = None
    ) -> Share:
        """Return a share of a file, which is opened if nobody is sent it now.

        ``modified`` is what it says of when it was changed, if not what the file does. Raises what
        ``opening`` does.
        """
        file = self._files.get(key)
        is_first = file is None
        if file is None:
            file = self._files[key] = _File(lambda: self._forget(key, file))
        file.sharers += 1
        if is_first:
            Deferred.fromCoroutine(file.begin(opening)).addErrback(file.failed)
        try:
            opened = await file.opened.wait()
        except BaseException:
            file.leave()
            raise
        return Share(file, opened, modified)

    def _forget(self, key: Hashable, file: _File | None) -> None:
        if self._files.get(key) is file:
            del self._files[key]


class _File:
    """One file, and how many share it; ``forget`` is called when the last one has left."""

    def __init__(self, forget: Callable[[], None]) -> None:
        self.sharers = 0
        self.opened: Outcome[Opened] = Outcome()
        self._open: Opened | None = None
        self._forget = forget
        self.cuts: set[Callable[[], None]] = set()

    async def begin(self, opening: Callable[[], Awaitable[Opened]]) -> None:
        # On its own account: who asked first may leave, and the others not.
        self._open = await opening()
        self.opened.succeed(self._open)
        if not self.sharers:
            self._close()

    def failed(self, failure: Any) -> None:
        self._forget()
        self.opened.fail(failure.value)

    def lend(self, cut: Callable[[], None]) -> None:
        if not self.cuts and self._open is not None:
            self._open.lend(self._cut_all)
        self.cuts.add(cut)

    def _cut_all(self) -> None:
        for cut in list(self.cuts):
            cut()

    def leave(self) -> None:
        self.sharers -= 1
        if not self.sharers and self.opened.known:
            self._close()

    def _close(self) -> None:
        self._forget()
        if self._open is not None:
            self._open.close()
            self._open = None


class Share:
    """What one of those who share a file has of it."""

    def __init__(self, file: _File, opened: Opened, modified: float | None) -> None:
        self._file = file
        self._opened = opened
        self.size = opened.size
        self.reads = opened.reads
        self.modified = opened.modified if modified is None else modified
        self._cut: Callable[[], None] | None = None
        self._closed = False

    def fileno(self) -> int:
        return self._opened.fileno()

    def lend(self, cut: Callable[[], None]) -> None:
        """Have ``cut`` called where pacman here needs the room."""
        self._cut = cut
        self._file.lend(cut)

    def close(self) -> None:
        """Let go of it; again is no error."""
        if not self._closed:
            self._closed = True
            if self._cut is not None:
                self._file.cuts.discard(self._cut)
            self._file.leave()
