"""What a confined program can reach, and what not: asked of the programs of this machine."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from flocon.programs import confined
from flocon.programs.confined import command


def _knows_landlock() -> bool:
    """Whether this kernel confines files."""
    library = ctypes.CDLL(None, use_errno=True)
    return int(library.syscall(444, None, 0, 1)) > 0


class ConfinedTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="flocon-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.file = self.folder / "file"
        self.file.write_text("secret")

    def run_shell(self, script: str, given: str = "") -> str:
        """Return what a shell prints of a script, and what it complains of."""
        shell = shutil.which("bash")
        assert shell is not None
        done = subprocess.run(
            command([os.path.realpath(shell), "-c", script, "x", str(self.file)]),
            capture_output=True,
            check=False,
            input=given,
            text=True,
        )
        return done.stdout + done.stderr

    def need_landlock(self) -> None:
        if not _knows_landlock():
            raise SkipTest("this kernel has no Landlock")

    def test_it_runs_with_what_it_is_given(self) -> None:
        self.assertEqual(self.run_shell("tr a-z A-Z; exit 3", "given"), "GIVEN")

    def test_its_status_is_the_programs(self) -> None:
        done = subprocess.run(command(["/bin/sh", "-c", "exit 3"]), check=False)
        self.assertEqual(done.returncode, 3)

    def test_it_reads_no_file(self) -> None:
        self.need_landlock()
        said = self.run_shell('cat "$1" /etc/passwd /proc/self/environ; ls / /proc')
        self.assertEqual(said.count("Permission denied"), 5, said)
        self.assertNotIn("secret", said)

    def test_it_writes_no_file(self) -> None:
        self.need_landlock()
        said = self.run_shell('echo other >"$1"; echo other >"$1-new"; rm "$1"; mkdir "$1-new"')
        self.assertEqual(said.count("Permission denied"), 4, said)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["file"])
        self.assertEqual(self.file.read_text(), "secret")

    def test_it_reaches_nobody(self) -> None:
        if platform.machine() not in confined._MACHINES:
            raise SkipTest("of this machine no system calls are known")
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            script = f"exec 3<>/dev/tcp/127.0.0.1/{port} && echo reached"
            unconfined = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
            self.assertIn(b"reached", unconfined.stdout)
            said = self.run_shell(script)
        self.assertIn("Operation not permitted", said)
        self.assertNotIn("reached", said)

    def test_a_program_that_is_not_there_is_no_success(self) -> None:
        done = subprocess.run(command(["/nonexistent/program"]), capture_output=True, check=False)
        self.assertNotEqual(done.returncode, 0)
