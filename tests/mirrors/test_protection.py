"""What of the store never goes, and who says so."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.files import beside
from flocon.mirrors.protection import UNKNOWN, Protection, pins

A, B = "a-1-1-any.pkg.tar.zst", "b-1-1-any.pkg.tar.zst"
ONE, TWO = b"1" * 32, b"2" * 32


class ProtectionTests(SynchronousTestCase):
    def setUp(self) -> None:
        #: What lies in the store, and what two guards say.
        self.store: dict[str, bytes | None] = {A: ONE, B: ONE}
        self.wanted: set[tuple[str, bytes]] | None = {(A, ONE)}
        self.listed: set[tuple[str, bytes]] = set()
        self.asked = 0
        self.protection = Protection(self.store.get, {"listed": self.is_listed})
        self.protection.guards["wanted"] = self.is_wanted

    def is_listed(self, file_name: str, sha256: bytes) -> bool:
        self.asked += 1
        return (file_name, sha256) in self.listed

    def is_wanted(self, file_name: str, sha256: bytes) -> bool | None:
        return None if self.wanted is None else (file_name, sha256) in self.wanted

    def test_what_a_guard_knows_is_protected(self) -> None:
        self.assertTrue(self.protection(A))
        self.assertFalse(self.protection(B))
        self.assertEqual(self.protection.reason(A, ONE), "wanted")
        self.assertEqual(self.protection.reason(B, ONE), "")

    def test_what_lies_beside_another_of_its_name_is_asked_for_by_that_name(self) -> None:
        name = beside(A, TWO) or ""
        self.store[name] = TWO
        self.assertFalse(self.protection(name))
        self.listed.add((A, TWO))
        self.protection.changed()
        self.assertTrue(self.protection(name))
        self.assertTrue(self.protection.now(name))

    def test_another_content_of_the_name_is_not(self) -> None:
        self.assertTrue(self.protection(A))
        self.store[A] = TWO
        self.assertFalse(self.protection(A))

    def test_while_a_guard_does_not_know_yet_all_is(self) -> None:
        self.wanted = None
        self.assertTrue(self.protection(B))
        self.assertEqual(self.protection.reason(B, ONE), UNKNOWN)

    def test_so_is_what_was_not_hashed_yet(self) -> None:
        self.store[B] = None
        self.assertTrue(self.protection(B))
        self.assertEqual(self.protection.reason(B, None), UNKNOWN)

    def test_what_was_found_out_is_not_asked_for_again(self) -> None:
        for _ in range(3):
            self.protection(B)
        self.assertEqual(self.asked, 1)

    def test_for_what_is_to_take_its_place_it_is_asked_for_again(self) -> None:
        self.assertTrue(self.protection(A))
        self.wanted = set()
        self.protection.changed()
        # What was protected stays so until all of it was looked at.
        self.assertTrue(self.protection(A))
        self.assertFalse(self.protection.now(A))

    def test_what_becomes_protected_is_so_at_once(self) -> None:
        self.assertFalse(self.protection(B))
        self.listed.add((B, ONE))
        self.protection.changed()
        self.assertTrue(self.protection(B))

    def test_what_was_protected_is_so_until_it_was_looked_at_again(self) -> None:
        self.assertTrue(self.protection(A))
        self.wanted = set()
        self.protection.changed()
        self.assertTrue(self.protection(A))
        self.protection.take(self.protection.version, {A: (ONE, "")})
        self.assertFalse(self.protection(A))

    def test_what_was_found_out_before_a_change_counts_no_more(self) -> None:
        version = self.protection.version
        self.protection.changed()
        self.protection.take(version, {A: (ONE, "")})
        self.assertTrue(self.protection(A))

    def test_a_pin_is_for_a_packages_own_name(self) -> None:
        names: set[str] = set()
        guard = pins(lambda: names)
        self.assertFalse(guard(A, ONE))
        names.add("a")
        self.assertEqual([guard(name, ONE) for name in (A, B, "a")], [True, False, False])
