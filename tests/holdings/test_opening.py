"""Opening what is held, when the disk has changed under it."""

from __future__ import annotations

import gc
import os

from twisted.internet.defer import CancelledError

from flocon.errors import StoreError
from flocon.holdings import opening as module
from flocon.store import folder as disk
from tests.holdings.machine import OLD, SIGNATURE, A, HoldingsCase, content_of


class OpenTests(HoldingsCase):
    def test_a_file_gone_is_an_error_and_leaves_at_once(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        (self.machine.folder / A).unlink()
        self.failureResultOf(cache.open(held), StoreError)
        self.assertEqual((cache.find(A), self.machine.held()), (None, {}))

    def test_a_link_in_its_place_is_not_followed(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        (self.machine.folder / A).rename(self.machine.top / "elsewhere")
        (self.machine.folder / A).symlink_to(self.machine.top / "elsewhere")
        self.failureResultOf(cache.open(held), StoreError)
        self.machine.settle()
        self.assertEqual(self.machine.held(), {})

    def test_another_file_in_its_place_is_looked_at_again(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        self.lay(A, b"tada")
        self.failureResultOf(cache.open(held), StoreError)
        self.machine.settle()
        self.assertEqual(self.machine.held(), {A: content_of(b"tada")})

    def test_a_signature_gone_takes_the_package_with_it(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        (self.machine.folder / (A + ".sig")).unlink()
        self.failureResultOf(cache.open(held, signature=True), StoreError)
        self.machine.settle()
        self.assertEqual(self.machine.held(), {})

    def test_a_signature_that_is_not_the_listed_one_is_not_given(self) -> None:
        self.lay(A, b"data", b"of something else")
        self.machine.listing[A] = [content_of(b"other"), content_of(b"data")]
        self.machine.signatures = {content_of(b"other"): b"another", content_of(b"data"): b"right"}
        self.start()
        self.assertEqual(self.machine.read(A, signature=True), b"right")

    def test_a_listed_signature_of_other_bytes_says_nothing_of_these(self) -> None:
        self.lay(A, b"data")
        self.machine.listing[A] = [content_of(b"data")]
        self.start()
        # The database goes on; what was listed once is held as what it is.
        self.machine.signatures = {content_of(b"newer"): b"another"}
        self.machine.relist(A, content_of(b"newer"))
        self.assertEqual(self.machine.read(A, signature=True), SIGNATURE)

    def test_what_is_small_is_read_at_once_or_not_at_all(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        opening = self.machine.holdings.opening
        self.patch(disk, "open_at_once", lambda *given: disk.open_file(*given))  # noqa: PLW0108
        read = opening.read_at_once(held, signature=False)
        self.assertEqual(read, (b"data", held.stamp.mtime_ns / 1e9))
        read = opening.read_at_once(held, signature=True)
        self.assertEqual(read and read[0], SIGNATURE)
        self.patch(module, "MOST_AT_ONCE", 3)
        self.assertIsNone(opening.read_at_once(held, signature=False))
        self.patch(module, "MOST_AT_ONCE", 4)
        self.patch(disk, "open_at_once", lambda *_: None)
        self.assertIsNone(opening.read_at_once(held, signature=False))

    def test_what_is_another_file_by_now_is_not_read_at_once(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        self.patch(disk, "open_at_once", lambda *given: disk.open_file(*given))  # noqa: PLW0108
        for change in (lambda: self.lay(A, b"tada"), (self.machine.folder / A).unlink):
            change()
            read = self.machine.holdings.opening.read_at_once(held, signature=False)
            self.assertIsNone(read)

    def test_the_listed_signature_is_read_and_not_what_lies_beside(self) -> None:
        self.lay(A, b"data", b"of something else")
        self.machine.listing[A] = [content_of(b"data")]
        self.machine.signatures = {content_of(b"data"): b"right"}
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        read = self.machine.holdings.opening.read_at_once(held, signature=True)
        self.assertEqual(read and read[0], b"right")

    def test_what_the_kernel_has_not_in_memory_is_opened_in_a_thread(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        self.patch(disk, "open_at_once", lambda *_: None)
        self.machine.reactor.pool.hold("open_now")
        opening = cache.open(held)
        self.assertNoResult(opening)
        self.machine.resume()
        opened = self.successResultOf(opening)
        self.assertEqual(os.read(opened.fileno(), 9), b"data")
        opened.close()

    def test_who_leaves_while_a_file_is_opened_leaves_no_descriptor_behind(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        self.patch(disk, "open_at_once", lambda *_: None)
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        self.machine.reactor.pool.hold("open_now")
        opening = cache.open(held)
        opening.cancel()
        self.machine.resume()
        self.failureResultOf(opening, CancelledError)
        gc.collect()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)  # noqa: PTH208

    def test_an_opened_file_tells_size_and_time(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        held = cache.find(A)
        assert held is not None
        opened = self.successResultOf(cache.open(held))
        self.addCleanup(opened.close)
        self.assertEqual((opened.size, opened.modified), (4, OLD))
