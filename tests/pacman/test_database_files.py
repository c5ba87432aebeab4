"""What is understood of real databases, whole, compressed in any way, or damaged."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.pacman import compression, database_files
from flocon.pacman.compression import Patience
from flocon.pacman.database_files import find_early_problem, find_problem, load
from tests.lan.repository import strip_signatures
from tests.pacman.pacman_case import RECIPES, OnDisk, real_repository
from tests.pacman.test_syncdb import desc, tar

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def packed(plain: bytes, option: str) -> bytes:
    """Return a tar as bsdtar compresses it."""
    command = ["bsdtar", "-c", "-f", "-", "--format", "gnutar", option, "@-"]
    return subprocess.run(command, input=plain, check=True, capture_output=True).stdout


def pieces(compressor: Any, size: int) -> Iterator[bytes]:
    for _ in range(size >> 20):
        yield compressor.compress(bytes(1 << 20))
    yield compressor.flush()


def far_looking_zstd() -> Any:
    return zstd.ZstdCompressor(options={int(zstd.CompressionParameter.window_log): 30})


#: Prints what is wrong with a file, and how many KiB of memory that took to find out.
MEASURE = """
import resource, sys
from flocon.pacman.database_files import find_problem
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open(sys.argv[1], "rb") as file:
    print(find_problem(file.fileno()))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


class Problems(SynchronousTestCase):
    """Whether an open file can be a database."""

    def problem(self, data: bytes) -> str:
        path = Path(self.mktemp())
        path.write_bytes(data)
        with path.open("rb") as file:
            return find_problem(file.fileno())

    def test_databases_have_none_whatever_compresses_them(self) -> None:
        plain = tar(("a-1-1/desc", desc()))
        for data in (plain, gzip.compress(plain), lzma.compress(plain), bz2.compress(plain)):
            self.assertEqual(self.problem(data), "")

    def test_an_empty_repositorys_has_none(self) -> None:
        self.assertEqual(self.problem(gzip.compress(bytes(10_240))), "")

    def test_what_is_cut_short_or_damaged_has_one(self) -> None:
        whole = gzip.compress(tar(("a-1-1/desc", desc())))
        damaged = bytearray(whole)
        damaged[len(whole) // 2] ^= 1
        for data in (b"", whole[:-1], whole[:30], bytes(damaged), b"<html>log in</html>" * 200):
            self.assertTrue(self.problem(data), data[:40])

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=2_000), st.integers(0, 60))
    def test_nothing_raises(self, data: bytes, kept: int) -> None:
        self.problem(data)
        for compress in (gzip.compress, lzma.compress, bz2.compress, zstd.compress):
            whole = compress(tar(("a-1-1/desc", desc())))
            self.problem(whole[:kept] + data)
            self.problem(whole + data)

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.binary(max_size=3_000), min_size=1, max_size=5), st.integers(0, 40))
    def test_frames_are_read_as_what_was_put_into_them(
        self, pieces: list[bytes], zeros: int
    ) -> None:
        for compress in (gzip.compress, lzma.compress, bz2.compress, zstd.compress):
            data = b"".join(compress(piece) + bytes(zeros) for piece in pieces)
            with compression.without_compression(io.BytesIO(data)) as file:
                self.assertEqual(file.read(), b"".join(pieces), compress)

    def test_what_only_libarchive_reads_has_one_and_no_program_is_run(self) -> None:
        plain = tar(("a-1-1/desc", desc()))
        archives = [packed(plain, option) for option in ("--lz4", "--lzip", "--compress")]
        self.patch(subprocess, "Popen", None)
        for archive in archives:
            self.assertTrue(self.problem(archive), archive[:8])

    def test_one_that_looks_far_back_is_not_read_and_takes_no_memory(self) -> None:
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]
        size = 300 << 20
        bombs = [
            b"".join(pieces(lzma.LZMACompressor(filters=filters), size)),
            b"".join(pieces(far_looking_zstd(), size)),
        ]
        for bomb in bombs:
            path = Path(self.mktemp())
            path.write_bytes(bomb)
            # In a process of its own: to make such a file took as much memory.
            told = subprocess.run(
                [sys.executable, "-c", MEASURE, path], check=True, capture_output=True, text=True
            ).stdout.splitlines()
            self.assertIn("emory", told[0])
            self.assertLess(int(told[1]), 32 << 10)

    def test_one_that_takes_long_is_not_read_on(self) -> None:
        self.patch(database_files, "STRANGERS", Patience(16 << 20, 0.0))
        self.assertIn("too long", self.problem(gzip.compress(bytes(10 << 20))))

    def test_a_larger_one_than_pacman_takes_is_not_read(self) -> None:
        path = Path(self.mktemp())
        with path.open("wb") as file:
            file.truncate(database_files.LARGEST_FILE + 1)
        with path.open("rb") as file:
            self.assertIn("more than", find_problem(file.fileno()))


