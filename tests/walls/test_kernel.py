"""What nobody behind a wall is told by the kernel, and what nobody sets there."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.walls.bubblewrap import Kernel
from flocon.walls.kernel import covered, lacks


class KernelTests(SynchronousTestCase):
    """Of this machine's, and of one that tells more."""

    def test_all_that_no_process_is_is_covered_once(self) -> None:
        kernel = covered()
        paths = [*kernel.hidden, *kernel.emptied, *kernel.read_only]
        for one in Path("/proc").iterdir():
            expected = not (one.name.isdigit() or one.is_symlink())
            self.assertEqual(paths.count(str(one)), expected, one)
        for name in ("sys", "meminfo", "cpuinfo", "stat"):
            self.assertIn(f"/proc/{name}", kernel.read_only)

    def test_of_what_builds_do_not_ask_nothing_is_shown(self) -> None:
        proc = Path(tempfile.mkdtemp())
        for name in ("fs", "spl", "sys", "asound"):
            (proc / name).mkdir()
        for name in ("mdstat", "uptime", "keys"):
            (proc / name).touch()
        told = {name: str(proc / name) for name in ("asound", "fs", "keys", "mdstat", "spl")}
        kernel = covered(str(proc))
        self.assertEqual(kernel.hidden, [told["keys"], told["mdstat"]])
        self.assertEqual(kernel.emptied, [told["asound"], told["fs"], told["spl"]])
        self.assertEqual(kernel.read_only, [str(proc / "sys"), str(proc / "uptime")])

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
        self.assertEqual(covered(str(proc)), Kernel([], [], [str(proc / "sys")]))
