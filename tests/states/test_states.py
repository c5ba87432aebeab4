"""The states that are here: what is listed, what clients are given, and what a restart finds."""

from __future__ import annotations

import errno
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from flocon.errors import StoreError
from flocon.states import states as module
from flocon.states.generation import Generation
from flocon.states.publication import MOST_PUBLISHED, SNAPSHOT, Policy
from tests.states.states_case import BEGINNING, CORE, DAY, EXTRA, StatesTestCase, file_name

OLD, NEW = {"a": "1-1", "b": "1-1"}, {"a": "2-1", "c": "1-1"}
CLIENT, OTHER = "10.0.0.1", "10.0.0.2"


class StatesCase(StatesTestCase):
    def restart(self) -> None:
        self.states.close()
        self.begin()

    def lists(self, name: str, version: str) -> bool:
        return self.states.catalogue.entry(CORE, file_name(name, version)) is not None

    @property
    def contents(self) -> int:
        """How many contents there are on disk."""
        return len(list((self.folder / "content").iterdir()))


class DroppedTests(StatesCase):
    """Of a snapshot that was taken in, and never read, after the newest was."""

    def setUp(self) -> None:
        super().setUp()
        self.newest = self.publish(core=NEW)
        self.taken = self.taken_in("may", core=OLD)

    def taken_in(self, name: str, **repositories: dict[str, str]) -> Generation:
        """Keep a snapshot of what no mirror has been read for, as of an archive or a folder."""
        self.now += 60
        generation = self.generation(**repositories)
        self.done(self.states.keep_snapshot(name, generation, int(self.now)))
        return generation

    def use(self, name: str, generation: Generation) -> None:
        self.done(self.states.use(Policy(SNAPSHOT, name), generation.identity))

    def drop(self) -> None:
        self.done(self.states.drop_snapshot("may"))

    def test_it_is_not_the_newest_by_that(self) -> None:
        self.use("may", self.taken)
        self.done(self.states.use(Policy(), self.newest.identity))
        self.drop()
        for again in range(2):
            self.assertEqual(self.states.read[-1], self.newest, again)
            self.assertEqual(self.states.published and self.states.published[0], self.newest)
            self.restart()

    def test_nor_while_it_is_still_given_out(self) -> None:
        self.use("may", self.taken)
        self.done(self.states.follow(Policy()))
        self.drop()
        for again in range(2):
            self.assertEqual(self.states.read[-1], self.newest, again)
            given = self.states.published
            self.assertEqual(given and given[0].identity, self.taken.identity)
            self.restart()

    def test_where_nothing_was_ever_read_one_that_was_given_does_not_come_back(self) -> None:
        self.patch(self.states, "_read", {})
        other = self.taken_in("june", core={"a": "3-1"})
        self.use("may", self.taken)
        self.use("june", other)
        self.drop()
        self.assertEqual(self.states.read, [])

    def test_another_snapshot_of_the_same_state_keeps_it(self) -> None:
        self.done(self.states.keep_snapshot("same", self.taken, int(self.now)))
        self.use("same", self.taken)
        self.drop()
        given = self.states.published
        self.assertEqual(given and given[0].identity, self.taken.identity)
        self.assertEqual(self.states.read[-1], self.newest)


