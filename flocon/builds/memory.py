"""What is remembered of the AUR: who maintained what, and when it was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.aur.maintainers import Maintainers
from flocon.machine.reactor_threads import in_thread
from flocon.machine.remember import Notebook, recall

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from flocon.aur.records import Record

FILE = "aur.json"


class Memory:
    """``folder`` is the keeper's own."""

    def __init__(self, reactor: Any, folder: Path) -> None:
        self._reactor = reactor
        self._path = folder / FILE
        self._notebook = Notebook(reactor, self._path)
        self._maintainers = Maintainers()
        #: When all was looked at last, in Unix seconds.
        self.polled = 0.0

    async def open(self) -> None:
        value = await in_thread(self._reactor, recall, self._path)
        if isinstance(value, dict):
            self._maintainers = Maintainers.read(value.get("maintainers"))
            polled = value.get("polled")
            self.polled = float(polled) if isinstance(polled, int | float) else 0.0

    def observe(self, records: Iterable[Record], now: float) -> None:
        """Take note of who maintains what by now."""
        self._maintainers.observe(records, now)
        self._write()

    def looked(self, now: float) -> None:
        """Take note that all was looked at."""
        self.polled = now
        self._write()

    def move(self, leap: float) -> None:
        """Have all be as long ago as it was before the clock was set by so many seconds."""
        self._maintainers.move(int(leap))
        self.polled = max(0.0, self.polled + leap)
        self._write()

    def taken_over(self, base: str) -> float:
        """Return when a base came to its maintainer, as far as was seen; 0.0 for never."""
        known = self._maintainers.of(base)
        return known.taken_over if known is not None else 0.0

    def maintained_since(self, base: str) -> float:
        """Return since when a base has its maintainer, as far as was seen; 0.0 for never."""
        known = self._maintainers.of(base)
        return float(known.since) if known is not None else 0.0

    def forget(self, base: str) -> None:
        self._maintainers.forget(base)
        self._write()

    def _write(self) -> None:
        self._notebook.write({"polled": self.polled, "maintainers": self._maintainers.to_json()})
