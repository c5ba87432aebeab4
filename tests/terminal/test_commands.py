"""What a sentence says is to be typed can be typed as it stands."""

from __future__ import annotations

import shlex
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.terminal import commands
from flocon.terminal.commands import needs_sudo, program, with_program, with_sudo
from flocon.terminal.printing import complain


class Root(SynchronousTestCase):
    def test_who_asked_by_sudo_types_the_next_command_as_an_ordinary_user(self) -> None:
        for user, environment, needed in (
            (1000, {}, True),
            (0, {}, False),
            (0, {"SUDO_UID": "1000"}, True),
            (0, {"DOAS_USER": "somebody"}, True),
            (0, {"PKEXEC_UID": "1000"}, True),
            (0, {"SUDO_UID": "0"}, False),
            (0, {"DOAS_USER": "root"}, False),
        ):
            self.assertIs(needs_sudo(user, environment), needed, (user, environment))

    def test_what_takes_root_is_told_with_sudo(self) -> None:
        for said, typed in (
            ("next: 'systemctl enable --now flocon'", "next: 'sudo systemctl enable --now flocon'"),
            ("flocon setup", "sudo flocon setup"),
            ("'/srv/x/bin/flocon setup --undo'", "'sudo /srv/x/bin/flocon setup --undo'"),
            ("then systemctl restart flocon", "then sudo systemctl restart flocon"),
            ("ufw allow x && ufw reload", "sudo ufw allow x && sudo ufw reload"),
            ("'pacman -Sy', or pacman -Syy", "'sudo pacman -Sy', or sudo pacman -Syy"),
            ("install -d /x; chmod a+rX -R /x", "sudo install -d /x; sudo chmod a+rX -R /x"),
            ("sudo pacman -U x", "sudo pacman -U x"),
            ("'flocon build add NAME'", "'sudo flocon build add NAME'"),
            ("'flocon repo key --switch'", "'sudo flocon repo key --switch'"),
            ("'flocon snapshot take'", "'sudo flocon snapshot take'"),
        ):
            self.assertEqual(with_sudo(said), typed)

    def test_what_takes_none_is_left(self) -> None:
        for said in (
            "'flocon doctor'",
            "'flocon repo key', 'flocon build status' or 'flocon mirror status'",
            "'flocon snapshot diff X', 'flocon repo list'",
            "see 'systemctl status flocon-sign.socket'",
            "journalctl -u flocon",
            "'pacman -Ss WORD' finds what there is",
            "a word of systemctl's",
            "firewalld and ufw know it by name",
            "/usr/lib/systemctl start",
        ):
            self.assertEqual(with_sudo(said), said)


class Program(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp(), "flocon")
        self.path.parent.mkdir()
        self.path.touch()

    def test_one_that_is_not_in_path_is_told_by_its_own(self) -> None:
        # There may be a blank in it.
        own = shlex.quote(str(self.path.absolute()))
        self.assertEqual(program(str(self.path), None), own)
        other = self.path.with_name("other")
        other.touch()
        self.assertEqual(program(str(self.path), str(other)), own)

    def test_one_that_is_there_is_told_by_its_name(self) -> None:
        self.assertEqual(program(str(self.path), str(self.path)), "flocon")
        self.assertEqual(program("/usr/lib/python/flocon/cli/__main__.py", None), "flocon")

    def test_only_what_is_a_command_is_changed(self) -> None:
        for said, typed in (
            ("'flocon setup --undo' takes it back", "'/b/flocon setup --undo' takes it back"),
            ("start flocon on another machine", "start flocon on another machine"),
            ("systemctl enable --now flocon", "systemctl enable --now flocon"),
            ("/etc/flocon.toml", "/etc/flocon.toml"),
        ):
            self.assertEqual(with_program(said, "/b/flocon"), typed)

    def test_whatever_is_said_is_said_so(self) -> None:
        self.patch(commands, "needs_sudo", lambda *_: True)
        said: list[str] = []
        self.patch(__import__("sys"), "stderr", _Stream(said))
        complain("next: 'systemctl enable --now flocon'")
        self.assertIn("'sudo systemctl enable --now flocon'", "".join(said))
        complain("flocon setup --undo: takes no more; see 'flocon setup'")
        expected = "flocon: flocon setup --undo: takes no more; see 'sudo flocon setup'\n"
        self.assertTrue("".join(said).endswith(expected))


class _Stream:
    encoding = "utf-8"

    def __init__(self, said: list[str]) -> None:
        self.write = said.append

    def flush(self) -> None:
        """Nothing is kept back."""