class PublishedTests(StatesCase):
    def test_before_anything_is_published_nobody_is_given_anything(self) -> None:
        self.assertIsNone(self.states.published)
        self.assertIsNone(self.states.give(CLIENT, CORE))
        self.read(core=OLD)
        self.assertIsNone(self.states.published)
        self.assertFalse(self.lists("a", "1-1"))

    def test_what_waits_is_listed_before_it_is_given(self) -> None:
        old, new = self.publish(core=OLD), self.read(core=NEW)
        self.done(self.states.wait_for(new.identity))
        self.assertEqual(self.states.published and self.states.published[0], old)
        self.assertEqual(self.states.waiting, new)
        self.assertTrue(self.lists("a", "2-1") and self.lists("a", "1-1"))

    def test_what_was_given_lately_is_listed_still(self) -> None:
        for version in range(MOST_PUBLISHED + 1):
            self.now += 60
            self.publish(core={"a": f"{version}-1"})
        listed = [self.lists("a", f"{version}-1") for version in range(MOST_PUBLISHED + 1)]
        self.assertEqual(listed, [False] + [True] * MOST_PUBLISHED)

    def test_it_is_published_later_than_all_before_whatever_the_clock_says(self) -> None:
        seconds = []
        for version, jump in enumerate((0, -DAY, -DAY, 5, -1)):
            self.now += jump
            self.publish(core={"a": f"{version}-1"})
            published = self.states.published
            assert published is not None
            seconds.append(published[1].since)
        self.assertEqual(seconds, sorted(set(seconds)))

    def test_what_was_read_last_is_the_newest_whatever_the_clock_says(self) -> None:
        for version, jump in enumerate((0, -DAY, 300 * DAY, -299 * DAY, 60)):
            self.now += jump
            newest = self.read(core={"a": f"{version}-1"})
            self.assertEqual(self.states.read[-1].identity, newest.identity)
            self.restart()
            self.assertEqual(self.states.read[-1].identity, newest.identity)

    def test_each_change_is_told(self) -> None:
        self.states.changed = mock.Mock()
        self.publish(core=OLD)
        self.assertEqual(self.states.changed.call_count, 2)
        self.done(self.states.refreshed())
        self.assertEqual(self.states.changed.call_count, 3)


class GivenTests(StatesCase):
    def test_a_client_is_given_the_signature_of_the_state_whose_database_it_got(self) -> None:
        old = self.publish(core=OLD, extra={})
        self.states.give(CLIENT, CORE)
        self.now += 60
        new = self.publish(core=NEW, extra={})
        given = {
            (client, where): found[0].identity
            for client in (CLIENT, OTHER)
            for where in (CORE, EXTRA)
            if (found := self.states.given(client, where)) is not None
        }
        self.assertEqual(given.pop((CLIENT, CORE)), old.identity)
        self.assertEqual(set(given.values()), {new.identity})

    def test_once_it_asks_for_the_database_again_it_has_the_new_one(self) -> None:
        self.publish(core=OLD)
        self.states.give(CLIENT, CORE)
        self.now += 60
        new = self.publish(core=NEW)
        self.states.give(CLIENT, CORE)
        given = self.states.given(CLIENT, CORE)
        self.assertEqual(given and given[0], new)

    def test_of_too_many_clients_the_one_that_asked_first_is_forgotten(self) -> None:
        self.patch(module, "MOST_CLIENTS", 2)
        old = self.publish(core=OLD)
        for client in (CLIENT, OTHER, CLIENT, "10.0.0.3"):
            self.states.give(client, CORE)
        self.now += 60
        new = self.publish(core=NEW)
        given = [self.states.given(client, CORE) for client in (CLIENT, OTHER)]
        self.assertEqual([one and one[0] for one in given], [old, new])


