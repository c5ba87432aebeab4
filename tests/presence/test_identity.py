"""Which node this is, and when it becomes another one."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.presence.identity import new_identity, node_identity


class Identities(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())

    def test_it_is_sixteen_hexadecimal_digits(self) -> None:
        self.assertRegex(node_identity(self.folder, "name"), r"\A[0-9a-f]{16}\Z")

    def test_it_stays_across_restarts(self) -> None:
        self.assertEqual(node_identity(self.folder, "name"), node_identity(self.folder, "name"))

    def test_a_clone_with_another_name_is_another_node(self) -> None:
        self.assertNotEqual(node_identity(self.folder, "name"), node_identity(self.folder, "other"))

    def test_another_store_is_another_node(self) -> None:
        self.assertNotEqual(
            node_identity(self.folder, "name"), node_identity(Path(self.mktemp()), "name")
        )

    def test_the_token_itself_is_not_told(self) -> None:
        identity = node_identity(self.folder, "name")
        self.assertNotIn(identity, (self.folder / "node").read_text())

    def test_a_new_one_stays_across_restarts_too(self) -> None:
        before = node_identity(self.folder, "name")
        after = new_identity(self.folder, "name")
        self.assertNotEqual(before, after)
        self.assertEqual(node_identity(self.folder, "name"), after)

    def test_a_damaged_token_is_replaced_once(self) -> None:
        self.folder.mkdir()
        for damaged in (b"", b"\xff", b"short", b"0" * 33):
            (self.folder / "node").write_bytes(damaged)
            first = node_identity(self.folder, "name")
            self.assertRegex(first, r"\A[0-9a-f]{16}\Z")
            self.assertEqual(node_identity(self.folder, "name"), first)

    def test_a_store_that_cannot_be_written_gives_one_for_this_run(self) -> None:
        self.folder.write_text("not a folder")
        first = node_identity(self.folder, "name")
        self.assertRegex(first, r"\A[0-9a-f]{16}\Z")
        self.assertNotEqual(node_identity(self.folder, "name"), first)

    def test_what_is_no_file_is_not_waited_for_nor_written_to(self) -> None:
        self.folder.mkdir()
        file, other = self.folder / "node", self.folder / "other"
        os.mkfifo(file)
        first = node_identity(self.folder, "name")
        self.assertEqual(node_identity(self.folder, "name"), first)
        file.unlink()
        other.write_bytes(b"other")
        file.symlink_to(other)
        node_identity(self.folder, "name")
        self.assertEqual(other.read_bytes(), b"other")

    def test_a_huge_file_is_not_read(self) -> None:
        self.folder.mkdir()
        with (self.folder / "node").open("wb") as file:
            file.truncate(1 << 40)
        first = node_identity(self.folder, "name")
        self.assertEqual(node_identity(self.folder, "name"), first)
