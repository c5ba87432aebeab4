"""What pacman would fetch: its lines, its statuses, and a small system of the test's own."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor as real_reactor
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocon.errors import ToolError, ToolMissing
from flocon.files import is_package, is_repository
from flocon.pacman import upgrades
from flocon.pacman.configuration import PacmanConfiguration, Repository
from flocon.pacman.listing import Target
from flocon.pacman.upgrades import (
    ROUNDS,
    pending_upgrades,
    read_newer,
    read_targets,
    state_of,
    with_what_it_needs,
    would_install,
)
from tests.path import fake_program, no_programs

reactor: Any = real_reactor

CONF = Path("/etc/other.conf")
FILE = "b-2-1-any.pkg.tar.zst"
word = st.text("abcxyz0189.:+_-@~", min_size=1, max_size=12)


class Reading(SynchronousTestCase):
    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.tuples(word, word, word, st.booleans()), max_size=6))
    def test_each_line_of_newer_ones_is_a_name_and_its_new_version(
        self, rows: list[tuple[str, str, str, bool]]
    ) -> None:
        text = "".join(
            f"{name} {old} -> {new}{' [ignored]' if ignored else ''}\n"
            for name, old, new, ignored in rows
        )
        expected = [Target("", name, new) for name, _, new, ignored in rows if not ignored]
        self.assertEqual(read_newer(text), expected)

    @settings(max_examples=200, deadline=None)
    @given(st.text(st.sampled_from("a-> []\n\tignored1"), max_size=60))
    def test_no_text_gives_anything_but_names_and_versions(self, text: str) -> None:
        for one in read_newer(text):
            self.assertTrue(one.name)
            self.assertTrue(one.version)
            self.assertNotIn(" ", one.name + one.version)

    def test_warnings_between_the_lines_are_passed_over(self) -> None:
        text = "warning: a: local (2-1) is newer than core (1-1)\nb 1-1 -> 2-1\n"
        self.assertEqual(read_newer(text), [Target("", "b", "2-1")])
        text = f":: Proceed?\nflocon core a 1-1\nflocon core b 2-1 http://h/{FILE}\nflocon\n"
        self.assertEqual(read_targets(text), [Target("core", "b", "2-1", FILE)])

    def test_what_lies_in_a_folder_needs_no_download(self) -> None:
        for place, here in (
            (f"file:///var/cache/pacman/pkg/{FILE}", True),
            (f"https://a mirror/core/{FILE}", False),
            (FILE, False),
        ):
            (found,) = read_targets(f"flocon core b 2-1 {place}\n")
            self.assertEqual(found, Target("core", "b", "2-1", FILE, here))

    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(st.sampled_from(["flocon", " ", "core", "..", "/", "\n", FILE, "a"])).map("".join)
    )
    def test_no_text_gives_anything_but_packages_of_repositories(self, words: list[str]) -> None:
        for one in read_targets("".join(words)):
            self.assertTrue(is_package(one.file_name))
            self.assertTrue(is_repository(one.repository))

    def test_no_more_are_read_than_a_machine_has(self) -> None:
        self.patch(upgrades, "MOST_TARGETS", 2)
        self.assertEqual(len(read_targets(f"flocon core b 2-1 {FILE}\n" * 3)), 2)
        self.assertEqual(len(read_newer("b 1-1 -> 2-1\n" * 3)), 2)


class Asking(TestCase):
    timeout = 60

    async def pending(self, script: str) -> list[Target]:
        fake_program(self, "pacman", script)
        return await pending_upgrades(reactor, CONF)

    async def test_pacman_only_prints_and_with_the_configuration_given(self) -> None:
        script = (
            'test "$1 $2 $3 $4 $5 $6 $7" = "--config /etc/other.conf --color never -Sup'
            ' --noconfirm --print-format" &&'
            f' echo "$8" | sed "s|%r %n %v %l|core b 2-1 http://h/{FILE}|"'
        )
        self.assertEqual(await self.pending(script), [Target("core", "b", "2-1", FILE)])

    async def test_what_cannot_be_told_as_a_package_is_no_answer(self) -> None:
        odd = f"echo flocon core b 2-1 http://h/{FILE}; echo flocon core c 2-1 http://h/c.tar"
        fake_program(self, "pacman", odd)
        with self.assertRaisesRegex(ToolError, "not named as a package"):
            await would_install(reactor, CONF, Path("/nowhere"), "-Su")

    async def test_what_lacks_something_is_left_out_as_a_person_would_skip_it(self) -> None:
        script = (
            'case "$*" in *\'--ignore a,c\'*) echo "flocon core b 2-1 http://h/' + FILE + '" ;;\n'
            "*) echo \":: unable to satisfy dependency 'x>=2' required by c\";"
            " echo \":: unable to satisfy dependency 'y' required by a\"; exit 1 ;; esac"
        )
        self.assertEqual(await self.pending(script), [Target("core", "b", "2-1", FILE)])

    async def test_pacman_is_not_asked_without_end_what_else_to_leave_out(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        script = (
            f'echo "$*" >> "{folder}/asked"\n'
            'case "$*" in *-Qu) echo "a 1-1 -> 1-2"; exit 0;; esac\n'
            f'n=$(wc -l < "{folder}/asked")\n'
            """echo ":: unable to satisfy dependency 'x' required by p$n\""""
            "; exit 1"
        )
        self.assertEqual(await self.pending(script), [Target("", "a", "1-2")])
        self.assertEqual(len((folder / "asked").read_text().splitlines()), ROUNDS + 1)

    async def test_what_cannot_be_resolved_is_what_is_newer(self) -> None:
        script = 'case "$*" in *-Qu) echo "a 1-1 -> 1-2";; *) exit 1;; esac'
        self.assertEqual(await self.pending(script), [Target("", "a", "1-2")])

    async def test_status_1_is_then_nothing_to_upgrade(self) -> None:
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

    async def test_it_leaves_the_processor_to_others(self) -> None:
        script = f'echo "flocon core n $(cut -d" " -f19 /proc/$$/stat) http://h/{FILE}"'
        # The shell may be quicker than who lowers its priority.
        found = await self.pending(f"sleep 0.2; {script}")
        self.assertEqual([one.version for one in found], ["19"])


