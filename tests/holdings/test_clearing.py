"""What the store need not keep, and what has to go for its bound."""

from __future__ import annotations

import os

from tests.holdings.machine import SIGNATURE, A, B, C, Cache, HoldingsCase, content_of, put


class ClearedTests(HoldingsCase):
    def test_a_damaged_file_is_removed(self) -> None:
        self.start()
        put(self.machine.packages, A, b"dama")
        self.machine.listing[A] = [content_of(b"data")]
        self.machine.report(self.machine.packages, A)
        self.assertEqual((self.machine.held(), self.machine.stored()), ({}, set()))
        self.assertEqual(self.warnings.paths(), [str(self.machine.packages / A)])

    def test_the_longest_unused_goes_first_and_being_sent_counts_as_use(self) -> None:
        self.machine.max_size = 3 * (1000 + len(SIGNATURE))
        self.machine.make()
        self.start()
        for name in (A, B, C):
            self.machine.publish(name, os.urandom(1000))
        self.machine.read(A)
        self.machine.restart()
        self.assertTrue(self.machine.publish("d-1-1-any.pkg.tar.zst", os.urandom(1000)))
        self.assertEqual(set(self.machine.held()), {A, C, "d-1-1-any.pkg.tar.zst"})

    def test_a_file_being_sent_stays_readable_when_it_goes(self) -> None:
        self.machine.max_size = 2000
        self.machine.make()
        cache = self.start()
        self.machine.publish(A, b"data" * 400)
        held = cache.find(A)
        assert held is not None
        opened = self.successResultOf(cache.open(held))
        self.addCleanup(opened.close)
        self.machine.publish(B, bytes(1500))
        self.assertEqual(set(self.machine.held()), {B})
        self.assertEqual(os.read(opened.fileno(), 4000), b"data" * 400)

    def test_a_smaller_bound_is_kept_from_the_next_start(self) -> None:
        self.start()
        for name in (A, B, C):
            self.machine.publish(name, bytes(1000))
        self.machine.max_size = 2500
        self.machine.restart()
        self.assertEqual(set(self.machine.held()), {B, C})

    def test_what_pacmans_cache_has_got_the_store_drops(self) -> None:
        cache = self.start()
        self.machine.publish(A, b"data")
        self.machine.lay(A, b"data")
        held = cache.find(A)
        assert held is not None
        self.assertEqual((held.origin, self.machine.stored()), ("cache", set()))
        self.assertEqual([change.held for change in self.machine.changes], [True])
        self.assertEqual(cache.store.size, 0)

    def test_what_pacmans_cache_has_without_signature_the_store_keeps(self) -> None:
        self.start()
        self.machine.publish(A, b"data")
        put(self.machine.folder, A, b"data", None)
        self.machine.report(self.machine.folder, A)
        self.assertEqual(self.machine.stored(), {A, A + ".sig"})

    def test_what_lost_its_signature_in_pacmans_cache_the_store_keeps(self) -> None:
        self.lay(A, b"data")
        self.start()
        (self.machine.folder / (A + ".sig")).unlink()
        self.machine.report(self.machine.folder, A + ".sig")
        self.assertTrue(self.machine.publish(A, b"data"))
        self.assertEqual(self.machine.stored(), {A, A + ".sig"})

    def test_another_content_in_pacmans_cache_leaves_the_store_alone(self) -> None:
        self.start()
        self.machine.publish(A, b"data")
        self.machine.lay(A, b"tada")
        self.assertEqual(self.machine.stored(), {A, A + ".sig"})


