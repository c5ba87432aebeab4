"""A package of the AUR is built on one host of a LAN, and installed on all, and kept up to date."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from tests.lan.lan import PACMAN_7, PacmanRun, pacman_7, wait_until
from tests.needs import leave_out
from tests.own_on_lan.built import BuildingHost
from tests.own_on_lan.case import SOON, OwnTestCase

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lan.lan import Host

#: Seconds for a build, on a machine that does other things as well.
BUILT = 90


class BuiltOnce(OwnTestCase):
    """``maker`` builds; all three hosts have joined what it publishes.

    The third has pacman 7, the others have this machine's.
    """

    def setUp(self) -> None:
        programs = ("bwrap", "makepkg", "git", "gpg", "bsdtar")
        lacking = [name for name in programs if shutil.which(name) is None]
        leave_out(f"{' and '.join(lacking)} cannot be found" if lacking else "")
        if pacman_7() is None:
            leave_out(f"no pacman 7: {PACMAN_7} names no folder made by .ci/pacman-7")
        super().setUp()
        self.builder = BuildingHost(self.lan, self.maker)
        self.wait = 0

    def settings(self, host: Host) -> dict[str, Any]:
        if host is not self.maker:
            return super().settings(host)
        settings = self.builder.settings(wait=self.wait)
        settings["repo"]["copies"] = 1
        return settings

    def conf(self, host: Host) -> Path:
        if host is self.third:
            # As it is shipped, but for the user's name.
            self.lan.pacman_options = {"DownloadUser": "nobody"}
        path = super().conf(host)
        self.lan.pacman_options = {}
        return path

    def run_pacman(self, host: Host, *words: str) -> PacmanRun:
        self.lan.pacman_folder = pacman_7() if host is self.third else None
        try:
            return super().run_pacman(host, *words)
        finally:
            self.lan.pacman_folder = None

    def assert_installs(self, host: Host, *packages: str) -> None:
        run = self.run_pacman(host, "-Syu", *packages)
        self.assertEqual(run.returncode, 0, run.output)

    def test_from_nothing_to_a_lan_that_is_kept_up_to_date(self) -> None:
        builder = self.builder
        builder.push("base", "1.0-1", old=True)
        self.push_library("1")
        builder.push(
            "tool", "1.0-1", old=True, depends=["library>=1"], makedepends=["library-data"]
        )
        self.start_own(self.maker, self.second, self.third)
        builder.wait_until_begun()

        said = builder.say("add", "tool")

        bases = [line.partition(":")[0] for line in said.splitlines()]
        self.assertEqual(bases, ["base", "library", "tool"])
        self.assertEqual(set(builder.stages().values()), {"waits for a person"})
        builder.approve(*reversed(bases))
        builder.wait_for(dict.fromkeys(bases, "published"), BUILT)
        packages = dict.fromkeys(("base", "library", "library-data", "tool"), "1.0-1")
        self.assertEqual(builder.database(), packages)
        self.assert_history_tells_who_approved("tool")
        for host in (self.second, self.third):
            self.join(host)
        self.assertIn("v7.", self.run_pacman(self.third, "--version").output)
        self.wait_for_newest(self.maker, self.second, self.third)
        self.assert_installs(self.second, "tool")
        self.assertEqual(self.installed(self.second), {"base 1.0-1", "library 1.0-1", "tool 1.0-1"})

        builder.push(
            "tool", "2.0-1", old=True, depends=["library>=1"], makedepends=["library-data"]
        )
        builder.say("check")
        builder.wait_for({"tool": "published"}, BUILT)
        self.assertEqual(builder.database()["tool"], "2.0-1")
        self.assertEqual(builder.one("tool")["approved"]["by"], "rule")
        self.wait_for_newest(self.maker, self.second, self.third)
        self.assert_installs(self.second)
        self.assertIn("tool 2.0-1", self.installed(self.second))
        self.assert_builds_again_what_is_linked_to_a_library()

        self.wait_until_others_have_all()
        self.maker.unplug()
        self.assert_installs(self.third, "tool")
        now = {"base 1.0-1", "library 2.0-1", "tool 2.0-1.1"}
        self.assertEqual(self.installed(self.third), now)

    def push_library(self, version: str) -> None:
        self.builder.push(
            "library",
            f"{version}.0-1",
            old=True,
            names=["library", "library-data"],
            depends=["base"],
            provides=[f"liblibrary.so={version}-64"],
        )

    def assert_builds_again_what_is_linked_to_a_library(self) -> None:
        """Have the library be another one, and what was built with it follow by itself."""
        builder = self.builder
        self.push_library("2")
        builder.say("check", "library")
        builder.approve("library")
        wait_until(lambda: builder.database()["tool"] == "2.0-1.1", BUILT, "tool is built again")
        self.wait_for_newest(self.maker, self.second, self.third)

    def wait_until_others_have_all(self) -> None:
        """Wait for copies of what is offered now; those of what was before are as many."""
        files = [
            f"packages/{name}-{version}-any.pkg.tar.zst"
            for name, version in self.builder.database().items()
        ]
        others = (self.second, self.third)
        wait_until(
            lambda: all(any((host.store / file).exists() for host in others) for file in files),
            SOON,
            f"copies of {files} are kept",
        )

    def assert_history_tells_who_approved(self, base: str) -> None:
        events = [json.loads(line) for line in self.builder.say("history", base).splitlines()]
        (approved,) = [one for one in events if one["what"] == "approved"]
        said = approved["by"], approved["commit"], approved["against"]
        self.assertEqual(said, ("root", self.builder.one(base)["commit"], ["first"]))
