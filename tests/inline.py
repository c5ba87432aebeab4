"""A reactor of virtual time whose threads run at once, so that what needs them can be tested."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.python.failure import Failure


class InlinePool:
    """Runs what belongs in a thread when it is handed in, or when ``resume`` is called."""

    started = False

    def __init__(self) -> None:
        self._waits: Callable[[Callable[..., Any], tuple[Any, ...]], bool] = lambda *_: False
        self._waiting: list[Callable[[], None]] = []

    def start(self) -> None:
        self.started = True

    def stop(self) -> None:
        self.started = False

    def hold(self, name: str, *given: object) -> None:
        """Have work that is a function of this ``name``, and ``given`` these, wait from now on."""
        self._waits = lambda work, arguments: (
            work.__name__ == name and all(one in arguments for one in given)
        )

    def resume(self) -> None:
        """Do what waits, and let nothing wait any more."""
        self._waits = lambda *_: False
        waiting, self._waiting = self._waiting, []
        for work in waiting:
            work()

    def callInThreadWithCallback(  # noqa: N802
        self,
        result: Callable[[bool, Any], None],
        work: Callable[..., Any],
        *arguments: Any,
        **options: Any,
    ) -> None:
        def run() -> None:
            try:
                value = work(*arguments, **options)
            except Exception:  # noqa: BLE001 - handed on, as a thread would
                result(False, Failure())
            else:
                result(True, value)

        if self._waits(work, arguments):
            self._waiting.append(run)
        else:
            run()


class InlineReactor(Clock):
    """A Clock with a thread pool."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = InlinePool()

    def settle(self) -> None:
        """Let everything happen that needs no time."""
        while any(call.getTime() <= self.seconds() for call in self.getDelayedCalls()):
            self.advance(0)

    def getThreadPool(self) -> InlinePool:  # noqa: N802
        return self.pool

    def callFromThread(self, call: Callable[..., Any], *arguments: Any) -> None:  # noqa: N802
        call(*arguments)


class FakeWatch:
    """A watch whose reports come from the test; ``refused`` folders cannot be followed."""

    def __init__(self, _reactor: object, changed: Callable[[Path, str], None]) -> None:
        self.changed = changed
        self.followed: set[Path] = set()
        self.refused: set[Path] = set()

    def follow(self, folder: Path) -> bool:
        if folder in self.refused:
            return False
        self.followed.add(folder)
        return True

    def forget(self, folder: Path) -> None:
        self.followed.discard(folder)

    def close(self) -> None:
        self.followed.clear()

    def report(self, folder: Path, names: Iterable[str]) -> None:
        for name in names:
            self.changed(folder, name)
