"""Which files are hashed first, and what follows where a hash is not the expected one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest import mock

from flocon.holdings.looking import RESCAN
from flocon.store import folder as disk
from tests.holdings.machine import A, B, C, HoldingsCase, content_of


class HashedTests(HoldingsCase):
    def test_listed_files_are_hashed_first(self) -> None:
        for name in (A, B, C):
            self.lay(name, b"data")
        self.machine.listing[B] = [content_of(b"data")]
        order = []
        digest = disk.digest

        def noted(directory: Path, name: str, *rest: Any) -> bytes | None:
            order.append(name)
            return digest(directory, name, *rest)

        with mock.patch.object(disk, "digest", noted):
            self.start()
        self.assertEqual((order[0], set(order)), (B, {A, B, C}))

    def test_a_damaged_file_leaves_and_is_told_once(self) -> None:
        self.lay(A, b"dama")
        self.machine.listing[A] = [content_of(b"data")]
        self.machine.reactor.pool.hold("digest")
        self.start()
        self.assertEqual(set(self.machine.held()), {A})
        self.machine.resume()
        self.assertEqual(self.machine.held(), {})
        self.machine.cache.listing_changed()
        self.machine.settle()
        self.machine.reactor.advance(RESCAN)
        self.machine.settle()
        self.assertEqual(self.machine.held(), {})
        self.assertEqual(self.warnings.paths(), [str(self.machine.folder / A)])
        self.assertIn(content_of(b"data").sha256.hex(), str(self.warnings.events[0]["expected"]))

    def test_a_damaged_file_is_found_as_well_when_the_listing_comes_later(self) -> None:
        self.lay(A, b"dama")
        self.start()
        self.machine.relist(A, content_of(b"data"))
        self.assertEqual(self.machine.held(), {})
        self.assertEqual(self.warnings.paths(), [str(self.machine.folder / A)])

    def test_a_mended_file_comes_back(self) -> None:
        self.test_a_damaged_file_leaves_and_is_told_once()
        self.machine.lay(A, b"data")
        self.assertEqual(self.machine.held(), {A: content_of(b"data")})

    def test_a_file_that_cannot_be_read_is_not_offered_and_said_once(self) -> None:
        self.lay(A, b"data")
        self.machine.listing[A] = [content_of(b"data")]
        with mock.patch.object(disk, "digest", side_effect=OSError(5, "I/O error")):
            self.start()
            self.machine.reactor.advance(RESCAN)
            self.machine.settle()
        self.assertEqual(self.machine.held(), {})
        self.assertEqual(self.warnings.paths(), [str(self.machine.folder / A)])


class CheckTests(HoldingsCase):
    """A file is hashed because somebody asks for it."""

    def test_a_file_that_lost_bits_is_found_by_a_check(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        path = self.machine.folder / A
        stamp = path.stat()
        path.write_bytes(b"dita")
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        checked = self.machine.result(cache.check(A))
        self.assertEqual((checked, self.machine.held()), (None, {}))
        self.assertEqual(self.warnings.paths(), [str(path)])

    def test_a_check_of_a_good_file_confirms_it(self) -> None:
        self.lay(A, b"data")
        cache = self.start()
        checked = self.machine.result(cache.check(A))
        self.assertEqual(checked, cache.find(A))
        self.assertIsNotNone(checked)
