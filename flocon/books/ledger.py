"""The ledger: what pacman asked, what came from where, what it saved, and how long things took.

What is added up is the other modules' affair; here it gets its clock, its place on disk and its
line in the log. Nothing ticks while nothing happens.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service

from flocon.asking.answer import GIVEN
from flocon.books.fetched_ahead import FetchedAhead
from flocon.books.figures import Figures, Spans
from flocon.books.receipts import Receipts
from flocon.books.recent import HERE, Recent
from flocon.books.savings import is_sound, load
from flocon.files import Kind, parse_file_name
from flocon.log import logger
from flocon.machine.remember import Notebook, recall

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall

    from flocon.asking.source import Came
    from flocon.books.recent import Answered
    from flocon.files import FileName

#: Seconds between two times that the savings are written down.
WRITE_AGAIN = 60.0
#: Days on the page and in ``/status.json``, and of which peers are told.
SHOWN_DAYS = 30
LOOK_UP_BOUNDS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
TRANSFER_BOUNDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
#: Each peer's ``state`` is one of these.
PEER_STATES = ("good", "failing", "quarantine")
#: How far the packages of the next upgrade are.
UPGRADE_STATES = ("wanted", "ready", "coming", "only_at_mirrors", "left_out")
#: What the LAN face counts as answered; the other counters are of what it refused.
LAN_ANSWERS = frozenset({"files", "databases", "knocks", "relayed", "inventories"})
#: With what the counters of other tools' machines begin.
FOREIGN = "foreign "
#: The same of what is said to nodes of other networks, and of them.
FAR = "far "
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
        remembered = recall(file, is_sound)
        self.savings = load(remembered)
        self._notes = Notebook(reactor, file)
        self.ahead = FetchedAhead(remembered.get("ahead") if isinstance(remembered, dict) else None)
        #: Bytes given to pacman, by what brought them.
        self.given: Counter[str] = Counter()
        #: Called when what the LAN saved has changed.
        self.changed: Callable[[], None] = lambda: None
        self.busy: Callable[[], int] = int
        #: Answers by kind of file, source and result.
        self.requests: Counter[tuple[str, str, str]] = Counter()
        self.look_ups = Spans(LOOK_UP_BOUNDS)
        self.transfers: dict[Came, Spans] = {}
        self._closing: IDelayedCall | None = None
        self._writing: IDelayedCall | None = None

    # What happens

    def add(self, answered: Answered) -> None:
        """Take note of an answer to pacman that has just ended."""
        file = parse_file_name(answered.file_name)
        if self._was_ahead(answered, file):
            answered = replace(answered, ahead=True)
        self.recent.add(answered)
        self.given.update(answered.by_kind())
        kind = "package" if file is None or file.kind is Kind.PACKAGE else "database"
        if file is not None and file.is_signature:
            kind = "signature"
        self.requests[kind, answered.kind, RESULTS.get(answered.status, "refused")] += 1
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

    def _was_ahead(self, answered: Answered, file: FileName | None) -> bool:
        """Whether it had been fetched ahead: it may have come just now, and not be kept yet."""
        if file is None or answered.status not in GIVEN:
            return False
        if file.is_signature and answered.source not in HERE:
            return False
        return self.ahead.gave(file.subject)

    def began(self, came: Came) -> None:
        """Count a transfer as running."""
        self.savings.began(came, self._reactor.seconds())

    def ended(self, came: Came, size: int, seconds: float) -> None:
        """Count a transfer as over that brought ``size`` bytes in ``seconds``."""
        self.savings.ended(came, size, self._reactor.seconds(), _today())
        if size:
            self.transfers.setdefault(came, Spans(TRANSFER_BOUNDS)).add(seconds)
            self._write_soon()
            self.changed()

    def fetched_ahead(self, file_name: str, size: int) -> None:
        """Remember that a package is here because it was fetched before pacman asked."""
        self.ahead.came(file_name, size)
        self._write_soon()

    def month(self) -> tuple[int, int]:
        """Return the bytes of 30 days that peers held, and those that crossed the WAN to here."""
        known = self.savings.days
        days = [known[name] for name in _last_days(SHOWN_DAYS) if name in known]
        return sum(day.lan_bytes for day in days), sum(day.wan_bytes for day in days)

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
        self.ahead.close()

    # Remembering

    def _write_soon(self) -> None:
        if self._writing is None and self.running:
            self._writing = self._reactor.callLater(WRITE_AGAIN, self._write)

    def _write(self) -> Deferred[Any]:
        self._writing = None
        return self._notes.write(self.savings.dump() | {"ahead": self.ahead.dump()})

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
                "since": min(self.savings.days, default=_today()),
                "days": self._days(),
            },
            "receipts": [receipt.describe() for receipt in reversed(list(self.receipts))],
        }

    def figures(self, status: Mapping[str, Any], lan: Mapping[str, int]) -> Figures:
        """Return the node's figures, from its status and the counters of the LAN face."""
        reactor, ahead = status["reactor"], status["ahead"]
        mdns = status["mdns"]
        given: Counter[tuple[str, str]] = Counter()
        for one in status["foreign"]:
            given[one["kind"], one["address"]] += one["bytes"]
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
            lan_refusals={
                kind: count
                for kind, count in lan.items()
                if kind not in LAN_ANSWERS and not kind.startswith((FOREIGN, FAR))
            },
            foreign=_of(FOREIGN, lan),
            far_peers=sum(one["far"] for one in status["peers"]) if _of(FAR, lan) else None,
            far_names=Counter(one["state"] for one in status["sites"]),
            far_datagrams=_of(FAR, lan),
            foreign_bytes=given,
            mdns_datagrams=mdns["datagrams"] if mdns else {},
            ahead_bytes={use: ahead[f"{use}_bytes"] for use in ("used", "unused")},
            ahead_waiting_bytes=ahead["waiting_bytes"],
            upgrade_packages={state: ahead[state] for state in UPGRADE_STATES},
            upgrade_bytes={state: ahead[f"{state}_bytes"] for state in ("wanted", "ready")},
            seconds_saved=self.savings.seconds_saved,
            wan_bytes_per_second=self.savings.wan_rate,
            silent_folders={one["path"]: one["seconds"] for one in status.get("silent", ())},
            look_up_seconds=self.look_ups,
            transfer_seconds={came.value: spans for came, spans in self.transfers.items()},
        )

    def _days(self) -> list[dict[str, Any]]:
        """Return the last 30 days, today last, those without traffic too."""
        days = []
        for name in reversed(_last_days(SHOWN_DAYS)):
            day = self.savings.days.get(name)
            days.append(
                {
                    "day": name,
                    "lan_bytes": day.lan_bytes if day else 0,
                    "wan_bytes": day.wan_bytes if day else 0,
                    "owner_bytes": day.owner_bytes if day else 0,
                    "seconds_saved": round(day.seconds_saved, 1) if day else 0.0,
                }
            )
        return days


def _today() -> str:
    """Return the name of this day on this machine's calendar."""
    return _last_days(1)[0]


def _last_days(count: int) -> list[str]:
    """Return the names of the last days, today first."""
    now = time.localtime()
    today = now.tm_year, now.tm_mon, now.tm_mday
    return [_day_before(today, back) for back in range(count)]


@lru_cache(maxsize=2 * SHOWN_DAYS)
def _day_before(day: tuple[int, int, int], back: int) -> str:
    return (date(*day) - timedelta(days=back)).isoformat()


def _of(beginning: str, counts: Mapping[str, int]) -> dict[str, int]:
    """Return the counts of what begins with a word, without it."""
    return {
        kind.removeprefix(beginning): count
        for kind, count in counts.items()
        if kind.startswith(beginning)
    }
