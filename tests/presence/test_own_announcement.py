"""What changed is told in order, whole, and not too often."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.datagrams.messages import Announcement, Kind, decode
from flocon.errors import DatagramError
from tests.datagrams.test_messages import change
from tests.presence.virtual_lan import CABLE, make, said


class ChangesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.presence = make()
        self.presence.start(0)
        self.run_until(5)

    def run_until(self, end: float) -> list[tuple[float, Announcement]]:
        heard = []
        while (due := self.presence.deadline()) is not None and due < end:
            self.presence.tick(due)
            heard += [(due, decode(one)) for one in self.presence.take_datagrams()]
        return heard

    def test_changes_of_a_moment_go_in_one_datagram(self) -> None:
        for number in range(1, 6):
            self.presence.inventory_changed(5 + number / 200, number, number, [change(number)])
        ((when, heard),) = self.run_until(10)
        self.assertAlmostEqual(when, 5.055)
        self.assertEqual((heard.generation, heard.files), (5, 5))
        self.assertEqual(
            [one.file_name for one in heard.changes], [change(n).file_name for n in range(1, 6)]
        )

    def test_none_is_left_out_where_there_are_more_files_in_between(self) -> None:
        # Nine files, then ten and more, then nine: at some length a digit too many does not fit.
        changes = [change(number, held=number <= 16) for number in range(1, 24)]
        for length in range(1, 120):
            presence = make()
            presence.start(0)
            long = replace(changes[0], file_name=f"{'a' * length}-1-1-any.pkg.tar.zst")
            presence.inventory_changed(0, len(changes), 9, [long, *changes[1:]])
            told = 0
            while (due := presence.deadline()) is not None and due < 3:
                presence.tick(due)
                for heard in map(decode, presence.take_datagrams()):
                    told += len(heard.changes)
                    self.assertEqual(heard.generation, told, length)
            self.assertEqual(told, len(changes))

    def test_what_follows_a_gap_before_it_is_told_is_a_part_of_it(self) -> None:
        changes = [change(number) for number in range(1, 311)]
        self.presence.inventory_changed(5, 300, 300, changes[:300])
        self.presence.inventory_changed(5.01, 310, 310, changes[300:])
        (_, heard), *more = self.run_until(10)
        self.assertEqual((heard.generation, heard.files, heard.changes), (310, 310, ()))
        self.assertEqual(more, [])
        self.presence.inventory_changed(10, 311, 311, [change(311)])
        ((_, heard),) = self.run_until(12)
        self.assertEqual((heard.generation, len(heard.changes)), (311, 1))

    def test_more_than_fit_go_in_several_in_order(self) -> None:
        changes = [change(number, held=number % 3 != 0) for number in range(1, 41)]
        files = 100 + sum(1 if one.held else -1 for one in changes)
        self.presence.update(5, generation=60, files=100)
        self.run_until(6)
        self.presence.inventory_changed(6, 100, files, changes)
        heard = self.run_until(10)
        told: list[Any] = []
        generation, held = 60, 100
        for _, one in heard:
            told.extend(one.changes)
            generation += len(one.changes)
            held += sum(1 if each.held else -1 for each in one.changes)
            self.assertEqual((one.generation, one.files), (generation, held))
        self.assertEqual(told, changes)
        self.assertLess(len(heard), 8)
        times = [when for when, _ in heard]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        self.assertTrue(all(0.024 < gap < 0.06 for gap in gaps), gaps)

    def test_however_many_come_at_once_all_are_told_soon(self) -> None:
        for count in (50, 200, 256, 500, 3_000):
            presence = make(2)
            presence.start(0)
            presence.inventory_changed(5, count, count, [change(one) for one in range(count)])
            while True:
                due = presence.deadline()
                assert due is not None
                presence.tick(due)
                datagrams = [decode(one) for one in presence.take_datagrams()]
                if datagrams and datagrams[-1].generation == count:
                    break
            self.assertLess(due - 5, 0.65, count)

    def test_under_load_datagrams_keep_their_distance(self) -> None:
        heard = []
        for number in range(1, 201):
            now = 5 + number / 100
            heard += self.run_until(now)
            self.presence.inventory_changed(now, number, number, [change(number)])
        heard += self.run_until(20)
        times = [when for when, _ in heard]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        self.assertGreater(min(gaps), 0.099)
        self.assertEqual(sum(len(one.changes) for _, one in heard), 200)
        self.assertEqual(heard[-1][1].generation, 200)

    def test_a_beat_meanwhile_announces_no_more_than_was_told(self) -> None:
        self.presence.inventory_changed(5, 40, 40, [change(number) for number in range(1, 41)])
        self.presence.receive(5, CABLE, said(kind=Kind.HELLO))
        generation = 0
        for _, heard in self.run_until(10):
            self.assertEqual(heard.generation, generation + len(heard.changes))
            generation = heard.generation
        self.assertEqual(generation, 40)

    def test_very_many_are_told_as_a_generation_only(self) -> None:
        self.presence.inventory_changed(5, 3000, 3000, [change(n) for n in range(3000)])
        ((_, heard),) = self.run_until(10)
        self.assertEqual((heard.generation, heard.files, heard.changes), (3000, 3000, ()))

    def test_a_gap_is_told_as_a_generation_only(self) -> None:
        self.presence.inventory_changed(5, 1, 1, [change(1)])
        self.presence.inventory_changed(5, 9, 2, [change(2)])
        ((_, heard),) = self.run_until(10)
        self.assertEqual((heard.generation, heard.files, heard.changes), (9, 2, ()))

    def test_no_change_is_no_datagram(self) -> None:
        self.presence.inventory_changed(5, 0, 0, [])
        self.assertEqual(self.run_until(10), [])

    def test_what_changed_before_the_start_is_not_told_in_parts(self) -> None:
        presence = make(2)
        presence.inventory_changed(0, 3, 3, [change(1), change(2), change(3)])
        presence.start(0)
        heard = decode(presence.take_datagrams()[0])
        self.assertEqual((heard.generation, heard.files, heard.changes), (3, 3, ()))

    def test_a_profile_without_room_for_changes_still_tells_the_generation(self) -> None:
        databases = tuple((f"repository-{'x' * 40}-{number}", "00" * 8) for number in range(32))
        self.presence.update(5, databases=databases)
        self.run_until(6)
        self.presence.inventory_changed(6, 5, 5, [change(number) for number in range(5)])
        ((_, heard),) = self.run_until(10)
        self.assertEqual((heard.generation, heard.files, heard.changes), (5, 5, ()))

    def test_a_new_profile_is_told_soon(self) -> None:
        self.presence.update(5, databases=(("core", "ab" * 8),), abilities=frozenset({"store"}))
        ((when, heard),) = self.run_until(10)
        self.assertAlmostEqual(when, 5.05)
        self.assertEqual(heard.databases, (("core", "ab" * 8),))
        self.presence.update(10, abilities=frozenset({"store"}))
        self.assertEqual(self.run_until(12), [])

    def test_a_profile_that_cannot_be_announced_is_refused(self) -> None:
        self.assertRaises(DatagramError, self.presence.update, 5, port=0)
        self.assertRaises(DatagramError, make, abilities=frozenset({"Not a word"}))

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(st.integers(0, 30), st.sampled_from([0.0, 0.02, 0.3, 40.0])), max_size=25
        )
    )
    def test_a_listener_that_follows_ends_at_the_same_generation(
        self, bursts: list[tuple[int, float]]
    ) -> None:
        presence = make()
        presence.start(0)
        now, generation, replica, files = 0.0, 0, 0, 0
        for count, pause in [*bursts, (0, 100.0)]:
            changes = [change(generation + n, held=bool(n % 4)) for n in range(count)]
            generation += count
            files += sum(1 if one.held else -1 for one in changes)
            presence.inventory_changed(now, generation, max(files, 0), changes)
            end = now + pause
            while (due := presence.deadline()) is not None and due < end:
                presence.tick(due)
                for heard in map(decode, presence.take_datagrams()):
                    # In step, or a gap that has no changes to mend it with.
                    if heard.generation != replica + len(heard.changes):
                        self.assertEqual(heard.changes, ())
                    self.assertGreaterEqual(heard.generation, replica)
                    replica = heard.generation
            now = end
        self.assertEqual(replica, generation)
