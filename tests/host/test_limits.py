"""How many files a process may have open."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

CODE = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from flocon.host.limits import open_files, raise_open_files
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
