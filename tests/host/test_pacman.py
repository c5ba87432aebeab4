"""What is understood of real configurations and databases, and what follows from a change."""

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
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocon.core.listing import Listing
from flocon.errors import ToolError, ToolMissing
from flocon.host import compression, databases, pacman
from flocon.host.compression import Patience
from flocon.host.databases import find_early_problem, find_problem, load
from flocon.host.pacman import (
    PacmanConfiguration,
    PacmanWatch,
    SignatureLevel,
    configuration_from_mirrors,
    read_configuration,
    servers_for,
)
from flocon.host.watch import FolderWatch
from tests.core.test_syncdb import desc, tar
from tests.lan.repository import Recipe, RepoAdd, SigningKey, build, strip_signatures

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

reactor: Any = real_reactor

RECIPES = (
    Recipe("gtk++", "1:2.0-1", 4000),
    Recipe("zlib", "1.3.1-2", 9000),
    Recipe("font", "2024.01-1.1", 100, "any"),
)


@cache
def real_repository() -> Path:
    """Return a folder with signed packages and ``core.db``, which real repo-add wrote."""
    folder = Path("real-repository").absolute()
    folder.mkdir()
    key = SigningKey(folder / "gpg")
    try:
        packages = [build(recipe, folder, seed=1) for recipe in RECIPES]
        for package in packages:
            key.sign(package.path)
    finally:
        key.close()
    RepoAdd().add(folder, "core", packages)
    return folder


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
from flocon.host.databases import find_problem
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open(sys.argv[1], "rb") as file:
    print(find_problem(file.fileno()))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


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
        self.patch(databases, "STRANGERS", Patience(16 << 20, 0.0))
        self.assertIn("too long", self.problem(gzip.compress(bytes(10 << 20))))

    def test_a_larger_one_than_pacman_takes_is_not_read(self) -> None:
        path = Path(self.mktemp())
        with path.open("wb") as file:
            file.truncate(databases.LARGEST_FILE + 1)
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
            self.assertEqual(find_early_problem(data[: databases.BEGINNING], whole=False), "")

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
            beginning = bytes_[: databases.BEGINNING]
            if len(beginning) == databases.BEGINNING:
                self.assertIsNotNone(find_early_problem(beginning, whole=False))


class OnDisk(TestCase):
    timeout = 60

    def setUp(self) -> None:
        # pacman takes a blank in a CacheDir for the end of it: the checkout may lie anywhere.
        self.top = Path(tempfile.mkdtemp(prefix="flocon-pacman-"))
        self.addCleanup(shutil.rmtree, self.top)
        self.sync = self.top / "db" / "sync"
        self.sync.mkdir(parents=True)
        self.conf = self.top / "etc" / "pacman.conf"
        self.conf.parent.mkdir()

    def write(self, text: str, path: Path | None = None) -> None:
        head = f"[options]\nDBPath = {self.top}/db\nArchitecture = x86_64\n"
        if path is None:
            path, text = self.conf, head + text
        new = path.with_name("new")
        new.write_text(text)
        new.rename(path)

    def put(self, name: str, data: bytes) -> None:
        """Replace a database the way pacman does."""
        part = self.sync / f"{name}.db.part"
        part.write_bytes(data)
        part.rename(self.sync / f"{name}.db")


