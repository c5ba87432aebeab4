"""``flocon snapshot check`` and ``export`` against a node that says what the test does."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from flocon.carrying import checking, exporting
from flocon.carrying.importing import look_through
from flocon.states.generation import DatabaseFiles, Generation, Piece, Where, dump
from flocon.terminal.asking import NodeError
from tests.snapshots.test_importing import database, file_name
from tests.terminal.node import NodeTestCase

CORE = Where("x86_64", "core")
PLACE = Path("out/core/os/x86_64")


class StateTestCase(NodeTestCase):
    """A state with one database; ``packages`` are the files that it lists, by name."""

    def setUp(self) -> None:
        super().setUp()
        self.packages = {"a": b"package a", "b": b"another package"}
        self.here = set(self.packages)
        self.offer()

    def offer(self) -> None:
        """Have the node answer for the state as it is now."""
        text = database(self.packages)
        piece = Piece(hashlib.sha256(text).hexdigest(), len(text))
        self.state = Generation(5, "mirror", {CORE: DatabaseFiles(piece)})
        self.node.answers = {
            "/generation.json": (
                200,
                {
                    "name": "may",
                    "taken": 7,
                    "identity": self.state.identity,
                    "repositories": ["core"],
                    "generation": dump(self.state),
                },
            ),
            f"/mirror/content/{piece.sha256}": (200, text),
            "/names.json": (200, {"names": {"x86_64": sorted(self.packages)}}),
            "/whereabouts.json": (200, {file_name(name): "here" for name in self.here}),
        }
        for name in self.here:
            self.node.answers[self.path(name)] = (200, self.packages[name])
            self.node.answers[f"{self.path(name)}.sig"] = (200, b"signature")

    def path(self, name: str) -> str:
        data = self.packages[name]
        sha256 = hashlib.sha256(data).hexdigest()
        return f"/mirror/package/{sha256}/{len(data)}/{file_name(name)}"


class Exporting(StateTestCase):
    def export(self, *packages: str, **options: Any) -> Deferred[Any]:
        return self.run_command(
            exporting.export,
            directory=Path("out"),
            name="may",
            packages=list(packages),
            architecture="",
            **options,
        )

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}

    async def test_all_that_is_on_the_lan_is_in_the_folder(self) -> None:
        self.here = {"a"}
        self.offer()

        await self.export()

        expected = {"core.db", file_name("a"), f"{file_name('a')}.sig", "pacman.conf"}
        self.assertEqual(set(self.files()), {*expected, "snapshot.json"})
        self.assertEqual(self.files()[file_name("a")], b"package a")
        self.assertEqual((PLACE / f"{file_name('a')}.sig").read_bytes(), b"signature")

    async def test_folder_is_the_same_state_where_it_is_imported(self) -> None:
        await self.export()

        found = look_through(Path("out"))

        self.assertEqual((found.name, found.generation), ("may", self.state))
        self.assertEqual(len(found.packages), 2)

    async def test_configuration_names_the_repositories_by_their_place(self) -> None:
        await self.export()

        text = self.files()["pacman.conf"].decode()
        place = (self.folder / "out").absolute()
        self.assertIn(f"[core]\nServer = file://{place}/$repo/os/$arch\n", text)

    async def test_pacman_conf_of_somebody_else_is_left_as_it_is(self) -> None:
        Path("out").mkdir()
        own = Path("out/pacman.conf")
        own.write_text("[options]\nArchitecture = auto\n")

        with self.assertRaisesRegex(NodeError, "somebody else.*; name a folder"):
            await self.export()

        self.assertEqual(own.read_text(), "[options]\nArchitecture = auto\n")
        self.assertEqual(list(Path("out").iterdir()), [own])

    async def test_another_run_copies_what_is_missing_or_wrong(self) -> None:
        await self.export()
        (PLACE / file_name("a")).write_bytes(b"package A")
        (PLACE / file_name("b")).unlink()
        self.node.asked.clear()

        await self.export()

        copied = {one.partition(" ")[2] for one in self.node.asked if "/mirror/" in one}
        # Each with its signature: what lies there was another's.
        packages = {self.path("a"), self.path("b")}
        self.assertEqual(copied, packages | {f"{path}.sig" for path in packages})
        self.assertIn("(4 files copied now)", self.out.getvalue())
        self.assertEqual(self.files()[file_name("a")], b"package a")

    async def test_what_was_built_anew_under_its_name_has_its_own_signature(self) -> None:
        await self.export()
        self.packages["a"] = b"built anew"
        self.offer()
        self.node.answers[f"{self.path('a')}.sig"] = (200, b"of what was built anew")

        await self.export()

        self.assertEqual(self.files()[file_name("a")], b"built anew")
        self.assertEqual(self.files()[f"{file_name('a')}.sig"], b"of what was built anew")

    async def test_run_that_ends_before_the_signature_leaves_no_other_one(self) -> None:
        await self.export()
        self.packages["a"] = b"built anew"
        self.offer()
        self.node.answers[f"{self.path('a')}.sig"] = (500, b"")
        await self.assertFailure(self.export(), NodeError)
        self.offer()

        await self.export()

        self.assertEqual(self.files()[f"{file_name('a')}.sig"], b"signature")

    async def test_nothing_is_written_where_a_link_leads(self) -> None:
        for link in ("core", "core/os", "core/os/x86_64"):
            shutil.rmtree("out", ignore_errors=True)
            place, elsewhere = Path("out") / link, Path("elsewhere").absolute()
            place.parent.mkdir(parents=True)
            elsewhere.mkdir(exist_ok=True)
            place.symlink_to(elsewhere)

            error = await self.assertFailure(self.export(), NodeError)

            self.assertIn(f"{place}: is a link", str(error))
            self.assertEqual(list(elsewhere.iterdir()), [])

    async def test_what_is_no_file_is_replaced_and_not_read(self) -> None:
        PLACE.mkdir(parents=True)
        for path in ("out/snapshot.json", PLACE / "core.db", PLACE / f"{file_name('a')}.sig"):
            os.mkfifo(path)
        # Without an end.
        (PLACE / file_name("a")).symlink_to("/dev/zero")

        with self.in_time():
            await self.export()

        self.assertEqual(self.files()[file_name("a")], b"package a")
        self.assertEqual(self.files()[f"{file_name('a')}.sig"], b"signature")
        self.assertFalse([path for path in Path("out").rglob("*") if path.is_symlink()])
        self.assertEqual(look_through(Path("out")).name, "may")

    async def test_pacman_conf_that_is_no_file_is_not_read(self) -> None:
        Path("out").mkdir()
        os.mkfifo("out/pacman.conf")

        with self.in_time():
            error = await self.assertFailure(self.export(), NodeError)

        self.assertIn("out/pacman.conf: is not a regular file", str(error))

    @contextmanager
    def in_time(self) -> Iterator[None]:
        """Fail, and do not wait, where a system call does without end."""
        before = signal.signal(signal.SIGALRM, lambda *_: self.fail("it waits for a fifo"))
        signal.alarm(20)
        try:
            yield
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)

    async def test_disk_that_takes_no_colon_is_said_to_be_the_reason(self) -> None:
        self.patch(os, "open", self.open_on_fat)
        self.packages = {"c": b"with an epoch"}
        self.here = {"c"}
        self.offer()
        self.patch(exporting, "_path", lambda *_: "core/os/x86_64/c-1:1-1-any.pkg.tar.zst")

        error = await self.assertFailure(self.export(), NodeError)

        self.assertIn("takes no ':' in a name", str(error))

    def open_on_fat(self, path: Any, *arguments: Any, **options: Any) -> int:
        if ":" in str(path):
            raise OSError(errno.EINVAL, "Invalid argument", str(path))
        return self.real_open(path, *arguments, **options)

    real_open = staticmethod(os.open)

    async def test_wrong_file_is_not_kept_and_named(self) -> None:
        self.node.answers[self.path("b")] = (200, b"another pacKage")

        error = await self.assertFailure(self.export(), NodeError)

        self.assertIn(file_name("b"), str(error))
        self.assertNotIn(file_name("b"), self.files())
        self.assertFalse([name for name in self.files() if "part" in name])

    async def test_half_a_file_has_never_its_name(self) -> None:
        self.node.withheld = 3

        await self.assertFailure(self.export(), NodeError)

        self.assertEqual(set(self.files()), {"core.db"})

    async def test_named_package_that_is_nowhere_ends_it_before_a_package_is_copied(self) -> None:
        self.here = {"a"}
        self.offer()

        error = await self.assertFailure(self.export("a", "b"), NodeError)

        self.assertIn(f"nothing is exported: {file_name('b')} is not on the LAN", str(error))
        self.assertEqual(set(self.files()), {"core.db"})


class Checking(StateTestCase):
    def check(self, *packages: str, **options: Any) -> Deferred[Any]:
        given = {
            "name": "may",
            "packages": list(packages),
            "machine": False,
            "downgrade": False,
            "architecture": "",
            "pacman_conf": Path("/etc/pacman.conf"),
            **options,
        }
        return self.run_command(checking.check, **given)

    async def test_state_is_complete_for_what_the_lan_holds(self) -> None:
        await self.check()

        self.assertIn("may is complete for all machines here: 2 packages", self.out.getvalue())

    async def test_what_is_nowhere_is_named_and_the_status_says_so(self) -> None:
        self.here = {"a"}
        self.offer()

        ended = await self.assertFailure(self.check(json=True), SystemExit)

        told = json.loads(self.out.getvalue())
        self.assertEqual((ended.code, told["complete"], told["needed"]), (1, False, 2))
        self.assertEqual([one["file"] for one in told["missing"]], [file_name("b")])

    async def test_package_that_the_state_has_not_is_a_problem(self) -> None:
        await self.assertFailure(self.check("nobody-has-this"), SystemExit)

        self.assertIn("may is not complete for nobody-has-this", self.out.getvalue())
        self.assertIn("nobody-has-this", self.out.getvalue().splitlines()[1])

    async def test_unknown_state_is_the_nodes_sentence(self) -> None:
        self.node.answers["/generation.json"] = (200, {"problem": "there is no such snapshot"})

        error = await self.assertFailure(self.check(), NodeError)

        self.assertEqual(str(error), "there is no such snapshot")

    async def test_who_may_have_meant_a_package_is_told_where_it_stands(self) -> None:
        self.node.answers["/generation.json"] = (200, {"problem": "there is no snapshot 'firefox'"})

        error = await self.assertFailure(self.check(name="firefox"), NodeError)

        self.assertIn("for the package of that name write 'now firefox'", str(error))

    async def test_architecture_that_it_has_not_is_said_with_those_it_has(self) -> None:
        error = await self.assertFailure(self.check("a", architecture="riscv64"), NodeError)

        self.assertIn("it has nothing for riscv64", str(error))
        self.assertIn("x86_64", str(error))

    async def test_database_that_came_wrong_is_not_looked_at(self) -> None:
        (path,) = (one for one in self.node.answers if one.startswith("/mirror/content/"))
        self.node.answers[path] = (200, b"something else")

        error = await self.assertFailure(self.check(), NodeError)

        self.assertIn("core.db: another file came", str(error))
