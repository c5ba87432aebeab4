"""The ledger: what pacman asked, what came from where, what it saved, and how long things took.

Part of the front door, as ``desk`` is. What is added up is ``core``'s; here it gets its clock, its
place on disk and its line in the log. Nothing ticks while nothing happens.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service

from flocon.core.figures import Figures
from flocon.core.names import Kind, parse_file_name
from flocon.core.receipts import Receipts
from flocon.core.recent import Recent
from flocon.core.savings import is_sound, load
from flocon.core.spans import Spans
from flocon.host.remember import Notebook, recall
from flocon.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall

    from flocon.core.recent import Answered
    from flocon.core.sources import Origin

#: Seconds between two times that the savings are written down.
WRITE_AGAIN = 60.0
#: Days on the page and in ``/status.json``.
SHOWN_DAYS = 30
LOOK_UP_BOUNDS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
TRANSFER_BOUNDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
#: Each peer's ``state`` is one of these.
PEER_STATES = ("good", "failing", "quarantine")
#: What the LAN face counts as answered; the other counters are of what it refused.
LAN_ANSWERS = frozenset({"files", "databases", "knocks", "relayed", "inventories"})
RESULTS = {
    200: "sent",
    206: "resumed",
    304: "not_modified",
    307: "redirected",
    404: "not_found",
    503: "unavailable",
}


class Ledger(Service):
    """Takes note of answers and transfers; ``busy`` tells how many answers are being given."""

    _log = logger()

    def __init__(self, reactor: Any, file: Path) -> None:
        self._reactor = reactor
        self.recent = Recent()
        self.receipts = Receipts()
        self.savings = load(recall(file, is_sound))
        self._notes = Notebook(reactor, file)
        self.busy: Callable[[], int] = int
        #: Answers by kind of file, source and result.
        self.requests: Counter[tuple[str, str, str]] = Counter()
        self.look_ups = Spans(LOOK_UP_BOUNDS)
        self.transfers: dict[Origin, Spans] = {}
        self._closing: IDelayedCall | None = None
        self._writing: IDelayedCall | None = None

    # What happens

    def add(self, answered: Answered) -> None:
        """Take note of an answer to pacman that has just ended."""
        self.recent.add(answered)
        file = parse_file_name(answered.file_name)
        kind = "package" if file is None or file.kind is Kind.PACKAGE else "database"
        if file is not None and file.is_signature:
            kind = "signature"
        source = answered.source.partition(" ")[0] or "none"
        self.requests[kind, source, RESULTS.get(answered.status, "refused")] += 1
        self._log.debug(
            "{file}: {status} from {source}, {size} bytes in {seconds:.3f} s",
            file=answered.file_name,
            status=answered.status,
            source=answered.source or "nobody",
            size=answered.bytes,
            seconds=answered.seconds,
        )
        self.receipts.add(answered, self._reactor.seconds())
        if self._closing is None and self.running:
            self._close_in(self.receipts.wait(self._reactor.seconds()))

    def began(self, origin: Origin) -> None:
        """Count a transfer as running."""
        self.savings.began(origin, self._reactor.seconds())

    def ended(self, origin: Origin, size: int, seconds: float) -> None:
        """Count a transfer as over that brought ``size`` bytes in ``seconds``."""
        self.savings.ended(origin, size, self._reactor.seconds(), _today())
        if size:
            self.transfers.setdefault(origin, Spans(TRANSFER_BOUNDS)).add(seconds)
            if self._writing is None and self.running:
                self._writing = self._reactor.callLater(WRITE_AGAIN, self._write)

    # Receipts

    def _close_in(self, seconds: float) -> None:
        self._closing = self._reactor.callLater(seconds, self._close)

    def _close(self) -> None:
        self._closing = None
        wait = self.receipts.wait(self._reactor.seconds())
        if wait or self.busy():
            self._close_in(max(wait, 1.0))
            return
        self._write_receipt()

    def _write_receipt(self) -> None:
        receipt = self.receipts.close(self.savings.seconds_saved)
        if receipt is not None:
            self._log.info("{receipt}", receipt=receipt)

    # Remembering

    def _write(self) -> Deferred[Any]:
        self._writing = None
        return self._notes.write(self.savings.dump())

    def stopService(self) -> Deferred[Any] | None:
        super().stopService()
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
            self._write_receipt()
        if self._writing is None:
            return None
        self._writing.cancel()
        return self._write()

    # What it tells

    def describe(self) -> dict[str, Any]:
        """Return what ``/status.json`` says of it."""
        return {
            "savings": {
                "wan_bytes_per_second": round(self.savings.wan_rate),
                "days": self._days(),
            },
            "receipts": [receipt.describe() for receipt in reversed(list(self.receipts))],
        }

    def figures(self, status: Mapping[str, Any], lan: Mapping[str, int]) -> Figures:
        """Return the node's figures, from its status and the counters of the LAN face."""
        reactor = status["reactor"]
        return Figures(
            version=status["version"],
            uptime_seconds=status["uptime_seconds"],
            requests=self.requests,
            bytes={name.removesuffix("_bytes"): count for name, count in status["traffic"].items()},
            transfers=status["transfers"],
            peers=dict.fromkeys(PEER_STATES, 0)
            | Counter(peer["state"] for peer in status["peers"]),
            quarantined=len(status["quarantine"]),
            files=status["inventory"]["files"],
            files_bytes=status["inventory"]["bytes"],
            longest_hold_seconds=reactor["longest_hold_ms"] / 1000 if reactor else None,
            long_holds=reactor["holds_over_50_ms"] if reactor else 0,
            dropped_datagrams=status["dropped_datagrams"],
            lan_answers={kind: count for kind, count in lan.items() if kind in LAN_ANSWERS},
            lan_refusals={kind: count for kind, count in lan.items() if kind not in LAN_ANSWERS},
            seconds_saved=self.savings.seconds_saved,
            wan_bytes_per_second=self.savings.wan_rate,
            look_up_seconds=self.look_ups,
            transfer_seconds={origin.value: spans for origin, spans in self.transfers.items()},
        )

    def _days(self) -> list[dict[str, Any]]:
        """Return the last 30 days, today last, those without traffic too."""
        days = []
        for back in range(SHOWN_DAYS - 1, -1, -1):
            name = _today(back)
            day = self.savings.days.get(name)
            days.append(
                {
                    "day": name,
                    "lan_bytes": day.lan_bytes if day else 0,
                    "wan_bytes": day.wan_bytes if day else 0,
                    "seconds_saved": round(day.seconds_saved, 1) if day else 0.0,
                }
            )
        return days


def _today(back: int = 0) -> str:
    """Return the name of a day on this machine's calendar, so many days ago."""
    now = time.localtime()
    noon = time.mktime((now.tm_year, now.tm_mon, now.tm_mday - back, 12, 0, 0, 0, 0, -1))
    return time.strftime("%Y-%m-%d", time.localtime(noon))
