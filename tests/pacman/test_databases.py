"""What is listed: in the configuration's order, and what mirrors sent behind it."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path
from unittest import mock

from flocon.pacman import database_files, watch
from flocon.pacman import databases as pacman_databases
from flocon.pacman.listing import Listing
from tests.pacman.pacman_case import WatchCase


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class Sent(WatchCase):
    def send(self, data: bytes, repository: str = "core") -> None:
        """Have a mirror send a database through this node."""
        descriptor = os.memfd_create("sent")
        try:
            os.write(descriptor, data)
            self.watch.sent(repository, descriptor)
        finally:
            os.close(descriptor)

    async def test_what_a_mirror_sent_lists_for_whoever_asks(self) -> None:
        await self.start("core")
        self.send(gzip.compress(self.database(CSIZE="8")))
        await self.watch.settled(30)
        self.assertEqual([entry.size for entry in self.found()], [8])
        self.assertEqual(self.watch.listing.digests(), ())
        self.assertEqual(len(self.listings), 1)

    async def test_what_pacman_takes_itself_is_not_read_twice(self) -> None:
        await self.start("core")
        reading = mock.Mock(side_effect=database_files.load_sent)
        self.patch(pacman_databases, "load_sent", reading)
        self.send(self.database(CSIZE="8"))
        self.put("core", self.database(CSIZE="8"))
        await self.watch.settled(30)
        self.assertEqual([entry.size for entry in self.found()], [8])
        reading.assert_not_called()
        self.assertEqual(self.watch.listing.further, ())

    async def test_it_is_read_after_a_while_though_nobody_asks(self) -> None:
        self.patch(watch, "SENT_PAUSE", 0.05)
        await self.start("core")
        self.send(self.database(CSIZE="8"))
        await self.until(lambda: [entry.size for entry in self.found()] == [8])

    async def test_once_pacman_has_the_same_it_is_kept_once(self) -> None:
        await self.start("core")
        self.send(self.database(CSIZE="8"))
        await self.watch.settled(30)
        self.put("core", self.database(CSIZE="8"))
        await self.watch.settled(30)
        self.assertEqual(self.watch.listing.further, ())
        self.assertEqual(len(self.watch.listing), 1)

    async def test_what_is_sent_again_is_not_read_again(self) -> None:
        await self.start("core")
        self.send(self.database(CSIZE="8"))
        await self.watch.settled(30)
        self.patch(pacman_databases, "load_sent", None)
        self.send(self.database(CSIZE="8"))
        await self.watch.settled(30)
        self.assertEqual([entry.size for entry in self.found()], [8])

    async def test_what_is_no_database_lists_nothing(self) -> None:
        await self.start("core")
        self.send(b"<html>" * 200)
        await self.watch.settled(30)
        self.assertEqual(self.watch.listing, Listing())

    async def test_where_its_signature_would_be_checked_it_does_not_list(self) -> None:
        self.write("[core]\nServer = http://m/$repo\nSigLevel = DatabaseRequired\n")
        self.watch.startService()
        self.addCleanup(self.watch.stopService)
        await self.watch.settled(30)
        self.send(self.database())
        await self.watch.settled(30)
        self.assertEqual(self.found(), ())

    async def test_however_many_are_sent_few_are_kept_open(self) -> None:
        await self.start("core")
        before = descriptors()
        for size in range(40):
            self.send(self.database(CSIZE=str(size)))
        self.assertLessEqual(descriptors(), before + pacman_databases.MOST_WAITING)
        await self.watch.settled(30)
        self.assertEqual([entry.size for entry in self.found()], [39, 38])
        self.send(self.database(CSIZE="50"))
        await self.watch.stopService()
        # Each of the two that list has its vault.
        self.assertLessEqual(descriptors(), before + 2)

    async def test_what_waits_is_bounded_in_bytes(self) -> None:
        self.patch(pacman_databases, "MOST_WAITING_BYTES", 3 * len(self.database()))
        await self.start("core")
        for size in range(5):
            self.send(self.database(CSIZE=str(size)))
        self.assertLessEqual(len(self.watch._databases.sent_files), 3)
        self.send(bytes(4 * len(self.database())))
        self.assertLessEqual(len(self.watch._databases.sent_files), 3)
        await self.watch.settled(30)
        self.assertEqual([entry.size for entry in self.found()], [4, 3])


class Listed(WatchCase):
    async def test_a_peers_is_marked(self) -> None:
        self.watch._databases.is_peers = lambda digest: digest == peers
        peers = hashlib.sha256(self.database(CSIZE="1")).hexdigest()[:16]
        await self.start("core")
        for size, from_peer in (("1", True), ("2", False)):
            self.put("core", self.database(CSIZE=size))
            await self.watch.settled(30)
            database = self.watch.listing.database("core")
            assert database is not None
            self.assertEqual(database.from_peer, from_peer)

    async def test_a_broken_database_is_told_once_and_lists_nothing(self) -> None:
        warnings = self.warnings()
        self.put("core", b"<html>" * 200)
        self.put("extra", self.database())
        await self.start("core", "extra")
        await self.watch.settled(30)
        self.assertEqual(len(self.watch.listing), 1)
        self.assertEqual(len(warnings), 1)
        self.put("core", self.database(CSIZE="9"))
        await self.watch.settled(30)
        self.assertEqual(len(self.watch.listing), 2)

    async def test_a_changed_order_of_repositories_changes_the_listings(self) -> None:
        self.put("core", self.database(CSIZE="1"))
        self.put("extra", self.database(CSIZE="2"))
        await self.start("core", "extra")
        self.assertEqual([entry.size for entry in self.found()], [1, 2])
        self.write("[extra]\nServer = http://m\n[core]\nServer = http://m\n")
        await self.until(lambda: [entry.size for entry in self.found()] == [2, 1])