class PacmanCase(TestCase):
    """A DBPath made by hand for the real one."""

    timeout = 60

    def setUp(self) -> None:
        # Not below this checkout: pacman takes a CacheDir with a blank in it for two.
        self.root = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.root)
        self.database = self.root / "db"
        (self.database / "sync").mkdir(parents=True)
        (self.root / "cache").mkdir()
        self.conf = self.root / "pacman.conf"
        self.configure("")
        self.install(a="1-1", b="1:1-1", c="5-1", d="1-1")

    def configure(self, more: str) -> None:
        self.conf.write_text(
            f"[options]\nArchitecture = x86_64\nSigLevel = Never\nRootDir = {self.root}\n"
            f"CacheDir = {self.root}/cache\n"
            f"DBPath = {self.database}\n{more}\n[core]\nServer = http://localhost:9/$repo\n"
        )

    def install(self, **versions: str) -> None:
        local = self.database / "local"
        local.mkdir(exist_ok=True)
        (local / "ALPM_DB_VERSION").write_text("9\n")
        for name, version in versions.items():
            folder = local / f"{name}-{version}"
            folder.mkdir()
            (folder / "desc").write_text(_desc(NAME=name, VERSION=version, ARCH="any"))
            (folder / "files").write_text("")

    def offer(self, *rows: tuple[str, str, dict[str, str]]) -> None:
        with tarfile.open(self.database / "sync" / "core.db", "w:gz") as archive:
            for name, version, more in rows:
                text = _desc(
                    FILENAME=f"{name}-{version}-any.pkg.tar.zst",
                    NAME=name,
                    VERSION=version,
                    CSIZE="1",
                    ISIZE="1",
                    SHA256SUM="0" * 64,
                    ARCH="any",
                    **more,
                ).encode()
                member = tarfile.TarInfo(f"{name}-{version}/desc")
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text))

    async def pending(self) -> dict[str, str]:
        """Return name and version of what pacman would install."""
        return {one.name: one.version for one in await pending_upgrades(reactor, self.conf)}


