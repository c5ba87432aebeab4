"""Sets of packages in 8 bytes each."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.states.names import Names, load

PACKAGES = st.lists(st.tuples(st.text(max_size=20), st.binary(min_size=32, max_size=32)))


class Sets(SynchronousTestCase):
    @given(PACKAGES, PACKAGES)
    def test_they_have_what_was_put_in_and_nothing_else(
        self, ours: list[tuple[str, bytes]], others: list[tuple[str, bytes]]
    ) -> None:
        names = Names.of(ours)
        self.assertEqual(len(names), len(set(ours)))
        for package in [*ours, *others]:
            self.assertEqual(names.has(*package), package in ours)

    @given(PACKAGES, PACKAGES)
    def test_joined_they_have_what_either_has(
        self, ours: list[tuple[str, bytes]], others: list[tuple[str, bytes]]
    ) -> None:
        joined = Names.of(ours).joined(Names.of(others))
        self.assertEqual(joined, Names.of([*ours, *others]))

    @given(PACKAGES)
    def test_what_was_dumped_is_loaded(self, packages: list[tuple[str, bytes]]) -> None:
        names = Names.of(packages)
        self.assertEqual(load(names.dump("0" * 16), "0" * 16), names)

    @given(PACKAGES, st.data())
    def test_what_is_damaged_or_anothers_is_not(
        self, packages: list[tuple[str, bytes]], data: st.DataObject
    ) -> None:
        dumped = bytearray(Names.of(packages).dump("0" * 16))
        self.assertIsNone(load(bytes(dumped), "1" * 16))
        place = data.draw(st.integers(0, len(dumped) - 1))
        dumped[place] ^= data.draw(st.integers(1, 255))
        self.assertIsNone(load(bytes(dumped), "0" * 16))
        self.assertIsNone(load(bytes(dumped[:place]), "0" * 16))
