"""What follows from a change on the disk: when it is looked at, and who is told."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from flocon.machine.inotify import FolderWatch
from flocon.pacman import database_files, databases, includes, watch
from flocon.pacman.database_files import load
from flocon.pacman.entries import Entry
from flocon.pacman.listing import Database
from tests.pacman.pacman_case import RECIPES, WatchCase, reactor, real_repository


class Watching(WatchCase):
    async def test_signatures_are_wanted_where_pacman_asks_for_them(self) -> None:
        text = "[core]\nSigLevel = PackageNever\n[extra]\nSigLevel = PackageOptional\n"
        self.write(text)
        self.watch.startService()
        self.addCleanup(self.watch.stopService)
        await self.watch.configured(30)
        names = ("core", "extra", "unknown")
        wanted = [name for name in names if self.watch.signature_wanted(name)]
        self.assertEqual(wanted, ["extra", "unknown"])

    async def test_who_needs_the_configuration_waits_until_it_was_read(self) -> None:
        self.write("[core]\nServer = http://m/$repo\n")
        self.watch.startService()
        self.addCleanup(self.watch.stopService)
        self.assertEqual(self.watch.configuration.repositories, ())
        await self.watch.configured(30)
        self.assertEqual(self.watch.configuration.repositories[0].name, "core")
        self.successResultOf(self.watch.configured(30))

    async def test_what_was_just_written_is_waited_for(self) -> None:
        await self.start("core")
        mirrors = self.top / "mirrorlist"
        self.write(f"[core]\nInclude = {mirrors}\n")
        for number in range(4):
            self.write(f"Server = http://{number}\n", mirrors)
            wait = self.watch.configured if number % 2 else self.watch.settled
            await wait(30)
            self.assertEqual(self.servers(), (f"http://{number}",))
        await self.watch.settled(30)
        # Nothing is waited for where nothing has changed.
        self.successResultOf(self.watch.configured())
        self.successResultOf(self.watch.settled())

    async def test_what_changes_while_it_is_read_is_waited_for_too(self) -> None:
        await self.start("core")
        self.write("[core]\nServer = http://one\n")
        first = self.watch.configured(30)
        self.write("[core]\nServer = http://two\n")
        await self.watch.configured(30)
        self.assertEqual(self.servers(), ("http://two",))
        await first

    async def test_what_was_written_is_waited_for_no_longer_than_asked(self) -> None:
        await self.start("core")
        endless: Deferred[Any] = Deferred()
        with mock.patch.object(watch, "resolve", lambda *_: endless):
            self.write("[core]\nServer = http://new\n")
            await self.watch.configured(0.02)
            self.assertNotEqual(self.servers(), ("http://new",))
            endless.callback(self.watch.configuration)

    async def test_it_begins_with_what_is_there(self) -> None:
        self.put("core", (real_repository() / "core.db").read_bytes())
        await self.start("core", "extra")
        self.assertEqual(self.configurations, [self.watch.configuration])
        self.assertEqual(self.listings, [self.watch.listing])
        (entry,) = self.watch.listing.find(RECIPES[0].file_name, "core")
        self.assertEqual(entry.name, "gtk++")
        digest = hashlib.sha256((self.sync / "core.db").read_bytes()).hexdigest()[:16]
        self.assertEqual(self.watch.listing.digests(), (("core", digest),))

    async def test_a_database_that_comes_changes_or_goes_is_noticed_by_itself(self) -> None:
        await self.start("core")
        self.put("core", self.database())
        await self.until(lambda: len(self.watch.listing) == 1)
        self.put("core", self.database(CSIZE="5"))
        await self.until(lambda: [e.size for e in self.found()] == [5])
        (self.sync / "core.db").unlink()
        await self.until(lambda: len(self.watch.listing) == 0)
        self.assertEqual(len(self.listings), 3)

    async def test_that_pacman_was_at_work_is_told(self) -> None:
        await self.start("core")
        touched: list[None] = []
        self.watch.touched = lambda: touched.append(None)
        lock = self.sync.parent / watch.LOCK
        for change in (
            lambda: self.put("core", self.database()),
            lock.touch,
            lock.unlink,
        ):
            touched.clear()
            change()
            await self.until(lambda: bool(touched))
        touched.clear()
        (self.sync.parent / "other").touch()
        (self.sync / "core.db.part").touch()
        self.put("core", self.database(CSIZE="5"))
        await self.until(lambda: [e.size for e in self.found()] == [5])
        self.assertLessEqual(len(touched), 3)

    async def test_settling_shows_at_once_what_was_just_put_there(self) -> None:
        await self.start("core")
        for size in range(5):
            self.put("core", self.database(CSIZE=str(size)))
            await self.watch.settled(30)
            self.assertEqual([entry.size for entry in self.found()], [size])

    async def test_settling_also_counts_what_changes_while_it_reads(self) -> None:
        await self.start("core", "extra")
        self.put("core", self.database(CSIZE="1"))
        first = self.watch.settled(30)
        self.put("core", self.database(CSIZE="2"))
        self.put("extra", self.database(CSIZE="3"))
        await self.watch.settled(30)
        await first
        self.assertEqual([entry.size for entry in self.found()], [2, 3])

    async def test_settling_is_immediate_when_nothing_has_changed(self) -> None:
        self.put("core", self.database())
        await self.start("core")
        self.assertTrue(self.watch.settled().called)

    async def test_settling_waits_no_longer_than_asked(self) -> None:
        await self.start("core")
        self.put("core", self.database())
        endless: Deferred[Any] = Deferred()
        with mock.patch.object(databases, "in_thread", return_value=endless):
            await self.watch.settled(0.02)
            self.assertEqual(len(self.watch.listing), 0)
            given_up = self.watch.settled(30)
            given_up.addErrback(lambda _: None)
            given_up.cancel()
            endless.callback([load("core", self.sync / "core.db")])
        await self.watch.settled(30)
        self.assertEqual(len(self.watch.listing), 1)

    async def test_a_changed_pacman_conf_is_taken_over(self) -> None:
        self.put("extra", self.database())
        await self.start("core")
        self.write("[core]\nServer = http://m\n[extra]\nServer = http://m\n")
        await self.until(lambda: len(self.watch.listing) == 1)
        self.assertEqual(len(self.configurations), 2)
        self.write("[core]\nServer = http://m\n")
        await self.until(lambda: len(self.watch.listing) == 0)

    async def test_a_changed_included_file_is_taken_over_also_behind_a_link(self) -> None:
        target = self.top / "elsewhere" / "mirrors"
        target.parent.mkdir()
        target.write_text("Server = http://old\n")
        (self.top / "lists").mkdir()
        (self.top / "lists" / "mirrorlist").symlink_to(target)
        self.write(f"[core]\nInclude = {self.top}/lists/*list\n")
        self.watch.startService()
        self.addCleanup(self.watch.stopService)
        await self.watch.settled(30)
        self.assertEqual(self.servers(), ("http://old",))
        self.write("Server = http://new\n", target)
        await self.until(lambda: self.servers() == ("http://new",))
        self.write("Server = http://newer\n", self.top / "lists" / "another-list")
        await self.until(lambda: self.servers() == ("http://newer", "http://new"))

    async def test_a_broken_pacman_conf_leaves_the_old_one_and_is_told_once(self) -> None:
        warnings = self.warnings()
        await self.start("core")
        good = self.watch.configuration
        for _ in range(2):
            self.write("SigLevel = Bogus\n")
            await self.until(lambda: len(warnings) == 1 and self.watch._scan.is_current())
        self.assertIs(self.watch.configuration, good)
        self.assertIn("invalid value for 'SigLevel'", warnings[0])
        self.write("[extra]\nServer = http://m\n")
        await self.until(lambda: self.watch.configuration is not good)
        self.assertEqual(len(warnings), 1)

    async def test_without_pacman_the_mirrors_stand_in_until_it_comes(self) -> None:
        path = os.environ["PATH"]
        os.environ["PATH"] = "/nowhere"
        self.addCleanup(os.environ.__setitem__, "PATH", path)
        await self.start("core")
        self.assertEqual(self.servers(), ("http://general/core",))
        self.assertEqual(self.configurations, [])
        os.environ["PATH"] = path
        self.write("[core]\nServer = http://m\n")
        await self.until(lambda: self.servers() == ("http://m",))

    async def test_a_sync_folder_that_comes_later_is_noticed(self) -> None:
        shutil.rmtree(self.top / "db")
        await self.start("core")
        self.sync.mkdir(parents=True)
        self.put("core", self.database())
        await self.until(lambda: len(self.watch.listing) == 1)

    async def test_where_nothing_can_be_watched_it_looks_every_minute(self) -> None:
        self.patch(watch, "POLL", 0.05)
        self.patch(FolderWatch, "_open", lambda _: False)
        await self.start("core")
        self.put("core", self.database())
        await self.until(lambda: len(self.watch.listing) == 1)
        self.write("[extra]\nServer = http://m\n")
        await self.until(lambda: self.watch.configuration.repositories[0].name == "extra")

    async def test_other_files_beside_them_are_passed_over(self) -> None:
        await self.start("core")
        with mock.patch.object(self.watch, "_look") as look:
            (self.conf.parent / "passwd").write_text("x")
            (self.sync / "core.files").write_text("x")
            await deferLater(reactor, watch.PAUSE * 2)
        look.assert_not_called()

    async def test_a_failing_handler_does_not_end_the_watch(self) -> None:
        self.watch._listing_changed = mock.Mock(side_effect=ZeroDivisionError)
        self.put("core", self.database())
        await self.start("core")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.put("core", self.database(CSIZE="5"))
        await self.watch.settled(30)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_stopping_releases_who_waits_and_reads_no_more(self) -> None:
        self.write("[core]\nServer = http://m\n")
        self.watch.startService()
        waiting = self.watch.settled(30)
        await self.watch.stopService()
        self.assertTrue(waiting.called)
        self.assertTrue(self.watch.settled().called)
        self.assertEqual(self.configurations, [])

    async def test_a_signature_is_needed_where_a_listing_repository_requires_it(self) -> None:
        self.assertTrue(self.watch.signature_needed("a"))
        self.write(
            "[strict]\nSigLevel = Required\nServer = http://m\n"
            "[lax]\nSigLevel = Optional\nServer = http://m\n"
        )
        name = "gtk++-1:2.0-1-x86_64.pkg.tar.zst"
        self.put("lax", self.database())
        self.watch.startService()
        self.addCleanup(self.watch.stopService)
        await self.watch.settled(30)
        self.assertFalse(self.watch.signature_needed(name))
        self.assertTrue(self.watch.signature_needed("unlisted"))
        self.put("strict", self.database())
        await self.watch.settled(30)
        self.assertTrue(self.watch.signature_needed(name))

    async def test_what_is_for_other_machines_alone_is_not_this_pacmans_to_refuse(self) -> None:
        self.write("[core]\nSigLevel = Required\nServer = http://m\n")
        self.watch.startService()
        self.addCleanup(self.watch.stopService)
        await self.watch.settled(30)
        name = "gtk++-1:2.0-1-x86_64.pkg.tar.zst"
        self.assertTrue(self.watch.signature_needed(name))
        entry = Entry("core", name, "gtk++", "1:2.0-1", 1, bytes(32))
        self.watch.mirror((Database("core", "0", 0.0, {name: entry}),))
        self.assertFalse(self.watch.signature_needed(name))
        self.put("core", self.database())
        await self.watch.settled(30)
        self.assertTrue(self.watch.signature_needed(name))


class Crowded(WatchCase):
    """For want of descriptors nothing is taken for gone or broken; it is looked at again."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(watch, "AGAIN", 0.01)

    async def opened_in_vain(self, module: Any, times: int, number: int = errno.EMFILE) -> None:
        """Have a module open so many files in vain; return when it has tried."""
        opened = module.open_plain
        tries: list[Path] = []

        def open_plain(path: Path) -> int:
            tries.append(path)
            if len(tries) <= times:
                raise OSError(number, os.strerror(number))
            number_of: int = opened(path)
            return number_of

        self.patch(module, "open_plain", open_plain)
        if module is database_files:
            self.put("core", self.database(CSIZE="8"))
        else:
            self.write("[core]\nServer = http://other/$repo\n")
        await self.until(lambda: len(tries) >= times)

    async def test_a_database_lists_what_it_did_until_it_could_be_read(self) -> None:
        self.put("core", self.database())
        await self.start("core")
        said, before = self.warnings(), self.watch.listing
        await self.opened_in_vain(database_files, 3)
        self.assertEqual((self.watch.listing, self.watch.unusable()), (before, []))
        await self.until(lambda: [entry.size for entry in self.found()] == [8])
        self.assertEqual(said, [])

    async def test_so_it_is_where_the_system_has_none_left(self) -> None:
        self.put("core", self.database())
        await self.start("core")
        await self.opened_in_vain(database_files, 1, errno.ENFILE)
        await self.until(lambda: [entry.size for entry in self.found()] == [8])
        self.assertEqual(len(self.listings), 2)

    async def test_a_configuration_stays_until_its_files_could_be_read(self) -> None:
        await self.start("core")
        said = self.warnings()
        await self.opened_in_vain(includes, 3)
        self.assertEqual(self.servers(), ("http://m/core",))
        await self.until(lambda: self.servers() == ("http://other/core",))
        self.assertEqual(said, [])

    async def test_and_until_pacman_conf_could_be_started(self) -> None:
        await self.start("core")
        said, tries, spawn = self.warnings(), [], reactor.spawnProcess

        def spawn_process(*arguments: Any, **keywords: Any) -> Any:
            tries.append(arguments)
            if len(tries) < 3:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return spawn(*arguments, **keywords)

        self.patch(reactor, "spawnProcess", spawn_process)
        self.write("[core]\nServer = http://other/$repo\n")
        await self.until(lambda: self.servers() == ("http://other/core",))
        self.assertEqual((said, len(tries)), ([], 3))
