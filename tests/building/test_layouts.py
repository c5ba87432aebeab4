"""Who there is behind a wall, written down after packages' scripts have been there."""

from __future__ import annotations

import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.building.layouts import Layout, clean_layout
from flocon.errors import ToolError


class AccountsTests(SynchronousTestCase):
    """Of a clean root with the system's own accounts."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=Path.cwd()))
        system = self.folder / "system"
        (system / "etc").mkdir(parents=True)
        (system / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nother:x:5:5::/:/bin/sh\n")
        self.layout: Layout = clean_layout(self.folder / "job", system)
        self.upper = self.folder / "job/upper"

    def _written(self, name: str = "passwd") -> str:
        self.layout.write_accounts("builder", 5, 6)
        return (self.layout.given / name).read_text()

    def test_who_builds_is_there_and_nobody_of_the_same_number(self) -> None:
        self.assertEqual(
            self._written().splitlines(),
            ["root:x:0:0::/root:/bin/sh", "builder:x:5:6::/build/home:/bin/bash"],
        )
        self.assertEqual(self._written("group"), "builder:x:6:\n")

    def test_whom_a_package_brought_is_there(self) -> None:
        (self.upper / "etc").mkdir()
        (self.upper / "etc/passwd").write_text("http:x:33:33::/:/bin/sh\n")
        self.assertIn("http:x:33:33", self._written())

    def test_a_link_that_a_script_made_is_not_followed(self) -> None:
        outside = self.folder / "outside"
        outside.mkdir()
        (outside / "passwd").write_text("secret:x:1:1::/:/bin/sh\n")
        (self.upper / "etc").symlink_to(outside)
        self.assertRaises(ToolError, self._written)
        self.assertEqual([one.name for one in outside.iterdir()], ["passwd"])

    def test_a_link_that_leads_nowhere_makes_nothing(self) -> None:
        (self.upper / "etc").mkdir()
        for name in ("passwd", "group"):
            (self.upper / "etc" / name).symlink_to(self.folder / "made")
        (self.folder / "system/etc/passwd").unlink()
        self.assertRaises(ToolError, self._written)
        self.assertFalse((self.folder / "made").exists())
