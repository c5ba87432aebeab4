"""What is looked at before the doctor judges: folders and configuration."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from flocon.advice import gathering, node_checks
from flocon.errors import ConfigurationError
from flocon.leading import look, setup
from flocon.leading.node_lines import Method
from flocon.machine.reading import read_plain
from tests.advice.doctoring import HEALTHY, node


class ConfigurationTests(SynchronousTestCase):
    """What the node reads of pacman's configuration, as its own user."""

    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        # A blank is a part of a path there: the value is the whole line.
        self.path, self.list = folder / "pacman.conf", folder / "mirror list"
        self.path.write_text(f"[options]\nArchitecture = x86_64\n[core]\nInclude = {self.list}\n")
        self.list.write_text("Server = http://h/$repo\n")

    def test_one_that_can_be_read_has_no_problem(self) -> None:
        told = gathering.look_at_configuration(self.path)
        self.assertEqual(told, {"path": str(self.path), "problem": ""})

    def test_the_file_that_cannot_be_read_is_named(self) -> None:
        read = read_plain

        def refuse(path: str, most: int) -> bytes:
            if path == str(self.list):
                raise PermissionError(13, "Permission denied")
            return read(path, most)

        self.patch(look, "read_plain", refuse)
        told = gathering.look_at_configuration(self.path)
        self.assertEqual(told["path"], str(self.list))
        self.assertIn("cannot be read (Permission denied)", told["problem"])
        self.assertEqual(told["remedy"], "")

    def test_so_is_one_that_was_set_up(self) -> None:
        setup.set_up(self.path, port=1, method=Method.SERVER, dry_run=False)
        self.test_the_file_that_cannot_be_read_is_named()

    def test_a_folder_is_named_as_what_it_is(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        told = gathering.look_at_configuration(folder)
        self.assertIn("is a folder, and no file", told["problem"])
        self.assertIn(f"{folder}/pacman.conf", told["remedy"])
        for change in (setup.undo, partial(setup.set_up, port=1, method=None, databases=False)):
            with self.assertRaises(ConfigurationError) as caught:
                change(folder, dry_run=True)
            self.assertIn("is a folder", caught.exception.problem)

    def test_so_is_one_that_is_not_there(self) -> None:
        self.path.unlink()
        told = gathering.look_at_configuration(self.path)
        self.assertEqual(told["path"], str(self.path))
        self.assertIn("cannot be read", told["problem"])

    def test_to_open_a_file_that_is_not_there_is_not_advised(self) -> None:
        self.list.unlink()
        told = gathering.look_at_configuration(self.path)
        self.assertEqual(told["remedy"], "check the path and its permissions")
        facts = replace(HEALTHY, node=node(configuration=told))
        found = list(node_checks.check_configuration(facts))
        self.assertEqual([one.remedy for one in found], [told["remedy"]])


class FolderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def look(self) -> dict[str, Any]:
        return gathering.look_at_store(self.folder)

    def test_good_folders_have_no_problem(self) -> None:
        (self.folder / "a.pkg.tar.zst").write_text("a")
        (self.folder / "download-abc").mkdir(mode=0)
        told = self.look()
        self.assertEqual(gathering.look_at_cache(self.folder), "")
        self.assertEqual(told["store"]["problem"], "")
        self.assertGreater(told["store"]["free_bytes"], 0)

    def test_files_without_the_right_to_read_are_counted(self) -> None:
        (self.folder / "a.pkg.tar.zst").write_text("a")
        with mock.patch.object(os, "access", return_value=False):
            told = self.look()
            self.assertIn("1 file cannot be read", gathering.look_at_cache(self.folder))
        self.assertIn("cannot be written", told["store"]["problem"])

    def test_a_folder_in_the_store_that_cannot_be_written_is_named(self) -> None:
        packages = self.folder / "packages"
        packages.mkdir()
        access = os.access
        with mock.patch.object(
            os, "access", lambda path, mode: path != packages and access(path, mode)
        ):
            told = self.look()
        self.assertEqual(told["store"]["problem"], f"{packages}: cannot be written by the node")

    def test_folders_that_are_not_there(self) -> None:
        self.folder.rmdir()
        told = self.look()
        self.assertEqual(gathering.look_at_cache(self.folder), "No such file or directory")
        self.assertEqual(told["store"]["problem"], f"{self.folder}: is not there")
        self.assertEqual(told["store"]["free_bytes"], 0)
