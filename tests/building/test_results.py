"""What a job left, taken out of its folder."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.building.endings import BUILT, Ending
from flocon.building.job import Outcome
from flocon.building.results import MOST_PACKAGES, commits_of, folder_of, take
from flocon.building.service import told_of
from flocon.programs.talking import LARGEST_MESSAGE


class TakeTests(SynchronousTestCase):
    """From a folder with packages and reports."""

    def setUp(self) -> None:
        self.build = Path(tempfile.mkdtemp(dir=Path.cwd()))
        for name in ("packages", "report"):
            (self.build / name).mkdir()

    def _names(self) -> list[str]:
        left = take(self.build)
        self.addCleanup(left.close)
        return [one.name for one in left.packages]

    def test_a_package_is_open_and_known_by_its_sum(self) -> None:
        (self.build / "packages/a-1-1-any.pkg.tar.zst").write_bytes(b"whole")
        left = take(self.build)
        self.addCleanup(left.close)
        (one,) = left.packages
        self.assertEqual((one.size, one.sha256), (5, hashlib.sha256(b"whole").hexdigest()))
        self.assertEqual(os.pread(one.descriptor, 10, 0), b"whole")

    def test_only_plain_files_are_packages(self) -> None:
        packages = self.build / "packages"
        (packages / "a-1-1-any.pkg.tar.zst").symlink_to("/etc/passwd")
        os.mkfifo(packages / "b-1-1-any.pkg.tar.zst")
        (packages / "c-1-1-any.pkg.tar.zst").mkdir()
        (packages / "d-1-1-any.pkg.tar.zst").touch()
        (packages / "other").write_bytes(b"x")
        (packages / "e-1-1-any.pkg.tar.zst.sig").write_bytes(b"x")
        self.assertEqual(self._names(), [])

    def test_no_more_packages_are_taken_than_a_recipe_gives(self) -> None:
        for number in range(MOST_PACKAGES + 5):
            (self.build / f"packages/a-{number}-1-any.pkg.tar.zst").write_bytes(b"x")
        self.assertEqual(len(self._names()), MOST_PACKAGES)

    def test_no_more_bytes_are_read_than_a_job_may_leave(self) -> None:
        """A file of which nothing lies on a disk would keep the builder reading for a day."""
        for name, size in (("a", 60), ("b", 1 << 42), ("c", 60), ("d", 40)):
            path = self.build / f"packages/{name}-1-1-any.pkg.tar.zst"
            path.touch()
            os.truncate(path, size)
        before = sum(1 for _ in Path("/proc/self/fd").iterdir())
        left = take(self.build, 100)
        self.addCleanup(left.close)
        self.assertEqual([one.size for one in left.packages], [60, 40])
        self.assertEqual(sum(1 for _ in Path("/proc/self/fd").iterdir()), before + 2)

    def test_folders_that_are_links_have_nothing(self) -> None:
        for name in ("packages", "report"):
            (self.build / name).rmdir()
            (self.build / name).symlink_to("/etc")
        left = take(self.build)
        self.assertEqual((left.packages, left.srcinfo, left.commits), ((), "", {}))

    def test_a_report_longer_than_any_is_none(self) -> None:
        (self.build / "report/srcinfo").write_bytes(b"x" * (1 << 20))
        self.assertEqual(take(self.build).srcinfo, "")

    def test_whatever_was_left_fits_into_a_message(self) -> None:
        """A recipe may write both reports, and what is longer is no message at all."""
        long = "\x02" * 2_000
        names = [f"n{number:03}" for number in range(200)]
        sources = [f"{name}::git+https://a.org/{long}" for name in names]
        srcinfo = "".join(f"\tsource = {one}\n" for one in sources)
        checkouts = "".join(f"{number:040x}\t{name}\n" for number, name in enumerate(names))
        (self.build / "report/srcinfo").write_text(srcinfo)
        (self.build / "report/checkouts").write_text(checkouts)
        left = take(self.build)
        self.assertEqual(len(left.commits), 200)
        said = told_of(Outcome(Ending(BUILT), left), 1.0)
        self.assertLess(len(json.dumps(said)), LARGEST_MESSAGE)


class CommitTests(SynchronousTestCase):
    """Which commit was used of which source."""

    def test_a_source_is_found_by_the_folder_makepkg_gives_it(self) -> None:
        srcinfo = (
            "pkgbase = a\n\tsource = git+https://a.org/b.git#branch=main\n"
            "\tsource = c::git+https://a.org/d?signed\n\tsource_x86_64 = git://a.org/e/\n"
            "\tsource = https://a.org/f.tar.gz\n\tsource = local\n"
        )
        commit = "a" * 40
        checkouts = f"{commit}\tb\n{'b' * 40}\tc\n{'c' * 40}\te\nno commit\tf\n{commit}\tunknown\n"
        self.assertEqual(
            commits_of(srcinfo, checkouts),
            {
                "git+https://a.org/b.git#branch=main": commit,
                "c::git+https://a.org/d?signed": "b" * 40,
                "git://a.org/e/": "c" * 40,
            },
        )

    def test_what_is_no_git_source_has_no_folder(self) -> None:
        for source in ("https://a.org/b.git", "local", "svn+https://a.org/b", "x::https://a.org/b"):
            self.assertEqual(folder_of(source), "")
