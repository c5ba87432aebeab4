"""What is found out before packages are fetched ahead, and how each of them comes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from flocon.ahead import ahead as module
from flocon.ahead.ahead import WRITE_AFTER, Ahead
from flocon.ahead.coming import Means
from flocon.ahead.wishes import Once
from flocon.errors import StoreError, TaskError, ToolError, Unreachable
from flocon.files import Content
from flocon.pacman.listing import Database, Listing, Target
from flocon.sources.packages import Packages
from tests.sources.room import ENTRY, NAME, Room, asked

HOLDER = "10.0.0.7"


class AheadCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.room = room = Room()
        self.clock = room.clock
        #: A thread pool that works at once.
        self.clock.getThreadPool = mock.Mock()
        room.pacman.listing = Listing((Database("core", "d", 0.0, {NAME: ENTRY}),))
        room.pacman.configured.return_value = succeed(None)
        room.pacman.settled.return_value = succeed(None)
        room.neighbourhood.acquainted.return_value = succeed(None)
        self.held: set[str] = set()
        self.file = Path(self.mktemp()).absolute()
        self.state: list[object] = [1]
        self.targets = [Target("core", "a", "1-1", NAME)]
        self.asked_pacman = 0
        self.patch(module, "state_of", lambda _: list(self.state))
        self.patch(module, "pending_upgrades", self.pending)
        self.patch(module, "with_what_it_needs", self.pending)
        self.arrivals: Any = mock.Mock()
        self.ledger: Any = mock.Mock()
        self.ahead = self.make()
        self.addCleanup(self.finish)

    def make(self) -> Ahead:
        room = self.room
        self.offering: Any = mock.Mock()
        self.offering.holds = lambda name, _: name in self.held
        self.packages = Packages(room.candidates, room.choosing, room.transfers, room.neighbourhood)
        return Ahead(
            self.clock,
            Means(
                self.arrivals,
                self.offering,
                self.packages,
                room.transfers,
                room.neighbourhood,
            ),
            pacman=room.pacman,
            pacman_conf=Path("/etc/pacman.conf"),
            ledger=self.ledger,
            most=1 << 30,
            file=self.file,
        )

    def finish(self) -> None:
        self.ahead._writing.stop()
        self.room.stop()

    async def pending(self, *_: object) -> list[Target]:
        self.asked_pacman += 1
        return self.targets

    def find(self) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(self.ahead.find()))


class Finding(AheadCase):
    def test_what_pacman_would_install_is_what_the_databases_list(self) -> None:
        self.targets += [
            Target("core", "a", "2-1", "a-2-1-any.pkg.tar.zst"),
            Target("core", "a", "1-1", NAME, here=True),
        ]
        self.assertEqual(self.find(), [(ENTRY, False), (ENTRY, True)])

    def test_pacman_is_asked_once_as_long_as_its_files_are_the_same(self) -> None:
        self.find()
        self.assertIsNone(self.find())
        self.assertEqual(self.asked_pacman, 1)
        self.state = [2]
        self.assertEqual(self.find(), [(ENTRY, False)])

    def test_where_no_database_is_there_a_person_is_told_what_brings_one(self) -> None:
        self.room.pacman.listing = Listing()
        self.targets = []
        asked = Deferred.fromCoroutine(self.ahead.fetch_all())
        self.assertIn("run 'pacman -Sy' first", str(self.failureResultOf(asked, TaskError).value))

    def test_where_all_is_here_that_is_nothing_to_fetch(self) -> None:
        self.targets = []
        asked = Deferred.fromCoroutine(self.ahead.fetch_all())
        self.assertEqual(self.successResultOf(asked), 0)

    def test_what_it_could_not_say_it_is_asked_again(self) -> None:
        async def fail(*_: object) -> list[Target]:
            raise ToolError("pacman", "x")

        self.patch(module, "pending_upgrades", fail)
        self.failureResultOf(Deferred.fromCoroutine(self.ahead.find()), ToolError)
        self.patch(module, "pending_upgrades", self.pending)
        self.assertEqual(self.find(), [(ENTRY, False)])

    def test_the_listing_is_waited_for_while_pacman_is_asked(self) -> None:
        settled: Deferred[None] = Deferred()
        self.room.pacman.settled.return_value = settled
        self.room.pacman.listing = Listing()
        found = Deferred.fromCoroutine(self.ahead.find())
        self.assertNoResult(found)
        self.assertEqual(self.asked_pacman, 1)
        self.room.pacman.listing = Listing((Database("core", "d", 0.0, {NAME: ENTRY}),))
        settled.callback(None)
        self.assertEqual(self.successResultOf(found), [(ENTRY, False)])

    def test_what_a_package_needs_is_what_lacks(self) -> None:
        self.targets.append(Target("core", "a", "1-1", NAME, here=True))
        found = self.successResultOf(Deferred.fromCoroutine(self.ahead.needs(ENTRY)))
        self.assertEqual(found, [ENTRY])


class Fetching(AheadCase):
    def fetch(self, *, mirrors: bool = False, asked: bool = False) -> Deferred[None]:
        return Deferred.fromCoroutine(self.ahead.fetch(ENTRY, mirrors=mirrors, asked=asked))

    def test_what_cannot_be_kept_is_not_fetched(self) -> None:
        self.room.holders(HOLDER)
        self.arrivals.has_room_ahead.return_value = False
        self.failureResultOf(self.fetch(), StoreError)
        self.arrivals.can_keep.return_value = False
        self.failureResultOf(self.fetch(asked=True), StoreError)
        self.assertEqual(self.room.requests(HOLDER), [])

    def test_for_a_person_what_was_used_lately_may_go(self) -> None:
        self.room.holders(HOLDER)
        self.fetch(asked=True).addErrback(lambda _: None)
        transfer = self.room.transfers.find(NAME, ENTRY.content)
        assert transfer is not None
        self.assertFalse(transfer.terms.spares)

    def test_what_came_is_told_to_the_ledger_and_remembered(self) -> None:
        self.room.holders(HOLDER)
        transfer = mock.Mock()
        transfer.finished.wait.return_value = succeed(None)
        self.patch(self.packages, "ahead", lambda *_, **__: transfer)
        self.ahead._once.add(ENTRY)
        with mock.patch.object(self.ahead._notes, "write") as write:
            self.successResultOf(self.fetch())
            self.ledger.fetched_ahead.assert_called_once_with(NAME, ENTRY.size)
            self.assertFalse(write.called)
            self.clock.advance(WRITE_AFTER)
            write.assert_called_once_with(self.ahead._once.dump())

    def test_what_pacman_has_joined_was_not_there_before_it_asked(self) -> None:
        transfer = mock.Mock()
        finished: Deferred[None] = Deferred()
        transfer.finished.wait.return_value = finished
        self.patch(self.packages, "ahead", lambda *_, **__: transfer)
        work = self.fetch()
        self.packages.asked_for(ENTRY)
        finished.callback(None)
        self.successResultOf(work)
        self.assertFalse(self.ledger.fetched_ahead.called)

    def test_what_was_remembered_is_known_at_the_next_start(self) -> None:
        once = Once()
        once.add(ENTRY)
        self.file.write_text(json.dumps(once.dump()))
        self.assertIn(ENTRY, self.make()._once)

    def test_no_longer_wanted_it_ends_but_not_where_somebody_follows_it(self) -> None:
        self.room.holders(HOLDER)
        for followed in (False, True):
            work = self.fetch()
            transfer = self.room.transfers.find(NAME, ENTRY.content)
            assert transfer is not None
            if followed:
                reader = mock.Mock(hurried=True, verifies=False)
                transfer.follow(reader)
            work.cancel()
            self.failureResultOf(work, CancelledError)
            self.assertEqual(transfer.finished.known, not followed)

    def test_nor_where_it_is_somebody_elses(self) -> None:
        self.room.holders(HOLDER)
        transfer = self.packages.ahead(asked(), ENTRY, mirrors=False)
        work = self.fetch()
        work.cancel()
        self.failureResultOf(work, CancelledError)
        self.assertFalse(transfer.finished.known)

    def test_what_was_somebody_elses_and_ended_is_no_failure(self) -> None:
        self.room.holders(HOLDER)
        transfer = self.packages.ahead(asked(), ENTRY, mirrors=False)
        work = self.fetch()
        transfer.cancel()
        self.failureResultOf(work, CancelledError)

    def test_that_nobody_has_it_is_a_failure(self) -> None:
        self.failureResultOf(self.fetch(), Unreachable)

    def test_how_far_it_is_can_be_told(self) -> None:
        self.assertIsNone(self.ahead.arrived_of(ENTRY))
        self.room.holders(HOLDER)
        work = self.fetch()
        response = self.room.requests(HOLDER)[0].head(ENTRY.size)
        response.send(b"x" * 1_000)
        self.assertEqual(self.ahead.arrived_of(ENTRY), 1_000)
        work.addErrback(lambda _: None)
        work.cancel()


class Known(AheadCase):
    def test_it_is_asked_of_those_who_know(self) -> None:
        self.assertFalse(self.ahead.holds(ENTRY))
        self.held.add(NAME)
        self.assertTrue(self.ahead.holds(ENTRY))
        self.assertFalse(self.ahead.is_at_peers(ENTRY))
        self.room.holders(HOLDER)
        self.assertTrue(self.ahead.is_at_peers(ENTRY))
        self.room.neighbourhood.holding.assert_called_with(NAME, Content(ENTRY.size, ENTRY.sha256))
        self.assertFalse(self.ahead.has_owners("core"))
        self.room.owners("10.0.0.8")
        self.assertTrue(self.ahead.has_owners("core"))

    def test_pacman_waits_for_something_where_it_follows_a_transfer(self) -> None:
        self.room.holders(HOLDER)
        work = Deferred.fromCoroutine(self.ahead.fetch(ENTRY, mirrors=False, asked=False))
        self.assertFalse(self.ahead.is_busy())
        transfer = self.room.transfers.find(NAME, ENTRY.content)
        assert transfer is not None
        transfer.follow(mock.Mock(hurried=True, verifies=False))
        self.assertTrue(self.ahead.is_busy())
        work.addErrback(lambda _: None)
        work.cancel()
        transfer.cancel()
