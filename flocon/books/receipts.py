"""One line for each transaction of pacman's: what it got, from where, and what that saved.

pacman says neither that it begins nor that it is done. A transaction is over once nothing was
asked for some seconds and no answer is still being given; what it was is added up meanwhile.

Where bytes came from is told apart: a peer held them (the LAN had them, and the WAN was spared),
a peer fetched them for this node (they crossed the WAN, only not here), this node fetched them from
a mirror, they were here, or they had been fetched ahead.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flocon.books.recent import HERE
from flocon.books.units import size_text, time_text
from flocon.files import is_about_packages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flocon.books.recent import Answered

#: Seconds without a request after which a transaction is over.
QUIET = 10.0
#: Receipts kept for ``flocon status`` and the page.
MOST_RECEIPTS = 20
#: Packages of one transaction that are told apart; an installation has some thousand.
MOST_PACKAGES = 16_384
_SENT = frozenset({200, 206, 307})
#: Kinds of bytes, and how a receipt calls them.
_SAID = {
    "peer": "from the LAN",
    "mirror": "from the WAN",
    "owner": "from the WAN by a peer for us",
    "held": "held here",
    "ahead": "ready ahead",
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """A transaction: ``at`` is when its last request came, in seconds since 1970.

    ``lan_bytes`` were held by peers, ``owner_bytes`` were fetched for us by peers, ``wan_bytes``
    came from mirrors, ``held_bytes`` were on this machine already, ``ahead_bytes`` because they had
    been fetched ahead. ``seconds_saved`` is as ``savings`` reckons it.
    """

    at: float
    packages: int
    lan_bytes: int
    owner_bytes: int
    wan_bytes: int
    held_bytes: int
    ahead_bytes: int
    seconds_saved: float

    def describe(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "at": round(self.at, 3),
            "packages": self.packages,
            "lan_bytes": self.lan_bytes,
            "owner_bytes": self.owner_bytes,
            "wan_bytes": self.wan_bytes,
            "held_bytes": self.held_bytes,
            "ahead_bytes": self.ahead_bytes,
            "seconds_saved": round(self.seconds_saved, 1),
            "text": str(self),
        }

    def __str__(self) -> str:
        packages = "1 package" if self.packages == 1 else f"{self.packages} packages"
        counts = {
            "peer": self.lan_bytes,
            "mirror": self.wan_bytes,
            "owner": self.owner_bytes,
            "held": self.held_bytes,
            "ahead": self.ahead_bytes,
        }
        # The first two are what everybody asks for.
        said = [
            f"{size_text(count)} {_SAID[kind]}"
            for kind, count in counts.items()
            if count or kind in {"peer", "mirror"}
        ]
        saved = f"; {time_text(self.seconds_saved)} saved" if self.seconds_saved >= 1 else ""
        return f"{packages}: {', '.join(said)}{saved}"


class Receipts:
    """Adds up the transaction that runs, and keeps the newest that are over, oldest first."""

    def __init__(self) -> None:
        self._written: deque[Receipt] = deque(maxlen=MOST_RECEIPTS)
        self._begin(0.0)

    def __iter__(self) -> Iterator[Receipt]:
        return iter(self._written)

    def _begin(self, saved: float) -> None:
        self._packages: set[str] = set()
        self._bytes = dict.fromkeys(_SAID, 0)
        self._at = 0.0
        self._last: float | None = None
        self._saved_before = saved

    def add(self, answered: Answered, now: float) -> None:
        """Take note of an answer that has just ended."""
        self._last = now
        self._at = answered.at
        for kind, count in answered.by_kind().items():
            # A signature out of the sync database was here, and is no package that was.
            called = "held" if kind in HERE else kind
            if called in self._bytes:
                self._bytes[called] += count
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
                at=self._at,
                packages=len(self._packages),
                lan_bytes=self._bytes["peer"],
                owner_bytes=self._bytes["owner"],
                wan_bytes=self._bytes["mirror"],
                held_bytes=self._bytes["held"],
                ahead_bytes=self._bytes["ahead"],
                seconds_saved=max(0.0, saved - self._saved_before),
            )
            self._written.append(receipt)
        self._begin(saved)
        return receipt