class ProtectedTests(HoldingsCase):
    """A mirror for the LAN: some packages stay, whatever the bound."""

    def setUp(self) -> None:
        super().setUp()
        self.protected: set[str] = set()

    def protect(self, *names: str, room: int = 1 << 20) -> None:
        """Start with room for so much, and have these packages stay."""
        self.machine.max_size = room
        self.machine.make()
        self.start()
        self.protected.update(names)
        self.machine.holdings.clearing.protect(lambda name: name in self.protected)

    def test_what_is_protected_stays_when_another_package_needs_the_room(self) -> None:
        self.protect(A, room=2 * (1000 + len(SIGNATURE)))
        for name in (A, B, C):
            self.assertTrue(self.machine.publish(name, os.urandom(1000)))
        self.assertEqual(set(self.machine.held()), {A, C})

    def test_what_finds_no_room_beside_it_is_not_kept_and_nothing_is_lost(self) -> None:
        self.protect(A, B, room=2 * (1000 + len(SIGNATURE)))
        for name, kept in ((A, True), (B, True), (C, False)):
            self.assertIs(self.machine.publish(name, os.urandom(1000)), kept)
        self.assertEqual(set(self.machine.held()), {A, B})

    def test_it_stays_when_pacmans_cache_has_the_same_for_that_is_cleared_by_others(self) -> None:
        self.protect(A)
        self.machine.publish(A, b"data")
        self.machine.lay(A, b"data")
        self.assertEqual(self.machine.stored(), {A, A + ".sig"})

    def test_another_content_of_its_name_does_not_take_its_place(self) -> None:
        self.protect(A)
        self.machine.publish(A, b"data")
        self.assertTrue(self.machine.publish(A, b"another"))
        self.assertEqual(self.machine.read(A), b"data")

    def test_another_content_of_a_very_long_name_is_not_kept(self) -> None:
        name = f"{'a' * 200}-1-1-any.pkg.tar.zst"
        self.protect(name)
        self.machine.publish(name, b"data")
        self.assertFalse(self.machine.publish(name, b"another"))
        self.assertEqual(self.machine.read(name), b"data")

    def test_it_does_as_soon_as_nothing_needs_the_first_any_more(self) -> None:
        self.protect(A)
        clearing = self.machine.holdings.clearing
        clearing.protect(lambda name: name in self.protected, lambda _: False)
        self.machine.publish(A, b"data")
        self.assertTrue(self.machine.publish(A, b"another"))
        self.assertEqual(self.machine.read(A), b"another")

    def test_a_damaged_file_goes_nevertheless(self) -> None:
        self.protect(A)
        put(self.machine.packages, A, b"dama")
        self.machine.listing[A] = [content_of(b"data")]
        self.machine.report(self.machine.packages, A)
        self.assertEqual(self.machine.stored(), set())

    def test_only_what_may_go_is_removed_by_hand(self) -> None:
        self.protect(A)
        for name in (A, B, C):
            self.machine.publish(name, b"data")
        held = self.cache_now.find(B)
        assert held is not None
        opened = self.successResultOf(self.cache_now.open(held))
        clearing = self.machine.holdings.clearing
        self.assertEqual(self.machine.result(clearing.remove([A, B, C, "no-1-1-any.pkg.tar"])), [C])
        self.assertEqual(set(self.machine.held()), {A, B})
        opened.close()
        self.assertEqual(self.machine.result(clearing.remove([A, B])), [B])

    def test_what_is_in_the_store_is_told_in_the_order_in_which_it_may_go(self) -> None:
        self.protect()
        for name, data in ((A, b"aa"), (B, b"bbb"), (C, b"cccc")):
            self.machine.wall += 100
            self.machine.publish(name, data)
        self.machine.wall += 100
        self.machine.read(A)
        stored = self.machine.holdings.clearing.stored()
        self.assertEqual([one.file_name for one in stored], [B, C, A])
        self.assertEqual([one.size for one in stored], [len(SIGNATURE) + n for n in (3, 4, 2)])
        self.assertEqual(stored[0].sha256, content_of(b"bbb").sha256)
        self.assertEqual([one.is_open for one in stored], [False] * 3)

    @property
    def cache_now(self) -> Cache:
        return self.machine.cache
