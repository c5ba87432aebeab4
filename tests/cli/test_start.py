"""What a command imports before it is known what it needs."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

_PROGRAM = """
import sys
import flocon.cli.completion, flocon.cli.leading
print(*sys.modules)
"""


class StartTests(SynchronousTestCase):
    def test_what_runs_before_pacman_or_for_a_shell_starts_without_twisted(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True, timeout=60
        )
        imported = done.stdout.split()
        self.assertIn("flocon.cli.parser", imported)
        self.assertNotIn("twisted", imported)