@unittest.skipUnless(shutil.which("pacman"), "pacman is not installed")
class Pacman(PacmanCase):
    async def test_what_is_newer_in_the_databases_is_pending(self) -> None:
        self.offer(("a", "1-2", {}), ("b", "1:2-1", {}), ("c", "5-1", {}), ("d", "2-1", {}))
        found = await pending_upgrades(reactor, self.conf)
        expected = [
            Target("core", name, version, f"{name}-{version}-any.pkg.tar.zst")
            for name, version in (("a", "1-2"), ("b", "1:2-1"), ("d", "2-1"))
        ]
        self.assertEqual(sorted(found, key=lambda one: one.name), expected)

    async def test_new_dependencies_and_replacements_are_too(self) -> None:
        self.offer(
            ("a", "1-2", {"DEPENDS": "fresh"}),
            ("fresh", "3-1", {"DEPENDS": "fresher"}),
            ("fresher", "4-1", {}),
            ("other", "9-1", {}),
            ("e", "1-1", {"REPLACES": "d", "CONFLICTS": "d"}),
        )
        expected = {"a": "1-2", "fresh": "3-1", "fresher": "4-1", "e": "1-1"}
        self.assertEqual(await self.pending(), expected)

    async def test_what_is_ignored_is_not(self) -> None:
        self.offer(("a", "1-2", {}), ("b", "1:2-1", {}), ("d", "2-1", {"GROUPS": "many"}))
        self.configure("IgnorePkg = a\nIgnoreGroup = many\nHoldPkg = b")
        self.assertEqual(await self.pending(), {"b": "1:2-1"})

    async def test_nor_what_needs_something_ignored(self) -> None:
        self.configure("IgnorePkg = a nothing")
        self.offer(
            ("a", "1-2", {}),
            ("b", "1:2-1", {"DEPENDS": "a>=1-2"}),
            ("c", "6-1", {"DEPENDS": "nothing"}),
            ("nothing", "1-1", {}),
            ("d", "2-1", {}),
        )
        self.assertEqual(await self.pending(), {"d": "2-1"})

    async def test_what_conflicts_is_pending_all_the_same(self) -> None:
        self.offer(("a", "1-2", {"CONFLICTS": "d"}), ("b", "1:2-1", {}))
        self.assertEqual(await self.pending(), {"a": "1-2", "b": "1:2-1"})

    async def test_what_lies_in_the_cache_is_here(self) -> None:
        self.offer(("a", "1-2", {}), ("b", "1:2-1", {}))
        (self.root / "cache" / "b-1:2-1-any.pkg.tar.zst").write_bytes(b"x")
        found = await pending_upgrades(reactor, self.conf)
        self.assertEqual({one.name: one.here for one in found}, {"a": False, "b": True})

    async def test_another_pacman_may_have_the_lock(self) -> None:
        self.offer(("a", "1-2", {}))
        (self.database / "db.lck").touch()
        self.assertEqual(await self.pending(), {"a": "1-2"})

    async def test_a_system_up_to_date_has_none(self) -> None:
        self.offer(("a", "1-1", {}), ("b", "1:1-1", {}))
        self.assertEqual(await self.pending(), {})

    async def test_a_configuration_that_is_not_there_is_told(self) -> None:
        with self.assertRaises(ToolError) as caught:
            await pending_upgrades(reactor, self.root / "none.conf")
        self.assertIn("none.conf", str(caught.exception))

    async def test_what_a_package_needs_and_is_not_installed_comes_with_it(self) -> None:
        self.offer(
            ("large", "1-1", {"DEPENDS": "lib\na\nc"}),
            ("lib", "2-1", {"DEPENDS": "deep"}),
            ("deep", "3-1", {}),
            ("a", "1-2", {}),
            ("c", "5-1", {}),
        )
        found = await with_what_it_needs(reactor, self.conf, "core", "large")
        self.assertEqual({one.name for one in found}, {"large", "lib", "deep"})
        with self.assertRaises(ToolError):
            await with_what_it_needs(reactor, self.conf, "core", "unknown")


class State(PacmanCase):
    """When pacman has to be asked again."""

    def test_it_is_another_one_once_databases_or_packages_are(self) -> None:
        configuration = PacmanConfiguration(
            (Repository("core"),), database_path=self.database, files=(self.conf,)
        )
        self.offer(("a", "1-2", {}))
        states = [state_of(configuration)]
        self.assertEqual(state_of(configuration), states[0])
        changes: list[Callable[[], None]] = [
            lambda: self.offer(("a", "1-3", {}), ("b", "2-1", {})),
            lambda: self.install(e="1-1"),
            lambda: self.configure("IgnorePkg = a"),
            (self.database / "sync" / "core.db").unlink,
        ]
        for change in changes:
            change()
            states.append(state_of(configuration))
        for at, state in enumerate(states):
            self.assertNotIn(state, states[:at])


def _desc(**fields: str) -> str:
    return "".join(f"%{name}%\n{value}\n\n" for name, value in fields.items())
