"""What a vault was given is read again, from the disk or from memory, and nothing stays behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.pacman import vault as module
from flocon.pacman.vault import FileVault

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class FileVaultTests(SynchronousTestCase):
    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.binary(min_size=1, max_size=60_000), max_size=8), st.booleans())
    def test_everything_is_read_as_it_was_kept(self, texts: list[bytes], flush: bool) -> None:
        vault = FileVault()
        places = [vault.keep(text) for text in texts]
        if flush:
            vault.flush()
        for text, place in zip(texts, places, strict=True):
            assert place is not None
            self.assertEqual(vault.read(place, len(text)), text)

    def test_what_was_never_kept_is_none(self) -> None:
        vault = FileVault()
        vault.keep(b"signature")
        self.assertIsNone(vault.read(5, 9))
        vault.flush()
        self.assertIsNone(vault.read(5, 9))
        self.assertIsNone(vault.read(1_000, 9))

    def test_on_a_full_disk_what_was_promised_stays_in_memory_and_no_more_is(self) -> None:
        vault = FileVault()
        text = bytes(range(250)) * 100
        with mock.patch("os.pwrite", side_effect=FULL):
            places = [vault.keep(text) for _ in range(5)]
            self.assertFalse(vault.flush())
            kept = [place for place in places if place is not None]
            self.assertEqual([vault.read(place, len(text)) for place in kept], [text, text])
        self.assertIsNotNone(vault.keep(text))
        self.assertEqual([vault.read(place, len(text)) for place in kept], [text, text])

    def test_half_written_is_read_as_a_whole(self) -> None:
        vault = FileVault()
        place = vault.keep(b"signature")
        write = os.pwrite

        def write_half(descriptor: int, data: bytes, position: int) -> int:
            if len(data) < len(b"signature"):
                raise FULL
            return write(descriptor, data[:4], position)

        with mock.patch("os.pwrite", write_half):
            self.assertFalse(vault.flush())
        assert place is not None
        self.assertEqual(vault.read(place, 9), b"signature")

    def test_a_disk_that_fails_has_lost_it(self) -> None:
        vault = FileVault()
        place = vault.keep(b"signature")
        vault.flush()
        assert place is not None
        with mock.patch("os.pread", side_effect=OSError(errno.EIO, os.strerror(errno.EIO))):
            self.assertIsNone(vault.read(place, 9))

    def test_it_leaves_no_name_and_no_descriptor_behind(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.patch(module, "temporary_folders", lambda: [str(folder)])
        before = descriptors()
        vault = FileVault()
        vault.keep(b"signature")
        vault.flush()
        self.assertEqual(list(folder.iterdir()), [])
        del vault
        self.assertEqual(descriptors(), before)

    def test_the_next_folder_is_taken_where_the_first_cannot_be_had(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.patch(module, "temporary_folders", lambda: ["/nowhere", str(folder)])
        vault = FileVault()
        self.assertIn(str(folder), str(Path(f"/proc/self/fd/{vault._descriptor}").readlink()))

    def test_where_no_folder_takes_a_file_it_is_kept_in_memory(self) -> None:
        self.patch(module, "temporary_folders", lambda: ["/nowhere", "/nowhere/else"])
        vault = FileVault()
        place = vault.keep(b"signature")
        self.assertTrue(vault.flush())
        assert place is not None
        self.assertEqual(vault.read(place, 9), b"signature")

    def test_where_there_is_no_memory_either_it_is_an_error(self) -> None:
        self.patch(module, "temporary_folders", lambda: ["/nowhere"])
        with mock.patch.object(os, "memfd_create", side_effect=FULL):
            self.assertRaises(OSError, FileVault)


class Importing(SynchronousTestCase):
    def test_a_node_is_imported_where_no_temporary_folder_can_be_written(self) -> None:
        script = (
            "import tempfile, os\n"
            "def nowhere(*_): raise FileNotFoundError('No usable temporary directory found')\n"
            "tempfile.gettempdir = tempfile._get_default_tempdir = nowhere\n"
            "import flocon.node.service\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
        self.assertEqual(done.stderr, "")
