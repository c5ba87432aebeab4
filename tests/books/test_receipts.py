"""When a transaction is over, and what its line says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.books.receipts import MOST_RECEIPTS, QUIET, Receipts
from flocon.books.recent import Answered

MIB = 1 << 20


def answered(name: str, source: str = "peer 10.0.0.7", size: int = MIB, status: int = 200) -> Any:
    return Answered(name, "core", 1_700_000_000.0, 0.1, status, source, size)


class Transactions(SynchronousTestCase):
    def setUp(self) -> None:
        self.receipts = Receipts()

    def test_one_adds_up_by_where_the_bytes_came_from(self) -> None:
        self.receipts.add(answered("a.pkg.tar.zst", "peer x", 3 * MIB), 0)
        self.receipts.add(answered("b.pkg.tar.zst", "mirror y", 2 * MIB), 1)
        self.receipts.add(answered("c.pkg.tar.zst", "store", MIB), 2)
        receipt = self.receipts.close(90.0)
        assert receipt is not None
        self.assertEqual(
            str(receipt),
            "3 packages: 3.0 MiB from the LAN, 2.0 MiB from the WAN, 1.0 MiB held here;"
            " 1 min 30 s saved",
        )
        self.assertEqual(receipt.describe()["text"], str(receipt))

    def test_what_a_proxy_of_the_lan_has_is_from_it_and_what_was_adopted_is_here(self) -> None:
        self.receipts.add(answered("a.pkg.tar.zst", "parent nas:9129", 3 * MIB), 0)
        self.receipts.add(answered("b.pkg.tar.zst", "adopted", MIB), 1)
        self.receipts.add(answered("c.pkg.tar.zst", "mirror m, where nas:9129 sends to", MIB), 2)
        receipt = self.receipts.close(90.0)
        assert receipt is not None
        self.assertEqual(
            str(receipt),
            "3 packages: 3.0 MiB from the LAN, 1.0 MiB from the WAN, 1.0 MiB held here;"
            " 1 min 30 s saved",
        )

    def test_what_a_peer_fetched_for_us_is_not_from_the_lan(self) -> None:
        self.receipts.add(answered("a.pkg.tar.zst", "peer 10.0.0.7 for us", 3 * MIB), 0)
        receipt = self.receipts.close(0)
        wanted = (
            "1 package: 0 B from the LAN, 0 B from the WAN, 3.0 MiB from the WAN by a peer for us"
        )
        self.assertEqual(str(receipt), wanted)

    def test_a_signature_out_of_the_database_was_not_held_here(self) -> None:
        self.receipts.add(answered("a.pkg.tar.zst", "peer x", MIB), 0)
        self.receipts.add(answered("a.pkg.tar.zst.sig", "database", 119), 0)
        receipt = self.receipts.close(0)
        self.assertEqual(str(receipt), "1 package: 1.0 MiB from the LAN, 0 B from the WAN")

    def test_what_was_fetched_ahead_is_not_merely_held(self) -> None:
        ahead = replace(answered("a.pkg.tar.zst", "store", 3 * MIB), ahead=True)
        self.receipts.add(ahead, 0)
        self.receipts.add(answered("b.pkg.tar.zst", "cache", MIB), 0)
        receipt = self.receipts.close(0)
        assert receipt is not None
        self.assertEqual((receipt.ahead_bytes, receipt.held_bytes), (3 * MIB, MIB))
        self.assertIn("1.0 MiB held here, 3.0 MiB ready ahead", str(receipt))

    def test_a_file_that_came_in_two_ways_is_counted_in_both(self) -> None:
        shares = (("peer", 2 * MIB), ("mirror", MIB))
        mixed = replace(answered("a.pkg.tar.zst", "peer 10.0.0.7", 3 * MIB), shares=shares)
        self.receipts.add(mixed, 0)
        # pacman had two thirds of this one already.
        self.receipts.add(replace(mixed, bytes=MIB), 0)
        receipt = self.receipts.close(0)
        assert receipt is not None
        self.assertEqual(receipt.lan_bytes + receipt.wan_bytes, 4 * MIB)
        self.assertEqual(receipt.lan_bytes, 2 * MIB + MIB - MIB // 3)

    def test_one_is_over_some_seconds_after_its_last_request(self) -> None:
        self.receipts.add(answered("a.pkg.tar.zst"), 5)
        self.receipts.add(answered("b.pkg.tar.zst"), 8)
        self.assertEqual(self.receipts.wait(9), QUIET - 1)
        self.assertEqual(self.receipts.wait(8 + QUIET), 0)

    def test_signatures_and_databases_are_no_packages(self) -> None:
        for name in (
            "a.pkg.tar.zst",
            "a.pkg.tar.zst.sig",
            "core.db",
            "core.files",
            "a.pkg.tar.zst",
        ):
            self.receipts.add(answered(name), 0)
        receipt = self.receipts.close(0)
        self.assertEqual(receipt and (receipt.packages, receipt.lan_bytes), (1, 5 * MIB))

    def test_one_without_packages_has_no_receipt(self) -> None:
        self.receipts.add(answered("core.db", "mirror y"), 0)
        self.receipts.add(answered("a.pkg.tar.zst", "", 0, 404), 0)
        self.assertIsNone(self.receipts.close(0))
        self.assertEqual(list(self.receipts), [])

    def test_each_begins_with_nothing(self) -> None:
        self.receipts.add(answered("a.pkg.tar.zst"), 0)
        self.receipts.close(50)
        self.receipts.add(answered("b.pkg.tar.zst"), 100)
        receipt = self.receipts.close(53)
        assert receipt is not None
        self.assertEqual((receipt.lan_bytes, receipt.seconds_saved), (MIB, 3))

    def test_the_oldest_is_forgotten_first(self) -> None:
        for number in range(MOST_RECEIPTS + 3):
            self.receipts.add(answered("a.pkg.tar.zst", size=number), 0)
            self.receipts.close(0)
        kept = [receipt.lan_bytes for receipt in self.receipts]
        self.assertEqual(kept, list(range(3, MOST_RECEIPTS + 3)))

    def test_less_than_a_second_is_not_boasted_of(self) -> None:
        self.receipts.add(answered("a.pkg.tar.zst"), 0)
        self.assertEqual(
            str(self.receipts.close(0.4)), "1 package: 1.0 MiB from the LAN, 0 B from the WAN"
        )
