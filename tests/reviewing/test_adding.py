"""``flocon build add``: what was added is shown and asked, one after the other."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from flocon.errors import RecipeError
from flocon.reviewing.folders import LARGEST, MOST_FILES, packed
from flocon.terminal.asking import NodeError
from tests.builds.told import COMMIT, PKGBUILD, SRCINFO, look
from tests.reviewing.node import BuildTestCase


class Adding(BuildTestCase):
    async def test_each_is_shown_and_asked_in_the_order_of_building(self) -> None:
        self.says["add"] = "lib 1-1 is new\nparu 1.0-1 is new\n  and needs git of pacman's\n"
        self.looks["lib"] = look(base="lib", version="1-1")
        self.answer("y", "n")
        said = await self.run_build("add", words=["paru"])
        self.assertEqual(self.did, [("add", "paru"), ("approve", "lib", COMMIT)])
        self.assertLess(said.index("Have this built: lib"), said.index("Have this built: paru"))
        self.assertIn("flocon build approve paru' decides\n", said)

    async def test_what_does_not_wait_is_not_asked(self) -> None:
        self.says["add"] = "paru 1.0-1 is watched already\n"
        self.looks["paru"] = look(stage="published", proposed="")
        self.assertNotIn("?", await self.run_build("add", words=["paru"]))

    async def test_json_asks_nothing(self) -> None:
        self.says["add"] = "paru 1.0-1 is new\n"
        said = json.loads(await self.run_build("add", words=["paru"], json=True))
        self.assertEqual(said, {"said": "paru 1.0-1 is new", "recipes": ["paru"]})

    async def test_an_address_is_the_nodes_to_ask(self) -> None:
        self.says["add"] = ""
        await self.run_build("add", words=["https://git.example/a.git", "paru"])
        self.assertEqual(self.did, [("add", "https://git.example/a.git", "paru")])

    async def test_a_folder_is_handed_over(self) -> None:
        folder = self.recipe()
        self.says["add"] = "paru 1.0-1 is new\n"
        self.looks["paru"] = look(stage="queued", proposed="")
        await self.run_build("add", words=["./mine"])
        self.assertEqual(self.did, [("add", str(folder))])
        with tarfile.open(fileobj=io.BytesIO(self.bodies[0])) as tar:
            self.assertEqual(tar.getnames(), [".SRCINFO", "PKGBUILD"])

    async def test_a_folder_that_was_taken_for_a_name_is_told_of(self) -> None:
        self.recipe()
        self.says["add"] = NodeError("the AUR has no mine")
        with self.assertRaisesRegex(NodeError, "the AUR has no mine; the folder .* is './mine'"):
            await self.run_build("add", words=["paru", "mine"])
        with self.assertRaisesRegex(NodeError, "the AUR has no mine$"):
            await self.run_build("add", words=["paru"])

    async def test_one_that_is_none_is_said(self) -> None:
        with self.assertRaisesRegex(NodeError, "./nosuch is no folder"):
            await self.run_build("add", words=["./nosuch"])
        self.assertEqual(self.did, [])

    def recipe(self) -> Path:
        folder = self.folder / "mine"
        folder.mkdir()
        (folder / "PKGBUILD").write_text(PKGBUILD)
        (folder / ".SRCINFO").write_text(SRCINFO)
        return folder

    def test_what_makepkg_and_git_left_is_left_out(self) -> None:
        folder = self.recipe()
        for name in ("src/x", "pkg/paru/y", ".git/config", "keys/pgp/A.asc"):
            (folder / name).parent.mkdir(parents=True)
            (folder / name).write_text("x")
        for name in ("paru-1.0-1-any.pkg.tar.zst", "paru-1.0-1-any.pkg.tar.zst.sig", "a.log"):
            (folder / name).write_text("x")
        (folder / "fix.sh").write_text("x")
        (folder / "fix.sh").chmod(0o755)
        (folder / "link").symlink_to("fix.sh")
        with tarfile.open(fileobj=io.BytesIO(packed(folder))) as tar:
            found = {one.name: one for one in tar.getmembers()}
        self.assertEqual(set(found), {".SRCINFO", "PKGBUILD", "fix.sh", "keys/pgp/A.asc", "link"})
        self.assertEqual((found["fix.sh"].mode, found["PKGBUILD"].mode), (0o755, 0o644))
        self.assertEqual(found["link"].linkname, "fix.sh")

    def test_one_without_its_two_files_is_no_recipe(self) -> None:
        folder = self.recipe()
        (folder / ".SRCINFO").unlink()
        with self.assertRaisesRegex(RecipeError, "makepkg --printsrcinfo"):
            packed(folder)
        (folder / "PKGBUILD").unlink()
        with self.assertRaisesRegex(RecipeError, "no PKGBUILD"):
            packed(folder)

    def test_too_many_and_too_large_files_are_refused(self) -> None:
        folder = self.recipe()
        for name in ("a", "b"):
            (folder / name).write_bytes(bytes(LARGEST // 2))
        with self.assertRaisesRegex(RecipeError, "without what makepkg downloaded"):
            packed(folder)
        for name in ("a", "b"):
            (folder / name).unlink()
        for number in range(MOST_FILES):
            (folder / f"f{number}").write_text("")
        with self.assertRaisesRegex(RecipeError, f"more than {MOST_FILES} files"):
            packed(folder)
