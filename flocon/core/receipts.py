"""One line for each transaction of pacman's: what it got, from where, and what that saved.

pacman says neither that it begins nor that it is done. A transaction is over once nothing was
asked for some seconds and no answer is still being given; what it was is added up meanwhile.
"""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from flocon.core.names import is_about_packages
from flocon.core.units import size_text, time_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flocon.core.recent import Answered

#: Seconds without a request after which a transaction is over.
QUIET = 10.0
#: Receipts kept for ``flocon status`` and the page.
MOST_RECEIPTS = 20
#: Packages of one transaction that are told apart; an installation has some thousand.
MOST_PACKAGES = 16_384
_SENT = frozenset({200, 206, 307})


@dataclass(frozen=True, slots=True)
class Receipt:
    """A transaction: ``at`` is when its last request came, in seconds since 1970.

    ``held_bytes`` were on this machine already. ``seconds_saved`` is as ``savings`` reckons it.
    """

    at: float
    packages: int
    lan_bytes: int
    wan_bytes: int
    held_bytes: int
    seconds_saved: float

    def describe(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self) | {
            "at": round(self.at, 3),
            "seconds_saved": round(self.seconds_saved, 1),
            "text": str(self),
        }

    def __str__(self) -> str:
        packages = "1 package" if self.packages == 1 else f"{self.packages} packages"
        held = f", {size_text(self.held_bytes)} held here" if self.held_bytes else ""
        saved = f"; {time_text(self.seconds_saved)} saved" if self.seconds_saved >= 1 else ""
        return (
            f"{packages}: {size_text(self.lan_bytes)} from the LAN,"
            f" {size_text(self.wan_bytes)} from the WAN{held}{saved}"
        )


class Receipts:
    """Adds up the transaction that runs, and keeps the newest that are over, oldest first."""

    def __init__(self) -> None:
        self._written: deque[Receipt] = deque(maxlen=MOST_RECEIPTS)
        self._begin(0.0)

    def __iter__(self) -> Iterator[Receipt]:
        return iter(self._written)

    def _begin(self, saved: float) -> None:
        self._packages: set[str] = set()
        self._bytes = {"peer": 0, "mirror": 0, "held": 0}
        self._at = 0.0
        self._last: float | None = None
        self._saved_before = saved

    def add(self, answered: Answered, now: float) -> None:
        """Take note of an answer that has just ended."""
        self._last = now
        self._at = answered.at
        kind = answered.source.partition(" ")[0]
        self._bytes[kind if kind in self._bytes else "held"] += answered.bytes
        if (
            answered.status in _SENT
            and not is_about_packages(answered.file_name)
            and len(self._packages) < MOST_PACKAGES
        ):
            self._packages.add(answered.file_name)

    def wait(self, now: float) -> float:
        """Return the seconds until the transaction is over if nothing is asked any more."""
        return 0.0 if self._last is None else max(0.0, self._last + QUIET - now)

    def close(self, saved: float) -> Receipt | None:
        """End the transaction; return its receipt, None where no package was among it.

        ``saved`` are the seconds saved since the node started, this transaction included.
        """
        receipt = None
        if self._packages:
            receipt = Receipt(
                self._at,
                len(self._packages),
                self._bytes["peer"],
                self._bytes["mirror"],
                self._bytes["held"],
                max(0.0, saved - self._saved_before),
            )
            self._written.append(receipt)
        self._begin(saved)
        return receipt
