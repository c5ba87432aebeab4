"""Which packages of the store go first, and what those count that somebody reads."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from flocon.store.accounts import MOST_RESERVE_AHEAD, Accounts, Space
from flocon.store.turns import Turns
from tests.store.strangers import lent

A = "a-1-1-any.pkg.tar.zst"
B = "b-1-1-any.pkg.tar.zst"
C = "c-1-1-any.pkg.tar.zst"
MIB = 1 << 20


DAY = 86_400


def accounts(max_size: int) -> Accounts:
    """Return the accounts of a store on a disk that has room."""
    return Accounts(max_size, lambda: Space(1 << 40, 1 << 40))


class AheadTests(SynchronousTestCase):
    """Room for what nobody waits for: what was used lately keeps its own."""

    def setUp(self) -> None:
        self.now = 1_000.0 * DAY
        self.free = 1 << 40
        self.store = Accounts(100, lambda: Space(1 << 40, self.free), lambda: self.now)

    def fill(self) -> None:
        """Keep three packages, the last two of which were used within a week."""
        for name, days in ((A, 8.0), (B, 6.0), (C, 0.0)):
            self.now = (1_000.0 - days) * DAY
            self.store.account(name, 30)
            self.store.use(name)

    def arriving(self, *, spares: bool) -> Any:
        return mock.Mock(spares=spares, share=mock.Mock(memory=True))

    def test_only_what_was_not_used_lately_goes_for_it(self) -> None:
        self.fill()
        self.assertTrue(self.store.has_room_ahead(40))
        self.assertFalse(self.store.has_room_ahead(41))
        for needed, expected in ((40, [A]), (41, None)):
            found = self.store.victims(needed, arriving=self.arriving(spares=True))
            self.assertEqual(found, expected)

    def test_for_what_pacman_asked_for_all_goes(self) -> None:
        self.fill()
        self.assertEqual(self.store.victims(41, arriving=self.arriving(spares=False)), [A, B])

    def test_after_a_week_without_use_it_may_go(self) -> None:
        self.fill()
        self.now += 2 * DAY
        self.assertTrue(self.store.has_room_ahead(70))
        self.store.use(B)
        self.assertFalse(self.store.has_room_ahead(70))

    def test_what_somebody_has_open_stays_too(self) -> None:
        self.fill()
        lent(self.store, A, 30)
        self.assertTrue(self.store.has_room_ahead(10))
        self.assertFalse(self.store.has_room_ahead(11))

    def test_what_was_used_before_times_were_remembered_may_go(self) -> None:
        self.store.recall({A: 17})
        self.store.account(A, 100)
        self.assertTrue(self.store.has_room_ahead(100))

    def test_what_came_for_nothing_goes_first_once_it_is_not_wanted(self) -> None:
        for name in (A, B, C):
            self.store.account(name, 30)
        self.store.use(A)
        self.store.came_ahead(B)
        self.store.came_ahead(C)
        self.store.want_ahead({B, C})
        self.assertFalse(self.store.has_room_ahead(40))
        self.assertEqual(self.store.victims(70), [A, B])
        self.store.want_ahead({B})
        self.assertTrue(self.store.has_room_ahead(40))
        self.assertEqual(self.store.victims(70), [C, A])
        self.store.use(C)
        self.assertFalse(self.store.has_room_ahead(40))
        self.assertEqual(self.store.victims(100), [A, B, C])

    def test_what_anybody_still_wants_does_not(self) -> None:
        self.store.account(A, 30)
        self.store.account(B, 30)
        self.store.use(A)
        self.store.came_ahead(B)
        self.store.want_ahead({B}, "mirror")
        self.store.want_ahead(())
        self.assertEqual(self.store.victims(50), [A])
        self.store.want_ahead((), "mirror")
        self.assertEqual(self.store.victims(50), [B])

    def test_the_order_stays_when_the_clock_is_set_back(self) -> None:
        self.fill()
        self.now = 0.0
        self.store.use(B)
        self.assertEqual(self.store.victims(100), [A, C, B])

    def test_room_for_any_number_is_worked_out_once(self) -> None:
        for at in range(500):
            self.store.account(name := f"a{at}-1-1-any.pkg.tar.zst", 1)
            self.store.use(name)
        looks = 0
        is_lately = Turns.is_lately

        def count(turns: Turns, name: str) -> bool:
            nonlocal looks
            looks += 1
            return is_lately(turns, name)

        self.patch(Turns, "is_lately", count)
        for size in range(1_000):
            self.assertFalse(self.store.has_room_ahead(size + 1))
        self.assertEqual(looks, 500)

    def test_what_is_closed_again_may_go_again(self) -> None:
        self.fill()
        reader = lent(self.store, A, 30)
        self.assertFalse(self.store.has_room_ahead(40))
        reader.close()
        self.assertTrue(self.store.has_room_ahead(40))

    def test_what_is_deleted_makes_no_more_room(self) -> None:
        self.fill()
        self.assertTrue(self.store.has_room_ahead(40))
        self.store.account(A, None)
        self.assertTrue(self.store.has_room_ahead(40))
        self.assertFalse(self.store.has_room_ahead(41))

    def test_a_disk_that_is_nearly_full_is_left_alone(self) -> None:
        self.free = MOST_RESERVE_AHEAD + 50
        self.assertTrue(self.store.has_room_ahead(50))
        self.assertFalse(self.store.has_room_ahead(51))
        small = Accounts(1 << 40, lambda: Space(1_000, 120))
        self.assertTrue(small.has_room_ahead(20))
        self.assertFalse(small.has_room_ahead(21))


class OrderTests(SynchronousTestCase):
    def open(self, max_size: int = 1000) -> Accounts:
        return accounts(max_size)

    def test_the_longest_unused_goes_first(self) -> None:
        store = self.open(100)
        for name in (A, B, C):
            store.account(name, 30)
            store.use(name)
        store.use(A)
        self.assertEqual(store.victims(10), [])
        self.assertEqual(store.victims(11), [B])
        self.assertEqual(store.victims(70), [B, C])
        self.assertEqual(store.victims(100), [B, C, A])
        self.assertIsNone(store.victims(101))

    def test_what_is_replaced_goes_in_any_case_and_counts(self) -> None:
        store = self.open(100)
        for name in (A, B, C):
            store.account(name, 30)
            store.use(name)
        self.assertEqual(store.victims(40, replacing=C), [C])
        self.assertEqual(store.victims(41, replacing=C), [C, A])

    def test_files_never_used_go_before_all_others(self) -> None:
        store = self.open(100)
        store.recall({A: 3, B: 1})
        for name in (A, B, C):
            store.account(name, 30)
        self.assertEqual(store.victims(100), [C, B, A])

    def test_turns_go_on_where_they_were(self) -> None:
        store = self.open()
        store.recall({A: 41})
        self.assertEqual(store.use(B), 42)


class LentTests(SynchronousTestCase):
    """What somebody has open counts until it is closed."""

    MAX_SIZE = 400 * MIB

    def setUp(self) -> None:
        self.store = accounts(self.MAX_SIZE)

    def test_what_is_read_goes_after_what_is_not(self) -> None:
        lent(self.store, A, 10)
        self.store.account(B, 10)
        self.store.use(B)
        self.assertEqual(self.store.victims(self.MAX_SIZE - 10), [B])

    def test_what_is_read_does_not_go_for_a_package_if_it_is_large(self) -> None:
        reader = lent(self.store, A, 100 * MIB)
        self.assertIsNone(self.store.victims(350 * MIB))
        self.assertEqual(reader.cuts, 0)

    def test_a_package_that_comes_again_while_the_old_one_is_read_counts_twice(self) -> None:
        reader = lent(self.store, A, 300)
        self.store.account(A, None)
        self.store.account(A, 400)
        self.assertEqual((self.store.size, self.store.room.disk), (400, 300))
        reader.close()
        self.assertEqual((self.store.size, self.store.room.disk), (400, 0))


class ProtectedTests(SynchronousTestCase):
    """Packages that a mirror for the LAN must keep."""

    def setUp(self) -> None:
        self.now = 1_000.0 * DAY
        self.protected = {A}
        self.store = Accounts(100, lambda: Space(1 << 40, 1 << 40), lambda: self.now)
        for name in (A, B, C):
            self.store.account(name, 30)
            self.store.use(name)
        self.now += 30 * DAY
        self.store.protect(lambda name: name in self.protected)

    def test_what_is_protected_never_goes(self) -> None:
        self.assertEqual(self.store.victims(40), [B])
        self.assertEqual(self.store.victims(70), [B, C])
        self.assertIsNone(self.store.victims(71))

    def test_nor_does_what_is_being_sent(self) -> None:
        lent(self.store, B, 30)
        self.assertEqual(self.store.victims(40), [C])
        self.assertIsNone(self.store.victims(41))

    def test_where_all_is_protected_nothing_goes_for_a_smaller_bound(self) -> None:
        self.protected = {A, B, C}
        self.store.max_size = 50
        self.assertEqual(self.store.victims(0), [])
        self.assertIsNone(self.store.victims(1))

    def test_what_nobody_waits_for_does_not_count_on_its_room(self) -> None:
        self.assertTrue(self.store.has_room_ahead(70))
        self.assertFalse(self.store.has_room_ahead(71))

    def test_another_content_under_its_name_is_no_matter_here(self) -> None:
        self.assertEqual(self.store.victims(20, replacing=A), [A])

    def test_what_is_protected_no_longer_may_go(self) -> None:
        self.store.protect(None)
        self.assertEqual(self.store.victims(40), [A])
