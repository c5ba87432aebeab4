"""The ledger: when a receipt is written, when the savings are, and what a stop leaves behind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from flocon.asking.source import Came
from flocon.books.ledger import WRITE_AGAIN, Ledger
from flocon.books.receipts import QUIET
from flocon.books.recent import Answered
from flocon.books.savings import Day
from tests.fakes import FakeReactor

MIB = 1 << 20


def answered(name: str = "zlib-1.3-1-x86_64.pkg.tar.zst", status: int = 200) -> Answered:
    source = "peer 10.0.0.7" if status == 200 else ""
    return Answered(name, "core", 1_700_000_000.0, 0.1, status, source, MIB)


class TheLedger(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = FakeReactor()
        self.file = Path(self.mktemp())
        self.ledger = Ledger(self.clock, self.file)
        self.ledger.startService()
        self.said: list[str] = []

        @implementer(ILogObserver)
        def note(event: LogEvent) -> None:
            if "receipt" in event:
                self.said.append(str(event["receipt"]))

        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)

    def tearDown(self) -> None:
        if self.ledger.running:
            self.ledger.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def fetch(self, size: int = MIB) -> None:
        self.ledger.began(Came.PEER)
        self.ledger.ended(Came.PEER, size, 0.1)

    def test_a_quiet_while_after_the_last_answer_a_line_is_written(self) -> None:
        self.ledger.add(answered())
        self.clock.advance(QUIET - 1)
        self.ledger.add(answered("which-2-1-x86_64.pkg.tar.zst"))
        self.clock.advance(QUIET - 1)
        self.assertEqual(self.said, [])
        self.clock.advance(1)
        self.assertEqual(self.said, ["2 packages: 2.0 MiB from the LAN, 0 B from the WAN"])
        self.assertEqual([one["text"] for one in self.ledger.describe()["receipts"]], self.said)

    def test_not_while_an_answer_is_still_being_given(self) -> None:
        running = 1
        self.ledger.busy = lambda: running
        self.ledger.add(answered())
        self.clock.pump([1.0] * 60)
        self.assertEqual(self.said, [])
        running = 0
        self.clock.advance(1)
        self.assertEqual(len(self.said), 1)

    def test_nothing_ticks_while_nothing_is_asked(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.ledger.add(answered())
        self.clock.advance(QUIET)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_savings_are_written_down_at_most_once_a_minute(self) -> None:
        self.fetch()
        self.fetch()
        self.assertFalse(self.file.parent.exists() and self.file.exists())
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(WRITE_AGAIN)
        (day,) = json.loads(self.file.read_text())["days"].values()
        self.assertEqual(day[0], 2 * MIB)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_stop_writes_what_is_not_written_yet(self) -> None:
        self.fetch()
        self.ledger.add(answered())
        self.ledger.stopService()
        again = Ledger(self.clock, self.file)
        self.assertEqual([day.lan_bytes for day in again.savings.days.values()], [MIB])
        self.assertEqual(len(self.said), 1)

    def test_what_ends_after_the_stop_leaves_no_call_behind(self) -> None:
        self.ledger.stopService()
        self.fetch()
        self.ledger.add(answered())

    def test_failed_attempts_are_no_durations(self) -> None:
        self.fetch(0)
        self.assertEqual(self.ledger.transfers, {})
        self.fetch(1)
        self.assertEqual(self.ledger.transfers[Came.PEER].cumulative()[-1][1], 1)

    def test_answers_are_counted_by_kind_source_and_result(self) -> None:
        self.ledger.add(answered())
        self.ledger.add(answered("zlib-1.3-1-x86_64.pkg.tar.zst.sig"))
        self.ledger.add(answered("core.db", 404))
        self.assertEqual(
            dict(self.ledger.requests),
            {
                ("package", "peer", "sent"): 1,
                ("signature", "peer", "sent"): 1,
                ("database", "none", "not_found"): 1,
            },
        )

    def test_what_was_fetched_ahead_is_told_so_once_and_then_is_held_as_all_else(self) -> None:
        name = "zlib-1.3-1-x86_64.pkg.tar.zst"
        self.ledger.fetched_ahead(name, MIB)
        for wanted in ("1.0 MiB ready ahead", "1.0 MiB held here"):
            self.ledger.add(replace(answered(name), source="store"))
            self.ledger.add(replace(answered(f"{name}.sig"), source="store", bytes=0))
            self.clock.advance(QUIET)
            self.assertIn(wanted, self.said[-1])
        self.assertEqual((self.ledger.given["ahead"], self.ledger.given["store"]), (MIB, MIB))
        self.assertEqual(self.ledger.requests["package", "ahead", "sent"], 1)
        self.assertEqual(self.ledger.ahead.used_bytes, MIB)

    def test_what_came_ahead_a_moment_ago_is_so_before_it_is_kept(self) -> None:
        name = "zlib-1.3-1-x86_64.pkg.tar.zst"
        self.ledger.fetched_ahead(name, MIB)
        self.ledger.add(replace(answered(f"{name}.sig"), source="database", bytes=9))
        self.ledger.add(answered(name))
        self.clock.advance(QUIET)
        self.assertIn("1.0 MiB ready ahead", self.said[-1])
        self.assertEqual(self.ledger.given, {"ahead": MIB, "database": 9})

    def test_what_pacman_was_refused_still_waits(self) -> None:
        name = "zlib-1.3-1-x86_64.pkg.tar.zst"
        self.ledger.fetched_ahead(name, MIB)
        self.ledger.add(replace(answered(name, 503), bytes=0))
        self.assertEqual(self.ledger.ahead.waiting_bytes, MIB)

    def test_what_was_fetched_ahead_is_remembered_by_the_next_start(self) -> None:
        self.ledger.fetched_ahead("zlib-1.3-1-x86_64.pkg.tar.zst", MIB)
        self.ledger.stopService()
        again = Ledger(self.clock, self.file)
        again.add(replace(answered(), source="store"))
        self.assertEqual(again.given["ahead"], MIB)

    def test_a_damaged_memory_of_it_is_none(self) -> None:
        for value in ({"ahead": 1}, ["ahead"], 7):
            self.file.parent.mkdir(exist_ok=True)
            self.file.write_text(json.dumps(value))
            again = Ledger(self.clock, self.file)
            again.add(replace(answered(), source="store"))
            self.assertEqual(again.given["ahead"], 0)

    def test_what_peers_are_told_is_of_thirty_days(self) -> None:
        changes = []
        self.ledger.changed = lambda: changes.append(self.ledger.month())
        self.fetch(3)
        self.ledger.began(Came.OWNER)
        self.ledger.ended(Came.OWNER, 100, 0.1)
        self.ledger.began(Came.MIRROR)
        self.ledger.ended(Came.MIRROR, 7, 0.1)
        self.ledger.savings.days["2001-01-01"] = Day(1000, 1000)
        self.assertEqual(changes[-1], (3, 7))
        self.assertEqual(self.ledger.month(), (3, 7))

    def test_tells_of_thirty_days_today_last(self) -> None:
        self.fetch()
        days = self.ledger.describe()["savings"]["days"]
        self.assertEqual(len({day["day"] for day in days}), 30)
        self.assertEqual([day["lan_bytes"] for day in days], [0] * 29 + [MIB])
        self.assertEqual([day["day"] for day in days], sorted(day["day"] for day in days))
