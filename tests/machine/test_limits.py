"""How many files a process may have open, and how much memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import flocon
from flocon.machine.limits import COMMANDS_MEMORY, NODES_MEMORY

ROOT = Path(flocon.__file__).parent.parent
TWISTD = "from twisted.scripts.twistd import run; run()"

CODE = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from flocon.machine.limits import open_files, raise_open_files
raise_open_files(300)
print(open_files())
"""


class OpenFiles(SynchronousTestCase):
    def raised(self, soft: int, hard: int) -> int:
        code = CODE.format(soft=soft, hard=hard)
        told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        return int(told.stdout)

    def test_as_many_as_are_wanted_or_as_may_be(self) -> None:
        self.assertEqual(self.raised(100, 1_000), 300)
        self.assertEqual(self.raised(100, 200), 200)

    def test_never_fewer_than_before(self) -> None:
        self.assertEqual(self.raised(400, 1_000), 400)


class Memory(SynchronousTestCase):
    """Programs that may have too little say so in one sentence."""

    def run_with(self, kibibytes: int, program: str) -> tuple[int, str]:
        done = subprocess.run(
            ["sh", "-c", f'ulimit -v {kibibytes}; exec "$1" {program}', "sh", sys.executable],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def assert_refused(self, kibibytes: int, program: str) -> None:
        status, said = self.run_with(kibibytes, program)
        self.assertEqual((status, len(said.splitlines())), (1, 1), said)
        self.assertIn(f"it may have {kibibytes // 1024} MiB of memory", said)

    def test_a_node(self) -> None:
        for kibibytes in (45_000, 60_000, 80_000, 100_000):
            self.assert_refused(kibibytes, f"-c '{TWISTD}' -n --pidfile= flocon")

    def test_a_command(self) -> None:
        for kibibytes in (30_000, 60_000, 80_000):
            self.assert_refused(kibibytes, "-m flocon.cli doctor")

    def test_one_that_may_have_enough_starts(self) -> None:
        status, said = self.run_with(NODES_MEMORY >> 10, f"-c '{TWISTD}' flocon --help")
        self.assertEqual(status, 0, said)
        status, said = self.run_with(COMMANDS_MEMORY >> 10, "-m flocon.cli --port 1 doctor")
        self.assertEqual((status, "no node answers on port 1" in said), (1, True), said)
