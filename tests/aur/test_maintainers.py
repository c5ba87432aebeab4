"""Who maintained what, as seen from look to look."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.aur import maintainers
from flocon.aur.maintainers import Earlier, Known, Maintainers
from flocon.aur.records import Record


def foo(maintainer: str = "one", *co_maintainers: str, name: str = "foo") -> Record:
    return Record(name, "foo", "1-1", maintainer=maintainer, co_maintainers=co_maintainers)


class Looking(SynchronousTestCase):
    def setUp(self) -> None:
        self.maintainers = Maintainers()

    def known(self) -> Known:
        found = self.maintainers.of("foo")
        assert found is not None
        return found

    def test_what_was_never_seen_is_not_known(self) -> None:
        self.assertIsNone(self.maintainers.of("foo"))

    def test_who_is_seen_first_took_nothing_over(self) -> None:
        self.assertEqual(self.maintainers.observe([foo("one", "co")], 10.0), [])
        self.assertEqual(self.known(), Known("one", ("co",), 10))

    def test_nothing_changes_while_all_stay(self) -> None:
        self.maintainers.observe([foo("one", "a", "b")], 10)
        self.assertEqual(self.maintainers.observe([foo("one", "b", "a")], 20), [])
        self.assertEqual(self.known().since, 10)

    def test_another_maintainer_took_it_over(self) -> None:
        self.maintainers.observe([foo("one")], 10)
        (change,) = self.maintainers.observe([foo("two")], 20)
        self.assertEqual(self.known(), Known("two", (), 20, 20, 0, (Earlier("one", 20),)))
        self.assertEqual(str(change), "foo is maintained by two, and by one before")

    def test_an_orphan_is_taken_over_when_it_is_adopted(self) -> None:
        self.maintainers.observe([foo("one")], 10)
        (change,) = self.maintainers.observe([foo("")], 20)
        self.assertEqual(str(change), "foo is maintained by nobody, and by one before")
        self.assertEqual((self.known().taken_over, self.known().since), (0, 20))
        self.maintainers.observe([foo("one")], 30)
        self.assertEqual(self.known().taken_over, 30)

    def test_a_new_co_maintainer_joined_and_one_who_leaves_did_not(self) -> None:
        self.maintainers.observe([foo("one", "a")], 10)
        (change,) = self.maintainers.observe([foo("one", "a", "b")], 20)
        self.assertEqual(str(change), "foo is co-maintained by b too")
        self.assertEqual((self.known().joined, self.known().taken_over), (20, 0))
        (change,) = self.maintainers.observe([foo("one", "b")], 30)
        self.assertEqual(str(change), "foo is co-maintained by a no more")
        self.assertEqual(self.known().joined, 20)

    def test_packages_of_one_base_are_one(self) -> None:
        self.maintainers.observe([foo(), foo(name="foo-doc")], 10)
        changes = self.maintainers.observe([foo("two"), foo("two", name="foo-doc")], 20)
        self.assertEqual(len(changes), 1)

    def test_so_many_earlier_ones_are_remembered(self) -> None:
        for moment in range(100):
            self.maintainers.observe([foo(f"m{moment}")], moment)
        self.assertEqual(len(self.known().earlier), maintainers.MOST_EARLIER)
        self.assertEqual(self.known().earlier[0], Earlier("m98", 99))

    def test_so_many_bases_are_remembered(self) -> None:
        self.patch(maintainers, "MOST_BASES", 1)
        self.maintainers.observe([foo()], 10)
        self.maintainers.observe([Record("bar", "bar", "1-1")], 10)
        self.assertIsNone(self.maintainers.of("bar"))

    def test_what_is_forgotten_begins_anew(self) -> None:
        self.maintainers.observe([foo()], 10)
        self.maintainers.forget("foo")
        self.assertEqual(self.maintainers.observe([foo("two")], 20), [])

    def test_it_is_remembered_across_a_restart(self) -> None:
        for moment, who in enumerate(["one", "", "two", "two"]):
            self.maintainers.observe([foo(who, f"co{moment}")], moment)
        written = json.loads(json.dumps(self.maintainers.to_json()))
        self.assertEqual(Maintainers.read(written).of("foo"), self.known())

    def test_of_damaged_memory_the_rest_is_kept(self) -> None:
        self.maintainers.observe([foo(), Record("bar", "bar", "1-1", maintainer="two")], 10)
        written = self.maintainers.to_json()
        written["foo"]["since"] = "then"
        read = Maintainers.read(written)
        self.assertIsNone(read.of("foo"))
        self.assertEqual(read.of("bar"), Known("two", (), 10))

    @given(st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ))  # fmt: skip
    def test_whatever_was_remembered_is_read(self, value: Any) -> None:
        Maintainers.read(value)
        Maintainers.read({"foo": value})
