"""``flocon get --newest``: what no database lists is believed by its signature alone."""

from __future__ import annotations

import hashlib
import json
import sys
from io import StringIO
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed

from flocon.cli import getting, newest
from flocon.errors import PackageError
from flocon.terminal.asking import NodeError
from tests.terminal.node import NodeTestCase


def name_of(version: str) -> str:
    return f"tool-{version}-any.pkg.tar.zst"


def data_of(version: str) -> bytes:
    return f"package {version}".encode() * 1_000


class NewestTests(NodeTestCase):
    """``trusted`` are the versions whose signature is a trusted key's."""

    def setUp(self) -> None:
        super().setUp()
        self.found: dict[str, Any] = {"listed": [], "files": []}
        self.node.answers = {"/search.json": (200, self.found)}
        self.trusted = {"2-1", "3-1"}
        self.lies: set[str] = set()
        self.patch(newest, "keyring_of", {Path("/pacman.conf"): Path("/keyring")}.__getitem__)
        self.patch(newest, "is_vouched", self.is_vouched)
        self.patch(newest, "read_identity", self.read_identity)
        self.errors = StringIO()
        self.patch(sys, "stderr", self.errors)

    def is_vouched(self, _: Any, keyring: Path, fd: int, signature: bytes) -> Deferred[bool]:
        self.assertEqual(keyring, Path("/keyring"))
        data = Path(f"/proc/self/fd/{fd}").read_bytes()
        version = signature.decode().removeprefix("signed ")
        return succeed(version in self.trusted and data == data_of(version))

    def read_identity(self, fd: int, file_name: str) -> None:
        if file_name in self.lies:
            raise PackageError(file_name, "inside it is another")

    def hold(self, version: str, address: str = "10.0.0.2", *, signed: bool = True) -> str:
        """Have a peer hold a version, the newest before all others; return its path."""
        data, name = data_of(version), name_of(version)
        sha256 = hashlib.sha256(data).hexdigest()
        holder = {"node": address, "name": address, "address": address}
        self.found["files"].append(
            {
                "file": name,
                "version": version,
                "size": len(data),
                "sha256": sha256,
                "here": None,
                "holders": [holder],
            }
        )
        path = f"/mirror/package/{sha256}/{len(data)}/{name}"
        self.node.answers[path] = (200, data)
        if signed:
            self.node.answers[f"{path}.sig"] = (200, f"signed {version}".encode())
        return path

    def list_version(self, version: str) -> None:
        """Have a database list a version, and the node get it as any listed one."""
        data, name = data_of(version), name_of(version)
        sha256 = hashlib.sha256(data).hexdigest()
        listed = {"repository": "core", "file": name, "size": len(data), "sha256": sha256}
        self.found["listed"].append(listed | {"version": version})
        self.node.answers["/why.json"] = (200, {"listed": [listed], "here": None})
        self.node.answers[f"/{name}"] = (200, data)
        self.node.answers[f"/{name}.sig"] = (200, b"of the database")

    async def get(self, name: str = "tool", **more: Any) -> str:
        await self.run_command(
            getting.get, name=name, newest=True, pacman_conf=Path("/pacman.conf"), **more
        )
        return self.out.getvalue()

    async def refused(self, name: str = "tool") -> str:
        with self.assertRaises(NodeError) as caught:
            await self.get(name)
        return str(caught.exception)

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    def both(self, version: str) -> dict[str, bytes]:
        name = name_of(version)
        return {name: data_of(version), f"{name}.sig": f"signed {version}".encode()}

    async def test_a_signed_one_is_there_with_its_signature(self) -> None:
        self.hold("3-1")
        said = await self.get()
        self.assertEqual(self.files(), self.both("3-1"))
        self.assertIn(f"sudo pacman -U {name_of('3-1')}", said)
        self.assertIn("from peer 10.0.0.2", said)

    async def test_json_tells_that_it_is_trusted_and_not_listed(self) -> None:
        self.hold("3-1")
        told = json.loads(await self.get(json=True))
        self.assertEqual(
            (told["verified"], told["trusted"], told["signature"]), (False, True, True)
        )
        self.assertEqual(told["path"], str(self.folder / name_of("3-1")))

    async def test_one_that_nobody_trusted_has_signed_is_told_and_the_next_is_taken(self) -> None:
        self.hold("9-1", "10.0.0.66")
        self.hold("3-1")
        await self.get()
        self.assertEqual(self.files(), self.both("3-1"))

    async def test_neither_unsigned_nor_cut_nor_wrong_ones_are_kept(self) -> None:
        self.hold("9-1", "10.0.0.3", signed=False)
        gone = self.hold("8-1", "10.0.0.4")
        wrong = self.hold("7-1", "10.0.0.5")
        self.trusted |= {"9-1", "8-1", "7-1"}
        self.node.answers[gone] = (404, b"")
        self.node.answers[wrong] = (200, data_of("7-2"))
        said = await self.refused()
        self.assertIn("no version of tool", said)
        self.assertEqual(self.files(), {})
        for words in ("nobody has a signature", "nobody has it any more", "its SHA-256 is not"):
            self.assertIn(words, self.errors.getvalue())

    async def test_an_old_package_under_a_new_name_is_not_kept(self) -> None:
        self.hold("3-1")
        self.lies.add(name_of("3-1"))
        await self.refused()
        self.assertEqual(self.files(), {})
        self.assertIn("inside it is another", self.errors.getvalue())

    async def test_no_more_than_so_many_are_tried(self) -> None:
        for number in range(newest.MOST_TRIED + 3):
            self.hold(f"{99 - number}-1", f"10.0.0.{60 + number}")
        await self.refused()
        tried = [one for one in self.node.asked if one.endswith(".sig")]
        self.assertEqual(len(tried), newest.MOST_TRIED)

    async def test_what_is_listed_and_no_older_comes_as_ever(self) -> None:
        self.hold("2-1")
        self.list_version("2-1")
        self.assertIn("verified", await self.get())
        self.assertEqual(self.files()[name_of("2-1")], data_of("2-1"))
        self.assertFalse(any("/mirror/package" in one for one in self.node.asked))

    async def test_of_several_repositories_the_newest_is_taken(self) -> None:
        self.list_version("2-1")
        self.list_version("1-1")
        self.node.answers["/why.json"] = (200, {"listed": self.found["listed"][:1], "here": None})
        await self.get()
        self.assertIn(name_of("2-1"), self.files())

    async def test_where_no_newer_one_is_trusted_the_listed_one_comes(self) -> None:
        self.hold("9-1", "10.0.0.66")
        self.list_version("2-1")
        await self.get()
        self.assertEqual(set(self.files()), set(self.both("2-1")))
        self.assertIn(f"{name_of('9-1')}: nobody whom pacman here trusts", self.errors.getvalue())

    async def test_what_other_tools_list_is_not_asked_for(self) -> None:
        self.hold("3-1")
        self.found["files"][0]["sha256"] = None
        self.assertIn("only machines of other tools", await self.refused())

    async def test_another_file_of_that_name_is_not_overwritten(self) -> None:
        self.hold("3-1")
        (self.folder / name_of("3-1")).write_bytes(b"mine")
        self.assertIn("another file of this name", await self.refused())
        self.assertEqual(self.files(), {name_of("3-1"): b"mine"})

    async def test_a_files_name_is_not_taken_for_a_packages(self) -> None:
        self.assertIn("leave out --newest", await self.refused(name_of("3-1")))
        self.assertEqual(self.node.asked, [])

    async def test_what_a_node_calls_a_file_cannot_lead_elsewhere(self) -> None:
        self.hold("3-1")
        self.found["files"][0]["file"] = "../" + name_of("3-1")
        await self.refused()
        self.assertEqual(self.files(), {})
