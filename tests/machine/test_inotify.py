"""What a followed folder reports, with the kernel's real inotify and no waiting."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from unittest import mock

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor, IWriteDescriptor
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from flocon.machine.inotify import FolderWatch


@implementer(IReactorFDSet)
class Readers:
    """A reactor that only remembers what it is to read."""

    def __init__(self) -> None:
        self.readers: list[IReadDescriptor] = []

    def addReader(self, reader: IReadDescriptor) -> None:  # noqa: N802
        self.readers.append(reader)

    def removeReader(self, reader: IReadDescriptor) -> None:  # noqa: N802
        self.readers.remove(reader)

    def addWriter(self, writer: IWriteDescriptor) -> None:  # noqa: N802
        raise NotImplementedError

    def removeWriter(self, writer: IWriteDescriptor) -> None:  # noqa: N802
        raise NotImplementedError

    def removeAll(self) -> list[IReadDescriptor | IWriteDescriptor]:  # noqa: N802
        raise NotImplementedError

    def getReaders(self) -> list[IReadDescriptor]:  # noqa: N802
        return self.readers

    def getWriters(self) -> list[IWriteDescriptor]:  # noqa: N802
        return []


class FollowedFolder(SynchronousTestCase):
    def setUp(self) -> None:
        self.top = Path(self.mktemp()).absolute()
        self.folder = self.top / "var" / "cache"
        self.folder.mkdir(parents=True)
        self.reports: list[tuple[Path, str]] = []
        self.reactor = Readers()
        self.watch = FolderWatch(
            self.reactor, lambda folder, name: self.reports.append((folder, name))
        )
        self.addCleanup(self.watch.close)

    def reported(self) -> list[tuple[Path, str]]:
        """Return what was reported since the last call; inotify queues within the system call."""
        self.watch.doRead()
        result, self.reports[:] = self.reports[:], []
        return result

    def names(self) -> list[str]:
        reported = self.reported()
        self.assertEqual({folder for folder, _ in reported} - {self.folder}, set())
        return [name for _, name in reported]

    def test_tells_of_a_file_written_and_closed(self) -> None:
        self.assertTrue(self.watch.follow(self.folder))
        (self.folder / "a").write_bytes(b"1")
        self.assertEqual(self.names(), ["a"])

    def test_tells_of_a_file_overwritten_in_place(self) -> None:
        (self.folder / "a").write_bytes(b"1")
        self.watch.follow(self.folder)
        (self.folder / "a").write_bytes(b"2")
        self.assertEqual(self.names(), ["a"])

    def test_says_nothing_of_a_file_that_is_only_read(self) -> None:
        (self.folder / "a").write_bytes(b"1")
        self.watch.follow(self.folder)
        (self.folder / "a").read_bytes()
        self.assertEqual(self.names(), [])

    def test_tells_of_both_names_of_a_rename(self) -> None:
        (self.folder / "a.part").write_bytes(b"1")
        self.watch.follow(self.folder)
        (self.folder / "a.part").rename(self.folder / "a")
        self.assertEqual(self.names(), ["a.part", "a"])

    def test_tells_of_files_moved_in_and_out(self) -> None:
        (self.top / "a").write_bytes(b"1")
        (self.folder / "b").write_bytes(b"1")
        self.watch.follow(self.folder)
        (self.top / "a").rename(self.folder / "a")
        (self.folder / "b").rename(self.top / "b")
        self.assertEqual(self.names(), ["a", "b"])

    def test_tells_of_links_deletions_and_attributes(self) -> None:
        for name in ("gone", "changed", "linked"):
            (self.folder / name).write_bytes(b"1")
        self.watch.follow(self.folder)
        (self.folder / "gone").unlink()
        (self.folder / "changed").chmod(0o600)
        os.link(self.folder / "linked", self.folder / "hard")
        (self.folder / "soft").symlink_to("linked")
        self.assertEqual(set(self.names()), {"gone", "changed", "hard", "soft"})

    def test_reports_each_name_once_for_what_was_queued_together(self) -> None:
        self.watch.follow(self.folder)
        for _ in range(50):
            (self.folder / "a").write_bytes(b"1")
        self.assertEqual(self.names(), ["a"])

    def test_a_name_that_is_not_utf8_arrives_as_the_file_system_spells_it(self) -> None:
        self.watch.follow(self.folder)
        (self.folder / os.fsdecode(b"\xff")).write_bytes(b"")
        self.assertEqual(self.names(), [os.fsdecode(b"\xff")])

    def test_says_nothing_of_neighbours(self) -> None:
        self.watch.follow(self.folder)
        (self.top / "var" / "other").write_bytes(b"1")
        (self.folder / "inner").mkdir()
        self.assertEqual(self.names(), ["inner"])
        (self.folder / "inner" / "deep").write_bytes(b"1")
        self.assertEqual(self.names(), [])

    def test_a_folder_deleted_and_made_again_is_followed_again(self) -> None:
        self.watch.follow(self.folder)
        shutil.rmtree(self.folder)
        self.assertEqual(self.names(), [""])
        self.assertFalse(self.watch.watched(self.folder))
        self.folder.mkdir()
        self.assertEqual(self.names(), [""])
        self.assertTrue(self.watch.watched(self.folder))
        (self.folder / "a").write_bytes(b"1")
        self.assertEqual(self.names(), ["a"])

    def test_a_folder_replaced_between_two_looks_is_followed_again(self) -> None:
        self.watch.follow(self.folder)
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        self.assertEqual(self.names(), [""])
        (self.folder / "a").write_bytes(b"1")
        self.assertEqual(self.names(), ["a"])

    def test_one_deleted_folder_leaves_the_others_followed(self) -> None:
        other = self.top / "other"
        other.mkdir()
        self.watch.follow(self.folder)
        self.watch.follow(other)
        shutil.rmtree(self.folder)
        (other / "a").write_bytes(b"1")
        self.assertEqual(self.reported(), [(self.folder, ""), (other, "a")])

    def test_a_folder_that_is_not_there_is_found_when_it_comes_from_any_depth(self) -> None:
        shutil.rmtree(self.top)
        self.assertFalse(self.watch.follow(self.folder))
        self.top.mkdir()
        self.assertEqual(self.names(), [])
        self.folder.mkdir(parents=True)
        self.assertEqual(self.names(), [""])
        (self.folder / "a").write_bytes(b"1")
        self.assertEqual(self.names(), ["a"])

    def test_a_folder_moved_away_with_its_parent_and_back_is_followed_again(self) -> None:
        self.watch.follow(self.folder)
        (self.top / "var").rename(self.top / "away")
        self.assertEqual(self.names(), [""])
        (self.top / "away" / "cache" / "a").write_bytes(b"1")
        self.assertEqual(self.names(), [])
        (self.top / "away").rename(self.top / "var")
        self.assertEqual(self.names(), [""])
        (self.folder / "a").write_bytes(b"1")
        self.assertEqual(self.names(), ["a"])

    def test_a_link_to_a_folder_is_followed_and_so_is_its_new_target(self) -> None:
        link = self.top / "link"
        link.symlink_to(self.folder)
        self.assertTrue(self.watch.follow(link))
        (self.folder / "a").write_bytes(b"1")
        self.assertEqual(self.reported(), [(link, "a")])
        elsewhere = self.top / "elsewhere"
        elsewhere.mkdir()
        (self.top / "new").symlink_to(elsewhere)
        (self.top / "new").rename(link)
        self.assertEqual(self.reported(), [(link, "")])
        (elsewhere / "b").write_bytes(b"1")
        self.assertEqual(self.reported(), [(link, "b")])

    def test_two_paths_to_one_folder_both_report(self) -> None:
        link = self.top / "link"
        link.symlink_to(self.folder)
        self.watch.follow(link)
        self.watch.follow(self.folder)
        (self.folder / "a").write_bytes(b"1")
        self.assertEqual(set(self.reported()), {(link, "a"), (self.folder, "a")})
        self.watch.forget(link)
        (self.folder / "b").write_bytes(b"1")
        self.assertEqual(self.reported(), [(self.folder, "b")])

    def test_a_folder_inside_a_followed_one_reports_as_itself(self) -> None:
        self.watch.follow(self.folder.parent)
        self.watch.follow(self.folder)
        (self.folder / "a").write_bytes(b"1")
        self.assertEqual(self.reported(), [(self.folder, "a")])
        self.watch.forget(self.folder)
        (self.folder.parent / "b").write_bytes(b"1")
        self.assertEqual(self.reported(), [(self.folder.parent, "b")])

    def test_lost_events_are_told_as_a_change_of_everything(self) -> None:
        other = self.top / "other"
        other.mkdir()
        self.watch.follow(self.folder)
        self.watch.follow(other)
        # Between two names no two events are alike, so the kernel merges none.
        most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
        (self.folder / "0").write_bytes(b"")
        for turn in range(most + 10):
            (self.folder / str(turn)).rename(self.folder / str(turn + 1))
        reports = set()
        while reported := self.reported():
            reports.update(reported)
        self.assertLessEqual({(self.folder, ""), (other, "")}, reports)

    def test_a_forgotten_folder_reports_nothing(self) -> None:
        self.watch.follow(self.folder)
        (self.folder / "a").write_bytes(b"1")
        self.watch.forget(self.folder)
        self.watch.forget(self.top)
        (self.folder / "b").write_bytes(b"1")
        self.assertEqual(self.names(), [])
        self.assertEqual(self.watch._watches, set())

    def test_a_change_that_could_not_be_handled_does_not_end_the_watch(self) -> None:
        failing = FolderWatch(self.reactor, mock.Mock(side_effect=ZeroDivisionError))
        self.addCleanup(failing.close)
        failing.follow(self.folder)
        (self.folder / "a").write_bytes(b"1")
        (self.folder / "b").write_bytes(b"1")
        failing.doRead()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_a_handler_may_close_the_watch(self) -> None:
        def handle(folder: Path, name: str) -> None:
            self.reports.append((folder, name))
            closing.close()

        closing = FolderWatch(self.reactor, handle)
        closing.follow(self.folder)
        (self.folder / "a").write_bytes(b"1")
        (self.folder / "b").write_bytes(b"1")
        closing.doRead()
        self.assertEqual(self.reports, [(self.folder, "a")])
        self.assertEqual(self.reactor.readers, [])

    def test_closing_leaves_no_reader_and_no_descriptor(self) -> None:
        before = len(list(Path("/proc/self/fd").iterdir()))
        self.watch.follow(self.folder)
        self.watch.close()
        self.watch.close()
        self.assertEqual(self.reactor.readers, [])
        self.assertEqual(len(list(Path("/proc/self/fd").iterdir())), before)
        self.assertTrue(self.watch.follow(self.folder))

    def test_a_file_is_not_a_folder_to_follow(self) -> None:
        (self.folder / "a").write_bytes(b"1")
        self.assertFalse(self.watch.follow(self.folder / "a"))
        self.assertFalse(self.watch.follow(self.folder / "a" / "b"))

    def test_where_inotify_refuses_the_answer_is_no(self) -> None:
        with mock.patch.object(self.watch, "_libc") as libc:
            libc.inotify_init1.return_value = -1
            self.assertFalse(self.watch.follow(self.folder))
        with mock.patch.object(self.watch, "_libc") as libc:
            libc.inotify_init1.side_effect = AttributeError
            self.assertFalse(self.watch.follow(self.folder))
        self.assertEqual(self.reactor.readers, [])

    def test_a_reactor_that_reads_no_descriptors_is_refused(self) -> None:
        self.assertFalse(FolderWatch(object(), mock.Mock()).follow(self.folder))

    def test_an_unreadable_ancestor_does_not_hide_the_folder(self) -> None:
        real = self.watch._watch

        def refuse_ancestors(folder: Path, mask: int) -> int:
            return real(folder, mask) if folder == self.folder else -errno.EACCES

        with mock.patch.object(self.watch, "_watch", refuse_ancestors):
            self.assertTrue(self.watch.follow(self.folder))
        (self.folder / "a").write_bytes(b"1")
        self.assertEqual(self.names(), ["a"])
