"""What the keeper has on disk."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import StoreError
from flocon.jobs.archive import MOST_HISTORY, Archive
from tests.jobs.recipes import published, queued, waiting


class ArchiveTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.archive = Archive(Path(self.mktemp()))
        self.archive.open()

    @property
    def folder(self) -> Path:
        return self.archive.folder

    def test_what_is_saved_is_there_the_next_time(self) -> None:
        self.archive.save([queued("a"), waiting("b")])
        self.assertEqual(self.archive.open(), {"a": queued("a"), "b": waiting("b")})

    def test_an_empty_folder_watches_nothing(self) -> None:
        self.assertEqual(self.archive.open(), {})

    def test_a_damaged_file_is_put_aside_and_said(self) -> None:
        (self.folder / "watched.json").write_text("{")
        self.assertEqual(self.archive.open(), {})
        self.assertTrue((self.folder / "watched.json.set-aside").exists())

    def test_what_cannot_be_written_leaves_what_was_there(self) -> None:
        self.archive.save([queued()])
        (self.folder / "watched.json").rename(self.folder / "aside")
        (self.folder / "watched.json").mkdir()
        self.assertRaises(StoreError, self.archive.save, [published()])

    def test_history_is_told_newest_last_and_by_recipe(self) -> None:
        for number in range(5):
            self.archive.append([{"base": "a" if number % 2 else "b", "what": number}])
        whats = [one["what"] for one in self.archive.history("", 3)]
        self.assertEqual(whats, [2, 3, 4])
        self.assertEqual([one["what"] for one in self.archive.history("a", 9)], [1, 3])

    def test_a_line_that_was_cut_off_is_left_out(self) -> None:
        self.archive.append([{"base": "a", "what": 1}])
        with (self.folder / "history.jsonl").open("a") as file:
            file.write('{"base": "a", "wh')
        self.assertEqual(len(self.archive.history("a", 9)), 1)

    def test_history_is_bounded_and_what_was_before_is_still_told(self) -> None:
        self.archive.append([{"base": "a", "what": 1}])
        os.truncate(self.folder / "history.jsonl", MOST_HISTORY + 1)
        self.archive.append([{"base": "a", "what": 2}])
        self.assertLess((self.folder / "history.jsonl").stat().st_size, 1_000)
        self.assertEqual([one["what"] for one in self.archive.history("a", 9)], [2])

    def test_a_log_is_read_by_pieces(self) -> None:
        with os.fdopen(self.archive.begin_log("a"), "wb") as file:
            file.write(b"first\n" + b"x" * 300_000)
        at, piece = self.archive.read_log("a", 0)
        self.assertTrue(piece.startswith(b"first\n"))
        end, rest = self.archive.read_log("a", at)
        self.assertEqual((end, len(piece) + len(rest)), (300_006, 300_006))
        self.assertEqual(self.archive.read_log("a", end), (end, b""))

    def test_a_new_log_is_read_from_its_beginning(self) -> None:
        with os.fdopen(self.archive.begin_log("a"), "wb") as file:
            file.write(b"a long first one")
        with os.fdopen(self.archive.begin_log("a"), "wb") as file:
            file.write(b"short")
        self.assertEqual(self.archive.read_log("a", 16), (5, b"short"))

    def test_no_log_is_empty(self) -> None:
        self.assertEqual(self.archive.read_log("a", 0), (0, b""))

    def test_the_oldest_logs_make_room(self) -> None:
        for at, name in enumerate("abc"):
            with os.fdopen(self.archive.begin_log(name, 45 << 20), "wb") as file:
                file.write(bytes(2 << 20))
            os.utime(self.archive.log_path(name), (at, at))
        os.close(self.archive.begin_log("d", 45 << 20))
        left = {path.name for path in self.archive.log_path("a").parent.iterdir()}
        self.assertEqual(left, {"b", "c", "d"})

    def test_a_job_is_whole_or_not_there(self) -> None:
        (self.archive.new_job("one") / "file").write_text("x")
        self.assertEqual(self.archive.kept_jobs(), frozenset())
        self.archive.finish_job("one", {"base": "a"})
        self.assertEqual(self.archive.kept_jobs(), frozenset({"one"}))
        self.assertEqual(self.archive.read_job("one"), {"base": "a"})

    def test_jobs_of_nobody_are_cleared(self) -> None:
        for name in ("one", "two"):
            self.archive.new_job(name)
            self.archive.finish_job(name, {})
        self.archive.new_job("three")
        self.archive.clear_jobs({"two"})
        self.assertEqual({path.name for path in (self.folder / "jobs").iterdir()}, {"two"})

    def test_recipes_of_folders_stay_as_long_as_they_are_needed(self) -> None:
        self.archive.keep_recipe("a", "1", b"first", [])
        self.archive.keep_recipe("a", "2", b"second", ["1"])
        self.archive.keep_recipe("a", "3", b"third", ["2"])
        self.assertEqual(self.archive.read_recipe("a", "3", 99), b"third")
        self.assertEqual(self.archive.read_recipe("a", "2", 99), b"second")
        self.assertRaises(StoreError, self.archive.read_recipe, "a", "1", 99)

    def test_what_is_forgotten_leaves_its_history(self) -> None:
        self.archive.append([{"base": "a", "what": 1}])
        os.close(self.archive.begin_log("a"))
        self.archive.keep_recipe("a", "1", b"first", [])
        self.archive.forget("a")
        self.assertFalse(self.archive.log_path("a").exists())
        self.assertEqual(len(self.archive.history("a", 9)), 1)
