"""What the package's script says when it is installed, and does when it is removed.

Then pacman asks a node no more that is gone.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.packaging.workshop import PACKAGING, folder, run

_FLOCON = """#!/bin/sh
echo "flocon $*" >>"$NOTES"
[ "$1" = setup ] && echo 'nothing to change'
[ "$1 $2 $3" != "$REFUSED" ]
"""


class Removal(SynchronousTestCase):
    """The script with a command that notes how it was called, and keys in a folder of the test."""

    def setUp(self) -> None:
        self.top = folder()
        self.keys = self.top / "repositories"
        self.keys.mkdir()
        for name, text in {"flocon": _FLOCON, "systemctl": "#!/bin/sh\n"}.items():
            (self.top / name).write_text(text)
            (self.top / name).chmod(0o755)
        script = (PACKAGING / "flocon.install").read_text()
        self.assertIn("/etc/flocon/repositories/", script)
        self.script = self.top / "script"
        self.script.write_text(script.replace("/etc/flocon/repositories", str(self.keys)))

    def remove(self, refused: str = "") -> tuple[str, list[str]]:
        """Return what it said, and how the command was called."""
        done = run(
            *("sh", "-c", '. "$0" && pre_remove', str(self.script)),
            PATH=f"{self.top}:{os.environ['PATH']}",
            NOTES=str(self.top / "notes"),
            REFUSED=refused,
        )
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout, Path(self.top / "notes").read_text().splitlines()

    def test_what_was_joined_is_taken_out_before_the_node(self) -> None:
        for name in ("home", "office"):
            (self.keys / f"{name}.gpg").write_text("")
        _, called = self.remove()
        expected = [f"flocon repo join {name} --undo" for name in ("home", "office")]
        self.assertEqual(called, ["flocon --version", *expected, "flocon setup --undo"])

    def test_where_nothing_was_joined_nothing_is_said_of_it(self) -> None:
        said, called = self.remove()
        self.assertEqual((said, called), ("", ["flocon --version", "flocon setup --undo"]))

    def test_what_could_not_be_taken_out_is_said(self) -> None:
        (self.keys / "home.gpg").write_text("")
        said, _ = self.remove(refused="repo join home")
        self.assertIn("'flocon repo join home --undo' failed", said)


class Installation(SynchronousTestCase):
    def test_it_tells_what_is_next_as_whoever_installs_it_can_type_it(self) -> None:
        steps = ("flocon setup", "systemctl enable --now flocon")
        for user, before in (("", ""), ("1000", "sudo ")):
            line = '. "$0" && post_install'
            said = run("sh", "-c", line, str(PACKAGING / "flocon.install"), SUDO_UID=user).stdout
            lines = [text.partition("#")[0].strip() for text in said.splitlines()]
            self.assertEqual(
                [one for one in lines if one.endswith(steps)], [before + one for one in steps]
            )
