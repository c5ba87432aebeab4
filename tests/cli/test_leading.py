"""``flocon setup``: the change on standard output, and beside it what was done and what is next."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from shlex import quote

from twisted.trial.unittest import SynchronousTestCase

from flocon.cli import leading
from flocon.cli.parser import make_parser
from flocon.errors import ConfigurationError
from flocon.leading import borrow, section
from flocon.terminal import commands

MIRROR = "http://alice:s3cret@mirror.example/$repo/os/$arch"


class SettingUp(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.conf = folder / "pacman.conf"
        self.conf.write_text(f"[options]\nArchitecture = x86_64\n[core]\nServer = {MIRROR}\n")
        self.answers = False
        self.patch(leading, "UNITS", (self.conf,))
        self.patch(borrow, "node_answers", lambda _: self.answers)
        self.ordinary = False
        self.patch(commands, "needs_sudo", lambda *_: self.ordinary)

    def set_up(self, *words: str) -> tuple[str, str]:
        out, errors = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", out)
        self.patch(sys, "stderr", errors)
        options = make_parser().parse_args(["setup", "--pacman-conf", str(self.conf), *words])
        leading.set_up(options)
        return out.getvalue(), errors.getvalue()

    def test_says_what_it_wrote_and_that_the_node_is_to_be_started(self) -> None:
        out, errors = self.set_up("--cache-server")
        self.assertIn("+CacheServer = http://localhost:19433/", out)
        self.assertIn(f"flocon: 1 line changed in {self.conf}\n", errors)
        self.assertIn("next: 'systemctl enable --now flocon'", errors)
        self.assertIn(
            f"'flocon setup --undo --pacman-conf {quote(str(self.conf))}' takes it back", errors
        )

    def test_who_ran_it_by_sudo_is_told_to_go_on_so(self) -> None:
        self.ordinary = True
        _, errors = self.set_up("--cache-server")
        self.assertIn("next: 'sudo systemctl enable --now flocon' starts the node", errors)
        self.assertIn("then 'flocon doctor --pacman-conf", errors)
        self.assertIn("; 'sudo flocon setup --undo --pacman-conf", errors)

    def test_the_commands_that_it_names_are_about_the_same_files_and_node(self) -> None:
        _, errors = self.set_up("--cache-server", "--port", "19500")
        self.assertIn(f"'flocon doctor --pacman-conf {quote(str(self.conf))} --port 19500'", errors)
        self.patch(leading, "DEFAULT_PACMAN_CONF", self.conf)
        _, errors = self.set_up("--cache-server")
        self.assertIn("then 'flocon doctor'; 'flocon setup --undo' takes it back", errors)

    def test_to_undo_but_one_kind_of_line_is_refused(self) -> None:
        self.set_up("--cache-server")
        before = self.conf.read_bytes()
        for word in ("--server", "--cache-server", "--databases"):
            with self.assertRaises(ConfigurationError):
                self.set_up("--undo", word)
        self.assertEqual(self.conf.read_bytes(), before)

    def test_without_a_unit_it_says_how_this_very_flocon_is_started(self) -> None:
        self.patch(leading, "UNITS", (self.conf.with_name("none"),))
        _, errors = self.set_up("--cache-server")
        twistd = Path(sys.executable).with_name("twistd")
        self.assertIn(f"next: '{quote(str(twistd))} -n --pidfile= flocon' starts", errors)
        self.assertNotIn("systemctl", errors)

    def test_says_that_the_node_answers_where_it_does(self) -> None:
        self.answers = True
        _, errors = self.set_up("--cache-server")
        self.assertIn("the node answers", errors)
        self.assertNotIn("systemctl", errors)

    def test_a_dry_run_says_that_nothing_is_written(self) -> None:
        before = self.conf.read_bytes()
        out, errors = self.set_up("--cache-server", "--dry-run")
        self.assertIn("+CacheServer", out)
        self.assertIn("nothing is written", errors)
        self.assertEqual(self.conf.read_bytes(), before)

    def test_undoing_says_who_is_asked_now(self) -> None:
        self.set_up("--cache-server")
        _, errors = self.set_up("--undo")
        self.assertIn("pacman asks its mirrors itself again", errors)

    def test_undoing_says_how_a_joined_repository_is_taken_out_in_which_order(self) -> None:
        self.set_up("--cache-server")
        section.put_in(self.conf, "home", port=19433, dry_run=False)
        _, errors = self.set_up("--undo")
        command = f"flocon repo join home --undo --pacman-conf {quote(str(self.conf))}"
        self.assertIn(f"'{command}' while the node runs, before you stop it", errors)
        # Who took out its Server by hand would have a section that pacman does not take.
        self.assertNotIn("by hand", errors)
        self.assertIn("[home]\nSigLevel", self.conf.read_text())

    def test_undoing_says_where_lines_by_hand_still_lead_to_the_node(self) -> None:
        text = self.conf.read_text()
        by_hand = text + "[mine]\nCacheServer = http://127.0.0.1:19433/$repo/os/$arch\n"
        self.conf.write_text(by_hand + "Server = https://mine.example/\n")
        self.set_up("--cache-server")
        place = f"{self.conf} line {by_hand.count(chr(10))}"
        for _ in ("undone", "nothing left to undo"):
            _, errors = self.set_up("--undo")
            self.assertIn(f"still led to the node, by hand: take that out at {place}\n", errors)
            self.assertNotIn("itself again", errors)

    def test_no_password_of_a_mirror_is_shown(self) -> None:
        out, errors = self.set_up("--cache-server")
        self.assertIn(" Server = http://***@mirror.example/", out)
        self.assertNotIn("s3cret", out + errors)
        self.assertIn("s3cret", self.conf.read_text())