class Beginnings(SynchronousTestCase):
    """What the first bytes of a file tell before the others are there."""

    plain = tar(("a-1-1/desc", desc()))

    def told(self, data: bytes) -> str | None:
        """Return what is told once enough of a file is there, however it comes."""
        for end in range(len(data)):
            told = find_early_problem(data[:end], whole=False)
            if told is not None:
                return told
        return find_early_problem(data, whole=True)

    def test_databases_have_no_problem_whatever_compresses_them(self) -> None:
        skippable = b"\x5a\x2a\x4d\x18\x04\0\0\0text"
        compressed = [
            gzip.compress(self.plain),
            lzma.compress(self.plain),
            bz2.compress(self.plain),
            zstd.compress(self.plain),
            skippable + zstd.compress(self.plain),
        ]
        for data in (self.plain, *compressed):
            self.assertEqual(self.told(data), "", data[:20])

    def test_a_small_part_of_a_large_one_tells(self) -> None:
        plain = tar(*((f"a-{number}-1/desc", desc()) for number in range(3000)))
        for data in (plain, gzip.compress(plain), zstd.compress(plain)):
            self.assertEqual(find_early_problem(data[: database_files.BEGINNING], whole=False), "")

    def test_an_empty_repositorys_has_none(self) -> None:
        for plain in (bytes(1024), bytes(10_240)):
            self.assertEqual(self.told(plain), "")
            self.assertEqual(self.told(gzip.compress(plain)), "")

    def test_what_only_libarchive_reads_is_left_to_it(self) -> None:
        for option in ("--lz4", "--lzip", "--compress"):
            self.assertEqual(self.told(packed(self.plain, option)), "", option)

    def test_pages_and_texts_have_one_as_soon_as_it_shows(self) -> None:
        page = b"<!DOCTYPE html><html>log in</html>"
        for data in (page, b"\n" + page, b'{"error": 1}', b"Not found", b"OK\n", 90 * page, b""):
            self.assertTrue(self.told(data), data[:20])
            self.assertTrue(self.told(gzip.compress(data)), data[:20])
        self.assertTrue(find_early_problem(page[:1], whole=False))

    def test_one_cut_short_or_damaged_at_its_beginning_has_one(self) -> None:
        whole = gzip.compress(self.plain)
        self.assertTrue(self.told(whole[:30]))
        self.assertTrue(self.told(whole[:10] + b"\xff" * 500))

    @settings(max_examples=300, deadline=1000)
    @given(st.binary(max_size=2_000), st.booleans())
    def test_no_bytes_make_it_stumble(self, data: bytes, whole: bool) -> None:
        for magic in (b"", b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh9"):
            self.assertIsInstance(find_early_problem(magic + data, whole=True), str)
            self.assertIn(type(find_early_problem(magic + data, whole=whole)), (str, type(None)))

    @settings(max_examples=50, deadline=None)
    @given(st.binary(max_size=300_000))
    def test_the_beginning_tells_always(self, data: bytes) -> None:
        for bytes_ in (data, gzip.compress(data, 0)):
            beginning = bytes_[: database_files.BEGINNING]
            if len(beginning) == database_files.BEGINNING:
                self.assertIsNotNone(find_early_problem(beginning, whole=False))


class Databases(OnDisk):
    def entries(self, data: bytes) -> int:
        self.put("core", data)
        loaded = load("core", self.sync / "core.db")
        self.assertEqual(loaded.problem, "")
        assert loaded.database is not None
        return len(loaded.database)

    def problem(self, data: bytes) -> str:
        self.put("core", data)
        loaded = load("core", self.sync / "core.db")
        self.assertIsNone(loaded.database)
        self.assertIsNotNone(loaded.stamp)
        return loaded.problem.partition(":")[0]

    def test_what_repo_add_wrote_is_what_the_files_are(self) -> None:
        folder = real_repository()
        loaded = load("core", folder / "core.db")
        assert loaded.database is not None
        self.assertEqual(len(loaded.database), len(RECIPES))
        self.assertEqual(loaded.database.skipped, 0)
        for recipe in RECIPES:
            entry = loaded.database.entries[recipe.file_name]
            data = (folder / recipe.file_name).read_bytes()
            self.assertEqual((entry.name, entry.version), (recipe.name, recipe.version))
            self.assertEqual((entry.size, entry.sha256), (len(data), hashlib.sha256(data).digest()))
            beside = folder / f"{recipe.file_name}.sig"
            self.assertEqual(entry.read_signature(), beside.read_bytes())

    def test_a_database_without_signatures_lists_the_same_files(self) -> None:
        path = self.sync / "core.db"
        shutil.copyfile(real_repository() / "core.db", path)
        strip_signatures(path)
        loaded = load("core", path)
        assert loaded.database is not None
        self.assertEqual({entry.signature for entry in loaded.database.entries.values()}, {None})
        self.assertEqual(len(loaded.database), len(RECIPES))

    def test_every_compression_is_told_by_its_first_bytes(self) -> None:
        plain = gzip.decompress((real_repository() / "core.db").read_bytes())
        compressions: list[Callable[[bytes], bytes]] = [bytes, gzip.compress, lzma.compress]
        for compress in [*compressions, bz2.compress, zstd.compress]:
            self.assertEqual(self.entries(compress(plain)), len(RECIPES), compress)

    def test_several_streams_frames_and_fillings_are_one_file(self) -> None:
        plain = gzip.decompress((real_repository() / "core.db").read_bytes())
        halves = plain[:700], plain[700:]
        compressions: list[Callable[[bytes], bytes]] = [gzip.compress, lzma.compress]
        for compress in [*compressions, bz2.compress, zstd.compress]:
            data = b"".join(map(compress, halves))
            self.assertEqual(self.entries(data), len(RECIPES), compress)
            self.assertEqual(self.entries(data + bytes(512)), len(RECIPES), compress)

    def test_what_pzstd_writes_is_read_here(self) -> None:
        self.patch(compression, "by_program", None)
        plain = gzip.decompress((real_repository() / "core.db").read_bytes())
        for number in (0x50, 0x5F):
            skippable = bytes([number]) + b"\x2a\x4d\x18\x04\0\0\0text"
            data = skippable + zstd.compress(plain[:700]) + skippable + zstd.compress(plain[700:])
            self.assertEqual(self.entries(data), len(RECIPES))

    def test_whatever_else_libarchive_reads_is_read(self) -> None:
        plain = gzip.decompress((real_repository() / "core.db").read_bytes())
        for option in ("--lz4", "--lzip", "--lzma", "--compress"):
            self.assertEqual(self.entries(packed(plain, option)), len(RECIPES), option)
        command = ["bsdtar", "-c", "-f", "-", "--format", "newc", "@-"]
        cpio = subprocess.run(command, input=plain, check=True, capture_output=True).stdout
        self.assertEqual(self.entries(cpio), len(RECIPES))
        self.assertEqual(self.entries(gzip.compress(plain) + b"behind it"), len(RECIPES))

    def test_what_nobody_can_read_is_named_in_one_sentence(self) -> None:
        plain = gzip.decompress((real_repository() / "core.db").read_bytes())
        self.put("core", packed(plain, "--lz4"))
        self.patch(os, "environ", {"PATH": ""})
        problem = load("core", self.sync / "core.db").problem
        self.assertEqual(
            problem,
            "compression: it is made with lz4, and bsdtar, which could read it, is not installed;"
            " have it made with gzip, xz or zstd",
        )

    def test_what_bsdtar_makes_of_a_file_is_bounded(self) -> None:
        with mock.patch("flocon.pacman.syncdb.LARGEST_DATABASE", 1 << 20):
            self.assertEqual(self.problem(packed(bytes(1024), "--lz4")[:20] + b"x"), "compression")
            plain = tar(("a-1-1/desc", desc()), ("a-1-1/files", bytes(2 << 20)))
            self.assertEqual(self.problem(packed(plain, "--lz4")), "compression")

    def test_a_compressed_file_cut_short_or_damaged_is_a_problem(self) -> None:
        plain = gzip.decompress((real_repository() / "core.db").read_bytes())
        for compress in (gzip.compress, lzma.compress, zstd.compress):
            data = compress(plain)
            self.assertEqual(self.problem(data[: len(data) // 2]), "compression")
            if compress is not zstd.compress:  # which has no checksum unless asked
                damaged = bytearray(data)
                damaged[len(data) // 2] ^= 0x55
                self.assertIn(self.problem(bytes(damaged)), {"compression", "tar", "short"})

    def test_what_is_no_database_is_a_problem(self) -> None:
        self.assertEqual(self.problem(b""), "short")
        self.assertEqual(self.problem(b"<html>" * 200), "tar")

    def test_a_small_file_that_grows_without_end_is_a_problem(self) -> None:
        with mock.patch("flocon.pacman.syncdb.LARGEST_DATABASE", 1 << 20):
            self.assertEqual(self.problem(gzip.compress(bytes(10 << 20))), "large")

    def test_a_file_larger_than_pacman_takes_is_a_problem(self) -> None:
        self.patch(database_files, "LARGEST_FILE", 100)
        self.assertEqual(self.problem(bytes(101)), "large")

    def test_no_more_memory_is_taken_than_for_what_it_has(self) -> None:
        plain = tar(("a-1-1/desc", desc()))
        self.put("core", gzip.compress(plain))
        load("core", self.sync / "core.db")
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.assertEqual(load("core", self.sync / "core.db").problem, "")
        self.assertLess(tracemalloc.get_traced_memory()[1], 16 << 20)

    def test_where_there_is_no_memory_for_it_that_is_a_problem(self) -> None:
        self.put("core", gzip.compress(tar(("a-1-1/desc", desc()))))
        self.patch(database_files, "_read", mock.Mock(side_effect=MemoryError))
        self.assertIn("too little memory", load("core", self.sync / "core.db").problem)

    def test_a_fifo_in_its_place_is_a_problem_and_not_waited_for(self) -> None:
        self.sync.mkdir(parents=True, exist_ok=True)
        os.mkfifo(self.sync / "core.db")
        self.assertIn("is not a regular file", load("core", self.sync / "core.db").problem)

    def test_a_file_that_is_not_there_is_none(self) -> None:
        self.assertEqual(load("core", self.sync / "core.db"), database_files.Loaded())

    def test_a_file_name_listed_twice_counts_once(self) -> None:
        self.put("core", tar(("a-1-1/desc", desc()), ("b-1-1/desc", desc())))
        database = load("core", self.sync / "core.db").database
        assert database is not None
        self.assertEqual((len(database), database.skipped), (1, 1))

    def test_a_file_with_the_same_bytes_is_not_parsed_again(self) -> None:
        path = self.sync / "core.db"
        self.put("core", tar(("a-1-1/desc", desc())))
        before = load("core", path)
        self.put("core", path.read_bytes())
        os.utime(path, (5, 5))
        after = load("core", path, before)
        assert before.database is not None
        assert after.database is not None
        self.assertIs(after.database.entries, before.database.entries)
        self.assertEqual(after.database.modified, 5)

    def test_a_file_written_while_it_is_read_is_read_again(self) -> None:
        path = self.sync / "core.db"
        whole = tar(("a-1-1/desc", desc()))
        path.write_bytes(whole[:700])
        real = database_files._stamp
        stamps = []

        def stamp(status: os.stat_result) -> database_files.Stamp:
            stamps.append(status)
            if len(stamps) == 2:
                path.write_bytes(whole)
            return real(status)

        self.patch(database_files, "_stamp", stamp)
        loaded = load("core", path)
        assert loaded.database is not None
        self.assertEqual(len(loaded.database), 1)
