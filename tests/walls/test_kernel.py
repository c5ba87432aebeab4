"""What nobody behind a wall is told by the kernel, and what nobody sets there."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.walls.bubblewrap import HIDDEN
from flocon.walls.kernel import hidden, lacks, read_only


class KernelTests(SynchronousTestCase):
    """Of this machine's."""

    def test_all_that_no_process_is_is_hidden_or_read_only(self) -> None:
        covered = {*hidden(), *read_only()}
        for one in Path("/proc").iterdir():
            expected = not (one.name.isdigit() or one.is_symlink())
            self.assertEqual(str(one) in covered, expected, one)
        self.assertIn("/proc/sys", covered)

    def test_what_is_hidden_is_not_shown_again(self) -> None:
        self.assertFalse(set(read_only()) & set(HIDDEN))

    def test_one_that_is_shown_processes_alone_is_found_out(self) -> None:
        proc = Path(tempfile.mkdtemp())
        (proc / "1").mkdir()
        self.assertEqual(lacks(str(proc)), ["sys", "meminfo"])
        self.assertEqual(lacks(), [])

    def test_processes_stay_as_they_are(self) -> None:
        """They are others behind the wall."""
        proc = Path(tempfile.mkdtemp())
        for name in ("1", "sys", "99"):
            (proc / name).mkdir()
        (proc / "self").symlink_to("1")
        self.assertEqual(read_only(str(proc)), [str(proc / "sys")])
