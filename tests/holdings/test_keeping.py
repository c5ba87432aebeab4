"""What comes into the store."""

from __future__ import annotations

import os
from unittest import mock

from twisted.internet.defer import CancelledError, Deferred

from flocon.files import beside
from flocon.holdings.inventory import Change
from flocon.store.store import Store
from tests.holdings.machine import SIGNATURE, A, B, HoldingsCase, content_of, result_of


class KeptTests(HoldingsCase):
    def test_a_published_package_is_held_at_once(self) -> None:
        cache = self.start()
        self.assertTrue(self.machine.publish(A, b"data"))
        held = cache.find(A)
        assert held is not None
        self.assertEqual((held.origin, held.signed, held.verified), ("store", True, True))
        self.assertEqual(self.machine.read(A), b"data")
        self.assertEqual(self.machine.read(A, signature=True), SIGNATURE)
        self.assertEqual(self.machine.changes, [Change(A, content_of(b"data"))])

    def test_without_its_signature_it_is_not_taken(self) -> None:
        self.start()
        self.assertFalse(self.machine.publish(A, b"data", None))
        self.assertFalse(self.machine.publish(A, b"data", bytes(20_000)))
        self.assertEqual((self.machine.held(), self.machine.stored()), ({}, set()))

    def test_where_none_is_needed_it_is_taken_without(self) -> None:
        self.machine.unsigned.add(A)
        self.start()
        self.assertTrue(self.machine.publish(A, b"data", None))
        self.assertEqual(self.machine.stored(), {A})

    def test_a_file_of_another_size_is_not_taken(self) -> None:
        self.start()
        incoming = self.machine.received(b"dat")
        self.addCleanup(incoming.close)
        self.assertEqual(self.machine.publishing(incoming, A, b"data"), [False])
        self.assertEqual(self.machine.stored(), set())

    def test_a_name_that_is_no_packages_is_not_taken(self) -> None:
        self.start()
        for name in ("../" + A, "core.db", A + ".sig"):
            self.assertFalse(self.machine.publish(name, b"data"))

    def test_a_spare_file_is_not_taken(self) -> None:
        cache = self.start()
        spare = cache.spare()
        self.addCleanup(spare.close)
        os.write(spare.fileno(), b"data")
        self.assertEqual(self.machine.publishing(spare, A, b"data"), [False])

    def test_what_is_held_already_is_not_written_again(self) -> None:
        self.start()
        self.machine.publish(A, b"data")
        inode = (self.machine.packages / A).stat().st_ino
        self.assertTrue(self.machine.publish(A, b"data"))
        self.assertEqual((self.machine.packages / A).stat().st_ino, inode)

    def test_another_content_replaces_the_first(self) -> None:
        self.start()
        self.machine.publish(A, b"data")
        self.assertTrue(self.machine.publish(A, b"other", b"other signature"))
        self.assertEqual(self.machine.held(), {A: content_of(b"other")})
        self.assertEqual(self.machine.read(A, signature=True), b"other signature")

    def test_another_content_lies_beside_the_first_where_that_stays(self) -> None:
        self.machine.relist(A, content_of(b"data"), content_of(b"other"))
        self.start()
        self.machine.publish(A, b"data")
        self.protect(A)
        told: list[int] = []
        self.machine.holdings.offering.others_changed = lambda: told.append(1)
        self.assertTrue(self.machine.publish(A, b"other", b"other signature"))
        self.assertEqual(told, [1])
        for _ in ("at once", "after a restart"):
            self.assertEqual(self.found(A, b"data"), (b"data", SIGNATURE))
            self.assertEqual(self.found(A, b"other"), (b"other", b"other signature"))
            # Peers are told of one of them.
            self.assertEqual(self.machine.held(), {A: content_of(b"data")})
            self.assertIsNone(self.machine.cache.find(beside(A, content_of(b"other").sha256) or ""))
            self.machine.restart()
        self.assertEqual(len(self.machine.stored()), 4)

    def test_what_lies_beside_is_told_of_where_it_alone_is_listed(self) -> None:
        self.machine.relist(A, content_of(b"data"), content_of(b"other"))
        self.start()
        self.machine.publish(A, b"data")
        self.protect(A)
        self.machine.publish(A, b"other")
        self.machine.relist(A, content_of(b"other"))
        self.assertEqual(self.machine.held(), {A: content_of(b"other")})
        self.assertEqual(self.machine.read(A), b"other")
        self.assertEqual(self.found(A, b"data"), (b"data", SIGNATURE))

    def test_each_goes_by_itself(self) -> None:
        self.machine.relist(A, content_of(b"data"), content_of(b"other"))
        self.start()
        self.machine.publish(A, b"data")
        self.protect(A)
        self.machine.publish(A, b"other")
        self.protect()
        clearing = self.machine.holdings.clearing
        self.machine.result(clearing.remove([A]))
        self.assertEqual(self.machine.held(), {A: content_of(b"other")})
        self.assertIsNone(self.machine.cache.find(A, content_of(b"data")))
        names = [one.file_name for one in clearing.stored()]
        self.assertEqual(self.machine.result(clearing.remove(names)), names)
        self.assertEqual((self.machine.held(), self.machine.stored()), ({}, set()))
        self.assertIsNone(self.machine.cache.find(A, content_of(b"other")))

    def test_what_is_spoilt_beside_is_found_and_goes(self) -> None:
        self.machine.relist(A, content_of(b"data"), content_of(b"other"))
        self.start()
        self.machine.publish(A, b"data")
        self.protect(A)
        self.machine.publish(A, b"other")
        name = beside(A, content_of(b"other").sha256) or ""
        (self.machine.packages / name).write_bytes(b"OTHER")
        self.machine.restart()
        self.assertIsNone(self.machine.cache.find(A, content_of(b"other")))
        self.assertEqual(self.machine.held(), {A: content_of(b"data")})
        self.assertEqual(self.machine.stored(), {A, f"{A}.sig"})

    def test_kill_on_the_way_leaves_the_first_and_nothing_half(self) -> None:
        self.machine.relist(A, content_of(b"data"), content_of(b"other"))
        self.start()
        self.machine.publish(A, b"data")
        self.protect(A)
        move, moved = Store._move, []

        def fail_second(store: Store, received: str, file_name: str) -> None:
            moved.append(file_name)
            if len(moved) == 2:
                raise OSError(5, "killed")
            move(store, received, file_name)

        self.patch(Store, "_move", fail_second)
        self.assertFalse(self.machine.publish(A, b"other"))
        self.patch(Store, "_move", move)
        self.machine.crash()
        self.assertEqual(self.found(A, b"data"), (b"data", SIGNATURE))
        self.assertEqual(self.machine.stored(), {A, f"{A}.sig"})

    def test_nothing_that_somebody_calls_so_is_kept_in_anothers_place(self) -> None:
        for name in (beside(A, bytes(32)) or "", A.replace("2.0", f"2.0+sha256.{'0' * 64}")):
            self.machine.relist(name, content_of(b"other"))
            self.start()
            self.assertFalse(self.machine.publish(name, b"other"))
            self.assertEqual((self.machine.held(), self.machine.stored()), ({}, set()))
            self.machine.stop()

    def protect(self, *names: str) -> None:
        self.machine.holdings.clearing.protect(lambda name: name in names)

    def found(self, name: str, data: bytes) -> tuple[bytes, bytes]:
        """Return the package of this content that is held, and its signature."""
        held = self.machine.cache.find(name, content_of(data))
        assert held is not None
        parts = []
        for signature in (False, True):
            opened = result_of(self.machine.cache.open(held, signature=signature))
            parts.append(os.read(opened.fileno(), 100))
            opened.close()
        return parts[0], parts[1]

    def test_what_was_used_lately_does_not_go_for_what_came_before_anybody_asked(self) -> None:
        self.machine.max_size = 8_000
        self.machine.make()
        self.start()
        first, second = bytes(5_000), b"x" * 5_000
        for days, spares, kept in ((6, True, False), (6, False, True), (8, True, True)):
            self.machine.publish(A, first)
            self.machine.wall += days * 86_400
            incoming = self.machine.received(second)
            found = self.machine.publishing(incoming, B, second, spares=spares)
            incoming.close()
            self.assertEqual(found, [kept])
            self.assertEqual(set(self.machine.held()), {B if kept else A})
            self.machine.wall += 8 * 86_400

    def test_a_full_disk_keeps_nothing_and_says_why_once(self) -> None:
        self.start()
        with mock.patch.object(
            self.machine.holdings.arrivals, "harden", side_effect=OSError(28, "No space left")
        ):
            for _ in range(3):
                self.assertFalse(self.machine.publish(A, b"data"))
        (event,) = self.warnings.events
        self.assertEqual(event["reason"], "No space left")
        (told,) = self.machine.holdings.tell()
        self.assertEqual(told["check"], "keeping")
        self.assertIn("No space left", told["reason"])
        self.assertTrue(self.machine.publish(A, b"data"))
        self.assertEqual(list(self.machine.holdings.tell()), [])

    def test_published_before_the_store_was_read_it_is_taken_then(self) -> None:
        self.machine.reactor.pool.hold("_read")
        self.start()
        incoming = self.machine.received(b"data")
        self.addCleanup(incoming.close)
        result = self.machine.publishing(incoming, A, b"data")
        self.assertEqual(result, [])
        self.machine.resume()
        self.assertEqual((result, set(self.machine.held())), ([True], {A}))

    def test_a_caller_that_leaves_does_not_stop_it(self) -> None:
        cache = self.start()
        self.machine.reactor.pool.hold("harden")
        incoming = self.machine.received(b"data")
        self.addCleanup(incoming.close)
        work = Deferred.fromCoroutine(cache.publish(incoming, A, content_of(b"data"), SIGNATURE))
        work.cancel()
        self.failureResultOf(work, CancelledError)
        self.machine.resume()
        self.assertEqual(set(self.machine.held()), {A})

    def test_a_file_closed_meanwhile_is_not_taken(self) -> None:
        self.start()
        self.machine.reactor.pool.hold("harden")
        incoming = self.machine.received(b"data")
        result = self.machine.publishing(incoming, A, b"data")
        incoming.close()
        self.machine.resume()
        self.assertEqual((result, self.machine.stored()), ([False], set()))
