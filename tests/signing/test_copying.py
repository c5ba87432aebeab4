"""What is handed over is copied, and only that."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import PackageError, RepositoryError
from flocon.signing.copying import Desk, copy_all

NAME, OTHER = "foo-1-1-any.pkg.tar.zst", "bar-1-1-any.pkg.tar.zst"


class CopyingTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="flocon-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name, "copies")
        self.folder.mkdir()
        self.source = Path(folder.name, "source")

    def opened(self, data: bytes, flags: int = os.O_RDONLY) -> int:
        self.source.write_bytes(data)
        descriptor = os.open(self.source, flags)
        self.addCleanup(os.close, descriptor)
        return descriptor

    def copied(self, *files: int) -> list[bytes]:
        names = [NAME, OTHER][: len(files)]
        copies = copy_all(self.folder, names, files)
        for one in copies:
            self.addCleanup(os.close, one.descriptor)
            self.assertEqual(one.path.read_bytes(), os.pread(one.descriptor, 1 << 20, 0))
        return [one.path.read_bytes() for one in copies]

    def test_the_copy_has_what_the_file_had(self) -> None:
        self.assertEqual(self.copied(self.opened(b"package")), [b"package"])

    def test_a_file_is_copied_from_its_beginning(self) -> None:
        descriptor = self.opened(b"package")
        os.lseek(descriptor, 0, os.SEEK_END)
        self.assertEqual(self.copied(descriptor), [b"package"])

    def test_what_is_written_to_the_file_later_does_not_reach_the_copy(self) -> None:
        descriptor = self.opened(b"package", os.O_RDWR)
        (copy,) = copy_all(self.folder, [NAME], [descriptor])
        self.addCleanup(os.close, copy.descriptor)
        os.pwrite(descriptor, b"another", 0)
        self.assertEqual(os.pread(copy.descriptor, 100, 0), b"package")

    def refused(self, descriptor: int, kind: type[Exception] = PackageError) -> str:
        error = self.assertRaises(kind, copy_all, self.folder, [NAME], [descriptor])
        return str(error)

    def test_a_pipe_is_no_package(self) -> None:
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        self.addCleanup(os.close, write)
        self.assertIn("no plain file", self.refused(read))

    def test_a_folder_and_a_device_are_no_packages(self) -> None:
        for path in (self.folder, Path("/dev/zero")):
            descriptor = os.open(path, os.O_RDONLY)
            self.addCleanup(os.close, descriptor)
            self.assertIn("no plain file", self.refused(descriptor))

    def test_an_empty_file_is_no_package(self) -> None:
        self.assertIn("no package's size", self.refused(self.opened(b"")))

    def test_a_file_that_cannot_be_read_is_said_to_be(self) -> None:
        self.assertIn(
            "cannot be copied", self.refused(self.opened(b"x", os.O_WRONLY), RepositoryError)
        )

    def test_a_file_that_grows_meanwhile_is_refused(self) -> None:
        descriptor = self.opened(b"package")
        size = sys.modules["flocon.signing.copying"]._size

        def grown(name: str, descriptor: int) -> int:
            result: int = size(name, descriptor)
            self.source.write_bytes(b"package and more")
            return result

        self.patch(sys.modules["flocon.signing.copying"], "_size", grown)
        self.assertIn("changed while it was read", self.refused(descriptor))

    def test_without_room_nothing_is_copied(self) -> None:
        self.patch(sys.modules["flocon.signing.copying"], "free_bytes", lambda _: 1 << 20)
        self.assertIn("no room", self.refused(self.opened(b"package"), RepositoryError))
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_more_than_a_request_may_have_is_refused(self) -> None:
        self.patch(sys.modules["flocon.signing.copying"], "LARGEST_REQUEST", 6)
        self.assertIn("too much", self.refused(self.opened(b"package"), RepositoryError))

    def test_one_that_is_refused_leaves_no_descriptor_of_the_others(self) -> None:
        before = len(list(Path("/proc/self/fd").iterdir()))
        with self.source.with_name("other").open("wb") as unreadable:
            unreadable.write(b"x")
            unreadable.flush()
            good = self.opened(b"package")
            self.assertRaises(
                RepositoryError, copy_all, self.folder, [NAME, OTHER], [good, unreadable.fileno()]
            )
        self.assertEqual(len(list(Path("/proc/self/fd").iterdir())), before + 1)


class DeskTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.desk = Desk(self.path)
        self.desk.clear()

    def test_what_lay_on_it_goes(self) -> None:
        with self.desk.holding() as place:
            (place / NAME).write_bytes(b"package")
            self.assertEqual(place.stat().st_mode & 0o777, 0o700)
        self.assertEqual(list(self.path.iterdir()), [])

    def test_what_a_kill_left_goes_with_the_next_start(self) -> None:
        left = self.path / "left"
        left.mkdir()
        (left / NAME).write_bytes(b"package")
        self.desk.clear()
        self.assertEqual(list(self.path.iterdir()), [])