class DiskTests(StatesCase):
    def test_on_a_full_disk_a_snapshot_of_what_is_given_out_can_be_dropped(self) -> None:
        given_out = self.publish(core=OLD)
        self.done(self.states.keep_snapshot("full", given_out, 1))
        full = StoreError("disk", "No space left on device")
        self.patch(self.archive, "_write", mock.Mock(side_effect=full))
        self.done(self.states.drop_snapshot("full"))
        self.assertEqual(self.states.snapshots, {})
        self.restart()
        self.assertEqual(self.states.published and self.states.published[0], given_out)

    def test_a_restart_finds_all_as_it_was(self) -> None:
        self.publish(core=OLD)
        self.now += 60
        new = self.read(core=NEW)
        self.done(self.states.wait_for(new.identity))
        before = self.states.state, self.states.read, self.states.published
        self.restart()
        self.assertEqual((self.states.state, self.states.read, self.states.published), before)
        self.assertTrue(self.lists("a", "1-1") and self.lists("a", "2-1"))

    def test_what_no_state_needs_any_more_goes(self) -> None:
        for version in range(20):
            self.now += 60
            self.publish(core={"a": f"{version}-1"}, extra={"e": "1-1"})
        # Those that were given lately, and the last of the day is one of them.
        self.assertEqual(len(self.states.read), MOST_PUBLISHED)
        self.assertEqual(self.contents, MOST_PUBLISHED + 1)

    def test_of_each_day_one_stays(self) -> None:
        for version in range(2 * module.MOST_KEPT):
            self.now = BEGINNING + version * DAY / 2
            self.publish(core={"a": f"{version}-1"})
        days = {one.made // DAY for one in self.states.read}
        self.assertEqual(max(days) - min(days), module.MOST_KEPT - 1)
        self.assertEqual(len(days), module.MOST_KEPT)
        self.assertLessEqual(len(self.states.read), module.MOST_KEPT + MOST_PUBLISHED)

    def test_a_state_that_lost_a_content_is_given_to_nobody(self) -> None:
        old = self.publish(core=OLD)
        since = self.states.state.now
        self.now += 60
        new = self.publish(core=NEW)
        (self.folder / "content" / new.databases[CORE].database.sha256).unlink()
        self.restart()
        self.assertIsNone(self.states.published)
        self.done(self.states.publish(old.identity))
        assert since is not None
        published = self.states.published
        assert published is not None
        self.assertGreater(published[1].since, since.since)

    def test_a_state_whose_content_was_damaged_on_disk_is_given_to_nobody(self) -> None:
        old = self.publish(core=OLD)
        self.now += 60
        new = self.publish(core=NEW)
        piece = new.databases[CORE].database
        (self.folder / "content" / piece.sha256).write_bytes(b"x" * piece.size)
        self.restart()
        self.assertIsNone(self.states.published)
        self.assertEqual([one.identity for one in self.states.read], [old.identity])
        self.now += 60
        again = self.publish(core=NEW)
        self.assertEqual(self.states.published and self.states.published[0], again)
        self.assertTrue(self.lists("a", "2-1"))

    def test_where_a_change_cannot_be_written_all_is_as_before(self) -> None:
        old, new = self.publish(core=OLD), self.read(core=NEW)
        error = StoreError("state.json", "No space left on device")
        self.patch(self.archive, "write_state", mock.Mock(side_effect=error))
        for change in (self.states.wait_for, self.states.publish):
            self.refused(change(new.identity), StoreError)
        self.assertEqual(self.states.published and self.states.published[0], old)
        self.assertIsNone(self.states.waiting)
        self.assertFalse(self.lists("a", "2-1"))

    def test_what_cannot_be_removed_keeps_nothing_from_being_published(self) -> None:
        old = self.publish(core=OLD)
        self.states.changed = mock.Mock()
        error = OSError(errno.EIO, "Input/output error")
        self.patch(self.archive, "_sweep", mock.Mock(side_effect=error))
        new = self.publish(core=NEW)
        self.assertNotEqual(old, new)
        self.assertEqual(self.states.published and self.states.published[0], new)
        self.assertEqual(self.states.changed.call_count, 2)


class ToItsEndTests(StatesCase):
    """Whoever asked for a change may be gone before it is made."""

    def setUp(self) -> None:
        super().setUp()
        self.publish(core=OLD)
        self.new = self.read(core=NEW)

    def left_during(self, work: str, change: Any) -> None:
        """Have who asked for ``change`` leave during the work that is called so, in a thread."""
        self.reactor.pool.hold(work)
        asked: Deferred[Any] = Deferred.fromCoroutine(change)
        asked.addErrback(lambda _: None)
        self.assertNoResult(asked)
        asked.cancel()
        self.reactor.pool.resume()

    def test_what_is_published_then_is_listed(self) -> None:
        for at, work in enumerate(("write_state", "_read", "_joined", "give_back", "sweep")):
            with self.subTest(work):
                self.now += 60
                new = self.read(core={"a": f"{at + 3}-1"})
                self.left_during(work, self.states.publish(new.identity))
                self.assertEqual(self.states.published and self.states.published[0], new)
                self.assertTrue(self.lists("a", f"{at + 3}-1"))
                on_disk = self.archive.read_state()["published"][-1][0]
                self.assertEqual(on_disk, new.identity)

    def test_a_change_that_waits_for_another_is_made_after_it(self) -> None:
        self.reactor.pool.hold("write_state")
        first = Deferred.fromCoroutine(self.states.wait_for(self.new.identity))
        second = Deferred.fromCoroutine(self.states.publish(self.new.identity))
        settled = Deferred.fromCoroutine(self.states.settled())
        self.assertNoResult(settled)
        self.reactor.pool.resume()
        for done in (first, second, settled):
            self.successResultOf(done)
        self.assertIsNone(self.states.waiting)
        self.assertEqual(self.states.published and self.states.published[0], self.new)

    def test_what_fails_then_is_in_the_log(self) -> None:
        error = StoreError("state.json", "No space left on device")
        held = mock.Mock(side_effect=error)
        held.__name__ = "write_state"
        self.patch(self.archive, "write_state", held)
        self.left_during("write_state", self.states.publish(self.new.identity))
        self.assertEqual(len(self.flushLoggedErrors(StoreError)), 1)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(0, 4)),
        st.tuples(st.just("publish"), st.integers(0, 4)),
        st.tuples(st.just("wait"), st.integers(0, 4)),
        st.tuples(st.just("snapshot"), st.integers(0, 4)),
        st.tuples(st.just("drop"), st.integers(0, 4)),
        st.tuples(st.just("clock"), st.integers(-2 * DAY, 3 * DAY)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=25,
)


