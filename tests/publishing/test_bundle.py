"""Packages as one stream: what is written is read, and what is something else is refused."""

from __future__ import annotations

import io
import os
import sys
import tarfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import RepositoryError
from flocon.pacman.syncdb import LARGEST_SIGNATURE
from flocon.publishing import bundle
from flocon.publishing.bundle import Given

FOO, BAR = "foo-1-1-any.pkg.tar.zst", "bar-1-1-any.pkg.tar.zst"
LONG = f"{'x' * 180}-1-1-any.pkg.tar.zst"


class _Written(io.BytesIO):
    """What a pipe takes: it cannot be gone back in."""

    def seekable(self) -> bool:
        return False


class BundleTests(SynchronousTestCase):
    def opened(self, data: bytes) -> int:
        descriptor = os.memfd_create("package")
        self.addCleanup(os.close, descriptor)
        os.write(descriptor, data)
        return descriptor

    def written(self, *files: tuple[str, bytes, bytes]) -> bytes:
        out = _Written()
        bundle.write(out, [Given(name, self.opened(data), sig) for name, data, sig in files])
        return out.getvalue()

    def read(self, stream: bytes) -> list[tuple[str, bytes, bytes]]:
        found = bundle.read(io.BytesIO(stream))
        for one in found:
            self.addCleanup(os.close, one.descriptor)
        return [(one.name, os.pread(one.descriptor, 1 << 22, 0), one.signature) for one in found]

    def test_what_is_written_is_read(self) -> None:
        files = [(FOO, b"x" * 2_000_001, b"\x88sig"), (BAR, b"y", b""), (LONG, b"z" * 512, b"\x88")]
        self.assertEqual(self.read(self.written(*files)), files)

    def test_each_file_is_its_readers_own(self) -> None:
        ((_, data, _),) = self.read(self.written((FOO, b"x", b"")))
        self.assertEqual(data, b"x")

    def tar(self, *members: tarfile.TarInfo, layout: int = tarfile.GNU_FORMAT) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=layout) as tar:
            for member in members:
                tar.addfile(member, io.BytesIO(b"x" * member.size))
        return out.getvalue()

    def member(self, name: str, size: int = 1, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
        member = tarfile.TarInfo(name)
        member.type, member.size = kind, size
        member.linkname = "/etc/shadow" if kind in {tarfile.SYMTYPE, tarfile.LNKTYPE} else ""
        return member

    def refused(self, stream: bytes) -> str:
        before = len(list(Path("/proc/self/fd").iterdir()))
        error = self.assertRaises(RepositoryError, bundle.read, io.BytesIO(stream))
        self.assertEqual(len(list(Path("/proc/self/fd").iterdir())), before)
        return str(error)

    def test_names_that_are_no_packages_are_refused(self) -> None:
        for name in ("foo", f"../{FOO}", f"/{FOO}", "x.sig", f"{FOO}.sig.sig"):
            self.assertIn("no package's", self.refused(self.tar(self.member(name))))

    def test_what_is_no_plain_file_is_refused(self) -> None:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE):
            member = self.member(FOO, 0, kind)
            self.assertIn("something else", self.refused(self.tar(self.member(BAR), member)))

    def test_headers_that_would_have_to_be_kept_in_memory_are_refused(self) -> None:
        member = self.member(FOO)
        member.pax_headers = {"comment": "x" * 100_000}
        self.refused(self.tar(member, layout=tarfile.PAX_FORMAT))
        self.refused(self.tar(self.member("x" * 5_000)))

    def test_a_file_comes_once(self) -> None:
        self.refused(self.tar(self.member(FOO), self.member(FOO)))
        self.refused(self.tar(*[self.member(f"{FOO}.sig")] * 2, self.member(FOO)))

    def test_signatures_alone_are_nothing(self) -> None:
        self.assertIn("no package", self.refused(self.tar(self.member(f"{FOO}.sig"))))
        self.assertIn("no package", self.refused(self.tar()))

    def test_a_signature_has_so_many_bytes(self) -> None:
        large = self.member(f"{FOO}.sig", LARGEST_SIGNATURE + 1)
        self.assertIn("too large", self.refused(self.tar(large, self.member(FOO))))

    def test_all_together_have_so_many_bytes(self) -> None:
        self.patch(bundle, "LARGEST", 10)
        self.assertIn("too large", self.refused(self.tar(self.member(FOO, 6), self.member(BAR, 6))))

    def test_there_are_so_many_files(self) -> None:
        self.patch(bundle, "MOST_FILES", 2)
        many = [self.member(f"x{number}-1-1-any.pkg.tar.zst") for number in range(5)]
        self.assertIn("too large", self.refused(self.tar(*many)))

    def test_a_stream_that_ends_early_is_refused(self) -> None:
        whole = self.written((FOO, b"x" * 1_000, b"\x88sig"))
        for length in (0, 1, 511, 512, 700, 1_536, 2_000):
            self.assertIn("ends early", self.refused(whole[:length]))

    def test_what_finds_no_room_is_refused(self) -> None:
        self.patch(sys.modules["flocon.publishing.bundle"], "free_bytes", lambda _: 1_000)
        self.assertIn("no room", self.refused(self.written((FOO, b"x", b""))))

    @given(st.binary(max_size=2_000))
    def test_whatever_comes_is_read_or_refused(self, stream: bytes) -> None:
        try:
            for one in bundle.read(io.BytesIO(stream)):
                os.close(one.descriptor)
        except RepositoryError as error:
            self.assertTrue(str(error))

    @given(st.data())
    def test_damaged_streams_are_read_or_refused(self, data: st.DataObject) -> None:
        stream = bytearray(self.written((FOO, b"x" * 600, b"\x88sig")))
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(stream) - 1))
            stream[at] = data.draw(st.integers(0, 255))
        try:
            for one in bundle.read(io.BytesIO(bytes(stream))):
                os.close(one.descriptor)
        except RepositoryError as error:
            self.assertTrue(str(error))
