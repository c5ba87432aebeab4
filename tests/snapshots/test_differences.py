"""What one state lists otherwise than another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.pacman.entries import Entry
from flocon.snapshots.differences import Change, Counts, Listed, by_name, counts, difference, rows
from flocon.states.generation import Where

CORE = Where("x86_64", "core")
LISTS = st.dictionaries(
    st.sampled_from("abcdef"),
    st.builds(
        Listed,
        st.sampled_from(["1-1", "1-2", "1.0-1", "1:0-1"]),
        st.sampled_from([b"\0" * 32, b"\1" * 32]),
    ),
)


class Differences(SynchronousTestCase):
    @given(LISTS, LISTS)
    def test_what_is_other_and_what_stays_make_the_second_state(
        self, before: dict[str, Listed], after: dict[str, Listed]
    ) -> None:
        found = difference(CORE, before, after)
        versions = {name: one.version for name, one in before.items()}
        for name, version in found.removed:
            self.assertEqual(versions.pop(name), version)
        for change in found.changed:
            self.assertEqual(versions[change.name], change.before)
            versions[change.name] = change.after
        for name, version in found.added:
            self.assertNotIn(name, versions)
            versions[name] = version
        self.assertEqual(versions, {name: one.version for name, one in after.items()})
        self.assertEqual(bool(found), before != after)

    @given(LISTS, LISTS)
    def test_the_other_way_round_newer_is_older_and_new_is_gone(
        self, before: dict[str, Listed], after: dict[str, Listed]
    ) -> None:
        there = counts([difference(CORE, before, after)])
        back = counts([difference(CORE, after, before)])
        turned = Counts(back.newer, back.older, back.rebuilt, back.removed, back.added)
        self.assertEqual(there, turned)

    @given(LISTS, LISTS)
    def test_each_package_is_told_once(
        self, before: dict[str, Listed], after: dict[str, Listed]
    ) -> None:
        number = counts([found := difference(CORE, before, after)])
        told = [name for _, _, name, _, _ in rows([found])]
        self.assertEqual(told, sorted(set(told)))
        every = number.older + number.newer + number.rebuilt + number.added + number.removed
        self.assertEqual(len(told), every)

    def test_newer_and_older_are_as_pacman_has_them(self) -> None:
        for before, after, direction in (
            ("1-1", "1-2", 1),
            ("2-1", "1:1-1", 1),
            ("1.10-1", "1.9-1", -1),
            ("1-1", "1-1", 0),
        ):
            self.assertEqual(Change("a", before, after).direction, direction)

    def test_of_two_files_of_one_name_the_first_counts(self) -> None:
        entries = [
            Entry("core", f"a-{version}-any.pkg.tar", "a", version, 1, bytes(32), None)
            for version in ("1-1", "2-1")
        ]
        self.assertEqual(by_name(entries), {"a": Listed("1-1", bytes(32))})
