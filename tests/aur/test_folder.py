"""Where the histories of recipes lie."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.aur import folder
from flocon.aur.folder import count_packs, prepare, remove, repository
from flocon.errors import StoreError


class Folder(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        prepare(self.folder, "foo")
        self.place = repository(self.folder, "foo")
        self.packs = self.place / "objects" / "pack"

    def test_a_repository_of_git_is_there(self) -> None:
        self.assertEqual(
            {one.name for one in self.place.iterdir()}, {"HEAD", "config", "objects", "refs"}
        )

    def test_a_second_time_it_is_left_as_it_is(self) -> None:
        (self.place / "HEAD").write_text("other")
        (self.packs / "pack-1.pack").touch()
        prepare(self.folder, "foo")
        self.assertEqual((self.place / "HEAD").read_text(), "other")
        self.assertEqual(count_packs(self.folder, "foo"), 1)

    def test_what_was_half_written_is_written_again(self) -> None:
        (self.place / "config").unlink()
        (self.place / "config.lock").write_text("[co")
        prepare(self.folder, "foo")
        self.assertIn("bare = true", (self.place / "config").read_text())
        self.assertFalse((self.place / "config.lock").exists())

    def test_leftovers_go_and_nothing_else(self) -> None:
        leftovers = [
            self.place / "packed-refs.lock",
            self.place / "refs/flocon/seen/1.lock",
            self.packs / "tmp_idx_1",
        ]
        kept = [self.place / "packed-refs", self.place / "refs/flocon/seen/1"]
        (self.place / "refs/flocon/seen").mkdir()
        for one in (*leftovers, *kept):
            one.touch()
        prepare(self.folder, "foo")
        self.assertEqual([one for one in leftovers if one.exists()], [])
        self.assertEqual([one for one in kept if not one.exists()], [])

    def test_what_others_have_is_no_room_for_it(self) -> None:
        self.patch(folder, "MOST_BYTES", 100)
        self.patch(folder, "MOST_BYTES_OF_ALL", 150)
        self.assertEqual(prepare(self.folder, "bar"), 100)
        (self.packs / "pack-1.pack").write_bytes(b"x" * 70)
        self.assertEqual(prepare(self.folder, "bar"), 80)
        self.assertEqual(prepare(self.folder, "foo"), 100)
        (self.packs / "pack-1.pack").write_bytes(b"x" * 170)
        self.assertEqual(prepare(self.folder, "bar"), 0)

    def test_what_cannot_be_made_is_told_with_its_place(self) -> None:
        remove(self.place)
        self.place.write_text("no folder")
        with self.assertRaises(StoreError) as caught:
            prepare(self.folder, "foo")
        self.assertEqual(caught.exception.path, str(self.place))

    def test_what_is_not_there_has_no_packs_and_is_removed_already(self) -> None:
        self.assertEqual(count_packs(self.folder, "bar"), 0)
        remove(repository(self.folder, "bar"))
