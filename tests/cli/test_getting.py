"""``flocon get`` where the node, the folder or the bytes are not as they should be."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from flocon.cli import getting
from flocon.terminal.asking import NodeError
from tests.terminal.node import NodeTestCase

NAME = "tool-1-1-any.pkg.tar.zst"
DATA = b"package" * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()


class GettingTests(NodeTestCase):
    def setUp(self) -> None:
        super().setUp()
        listed = {"repository": "core", "file": NAME, "size": len(DATA), "sha256": SHA256}
        self.why: dict[str, Any] = {"listed": [listed], "here": None}
        self.search: dict[str, Any] = {"listed": [listed], "files": []}
        self.node.answers = {
            "/why.json": (200, self.why),
            "/search.json": (200, self.search),
            f"/{NAME}": (200, DATA),
            f"/{NAME}.sig": (200, b"signature"),
        }

    async def get(self, name: str = NAME, **options: Any) -> str:
        await self.run_command(getting.get, name=name, newest=False, **options)
        return self.out.getvalue()

    async def refused(self, name: str = NAME) -> str:
        with self.assertRaises(NodeError) as caught:
            await self.run_command(getting.get, name=name, newest=False)
        return str(caught.exception)

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    async def test_file_and_signature_are_there_with_usual_rights(self) -> None:
        said = await self.get()
        self.assertIn("from peer 10.0.0.2", said)
        self.assertTrue(said.startswith(f"{self.folder / NAME}  "), said)
        self.assertIn("with its signature beside it", said)
        self.assertEqual(self.files(), {NAME: DATA, f"{NAME}.sig": b"signature"})
        umask = os.umask(0)
        os.umask(umask)
        self.assertEqual((self.folder / NAME).stat().st_mode & 0o777, 0o666 & ~umask)

    async def test_json_tells_the_same(self) -> None:
        told = json.loads(await self.get("tool", json=True))
        self.assertEqual(
            (told["file"], told["bytes"], told["sha256"], told["verified"], told["signature"]),
            (NAME, len(DATA), SHA256, True, True),
        )

    async def test_wrong_bytes_are_not_kept(self) -> None:
        self.node.answers[f"/{NAME}"] = (200, DATA[:-1] + b"!")
        self.assertIn("its SHA-256 is not", await self.refused())
        self.node.answers[f"/{NAME}"] = (200, DATA[:-1])
        self.assertIn("bytes came instead of", await self.refused())
        self.assertEqual(self.files(), {})

    async def test_a_file_cut_short_is_not_kept(self) -> None:
        self.node.withheld = 10
        self.assertIn("ended after", await self.refused())
        self.assertEqual(self.files(), {})

    async def test_what_no_source_has_is_said(self) -> None:
        self.node.answers[f"/{NAME}"] = (404, b"")
        self.assertIn("neither the LAN nor a mirror has it", await self.refused())
        self.node.answers[f"/{NAME}"] = (503, b"")
        self.assertIn("no source could deliver it (503)", await self.refused())
        self.assertEqual(self.files(), {})

    async def test_an_unlisted_package_is_marked_as_not_verified(self) -> None:
        self.why["listed"] = []
        self.assertIn("not listed, so check its signature", await self.get())

    async def test_a_package_without_signature_is_said_to_be_so(self) -> None:
        del self.node.answers[f"/{NAME}.sig"]
        self.assertIn(f"{NAME}.sig is nowhere to be had", await self.get())

    async def test_a_signature_that_could_not_be_had_is_told_from_the_package(self) -> None:
        self.node.answers[f"/{NAME}.sig"] = (503, b"")
        self.assertIn(f"{NAME} is here, but its signature is not: ", await self.refused())
        self.assertEqual(self.files(), {NAME: DATA})

    async def test_the_same_file_is_left_and_not_asked_for(self) -> None:
        (self.folder / NAME).write_bytes(DATA)
        self.assertIn(f"{self.folder / NAME} is here already", await self.get())
        self.assertEqual([one for one in self.node.asked if NAME in one.split("?")[0]], [])

    async def test_another_signature_is_not_overwritten(self) -> None:
        (self.folder / f"{NAME}.sig").write_bytes(b"mine")
        self.assertIn("another file of this name", await self.refused())
        self.assertEqual(self.files()[f"{NAME}.sig"], b"mine")

    async def test_a_link_to_nowhere_is_not_followed(self) -> None:
        (self.folder / NAME).symlink_to("elsewhere")
        self.assertIn("another file of this name", await self.refused())

    async def test_a_file_system_without_links_will_do(self) -> None:
        def no_links(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        self.patch(os, "link", no_links)
        await self.get()
        self.assertEqual(self.files(), {NAME: DATA, f"{NAME}.sig": b"signature"})

    async def test_where_neither_link_nor_rename_is_possible_nothing_is_left(self) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        self.patch(os, "link", refuse)
        self.patch(Path, "rename", refuse)
        self.assertIn("nothing is kept", await self.refused())
        self.assertEqual(self.files(), {})

    async def test_what_is_no_package_is_said_with_what_brings_it(self) -> None:
        for name, words in (
            ("core.db", "'pacman -Sy' fetches"),
            (f"{NAME}.sig", f"flocon get {NAME}"),
            (" ", "an empty name"),
            ("x" * 256, "no package has a name of more than 255"),
        ):
            self.assertIn(words, await self.refused(name))

    async def test_a_name_is_never_a_path(self) -> None:
        self.search["listed"][0]["file"] = "../../etc/passwd"
        self.assertIn("names no package", await self.refused("tool"))

    async def test_versions_that_only_peers_have_are_named(self) -> None:
        self.search["listed"] = []
        self.search["files"] = [{"version": "10-1"}, {"version": "9-1"}]
        self.assertIn("the LAN has 9-1, 10-1", await self.refused("tool"))

    async def test_without_a_node_one_sentence_says_so(self) -> None:
        with self.assertRaises(NodeError) as caught:
            await self.run_command(getting.get, name=NAME, newest=False, port=1)
        self.assertIn(
            "no node answers on port 1 (nobody listens there); start one", str(caught.exception)
        )
