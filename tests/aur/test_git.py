"""What git is told of this machine, and how much of a remote it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.proxies import ENVIRONMENT
from flocon.aur.git import LOOK, Git, Remote, _Watch, git_environment
from flocon.errors import ToolError
from tests.aur.git_case import GitCase, reactor

PROXIES = {"http_proxy": "http://p:1", "HTTPS_PROXY": "http://p:2", "no_proxy": "near"}


class Environment(SynchronousTestCase):
    def told(self, proxy: str = ENVIRONMENT) -> dict[str, str]:
        environ = {"PATH": "/bin", "GIT_DIR": "/x", "GIT_SSH": "y", "LD_PRELOAD": "z", **PROXIES}
        return git_environment(environ, proxy)

    def test_only_what_it_needs_is_handed_on(self) -> None:
        told = self.told()
        self.assertEqual(told["PATH"], "/bin")
        self.assertEqual({"GIT_DIR", "GIT_SSH", "LD_PRELOAD"} & told.keys(), set())

    def test_it_asks_nobody_and_reads_no_settings(self) -> None:
        told = self.told()
        self.assertEqual(told["GIT_TERMINAL_PROMPT"], "0")
        self.assertEqual(told["GIT_CONFIG_GLOBAL"], "/dev/null")
        self.assertEqual(told["GIT_CONFIG_NOSYSTEM"], "1")

    def test_the_environments_proxies_are_its_own(self) -> None:
        told = self.told()
        self.assertEqual({name: told[name] for name in PROXIES}, PROXIES)

    def test_the_operators_proxy_is_for_all(self) -> None:
        told = self.told("http://own:3")
        self.assertEqual(told["http_proxy"], "http://own:3")
        self.assertEqual(told["https_proxy"], "http://own:3")
        self.assertNotIn("HTTPS_PROXY", told)

    def test_the_operator_wants_none(self) -> None:
        self.assertEqual({"http_proxy", "https_proxy", "HTTPS_PROXY"} & self.told("").keys(), set())


class Watching(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.packs = self.folder / "objects" / "pack"
        self.packs.mkdir(parents=True)
        self.clock: Any = Clock()
        self.running: Deferred[Any] = Deferred()
        self.watch = _Watch(self.clock, self.folder, 100, self.running)

    def test_what_becomes_too_large_is_ended(self) -> None:
        (self.packs / "pack-1.pack").write_bytes(b"x" * 60)
        (self.packs / "tmp_pack_1").write_bytes(b"x" * 40)
        self.clock.advance(LOOK)
        self.assertNoResult(self.running)
        (self.packs / "tmp_pack_1").write_bytes(b"x" * 41)
        self.clock.advance(LOOK)
        self.failureResultOf(self.running, CancelledError)
        self.assertIn("sent more than the 100 bytes", self.watch.problem)

    def test_what_comes_piece_by_piece_is_ended(self) -> None:
        (self.folder / "objects" / "3f").mkdir()
        self.clock.advance(LOOK)
        self.failureResultOf(self.running, CancelledError)
        self.assertIn("old protocol", self.watch.problem)

    def test_nothing_is_looked_at_when_it_is_over(self) -> None:
        self.watch.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_folder_that_is_gone_has_no_size(self) -> None:
        self.packs.rmdir()
        self.clock.advance(LOOK)
        self.assertNoResult(self.running)


class Asking(GitCase):
    def setUp(self) -> None:
        super().setUp()
        self.git = Git(reactor, git_environment({"PATH": "/usr/bin:/bin"}))

    async def test_other_protocols_are_not_spoken(self) -> None:
        self.aur.push_source("up", {"a": b"1"})
        place = self.aur.folder / "sources" / "up.git"
        marked = self.folder / "marked"
        for url in (str(place), f"file://{place}", f"ext::touch {marked}", "ssh://127.0.0.1/x"):
            with self.assertRaises(Exception) as caught:
                await self.git.remote(
                    Remote(url, "somewhere"), ["ls-remote", "--", "HEAD"], seconds=20
                )
            self.assertIn("not allowed", str(caught.exception))
        self.assertFalse(marked.exists())

    async def test_what_git_says_of_a_failure_is_told(self) -> None:
        with self.assertRaises(ToolError) as caught:
            await self.git.read(self.folder / "none", "log")
        self.assertIn("not a git repository", str(caught.exception))

    async def test_a_large_file_that_is_small_on_the_way_is_not_read(self) -> None:
        self.aur.push("foo", {"large": b"\0" * (64 << 20)})
        commit = await self.recipes.fetch("foo")
        with self.assertRaises(Exception) as caught:
            await self.recipes.read("foo", commit)
        self.assertIn("67108864 bytes", str(caught.exception))