class AlwaysTests(StatesCase):
    """Whatever is done, and with restarts amid it."""

    @settings(max_examples=60, deadline=None)
    @given(steps)
    def test_all_that_is_used_is_whole_and_seconds_only_grow(
        self, taken: list[tuple[str, int]]
    ) -> None:
        self.folder = self.folder.with_name(f"{self.folder.name}x")
        self.begin()
        last = 0
        for step, number in taken:
            self.take(step, number)
            needed = [*self.states.in_use(), *(one for one, _ in self.states.snapshots.values())]
            for generation in needed:
                self.assertTrue(all(map(self.archive.has, generation.pieces())))
            for generation in self.states.in_use():
                for where in generation.databases:
                    self.assertIsNotNone(self.states.catalogue.database(generation, where))
            since = self.states.state.now.since if self.states.state.now else 0
            self.assertGreaterEqual(since, last)
            last = since
            snapshots = {one.identity for one, _ in self.states.snapshots.values()}
            known = {one.identity for one in self.states.read} | snapshots
            self.assertLessEqual({one.identity for one in needed}, known)
        self.states.close()

    def take(self, step: str, number: int) -> None:
        chosen = self.states.read[number % len(self.states.read)] if self.states.read else None
        if step == "read":
            self.read(core={"a": f"{number}-1"}, extra={"e": f"{number % 2}-1"})
        elif step == "clock":
            self.now += number
        elif step == "restart":
            self.restart()
        elif step == "drop":
            self.done(self.states.drop_snapshot(f"s{number}"))
        elif chosen is not None and step == "publish":
            self.done(self.states.publish(chosen.identity))
        elif chosen is not None and step == "wait":
            self.done(self.states.wait_for(chosen.identity))
        elif chosen is not None:
            self.done(self.states.keep_snapshot(f"s{number}", chosen, int(self.now)))