class Configuration(OnDisk):
    async def read(self, text: str, own_ports: tuple[int, ...] = (19433,)) -> PacmanConfiguration:
        self.write(text)
        return await read_configuration(reactor, self.conf, own_ports)

    async def servers(self, text: str, repository: str = "core") -> tuple[str, ...]:
        return servers_for(await self.read(text), repository, "x86_64")

    async def test_all_that_matters_is_read(self) -> None:
        found = await self.read(
            f"CacheDir = {self.top}/a\nCacheDir = {self.top}/b\nGPGDir = {self.top}/gpg\n"
            "SigLevel = Required DatabaseOptional\n"
            "[core]\nServer = https://one/$repo/os/$arch\nServer = http://two/$repo/\n"
            "[extra]\nSigLevel = PackageOptional DatabaseNever\nServer = http://two/$repo\n"
            "[own]\nSigLevel = Never\nServer = file:///srv\n"
        )
        self.assertEqual(found.database_path, self.top / "db")
        self.assertEqual(found.sync_directory, self.sync)
        self.assertEqual(found.cache_directories, (self.top / "a", self.top / "b"))
        self.assertEqual(found.gpg_directory, self.top / "gpg")
        self.assertEqual(found.architectures, ("x86_64",))
        self.assertEqual(found.files, (self.conf,))
        self.assertEqual([one.name for one in found.repositories], ["core", "extra", "own"])
        core, extra, own = found.repositories
        self.assertEqual(core.servers, ("https://one/core/os/x86_64", "http://two/core"))
        never, optional, required = SignatureLevel
        levels = [(one.package_signature, one.database_signature) for one in (core, extra, own)]
        self.assertEqual(levels, [(required, optional), (optional, never), (never, never)])
        self.assertEqual((own.servers, found.unusable), ((), ("file:///srv",)))
        others = [one.has_others for one in found.repositories]
        self.assertEqual(others, [False, False, True])

    async def test_several_architectures_and_auto_come_resolved(self) -> None:
        text = f"[options]\nArchitecture = auto\nArchitecture = x86_64_v3\nDBPath = {self.top}\n"
        self.write(text, self.conf)
        found = await read_configuration(reactor, self.conf)
        self.assertEqual(found.architectures, (os.uname().machine, "x86_64_v3"))

    async def test_this_nodes_own_lines_are_left_out(self) -> None:
        own = ("localhost", "127.0.0.1", "127.9.9.9", "[::1]", "LOCALHOST", "[::ffff:127.0.0.1]")
        lines = "".join(f"Server = http://{host}:19433/$repo/os/$arch\n" for host in own)
        self.assertEqual(await self.servers(f"[core]\n{lines}Server = http://m/\n"), ("http://m",))

    async def test_other_ports_of_this_machine_and_other_machines_stay(self) -> None:
        urls = ("http://localhost:8080/r", "http://127.0.0.1/r", "http://10.0.0.1:19433/r")
        lines = "".join(f"Server = {url}\n" for url in urls)
        self.assertEqual(await self.servers(f"[core]\n{lines}"), urls)

    async def test_our_comment_comes_first_for_each_repository_that_includes_it(self) -> None:
        listed = self.top / "etc" / "mirrorlist"
        text = "# flocon: Server = http://first/$repo/os/$arch\nServer = http://second/$repo\n"
        self.write(text, listed)
        include = f"Include = {listed}\n"
        found = await self.read(
            f"[core]\nServer = http://localhost:19433/$repo\n{include}"
            f"[extra]\n{include}[other]\nServer = http://third\n"
        )
        expected = {
            "core": ("http://first/core/os/x86_64", "http://second/core"),
            "extra": ("http://first/extra/os/x86_64", "http://second/extra"),
            "other": ("http://third",),
        }
        self.assertEqual({one.name: one.servers for one in found.repositories}, expected)
        self.assertEqual(found.files, (self.conf, listed))

    async def test_our_comment_counts_in_pacman_conf_and_through_nested_globs(self) -> None:
        folder = self.top / "etc" / "d"
        folder.mkdir()
        self.write(
            "[core]\n#flocon: Server=http://a\nInclude = " + f"{folder}/*.inc\n", folder / "1.conf"
        )
        self.write("# flocon: Server = http://b/\n# flocon: Server = ftp://c\n", folder / "x.inc")
        self.write(
            "# flocon: Server = http://127.0.0.1:19433/\nServer = http://b\n", folder / "y.inc"
        )
        self.assertEqual(
            await self.servers(f"Include = {folder}/*.conf\n#flocon: Server = http://d\n"),
            ("http://a", "http://b", "http://d"),
        )

    def test_files_that_include_each_other_come_to_an_end(self) -> None:
        self.write(f"[core]\nInclude = {self.conf}\nInclude = {self.conf}\n")
        scan = pacman._scan(self.conf)
        self.assertEqual(list(scan.stamps), [self.conf])

    def test_neither_a_fifo_nor_a_device_is_waited_for(self) -> None:
        fifo = self.top / "mirrorlist"
        os.mkfifo(fifo)
        self.write(f"[core]\nInclude = {fifo}\nInclude = /dev/zero\n")
        self.assertIn(fifo, pacman._scan(self.conf).stamps)
        self.conf.unlink()
        os.mkfifo(self.conf)
        self.assertIn(self.conf, pacman._scan(self.conf).stamps)

    async def test_an_error_comes_in_pacman_confs_own_words(self) -> None:
        with self.assertRaises(ToolError) as caught:
            await self.read("SigLevel = Bogus\n")
        self.assertEqual(caught.exception.tool, "pacman-conf")
        self.assertIn(f"{self.conf}, line 4: invalid value for 'SigLevel'", str(caught.exception))

    async def test_a_missing_pacman_conf_file_is_an_error(self) -> None:
        with self.assertRaises(ToolError) as caught:
            await read_configuration(reactor, self.conf)
        self.assertIn("could not be read", str(caught.exception))

    async def test_without_pacman_it_is_said_so(self) -> None:
        self.patch(os, "environ", {"PATH": "/nowhere"})
        with self.assertRaises(ToolMissing):
            await self.read("")

    def tool(self, script: str) -> None:
        folder = self.top / "tools"
        folder.mkdir()
        (folder / "pacman-conf").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "pacman-conf").chmod(0o755)
        self.patch(os, "environ", {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"})

    async def test_a_later_pacmans_lines_are_read_or_passed_over(self) -> None:
        self.tool(
            "cat <<END\n[options]\nDownloadUser = alpm\nDisableSandbox\nFuture = 1 = 2\n"
            "Architecture = x86_64\n[core]\nCacheServer = http://localhost:19433/core\n"
            "CacheServer = http://nas/core/\nServer = https://m/core\n[../x]\nServer = https://m\n"
            "END"
        )
        found = await self.read("")
        self.assertEqual([one.name for one in found.repositories], ["core"])
        self.assertEqual(found.repositories[0].cache_servers, ("http://nas/core",))
        self.assertEqual(found.repositories[0].servers, ("https://m/core",))

    async def test_a_pacman_conf_that_hangs_is_ended(self) -> None:
        self.tool("exec sleep 100")
        self.patch(pacman, "TIMEOUT", 0.05)
        with self.assertRaises(ToolError) as caught:
            await self.read("")
        self.assertIn("took longer", str(caught.exception))

    async def test_a_pacman_conf_that_never_stops_talking_is_ended(self) -> None:
        self.tool("exec yes")
        with self.assertRaises(ToolError) as caught:
            await self.read("")
        self.assertIn("more than anyone can read", str(caught.exception))


class Understanding(SynchronousTestCase):
    def test_mirrors_serve_every_repository_where_there_is_no_pacman(self) -> None:
        mirrors = ("https://m/$repo/os/$arch", "http://localhost:19433/$repo", "rsync://x")
        found = configuration_from_mirrors(mirrors, {19433})
        self.assertEqual(servers_for(found, "core", "aarch64"), ("https://m/core/os/aarch64",))
        self.assertEqual(found.unusable, ("rsync://x",))
        for repository, architecture in (("", "x86_64"), ("..", "x86_64/.."), ("core", "../x")):
            self.assertEqual(servers_for(found, repository, architecture), ())

    def test_a_repository_that_pacman_does_not_know_has_no_servers(self) -> None:
        found = PacmanConfiguration(repositories=(pacman.Repository("core", ("http://m",)),))
        self.assertEqual(servers_for(found, "extra", "x86_64"), ())
        self.assertEqual(servers_for(found, "core", "armv7h"), ("http://m",))

    def test_no_address_makes_sorting_stumble(self) -> None:
        for odd in ("http://[", "http://x:99999", "http://", "", "http://a b", "http://é", "//x"):
            self.assertEqual(pacman._sort_out([odd], ()), ((), (odd,)))

    @settings(max_examples=200, deadline=None)
    @given(st.text(max_size=60))
    def test_no_text_makes_it_stumble(self, text: str) -> None:
        pacman._sort_out([text, "http://" + text], {19433})
        pacman._configuration(pacman._sections(text), pacman._Scan(Path("x"), {}, (), {}), ())

    def test_every_way_to_write_loopback_is_known(self) -> None:
        for host in ("127.1", "::1", "0.0.0.0", "::", "a.localhost", "localhost.", "0x7f000001"):
            self.assertTrue(pacman._is_loopback(host), host)
        for host in ("localhost.example", "128.0.0.1", "::2", "127.0.0.1.example", "fe80::1%lo"):
            self.assertFalse(pacman._is_loopback(host), host)


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
        with mock.patch("flocon.core.syncdb.LARGEST_DATABASE", 1 << 20):
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
        with mock.patch("flocon.core.syncdb.LARGEST_DATABASE", 1 << 20):
            self.assertEqual(self.problem(gzip.compress(bytes(10 << 20))), "large")

    def test_a_file_larger_than_pacman_takes_is_a_problem(self) -> None:
        self.patch(databases, "LARGEST_FILE", 100)
        self.assertEqual(self.problem(bytes(101)), "large")

    def test_a_fifo_in_its_place_is_a_problem_and_not_waited_for(self) -> None:
        self.sync.mkdir(parents=True, exist_ok=True)
        os.mkfifo(self.sync / "core.db")
        self.assertIn("is not a regular file", load("core", self.sync / "core.db").problem)

    def test_a_file_that_is_not_there_is_none(self) -> None:
        self.assertEqual(load("core", self.sync / "core.db"), databases.Loaded())

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
        real = databases._stamp
        stamps = []

        def stamp(status: os.stat_result) -> databases.Stamp:
            stamps.append(status)
            if len(stamps) == 2:
                path.write_bytes(whole)
            return real(status)

        self.patch(databases, "_stamp", stamp)
        loaded = load("core", path)
        assert loaded.database is not None
        self.assertEqual(len(loaded.database), 1)


class Watching(OnDisk):
    def setUp(self) -> None:
        super().setUp()
        self.configurations: list[PacmanConfiguration] = []
        self.listings: list[Listing] = []
        self.watch = PacmanWatch(
            reactor,
            self.conf,
            self.configurations.append,
            self.listings.append,
            own_ports={19433},
            mirrors=["http://general/$repo"],
        )

    async def start(self, *repositories: str) -> None:
        self.write("".join(f"[{name}]\nServer = http://m/$repo\n" for name in repositories))
        self.watch.startService()
        self.addCleanup(self.watch.stopService)
        await self.watch.settled(30)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the file system's events bring about."""
        for _ in range(1000):
            if condition():
                return
            await deferLater(reactor, 0.01)
        self.fail("it did not happen")

    def database(self, **fields: str) -> bytes:
        return tar(("a-1-1/desc", desc(**fields)))

    async def test_signatures_are_wanted_where_pacman_asks_for_them(self) -> None:
        text = "[core]\nSigLevel = PackageNever\n[extra]\nSigLevel = PackageOptional\n"
        self.write(text)
        self.watch.startService()
        self.addCleanup(self.watch.stopService)
        await self.watch.configured(30)
        names = ("core", "extra", "unknown")
        wanted = [name for name in names if self.watch.signature_wanted(name)]
        self.assertEqual(wanted, ["extra", "unknown"])

    async def test_who_needs_the_configuration_waits_until_it_was_read(self) -> None:
        self.write("[core]\nServer = http://m/$repo\n")
        self.watch.startService()
        self.addCleanup(self.watch.stopService)
        self.assertEqual(self.watch.configuration.repositories, ())
        await self.watch.configured(30)
        self.assertEqual(self.watch.configuration.repositories[0].name, "core")
        self.successResultOf(self.watch.configured(30))

    async def test_it_begins_with_what_is_there(self) -> None:
        self.put("core", (real_repository() / "core.db").read_bytes())
        await self.start("core", "extra")
        self.assertEqual(self.configurations, [self.watch.configuration])
        self.assertEqual(self.listings, [self.watch.listing])
        (entry,) = self.watch.listing.find(RECIPES[0].file_name, "core")
        self.assertEqual(entry.name, "gtk++")
        digest = hashlib.sha256((self.sync / "core.db").read_bytes()).hexdigest()[:16]
        self.assertEqual(self.watch.listing.digests(), (("core", digest),))

    async def test_a_database_that_comes_changes_or_goes_is_noticed_by_itself(self) -> None:
        await self.start("core")
        self.put("core", self.database())
        await self.until(lambda: len(self.watch.listing) == 1)
        self.put("core", self.database(CSIZE="5"))
        await self.until(lambda: [e.size for e in self.found()] == [5])
        (self.sync / "core.db").unlink()
        await self.until(lambda: len(self.watch.listing) == 0)
        self.assertEqual(len(self.listings), 3)

    def found(self) -> Any:
        return self.watch.listing.find("gtk++-1:2.0-1-x86_64.pkg.tar.zst")

    async def test_settling_shows_at_once_what_was_just_put_there(self) -> None:
        await self.start("core")
        for size in range(5):
            self.put("core", self.database(CSIZE=str(size)))
            await self.watch.settled(30)
            self.assertEqual([entry.size for entry in self.found()], [size])

    async def test_settling_also_counts_what_changes_while_it_reads(self) -> None:
        await self.start("core", "extra")
        self.put("core", self.database(CSIZE="1"))
        first = self.watch.settled(30)
        self.put("core", self.database(CSIZE="2"))
        self.put("extra", self.database(CSIZE="3"))
        await self.watch.settled(30)
        await first
        self.assertEqual([entry.size for entry in self.found()], [2, 3])

    async def test_settling_is_immediate_when_nothing_has_changed(self) -> None:
        self.put("core", self.database())
        await self.start("core")
        self.assertTrue(self.watch.settled().called)

    async def test_settling_waits_no_longer_than_asked(self) -> None:
        await self.start("core")
        self.put("core", self.database())
        endless: Deferred[Any] = Deferred()
        with mock.patch.object(pacman, "_in_thread", return_value=endless):
            await self.watch.settled(0.02)
            self.assertEqual(len(self.watch.listing), 0)
            given_up = self.watch.settled(30)
            given_up.addErrback(lambda _: None)
            given_up.cancel()
            endless.callback([load("core", self.sync / "core.db")])
        await self.watch.settled(30)
        self.assertEqual(len(self.watch.listing), 1)

    def send(self, data: bytes, repository: str = "core") -> None:
        """Have a mirror send a database through this node."""
        descriptor = os.memfd_create("sent")
        try:
            os.write(descriptor, data)
            self.watch.sent(repository, descriptor)
        finally:
            os.close(descriptor)

    async def test_what_a_mirror_sent_lists_for_whoever_asks(self) -> None:
        await self.start("core")
        self.send(gzip.compress(self.database(CSIZE="8")))
        await self.watch.settled(30)
        self.assertEqual([entry.size for entry in self.found()], [8])
        self.assertEqual(self.watch.listing.digests(), ())
        self.assertEqual(len(self.listings), 1)

    async def test_what_pacman_takes_itself_is_not_read_twice(self) -> None:
        await self.start("core")
        reading = mock.Mock(side_effect=databases.load_sent)
        self.patch(pacman, "load_sent", reading)
        self.send(self.database(CSIZE="8"))
        self.put("core", self.database(CSIZE="8"))
        await self.watch.settled(30)
        self.assertEqual([entry.size for entry in self.found()], [8])
        reading.assert_not_called()
        self.assertEqual(self.watch.listing.further, ())

    async def test_it_is_read_after_a_while_though_nobody_asks(self) -> None:
        self.patch(pacman, "SENT_PAUSE", 0.05)
        await self.start("core")
        self.send(self.database(CSIZE="8"))
        await self.until(lambda: [entry.size for entry in self.found()] == [8])

    async def test_once_pacman_has_the_same_it_is_kept_once(self) -> None:
        await self.start("core")
        self.send(self.database(CSIZE="8"))
        await self.watch.settled(30)
        self.put("core", self.database(CSIZE="8"))
        await self.watch.settled(30)
        self.assertEqual(self.watch.listing.further, ())
        self.assertEqual(len(self.watch.listing), 1)

    async def test_what_is_sent_again_is_not_read_again(self) -> None:
        await self.start("core")
        self.send(self.database(CSIZE="8"))
        await self.watch.settled(30)
        self.patch(pacman, "load_sent", None)
        self.send(self.database(CSIZE="8"))
        await self.watch.settled(30)
        self.assertEqual([entry.size for entry in self.found()], [8])

    async def test_what_is_no_database_lists_nothing(self) -> None:
        await self.start("core")
        self.send(b"<html>" * 200)
        await self.watch.settled(30)
        self.assertEqual(self.watch.listing, Listing())

    async def test_where_its_signature_would_be_checked_it_does_not_list(self) -> None:
        self.write("[core]\nServer = http://m/$repo\nSigLevel = DatabaseRequired\n")
        self.watch.startService()
        self.addCleanup(self.watch.stopService)
        await self.watch.settled(30)
        self.send(self.database())
        await self.watch.settled(30)
        self.assertEqual(self.found(), ())

    async def test_however_many_are_sent_few_are_kept_open(self) -> None:
        await self.start("core")
        before = descriptors()
        for size in range(40):
            self.send(self.database(CSIZE=str(size)))
        self.assertLessEqual(descriptors(), before + pacman.MOST_WAITING)
        await self.watch.settled(30)
        self.assertEqual([entry.size for entry in self.found()], [39, 38])
        self.send(self.database(CSIZE="50"))
        await self.watch.stopService()
        # Each of the two that list has its vault.
        self.assertLessEqual(descriptors(), before + 2)

    async def test_what_waits_is_bounded_in_bytes(self) -> None:
        self.patch(pacman, "MOST_WAITING_BYTES", 3 * len(self.database()))
        await self.start("core")
        for size in range(5):
            self.send(self.database(CSIZE=str(size)))
        self.assertLessEqual(len(self.watch._waiting_sent), 3)
        self.send(bytes(4 * len(self.database())))
        self.assertLessEqual(len(self.watch._waiting_sent), 3)
        await self.watch.settled(30)
        self.assertEqual([entry.size for entry in self.found()], [4, 3])

    async def test_a_peers_is_marked(self) -> None:
        self.watch._is_peers = lambda digest: digest == peers
        peers = hashlib.sha256(self.database(CSIZE="1")).hexdigest()[:16]
        await self.start("core")
        for size, from_peer in (("1", True), ("2", False)):
            self.put("core", self.database(CSIZE=size))
            await self.watch.settled(30)
            database = self.watch.listing.database("core")
            assert database is not None
            self.assertEqual(database.from_peer, from_peer)

    async def test_a_broken_database_is_told_once_and_lists_nothing(self) -> None:
        warnings = self.warnings()
        self.put("core", b"<html>" * 200)
        self.put("extra", self.database())
        await self.start("core", "extra")
        await self.watch.settled(30)
        self.assertEqual(len(self.watch.listing), 1)
        self.assertEqual(len(warnings), 1)
        self.put("core", self.database(CSIZE="9"))
        await self.watch.settled(30)
        self.assertEqual(len(self.watch.listing), 2)

    def warnings(self) -> list[str]:
        said: list[str] = []
        logger = mock.Mock()
        logger.warn = lambda text, **fields: said.append(text.format(**fields))
        self.patch(PacmanWatch, "log", logger)
        return said

    async def test_a_changed_pacman_conf_is_taken_over(self) -> None:
        self.put("extra", self.database())
        await self.start("core")
        self.write("[core]\nServer = http://m\n[extra]\nServer = http://m\n")
        await self.until(lambda: len(self.watch.listing) == 1)
        self.assertEqual(len(self.configurations), 2)
        self.write("[core]\nServer = http://m\n")
        await self.until(lambda: len(self.watch.listing) == 0)

    async def test_a_changed_order_of_repositories_changes_the_listings(self) -> None:
        self.put("core", self.database(CSIZE="1"))
        self.put("extra", self.database(CSIZE="2"))
        await self.start("core", "extra")
        self.assertEqual([entry.size for entry in self.found()], [1, 2])
        self.write("[extra]\nServer = http://m\n[core]\nServer = http://m\n")
        await self.until(lambda: [entry.size for entry in self.found()] == [2, 1])

    async def test_a_changed_included_file_is_taken_over_also_behind_a_link(self) -> None:
        target = self.top / "elsewhere" / "mirrors"
        target.parent.mkdir()
        target.write_text("Server = http://old\n")
        (self.top / "lists").mkdir()
        (self.top / "lists" / "mirrorlist").symlink_to(target)
        self.write(f"[core]\nInclude = {self.top}/lists/*list\n")
        self.watch.startService()
        self.addCleanup(self.watch.stopService)
        await self.watch.settled(30)
        self.assertEqual(self.servers(), ("http://old",))
        self.write("Server = http://new\n", target)
        await self.until(lambda: self.servers() == ("http://new",))
        self.write("Server = http://newer\n", self.top / "lists" / "another-list")
        await self.until(lambda: self.servers() == ("http://newer", "http://new"))

    def servers(self) -> tuple[str, ...]:
        return servers_for(self.watch.configuration, "core", "x86_64")

    async def test_a_broken_pacman_conf_leaves_the_old_one_and_is_told_once(self) -> None:
        warnings = self.warnings()
        await self.start("core")
        good = self.watch.configuration
        for _ in range(2):
            self.write("SigLevel = Bogus\n")
            await self.until(lambda: len(warnings) == 1 and self.watch._scan.is_current())
        self.assertIs(self.watch.configuration, good)
        self.assertIn("invalid value for 'SigLevel'", warnings[0])
        self.write("[extra]\nServer = http://m\n")
        await self.until(lambda: self.watch.configuration is not good)
        self.assertEqual(len(warnings), 1)

    async def test_without_pacman_the_mirrors_stand_in_until_it_comes(self) -> None:
        path = os.environ["PATH"]
        os.environ["PATH"] = "/nowhere"
        self.addCleanup(os.environ.__setitem__, "PATH", path)
        await self.start("core")
        self.assertEqual(self.servers(), ("http://general/core",))
        self.assertEqual(self.configurations, [])
        os.environ["PATH"] = path
        self.write("[core]\nServer = http://m\n")
        await self.until(lambda: self.servers() == ("http://m",))

    async def test_a_sync_folder_that_comes_later_is_noticed(self) -> None:
        shutil.rmtree(self.top / "db")
        await self.start("core")
        self.sync.mkdir(parents=True)
        self.put("core", self.database())
        await self.until(lambda: len(self.watch.listing) == 1)

    async def test_where_nothing_can_be_watched_it_looks_every_minute(self) -> None:
        self.patch(pacman, "POLL", 0.05)
        self.patch(FolderWatch, "_open", lambda _: False)
        await self.start("core")
        self.put("core", self.database())
        await self.until(lambda: len(self.watch.listing) == 1)
        self.write("[extra]\nServer = http://m\n")
        await self.until(lambda: self.watch.configuration.repositories[0].name == "extra")

    async def test_other_files_beside_them_are_passed_over(self) -> None:
        await self.start("core")
        with mock.patch.object(self.watch, "_look") as look:
            (self.conf.parent / "passwd").write_text("x")
            (self.sync / "core.files").write_text("x")
            await deferLater(reactor, pacman.PAUSE * 2)
        look.assert_not_called()

    async def test_a_failing_handler_does_not_end_the_watch(self) -> None:
        self.watch._listing_changed = mock.Mock(side_effect=ZeroDivisionError)
        self.put("core", self.database())
        await self.start("core")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.put("core", self.database(CSIZE="5"))
        await self.watch.settled(30)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_stopping_releases_who_waits_and_reads_no_more(self) -> None:
        self.write("[core]\nServer = http://m\n")
        self.watch.startService()
        waiting = self.watch.settled(30)
        await self.watch.stopService()
        self.assertTrue(waiting.called)
        self.assertTrue(self.watch.settled().called)
        self.assertEqual(self.configurations, [])

    async def test_a_signature_is_needed_where_a_listing_repository_requires_it(self) -> None:
        self.assertTrue(self.watch.signature_needed("a"))
        self.write(
            "[strict]\nSigLevel = Required\nServer = http://m\n"
            "[lax]\nSigLevel = Optional\nServer = http://m\n"
        )
        name = "gtk++-1:2.0-1-x86_64.pkg.tar.zst"
        self.put("lax", self.database())
        self.watch.startService()
        self.addCleanup(self.watch.stopService)
        await self.watch.settled(30)
        self.assertFalse(self.watch.signature_needed(name))
        self.assertTrue(self.watch.signature_needed("unlisted"))
        self.put("strict", self.database())
        await self.watch.settled(30)
        self.assertTrue(self.watch.signature_needed(name))
