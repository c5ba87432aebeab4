"""``flocon repo`` as it is typed, with a signer that is a process of its own."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.signing.case import made, verified
from tests.signing.process import SignerProcess

PATIENCE = 120.0
#: What stands for ssh: it has the words after the host read by a shell, as a login does.
SSH = """#!/bin/sh
test "$1" = -- || exit 255
echo "$2" >>"$0.hosts"
test "$2" = away && exit 255
exec sh -c "$3"
"""


class CommandTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="flocon-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.signer = SignerProcess(self.folder)
        self.addCleanup(self.signer.close)
        self.signer.start()
        self.programs = self.folder / "bin"
        self.programs.mkdir()
        self.program(
            "flocon", f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m flocon.cli "$@"\n'
        )

    def program(self, name: str, text: str) -> Path:
        path = self.programs / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def flocon(self, *words: str, status: int = 0, given: str = "") -> str:
        """Run it; return what it prints, and after it what it complains of."""
        done = subprocess.run(
            ["flocon", "repo", *words, "--signer", self.signer.path],
            capture_output=True,
            check=False,
            cwd=self.folder,
            env={**os.environ, "PATH": f"{self.programs}:{os.environ['PATH']}"},
            input=given,
            text=True,
            timeout=PATIENCE,
        )
        self.assertNotIn("Traceback", done.stderr)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def package(self, name: str, version: str = "1.0-1") -> str:
        file_name, data = made(name, version)
        (self.folder / file_name).write_bytes(data)
        return file_name

    def listed(self) -> dict[str, str]:
        return verified(self.signer.published / "home")

    def test_from_nothing_to_a_repository_and_back(self) -> None:
        said = self.flocon("init", "home")
        fingerprint = json.loads(self.flocon("key", "--json"))["fingerprint"]
        self.assertIn(fingerprint[-4:], said)
        self.assertIn("flocon repo join home", said)
        self.assertIn("no packages", self.flocon("list"))
        self.assertIn("foo 1.0-1", self.flocon("add", self.package("foo"), "--yes"))
        self.assertIn("foo 2.0-1", self.flocon("add", self.package("foo", "2.0-1"), "--yes"))
        self.assertIn("also 1.0-1", self.flocon("list"))
        self.assertIn("2.0-1 -> 1.0-1", self.flocon("rollback", "foo"))
        self.assertIn("-Syuu", self.flocon("rollback", "foo", "2.0-1"))
        self.assertEqual(self.listed(), {"foo": "2.0-1"})
        self.flocon("remove", "foo")
        self.assertEqual(self.listed(), {})

    def test_without_a_word_or_a_signature_nothing_is_signed(self) -> None:
        self.flocon("init", "home")
        said = self.flocon("add", self.package("foo"), status=1)
        self.assertIn("--yes", said)
        name = self.package("bar")
        (self.folder / f"{name}.sig").write_bytes(b"\x88\x01x")
        said = self.flocon("add", name, status=1)
        self.assertIn("not signed by a key that pacman here trusts", said)
        self.assertEqual(self.listed(), {})

    def test_a_file_that_is_no_package_is_named(self) -> None:
        self.flocon("init", "home")
        for name in ("missing-1-1-any.pkg.tar.zst", "text", "."):
            self.assertIn(name, self.flocon("add", name, "--yes", status=1))
        self.assertIn("name packages' files", self.flocon("add", status=1))

    def test_a_signature_may_be_named_beside_its_package_and_not_alone(self) -> None:
        self.flocon("init", "home")
        name = self.package("tool")
        (self.folder / f"{name}.sig").write_bytes(b"of nobody")
        said = self.flocon("add", name, f"{name}.sig", status=1)
        self.assertIn(f"{name} is not signed by a key that pacman here trusts", said)
        self.flocon("add", "--yes", f"./{name}.sig", f"./{name}")
        self.assertEqual(self.listed(), {"tool": "1.0-1"})
        said = self.flocon("add", f"{name}.sig", status=1)
        self.assertIn("is a signature; name the package", said)

    def test_a_key_is_replaced(self) -> None:
        self.flocon("init", "home")
        self.flocon("add", self.package("foo"), "--yes")
        self.assertIn("flocon repo join home", self.flocon("key", "--replace"))
        first = json.loads(self.flocon("key", "--json"))
        self.flocon("key", "--switch")
        second = json.loads(self.flocon("key", "--json"))
        self.assertEqual(second["fingerprint"], first["next"])
        self.assertEqual(second["revoked"], [first["fingerprint"]])
        self.assertEqual(self.listed(), {"foo": "1.0-1"})

    def test_without_a_signer_it_says_what_starts_one(self) -> None:
        self.signer.close()
        self.assertIn("flocon-sign.socket", self.flocon("list", status=1))

    def test_packages_go_to_another_machine_by_ssh(self) -> None:
        ssh = self.program("ssh", SSH)
        self.flocon("init", "home", "--to", "nas")
        names = [self.package("foo"), self.package("bar")]
        said = self.flocon("add", *names, "--yes", "--to", "root@nas")
        self.assertIn("bar 1.0-1", said)
        self.assertEqual(self.listed(), {"bar": "1.0-1", "foo": "1.0-1"})
        self.assertIn("foo", self.flocon("list", "--to", "nas"))
        hosts = Path(f"{ssh}.hosts").read_text().split()
        self.assertEqual(hosts, ["nas", "root@nas", "nas"])

    def test_signatures_go_along(self) -> None:
        self.program("ssh", SSH)
        self.flocon("init", "home")
        name = self.package("foo")
        (self.folder / f"{name}.sig").write_bytes(b"\x88\x01x")
        said = self.flocon("add", name, "--to", "nas", status=1)
        # It was there to be judged, and was not good enough there.
        self.assertIn("not signed by a key that pacman here trusts", said)

    def test_what_is_refused_there_is_refused_here(self) -> None:
        self.program("ssh", SSH)
        self.flocon("init", "home")
        name = self.package("foo")
        (self.folder / name).write_bytes(b"text")
        self.assertIn("nas refused", self.flocon("add", name, "--yes", "--to", "nas", status=1))
        self.assertIn("cannot reach", self.flocon("list", "--to", "away", status=1))

    def test_without_ssh_it_says_so(self) -> None:
        self.program("ssh", "")
        (self.programs / "ssh").unlink()
        empty = self.folder / "empty"
        empty.mkdir()
        for name in ("env", "sh"):
            (empty / name).symlink_to(shutil.which(name) or "")
        (empty / "flocon").symlink_to(self.programs / "flocon")
        done = subprocess.run(
            ["flocon", "repo", "list", "--to", "nas"],
            capture_output=True,
            check=False,
            env={**os.environ, "PATH": str(empty)},
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual(done.returncode, 1)
        self.assertIn("ssh", done.stderr)
        self.assertIn("is not installed", done.stderr)
