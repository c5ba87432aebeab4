"""What is published is whole at every moment, whatever happens to the one that publishes."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable

from flocon.errors import RepositoryError, StoreError
from flocon.repository import generations
from flocon.repository.entries import list_package
from flocon.repository.generations import LEAST_KEPT, MOST_KEPT, Generations
from flocon.repository.published import CURRENT, GENERATIONS, KEY, PACKAGES, sequences
from tests.repository.packages import SIGNATURE, opened, package, snapshot
from tests.repository.repository_case import (
    BEGINNING,
    RepositoryTestCase,
    add,
    data_of,
    keep,
    publish,
)


class Publishing(RepositoryTestCase):
    def test_nothing_is_published_at_first(self) -> None:
        self.assertIsNone(self.repository.newest)
        self.assertEqual(self.repository.entries(), [])
        self.assertFalse((self.folder / CURRENT).exists())

    def test_a_repository_without_packages(self) -> None:
        generation = publish(self.repository, [], BEGINNING)
        self.assertEqual((generation.sequence, generation.files), (1, ()))
        self.assertEqual(self.repository.entries(), [])
        self.assert_whole()

    def test_what_was_added_is_listed_beside_the_others(self) -> None:
        self.add("b")
        generation = self.add("a")
        self.assertEqual([one.name for one in generation.files], ["a", "b"])
        self.assertEqual(generation.sequence, 2)
        self.assertEqual(self.repository.newest, generation)
        self.assert_whole()

    def test_a_new_version_takes_the_place_of_the_old_one(self) -> None:
        self.add("a", "1.0-1")
        generation = self.add("a", "2.0-1")
        self.assertEqual([one.version for one in generation.files], ["2.0-1"])
        self.assert_whole()

    def test_another_process_finds_the_same(self) -> None:
        generation = self.add("a")
        self.assertEqual(self.opened().newest, generation)
        self.assertEqual(self.opened().entries(), self.repository.entries())

    def test_seconds_grow_where_the_clock_stands_or_goes_back(self) -> None:
        given = [self.add("a", f"{number}-1", now=BEGINNING - number) for number in (1, 2, 3)]
        seconds = [generation.signed for generation in given]
        self.assertEqual(seconds, [BEGINNING - 1, BEGINNING, BEGINNING + 1])

    def test_seconds_grow_beyond_those_that_somebody_remembers(self) -> None:
        draft = self.repository.draft([], BEGINNING, after=BEGINNING + 100)
        self.assertEqual(draft.signed, BEGINNING + 101)

    def test_seconds_grow_for_a_process_that_starts_as_well(self) -> None:
        self.add("a", now=BEGINNING + 50)
        self.repository = self.opened()
        self.assertEqual(self.add("a", "2.0-1", now=BEGINNING).signed, BEGINNING + 51)

    def test_a_draft_that_is_discarded_leaves_nothing(self) -> None:
        self.add("a")
        before = snapshot(self.folder)
        self.repository.discard(self.repository.draft(self.repository.entries(), BEGINNING))
        self.assertEqual(snapshot(self.folder), before)

    def test_nobody_sees_a_draft(self) -> None:
        self.add("a")
        self.repository.draft([], BEGINNING)
        self.assertEqual(sequences(self.folder), [1])
        self.assert_whole()

    def test_everybody_may_read_and_nobody_else_write(self) -> None:
        previous = os.umask(0o077)
        self.addCleanup(os.umask, previous)
        self.repository = Generations(self.published, "other")
        self.repository.open()
        self.repository.write_key(b"key")
        self.add("a")
        for path in (self.published / "other").rglob("*"):
            if not path.is_symlink():
                mode = stat.S_IMODE(path.stat().st_mode)
                self.assertEqual(mode, 0o755 if path.is_dir() else 0o644, path)

    def test_keys_are_replaced_whole(self) -> None:
        self.repository.write_key(b"one")
        self.repository.write_key(b"one two")
        self.assertEqual((self.folder / KEY).read_bytes(), b"one two")

    def test_a_generation_never_changes(self) -> None:
        self.add("a")
        before = snapshot(self.folder / GENERATIONS / "1")
        self.add("a", "2.0-1")
        self.add("b")
        self.assertEqual(snapshot(self.folder / GENERATIONS / "1"), before)


class Keeping(RepositoryTestCase):
    def test_a_file_that_changes_while_it_is_read(self) -> None:
        one = package("a")
        descriptor = opened(data_of(one) + b"!")
        self.addCleanup(os.close, descriptor)
        error = self.assertRaises(
            RepositoryError, self.repository.keep_package, descriptor, one, SIGNATURE
        )
        self.assertIn("has changed meanwhile", str(error))
        self.assertNotIn(one.file_name, self.repository.packages())

    def test_the_same_package_again(self) -> None:
        self.add("a")
        generation = self.add("a")
        self.assertEqual(len(generation.files), 1)
        self.assert_whole()

    def test_another_content_under_a_name_that_is_listed(self) -> None:
        self.add("a")
        other = package("a", content=b"something else")
        error = self.assertRaises(RepositoryError, self.repository.demand_free, other)
        self.assertIn("raise its pkgrel", str(error))
        self.assertRaises(RepositoryError, self.repository.keep_package, 0, other, SIGNATURE)

    def test_also_where_only_an_earlier_generation_lists_it(self) -> None:
        self.add("a")
        self.add("a", "2.0-1")
        other = package("a", content=b"something else")
        self.assertRaises(RepositoryError, self.repository.demand_free, other)
        self.assertRaises(RepositoryError, self.opened().demand_free, other)

    def test_what_is_to_be_listed_must_be_there(self) -> None:
        listed = list_package(package("a"), SIGNATURE)
        error = self.assertRaises(RepositoryError, self.repository.draft, [listed], BEGINNING)
        self.assertIn("is not there", str(error))

    def test_a_package_can_be_read_again(self) -> None:
        one = package("a")
        keep(self.repository, one)
        for name, data in ((one.file_name, data_of(one)), (one.file_name + ".sig", SIGNATURE)):
            with os.fdopen(self.repository.open_package(name), "rb") as file:
                self.assertEqual(file.read(), data)
        self.assertRaises(StoreError, self.repository.open_package, "other")


class Sweeping(RepositoryTestCase):
    def versions(self) -> list[str]:
        return [name for name in self.repository.packages() if not name.endswith(".sig")]

    def test_the_last_generations_stay(self) -> None:
        for number in range(10):
            self.add("a", f"{number}-1", now=BEGINNING + 1_000 * number)
        self.repository.sweep(BEGINNING + 100_000, 3)
        self.assertEqual(sequences(self.folder), [8, 9, 10])
        self.assertEqual(len(sequences(self.folder)), LEAST_KEPT)
        self.assert_whole()

    def test_so_do_those_that_were_superseded_just_now(self) -> None:
        for number in range(10):
            self.add("a", f"{number}-1", now=BEGINNING + 10 * number)
        self.repository.sweep(BEGINNING + 10 * 9 + 1, 3)
        self.assertEqual(sequences(self.folder), [4, 5, 6, 7, 8, 9, 10])

    def test_but_not_ever_so_many(self) -> None:
        for number in range(MOST_KEPT + 5):
            self.add("a", f"{number}-1")
        self.repository.sweep(BEGINNING, 3)
        self.assertEqual(len(sequences(self.folder)), MOST_KEPT)
        self.assertEqual(sequences(self.folder)[-1], MOST_KEPT + 5)
        self.assert_whole()

    def test_versions_to_go_back_to_stay(self) -> None:
        for number in range(10):
            self.add("a", f"{number}-1", now=BEGINNING + 1_000 * number)
        removed = self.repository.sweep(BEGINNING + 100_000, 5)
        self.assertEqual(len(removed), 5)
        self.assertEqual(self.versions(), [package("a", f"{n}-1").file_name for n in range(5, 10)])
        self.assertEqual(len(self.repository.packages()), 10)

    def test_what_is_listed_stays_though_newer_ones_were_kept(self) -> None:
        for number in range(5):
            self.add("a", f"{number}-1", now=BEGINNING + 1_000 * number)
        for number in range(5, 10):
            self.add("a", "0-1", now=BEGINNING + 1_000 * number)
        self.repository.sweep(BEGINNING + 100_000, 2)
        self.assertEqual(
            self.versions(), [package("a", version).file_name for version in ("0-1", "3-1", "4-1")]
        )
        self.assert_whole()

    def test_what_is_removed_goes_with_the_last_generation_that_lists_it(self) -> None:
        self.add("a")
        for number in range(1, 5):
            publish(self.repository, [], BEGINNING + 1_000 * number)
            removed = self.repository.sweep(BEGINNING + 1_000 * number, 3)
            self.assertEqual(removed, [package("a").file_name] if number == 3 else [])
        self.assertEqual(self.repository.packages(), [])

    def test_a_name_that_is_free_again_can_be_taken(self) -> None:
        self.add("a")
        for number in range(1, 4):
            publish(self.repository, [], BEGINNING + 1_000 * number)
            self.repository.sweep(BEGINNING + 1_000 * number, 3)
        self.repository.demand_free(package("a", content=b"something else"))


class _Killed(BaseException):
    """The process ends here."""


class Starting(RepositoryTestCase):
    """A process that is killed at any step leaves what was published, or what was to be."""

    def kill_at(self, step: int) -> bool:
        """Add a package and sweep, and end at the given change of the disk; whether it came so far.

        Of a file that is written only half may have come.
        """
        left = step

        def stepping() -> bool:
            nonlocal left
            left -= 1
            # What tidies up after an error is not run in a process that was killed.
            return left <= 0

        def counted(call: Callable[..., object]) -> Callable[..., object]:
            def change(*arguments: object, **options: object) -> object:
                if stepping():
                    raise _Killed
                return call(*arguments, **options)

            return change

        def write(descriptor: int, data: bytes) -> None:
            if stepping():
                os.write(descriptor, data[: len(data) // 2])
                raise _Killed
            os.write(descriptor, data)

        patches = [
            self.patch(os, name, counted(getattr(os, name)))
            for name in ("rename", "mkdir", "symlink", "fsync", "unlink", "rmdir")
        ]
        patches.append(self.patch(generations, "write_all", write))
        try:
            add(self.repository, package("b"), BEGINNING + 5_000)
            self.repository.sweep(BEGINNING + 5_000, 1)
        except _Killed:
            return True
        finally:
            for patch in patches:
                patch.restore()
        return False

    def test_at_every_step(self) -> None:
        step, outcomes = 0, set()
        while True:
            step += 1
            shutil.rmtree(self.published, ignore_errors=True)
            self.repository = self.opened()
            for number in range(5):
                self.add("a", f"{number}-1", now=BEGINNING + 1_000 * number)
            was_killed = self.kill_at(step)
            self.assert_whole()
            self.repository = self.opened()
            self.assert_whole()
            newest = self.repository.newest
            assert newest is not None
            outcomes.add(newest.sequence)
            self.assertIn(newest.sequence, (5, 6))
            self.assertEqual(len(newest.files), newest.sequence - 4)
            left = list(self.folder.rglob("*.new"))
            self.assertEqual(left, [])
            following = self.add("c", now=BEGINNING)
            self.assertEqual(following.sequence, newest.sequence + 1)
            self.assertGreater(following.signed, newest.signed)
            self.assert_whole()
            if not was_killed:
                break
        self.assertEqual(outcomes, {5, 6})
        self.assertGreater(step, 20)

    def test_what_was_published_and_not_yet_found_is_found(self) -> None:
        self.add("a")
        self.add("b")
        (self.folder / CURRENT).unlink()
        (self.folder / CURRENT).symlink_to(f"{GENERATIONS}/1")
        generation = self.opened().newest
        assert generation is not None
        self.assertEqual(generation.sequence, 2)
        self.assertEqual(str((self.folder / CURRENT).readlink()), f"{GENERATIONS}/2")

    def test_a_damaged_generation_is_left_out_and_its_number_not_given_again(self) -> None:
        self.add("a")
        self.add("b")
        (self.folder / GENERATIONS / "2" / "home.db").write_bytes(b"x")
        self.repository = self.opened()
        newest = self.repository.newest
        assert newest is not None
        self.assertEqual(newest.sequence, 1)
        self.assertEqual(self.add("b").sequence, 3)
        self.assert_whole()
        self.flushLoggedErrors()

    def test_a_damaged_database_is_not_built_upon(self) -> None:
        self.add("a")
        (self.folder / GENERATIONS / "1" / "home.files").write_bytes(b"x")
        error = self.assertRaises(RepositoryError, self.repository.entries)
        self.assertIn("is damaged", str(error))

    def test_strangers_files_are_left_alone(self) -> None:
        self.add("a")
        for name in ("x", f"{PACKAGES}/y", f"{GENERATIONS}/z"):
            (self.folder / name).write_bytes(b"mine")
        self.repository = self.opened()
        self.repository.sweep(BEGINNING + 100_000, 1)
        for name in ("x", f"{PACKAGES}/y", f"{GENERATIONS}/z"):
            self.assertEqual((self.folder / name).read_bytes(), b"mine")

    def test_a_folder_that_cannot_be_written(self) -> None:
        blocked = self.published / "file"
        blocked.write_bytes(b"")
        error = self.assertRaises(StoreError, Generations(blocked, "home").open)
        self.assertIn(str(blocked), str(error))

    def test_a_disk_that_is_full_changes_nothing(self) -> None:
        self.add("a")

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        patch = self.patch(os, "fsync", full)
        self.assertRaises(StoreError, add, self.repository, package("b"), BEGINNING)
        patch.restore()
        self.assert_whole()
        self.repository = self.opened()
        self.assertEqual([one.name for one in self.repository.entries()], ["a"])
