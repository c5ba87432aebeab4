"""What CONTRIBUTING.rst has somebody type at the prompt of a LAN."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from tests.lan.case import LanTestCase

GUIDE = Path(__file__).parents[2] / "CONTRIBUTING.rst"


class ByHand(LanTestCase):
    def test_each_line_does_what_the_guide_says(self) -> None:
        lines = [line.strip() for line in GUIDE.read_text().splitlines()]
        typed = [line.removeprefix(">>> ") for line in lines if line.startswith(">>> ")]
        self.assertGreater(len(typed), 5)
        names = {"lab": self.lab}
        with contextlib.redirect_stdout(io.StringIO()):
            for line in typed:
                exec(line, names)
        package = self.lab.core.packages[min(self.lab.core.packages)]
        for host in (self.first, self.second):
            self.assert_cached(host, [package])
        self.assert_mirror_gave_once([package])
