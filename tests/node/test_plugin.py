"""How a node is imported by twistd."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

_PROGRAM = """
import gc
from twisted.plugins.flocon_plugin import flocon
def rounds():
    return [one["collections"] for one in gc.get_stats()]
before = rounds()
flocon.options
print(rounds() == before, gc.isenabled(), gc.get_freeze_count() > 10_000)
"""


class Importing(SynchronousTestCase):
    def test_no_garbage_is_looked_for_meanwhile_and_it_is_afterwards_but_in_none_of_it(
        self,
    ) -> None:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        self.assertEqual((done.stdout, done.stderr), ("True True True\n", ""))
