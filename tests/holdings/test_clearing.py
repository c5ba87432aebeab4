"""What the store need not keep, and what has to go for its bound."""

from __future__ import annotations

import os

from tests.holdings.machine import SIGNATURE, A, B, C, HoldingsCase, content_of, put


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
