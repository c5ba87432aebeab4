"""What each address took, and that strangers cannot make it grow."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.books.takers import Takers


class Taking(SynchronousTestCase):
    def test_bytes_add_up_by_address_who_took_most_first(self) -> None:
        takers = Takers()
        for address, count in (("10.0.0.2", 3), ("10.0.0.3", 5), ("10.0.0.2", 4)):
            takers.take(address, count)
        self.assertEqual(takers.most_first(), [("10.0.0.2", 7), ("10.0.0.3", 5)])
        self.assertEqual((takers.of("10.0.0.3"), takers.of("10.0.0.4")), (5, 0))

    def test_a_zone_has_two_spellings(self) -> None:
        takers = Takers()
        takers.take("fe80::1%2", 3)
        takers.take("fe80::1%eth0", 4)
        self.assertEqual(takers.most_first(), [("fe80::1", 7)])
        self.assertEqual(takers.of("fe80::1%eth0"), 7)

    def test_of_too_many_who_took_least_is_no_longer_told_apart(self) -> None:
        takers = Takers(most=3)
        takers.take("10.0.0.2", 1_000)
        for number in range(500):
            takers.take(f"fd00::{number:x}", 2)
        self.assertEqual(len(takers.most_first()), 3)
        self.assertEqual(takers.most_first()[0], ("10.0.0.2", 1_000))
        told = sum(count for _, count in takers.most_first())
        self.assertEqual(told + takers.others_bytes, 2_000)
