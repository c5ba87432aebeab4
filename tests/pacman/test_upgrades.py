"""What pacman would upgrade: its lines, its statuses, and a small system of the test's own."""

from __future__ import annotations

import io
import shutil
import tarfile
import unittest
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor as real_reactor
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocon.errors import ToolError, ToolMissing
from flocon.pacman.upgrades import pending_upgrades, read_upgrades
from tests.path import fake_program, no_programs

reactor: Any = real_reactor

CONF = Path("/etc/other.conf")
word = st.text("abcxyz0189.:+_-@~", min_size=1, max_size=12)


class Reading(SynchronousTestCase):
    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.tuples(word, word, word, st.booleans()), max_size=6))
    def test_each_line_is_a_name_and_its_new_version(
        self, rows: list[tuple[str, str, str, bool]]
    ) -> None:
        text = "".join(
            f"{name} {old} -> {new}{' [ignored]' if ignored else ''}\n"
            for name, old, new, ignored in rows
        )
        expected = [(name, new) for name, _, new, ignored in rows if not ignored]
        self.assertEqual(read_upgrades(text), expected)

    @settings(max_examples=200, deadline=None)
    @given(st.text(st.sampled_from("a-> []\n\tignored1"), max_size=60))
    def test_no_text_gives_anything_but_names_and_versions(self, text: str) -> None:
        for name, version in read_upgrades(text):
            self.assertTrue(name)
            self.assertTrue(version)
            self.assertNotIn(" ", name + version)

    def test_warnings_between_the_lines_are_passed_over(self) -> None:
        text = "warning: a: local (2-1) is newer than core (1-1)\nb 1-1 -> 2-1\n"
        self.assertEqual(read_upgrades(text), [("b", "2-1")])


class Asking(TestCase):
    timeout = 60

    async def pending(self, script: str) -> list[tuple[str, str]]:
        fake_program(self, "pacman", script)
        return await pending_upgrades(reactor, CONF)

    async def test_pacman_only_looks_and_with_the_configuration_given(self) -> None:
        script = 'test "$*" = "--config /etc/other.conf --color never -Qu" && echo "a 1-1 -> 1-2"'
        self.assertEqual(await self.pending(script), [("a", "1-2")])

    async def test_status_1_is_nothing_to_upgrade(self) -> None:
        self.assertEqual(await self.pending("echo 'warning: no core.db' >&2; exit 1"), [])

    async def test_status_1_with_an_error_is_a_failure(self) -> None:
        with self.assertRaises(ToolError) as caught:
            await self.pending("echo 'error: no local database' >&2; exit 1")
        self.assertEqual(str(caught.exception), "pacman -Qu: error: no local database")

    async def test_any_other_status_is_told_with_pacmans_own_words(self) -> None:
        with self.assertRaises(ToolError) as caught:
            await self.pending("echo 'error: no such file' >&2; exit 2")
        self.assertEqual(str(caught.exception), "pacman -Qu: error: no such file")

    async def test_a_silent_failure_is_told_by_its_status(self) -> None:
        with self.assertRaises(ToolError) as caught:
            await self.pending("exit 5")
        self.assertEqual(str(caught.exception), "pacman -Qu: ended with status 5")

    async def test_a_machine_without_pacman_is_told(self) -> None:
        no_programs(self)
        with self.assertRaises(ToolMissing):
            await pending_upgrades(reactor, CONF)


@unittest.skipUnless(shutil.which("pacman"), "pacman is not installed")
class Pacman(TestCase):
    """The real one, over a DBPath made by hand."""

    timeout = 60

    def setUp(self) -> None:
        self.root = Path(self.mktemp()).absolute()
        self.database = self.root / "db"
        (self.database / "sync").mkdir(parents=True)
        self.conf = self.root / "pacman.conf"
        self.configure("")
        self.install(a="1-1", b="1:1-1", c="5-1", d="1-1")
        self.offer(a="1-2", b="1:2-1", c="5-1", d="2-1")

    def configure(self, more: str) -> None:
        self.conf.write_text(
            f"[options]\nArchitecture = x86_64\nSigLevel = Never\nRootDir = {self.root}\n"
            f"DBPath = {self.database}\n{more}\n[core]\nServer = http://localhost:9/$repo\n"
        )

    def install(self, **versions: str) -> None:
        local = self.database / "local"
        local.mkdir()
        (local / "ALPM_DB_VERSION").write_text("9\n")
        for name, version in versions.items():
            folder = local / f"{name}-{version}"
            folder.mkdir()
            (folder / "desc").write_text(_desc(NAME=name, VERSION=version, ARCH="any"))
            (folder / "files").write_text("")

    def offer(self, **versions: str) -> None:
        with tarfile.open(self.database / "sync" / "core.db", "w:gz") as archive:
            for name, version in versions.items():
                text = _desc(
                    FILENAME=f"{name}-{version}-any.pkg.tar.zst",
                    NAME=name,
                    VERSION=version,
                    CSIZE="1",
                    ISIZE="1",
                    SHA256SUM="0" * 64,
                    ARCH="any",
                ).encode()
                member = tarfile.TarInfo(f"{name}-{version}/desc")
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text))

    async def test_what_is_newer_in_the_databases_is_pending(self) -> None:
        pending = await pending_upgrades(reactor, self.conf)
        self.assertEqual(pending, [("a", "1-2"), ("b", "1:2-1"), ("d", "2-1")])

    async def test_what_is_ignored_is_not(self) -> None:
        self.configure("IgnorePkg = a")
        pending = await pending_upgrades(reactor, self.conf)
        self.assertEqual(pending, [("b", "1:2-1"), ("d", "2-1")])

    async def test_a_system_up_to_date_has_none(self) -> None:
        self.offer(a="1-1", b="1:1-1")
        self.assertEqual(await pending_upgrades(reactor, self.conf), [])

    async def test_a_configuration_that_is_not_there_is_told(self) -> None:
        with self.assertRaises(ToolError) as caught:
            await pending_upgrades(reactor, self.root / "none.conf")
        self.assertIn("none.conf", str(caught.exception))


def _desc(**fields: str) -> str:
    return "".join(f"%{name}%\n{value}\n\n" for name, value in fields.items())
