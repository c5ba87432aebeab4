"""Which packages of the store go first, and what those count that somebody reads."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.store.accounts import Accounts, Space
from tests.store.strangers import lent

A = "a-1-1-any.pkg.tar.zst"
B = "b-1-1-any.pkg.tar.zst"
C = "c-1-1-any.pkg.tar.zst"
MIB = 1 << 20


def accounts(max_size: int) -> Accounts:
    """Return the accounts of a store on a disk that has room."""
    return Accounts(max_size, lambda: Space(1 << 40, 1 << 40))


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
