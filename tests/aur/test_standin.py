"""The stand-in for the AUR, where it has to be as the AUR is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.recipes.srcinfo import parse_srcinfo
from tests.aur.recipes import recipe
from tests.aur.standin import StandIn
from tests.needs import leave_out


class Recipes(SynchronousTestCase):
    def printed(self, files: dict[str, bytes]) -> bytes:
        """Return the .SRCINFO that makepkg prints."""
        command = ["makepkg", "--printsrcinfo"]
        if os.getuid() == 0:
            # It refuses to be root; what it sources here is our own.
            nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"]
            command = ["setpriv", *nobody, *command]
        with TemporaryDirectory() as folder:
            Path(folder).chmod(0o777)
            for name, data in files.items():
                Path(folder, name).write_bytes(data)
            done = subprocess.run(command, cwd=folder, capture_output=True, check=True)
        return done.stdout

    def test_a_recipes_srcinfo_is_makepkgs(self) -> None:
        leave_out("" if shutil.which("makepkg") else "makepkg cannot be found")
        plain = recipe("foo")
        everything = recipe(
            "foo",
            "2:1.0_a-3",
            names=["foo", "foo-doc"],
            depends=["bar>=1", "baz"],
            makedepends=["git"],
            checkdepends=["check"],
            provides=["libfoo=1"],
            sources=["x::git+https://example.org/x.git#branch=it's?signed"],
            local={"a b.patch": b"text"},
            install="post_install() { :; }\n",
        )
        for files in (plain, everything):
            self.assertEqual(files[".SRCINFO"].strip(), self.printed(files).strip())
            self.assertEqual(parse_srcinfo(self.printed(files)).oddities, ())


class Rpc(SynchronousTestCase):
    def setUp(self) -> None:
        leave_out("" if shutil.which("git") else "git cannot be found")
        self.aur = StandIn(Path(self.mktemp()).absolute())
        self.site = self.aur.serve()
        self.addCleanup(self.site.stop)

    def get(self, path: str) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.site.address}/rpc/v5/{path}") as answer:
            results: list[dict[str, Any]] = json.loads(answer.read())["results"]
        return results

    def test_packages_have_the_records_that_their_srcinfo_makes(self) -> None:
        files = recipe("foo", "1:2-3", names=["foo", "foo-doc"], depends=["bar"], provides=["f=1"])
        self.aur.push("foo", files, when=1_000)
        self.aur.push("foo", files, when=2_000)
        self.aur.change("foo", Maintainer="other")
        one, other = self.get("info?arg[]=foo&arg[]=foo-doc&arg[]=none")
        self.assertEqual((one["Name"], other["Name"]), ("foo", "foo-doc"))
        self.assertEqual(
            (one["Version"], one["Depends"], one["Provides"]), ("1:2-3", ["bar"], ["f=1"])
        )
        self.assertEqual((one["FirstSubmitted"], one["LastModified"]), (1_000, 2_000))
        self.assertEqual(one["Maintainer"], "other")
        self.assertNotIn("MakeDepends", one)

    def test_a_search_tells_no_lists(self) -> None:
        self.aur.push("foo", recipe("foo", provides=["libf=1"]))
        (found,) = self.get("search/libf?by=provides")
        self.assertEqual(found["Name"], "foo")
        self.assertNotIn("Provides", found)
        self.assertEqual(self.get("search/foo?by=provides"), [])

    def test_what_was_dropped_is_known_no_more(self) -> None:
        self.aur.push("foo", recipe("foo"))
        self.aur.drop("foo")
        self.assertEqual(self.get("info/foo"), [])
