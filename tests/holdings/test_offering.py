"""Which files are offered when, and what is told of them."""

from __future__ import annotations

from unittest import mock

from flocon.errors import StoreError
from flocon.files import Content
from flocon.holdings.inventory import Change
from tests.holdings.machine import SIGNATURE, A, HoldingsCase, content_of, put


class OfferedTests(HoldingsCase):
    """When a file of a CacheDir is offered."""

    def test_a_package_with_its_signature_is_held_under_its_hash(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        self.assertEqual(held.content, content_of(b"data"))
        self.assertEqual((held.origin, held.signed, held.verified), ("cache", True, True))
        self.assertEqual(self.machine.held(), {A: content_of(b"data")})
        self.assertEqual(self.machine.changes, [Change(A, content_of(b"data"))])
        self.assertEqual(self.machine.read(A), b"data")
        self.assertEqual(self.machine.read(A, signature=True), SIGNATURE)

    def test_a_package_without_signature_is_not_held(self) -> None:
        self.lay(A, b"data", None)
        self.start()
        self.assertEqual(self.machine.held(), {})
        (self.machine.folder / (A + ".sig")).write_bytes(SIGNATURE)
        self.machine.report(self.machine.folder, A + ".sig")
        self.assertEqual(set(self.machine.held()), {A})

    def test_one_that_needs_no_signature_is_held_without(self) -> None:
        self.lay(A, b"data", None)
        self.machine.unsigned.add(A)
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        self.assertFalse(held.signed)
        self.failureResultOf(cache.open(held, signature=True), StoreError)
        self.assertEqual(cache.find(A), held)

    def test_it_leaves_when_its_signature_goes(self) -> None:
        self.lay(A, b"data")
        self.start()
        (self.machine.folder / (A + ".sig")).unlink()
        self.machine.report(self.machine.folder, A + ".sig")
        self.assertEqual(self.machine.held(), {})

    def test_an_empty_file_is_never_held(self) -> None:
        self.lay(A, b"")
        self.machine.listing[A] = [content_of(b"")]
        self.start()
        self.assertEqual(self.machine.held(), {})

    def test_a_listed_file_is_offered_before_it_is_hashed(self) -> None:
        self.lay(A, b"data")
        self.machine.listing[A] = [content_of(b"data"), Content(9, bytes(32))]
        self.machine.reactor.pool.hold("digest")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        self.assertEqual((held.content, held.verified), (content_of(b"data"), False))
        self.machine.resume()
        held = cache.find(A)
        assert held is not None
        self.assertTrue(held.verified)
        self.assertEqual(len(self.machine.changes), 1)

    def test_where_two_of_that_size_are_listed_its_own_hash_decides(self) -> None:
        self.lay(A, b"data")
        self.machine.listing[A] = [content_of(b"tada"), content_of(b"data")]
        self.machine.reactor.pool.hold("digest")
        self.start()
        self.assertEqual(self.machine.held(), {})
        self.machine.resume()
        self.assertEqual(self.machine.held(), {A: content_of(b"data")})

    def test_an_unlisted_file_is_not_offered_before_it_is_hashed(self) -> None:
        self.lay(A, b"data")
        self.machine.reactor.pool.hold("digest")
        self.start()
        self.assertEqual(self.machine.held(), {})
        self.machine.resume()
        self.assertEqual(set(self.machine.held()), {A})

    def test_a_file_cut_short_is_not_offered_while_it_is_listed(self) -> None:
        self.lay(A, b"da")
        self.machine.listing[A] = [content_of(b"data")]
        self.start()
        self.assertEqual(self.machine.held(), {})
        self.machine.relist(A)
        self.assertEqual(self.machine.held(), {A: content_of(b"da")})

    def test_a_file_once_listed_is_held_as_what_it_is_when_another_is_listed(self) -> None:
        self.lay(A, b"data")
        self.machine.listing[A] = [content_of(b"data")]
        self.start()
        self.machine.relist(A, content_of(b"tada"))
        self.assertEqual(self.machine.held(), {A: content_of(b"data")})
        self.machine.restart()
        self.assertEqual(self.machine.held(), {A: content_of(b"data")})
        self.assertEqual(self.warnings.events, [])

    def test_a_file_replaced_is_offered_as_the_new_one(self) -> None:
        self.lay(A, b"data")
        self.start()
        self.machine.lay(A, b"other")
        self.assertEqual(self.machine.held(), {A: content_of(b"other")})
        self.assertEqual([change.held for change in self.machine.changes], [True, False, True])

    def test_a_file_removed_leaves(self) -> None:
        self.lay(A, b"data")
        self.start()
        (self.machine.folder / A).unlink()
        self.machine.report(self.machine.folder, A)
        self.assertEqual(self.machine.held(), {})

    def test_whoever_listens_cannot_stop_the_scan(self) -> None:
        self.lay(A, b"data")
        self.machine.holdings.offering._changed = mock.Mock(side_effect=ValueError("listener"))
        self.start()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(set(self.machine.held()), {A})

    def test_what_is_private_is_held_and_not_told_of(self) -> None:
        self.lay(A, b"data")
        self.machine.private.add(A)
        cache = self.start()
        self.assertIsNotNone(cache.find(A))
        self.assertEqual(self.machine.held(), {})
        self.machine.private.clear()
        cache.listing_changed()
        self.machine.settle()
        self.assertEqual(set(self.machine.held()), {A})
        self.machine.private.add(A)
        cache.listing_changed()
        self.machine.settle()
        self.assertEqual(self.machine.held(), {})
        self.assertEqual([one.held for one in self.machine.changes], [True, False])


class SeveralFoldersTests(HoldingsCase):
    directories = 2

    def test_the_first_folder_wins(self) -> None:
        for folder in self.machine.directories:
            put(folder, A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        self.assertEqual(held.directory, self.machine.directories[0])

    def test_the_listed_one_wins_over_the_first(self) -> None:
        put(self.machine.directories[0], A, b"other")
        put(self.machine.directories[1], A, b"data")
        self.machine.listing[A] = [content_of(b"data")]
        self.start()
        self.assertEqual(self.machine.held(), {A: content_of(b"data")})

    def test_the_other_folder_serves_when_the_first_loses_it(self) -> None:
        for folder in self.machine.directories:
            put(folder, A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        (self.machine.directories[0] / A).unlink()
        self.failureResultOf(cache.open(held), StoreError)
        self.assertEqual(self.machine.read(A), b"data")
        self.assertEqual(len(self.machine.changes), 1)
