"""What is understood of real configurations and of any text."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import ToolError, ToolMissing
from flocon.pacman import answers
from flocon.pacman.answers import read_configuration
from flocon.pacman.configuration import PacmanConfiguration, SignatureLevel, servers_for
from flocon.pacman.includes import Scan
from tests.pacman.pacman_case import OnDisk, reactor


class Configuration(OnDisk):
    async def read(self, text: str, own_ports: tuple[int, ...] = (19433,)) -> PacmanConfiguration:
        self.write(text)
        return await read_configuration(reactor, self.conf, own_ports)

    async def servers(self, text: str, repository: str = "core") -> tuple[str, ...]:
        return servers_for(await self.read(text), repository, "x86_64")

    async def test_all_that_matters_is_read(self) -> None:
        found = await self.read(
            f"CacheDir = {self.top}/a\nCacheDir = {self.top}/b\nGPGDir = {self.top}/gpg\n"
            "SigLevel = Required DatabaseOptional\n"
            "[core]\nServer = https://one/$repo/os/$arch\nServer = http://two/$repo/\n"
            "[extra]\nSigLevel = PackageOptional DatabaseNever\nServer = http://two/$repo\n"
            "[own]\nSigLevel = Never\nServer = file:///srv\n"
        )
        self.assertEqual(found.database_path, self.top / "db")
        self.assertEqual(found.sync_directory, self.sync)
        self.assertEqual(found.cache_directories, (self.top / "a", self.top / "b"))
        self.assertEqual(found.gpg_directory, self.top / "gpg")
        self.assertEqual(found.architectures, ("x86_64",))
        self.assertEqual(found.files, (self.conf,))
        self.assertEqual([one.name for one in found.repositories], ["core", "extra", "own"])
        core, extra, own = found.repositories
        self.assertEqual(core.servers, ("https://one/core/os/x86_64", "http://two/core"))
        never, optional, required = SignatureLevel
        levels = [(one.package_signature, one.database_signature) for one in (core, extra, own)]
        self.assertEqual(levels, [(required, optional), (optional, never), (never, never)])
        self.assertEqual((own.servers, found.unusable), ((), ("file:///srv",)))
        others = [one.has_others for one in found.repositories]
        self.assertEqual(others, [False, False, True])

    async def test_several_architectures_and_auto_come_resolved(self) -> None:
        text = f"[options]\nArchitecture = auto\nArchitecture = x86_64_v3\nDBPath = {self.top}\n"
        self.write(text, self.conf)
        found = await read_configuration(reactor, self.conf)
        self.assertEqual(found.architectures, (os.uname().machine, "x86_64_v3"))

    async def test_this_nodes_own_lines_are_left_out(self) -> None:
        own = ("localhost", "127.0.0.1", "127.9.9.9", "[::1]", "LOCALHOST", "[::ffff:127.0.0.1]")
        lines = "".join(f"Server = http://{host}:19433/$repo/os/$arch\n" for host in own)
        self.assertEqual(await self.servers(f"[core]\n{lines}Server = http://m/\n"), ("http://m",))

    async def test_other_ports_of_this_machine_and_other_machines_stay(self) -> None:
        urls = ("http://localhost:8080/r", "http://127.0.0.1/r", "http://10.0.0.1:19433/r")
        lines = "".join(f"Server = {url}\n" for url in urls)
        self.assertEqual(await self.servers(f"[core]\n{lines}"), urls)

    async def test_our_comment_comes_first_for_each_repository_that_includes_it(self) -> None:
        listed = self.top / "etc" / "mirrorlist"
        text = "# flocon: Server = http://first/$repo/os/$arch\nServer = http://second/$repo\n"
        self.write(text, listed)
        include = f"Include = {listed}\n"
        found = await self.read(
            f"[core]\nServer = http://localhost:19433/$repo\n{include}"
            f"[extra]\n{include}[other]\nServer = http://third\n"
        )
        expected = {
            "core": ("http://first/core/os/x86_64", "http://second/core"),
            "extra": ("http://first/extra/os/x86_64", "http://second/extra"),
            "other": ("http://third",),
        }
        self.assertEqual({one.name: one.servers for one in found.repositories}, expected)
        self.assertEqual(found.files, (self.conf, listed))

    async def test_our_comment_counts_in_pacman_conf_and_through_nested_globs(self) -> None:
        folder = self.top / "etc" / "d"
        folder.mkdir()
        self.write(
            "[core]\n#flocon: Server=http://a\nInclude = " + f"{folder}/*.inc\n", folder / "1.conf"
        )
        self.write("# flocon: Server = http://b/\n# flocon: Server = ftp://c\n", folder / "x.inc")
        self.write(
            "# flocon: Server = http://127.0.0.1:19433/\nServer = http://b\n", folder / "y.inc"
        )
        self.assertEqual(
            await self.servers(f"Include = {folder}/*.conf\n#flocon: Server = http://d\n"),
            ("http://a", "http://b", "http://d"),
        )

    async def test_an_error_comes_in_pacman_confs_own_words(self) -> None:
        with self.assertRaises(ToolError) as caught:
            await self.read("SigLevel = Bogus\n")
        self.assertEqual(caught.exception.tool, "pacman-conf")
        self.assertIn(f"{self.conf}, line 4: invalid value for 'SigLevel'", str(caught.exception))

    async def test_a_missing_pacman_conf_file_is_an_error(self) -> None:
        with self.assertRaises(ToolError) as caught:
            await read_configuration(reactor, self.conf)
        self.assertIn("could not be read", str(caught.exception))

    async def test_without_pacman_it_is_said_so(self) -> None:
        self.patch(os, "environ", {"PATH": "/nowhere"})
        with self.assertRaises(ToolMissing):
            await self.read("")

    def tool(self, script: str) -> None:
        folder = self.top / "tools"
        folder.mkdir()
        (folder / "pacman-conf").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "pacman-conf").chmod(0o755)
        self.patch(os, "environ", {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"})

    async def test_a_later_pacmans_lines_are_read_or_passed_over(self) -> None:
        self.tool(
            "cat <<END\n[options]\nDownloadUser = loader\nDisableSandbox\nFuture = 1 = 2\n"
            "IgnorePkg = linux\nIgnorePkg = nvidia*\nIgnoreGroup = games\n"
            "Architecture = x86_64\n[core]\nCacheServer = http://localhost:19433/core\n"
            "CacheServer = http://nas/core/\nServer = https://m/core\n[../x]\nServer = https://m\n"
            "END"
        )
        found = await self.read("")
        self.assertEqual([one.name for one in found.repositories], ["core"])
        self.assertEqual(found.ignored, ("linux", "nvidia*"))
        self.assertEqual(found.ignored_groups, ("games",))
        self.assertEqual(found.repositories[0].cache_servers, ("http://nas/core",))
        self.assertEqual(found.repositories[0].servers, ("https://m/core",))
        self.assertEqual(found.download_user, "loader")

    async def test_a_pacman_conf_that_hangs_is_ended(self) -> None:
        self.tool("exec sleep 100")
        self.patch(answers, "TIMEOUT", 0.05)
        with self.assertRaises(ToolError) as caught:
            await self.read("")
        self.assertIn("took longer", str(caught.exception))

    async def test_a_pacman_conf_that_never_stops_talking_is_ended(self) -> None:
        self.tool("exec yes")
        with self.assertRaises(ToolError) as caught:
            await self.read("")
        self.assertIn("more than anyone can read", str(caught.exception))


class Understanding(SynchronousTestCase):
    def test_no_address_makes_sorting_stumble(self) -> None:
        for odd in ("http://[", "http://x:99999", "http://", "", "http://a b", "http://é", "//x"):
            self.assertEqual(answers.sort_out([odd], ()), ((), (odd,)))

    @settings(max_examples=200, deadline=None)
    @given(st.text(max_size=60))
    def test_no_text_makes_it_stumble(self, text: str) -> None:
        answers.sort_out([text, "http://" + text], {19433})
        answers.configuration_of(answers.sections_of(text), Scan(Path("x"), {}, (), {}), ())

    def test_pacredir_and_pacserve_on_this_machine_are_no_mirrors(self) -> None:
        theirs = ["http://127.0.0.1:7077/", "http://localhost:15678/pacman/core/x86_64"]
        mirror, far = "http://10.0.0.9/core", "http://10.0.0.9:15678/pacman/core/x86_64"
        self.assertEqual(answers.sort_out([*theirs, far, mirror], {19433}), ((far, mirror), ()))

    def test_every_way_to_write_loopback_is_known(self) -> None:
        for host in ("127.1", "::1", "0.0.0.0", "::", "a.localhost", "localhost.", "0x7f000001"):
            self.assertTrue(answers.is_loopback(host), host)
        for host in ("localhost.example", "128.0.0.1", "::2", "127.0.0.1.example", "fe80::1%lo"):
            self.assertFalse(answers.is_loopback(host), host)
