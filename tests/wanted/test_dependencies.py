"""What packages need is found as pacman finds it."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.pacman.relations import Description, parse_relation
from flocon.wanted.dependencies import Databases, closure
from tests.wanted.describing import databases, package


def names(found: Mapping[tuple[int, str], Description]) -> list[str]:
    return sorted(name for _, name in found)


class Meaning(SynchronousTestCase):
    """What ``pacman -S WORD`` would install."""

    def meant(self, known: Databases, word: str) -> list[tuple[int, str]]:
        return [(one.place, one.description.name) for one in known.meant(word, known.places)]

    def test_a_package_of_the_first_database_that_has_it(self) -> None:
        known = databases([package("b")], [package("a"), package("b")])
        self.assertEqual(self.meant(known, "a"), [(1, "a")])
        self.assertEqual(self.meant(known, "b"), [(0, "b")])

    def test_a_group_has_each_package_once(self) -> None:
        known = databases(
            [package("b", groups="base")],
            [package("a", groups="base"), package("b", groups="base other")],
        )
        self.assertEqual(self.meant(known, "base"), [(0, "b"), (1, "a")])

    def test_a_package_comes_before_a_group_and_who_provides_it(self) -> None:
        known = databases([package("a", groups="c", provides="c"), package("c")])
        self.assertEqual(self.meant(known, "c"), [(0, "c")])

    def test_who_provides_it_comes_before_a_group(self) -> None:
        known = databases([package("a", groups="c"), package("b", provides="c")])
        self.assertEqual(self.meant(known, "c"), [(0, "b")])

    def test_who_provides_it_where_nothing_is_called_so(self) -> None:
        known = databases([package("b", provides="sh"), package("a", provides="sh")])
        self.assertEqual(self.meant(known, "sh"), [(0, "a")])

    def test_nothing_where_nobody_knows_the_word(self) -> None:
        self.assertEqual(self.meant(databases([package("a")]), "z"), [])
        self.assertEqual(self.meant(databases([package("a")]), "a b"), [])


class Closures(SynchronousTestCase):
    def closure(self, known: Databases, *words: str) -> tuple[list[str], list[str]]:
        beginning = [one for word in words for one in known.meant(word, known.places)]
        result = closure(known, beginning)
        return names(result.packages), sorted(result.unresolved)

    def test_all_that_is_needed_by_what_is_needed(self) -> None:
        known = databases(
            [package("a", needs="b c"), package("b", needs="d"), package("d"), package("e")],
            [package("c", needs="a")],
        )
        self.assertEqual(self.closure(known, "a"), (["a", "b", "c", "d"], []))

    def test_the_first_database_whose_version_fits(self) -> None:
        known = databases(
            [package("a", needs="b>=2"), package("b", "1-1")], [package("b", "2-1", needs="c")]
        )
        found = closure(known, known.meant("a", known.places))
        self.assertEqual(set(found.packages), {(0, "a"), (1, "b")})
        self.assertEqual(found.unresolved, {"c"})

    def test_a_name_comes_before_who_provides_it(self) -> None:
        known = databases([package("a", needs="b"), package("c", provides="b"), package("b")])
        self.assertEqual(self.closure(known, "a"), (["a", "b"], []))

    def test_of_several_that_provide_it_one_that_is_there_anyhow(self) -> None:
        known = databases(
            [package("a", needs="sh"), package("b", provides="sh"), package("c", provides="sh")]
        )
        self.assertEqual(self.closure(known, "a", "c"), (["a", "c"], []))
        self.assertEqual(self.closure(known, "a"), (["a", "b"], []))

    def test_what_nobody_has_is_told(self) -> None:
        known = databases([package("a", needs="b>=2 gone"), package("b", provides="gone2")])
        self.assertEqual(self.closure(known, "a"), (["a"], ["b>=2", "gone"]))

    def test_what_is_here_is_not_followed(self) -> None:
        known = databases([package("a", needs="b"), package("b", needs="c"), package("c")])
        found = closure(known, known.meant("a", known.places), here={(0, "b")})
        self.assertEqual(names(found.packages), ["a"])

    def test_databases_that_a_machine_does_not_have_are_not_looked_into(self) -> None:
        known = databases([package("b", "9-1")], [package("a", needs="b"), package("b")])
        found = closure(known, known.meant("a", [1]), [1])
        self.assertEqual(set(found.packages), {(1, "a"), (1, "b")})

    @given(st.data())
    def test_it_is_the_least_set_that_needs_nothing_more(self, data: st.DataObject) -> None:
        count = data.draw(st.integers(1, 8))
        every = [f"p{at}" for at in range(count)]
        words = st.lists(st.sampled_from([*every, "absent"]), max_size=4).map(" ".join)
        known = databases([package(name, needs=data.draw(words)) for name in every])
        word = data.draw(st.sampled_from(every))
        result = closure(known, known.meant(word, known.places))
        found = {name for _, name in result.packages}
        needed = {word}
        for one in result.packages.values():
            needed |= {relation.name for relation in one.depends}
        self.assertEqual(found, needed - {"absent"})
        self.assertEqual(result.unresolved, needed & {"absent"})
        self.assertEqual(result.is_whole, "absent" not in needed)


class Replacing(SynchronousTestCase):
    def test_who_takes_a_packages_place_is_known_by_it(self) -> None:
        known = databases([package("new", replaces="old")], [package("other", replaces="old<2")])
        found = [one.description.name for one in known.replacing("old", known.places)]
        self.assertEqual(found, ["new", "other"])
        self.assertEqual(list(known.replacing("new", known.places)), [])

    def test_who_names_it_twice_takes_its_place_once(self) -> None:
        known = databases([package("new", replaces="old<2 old>3", provides="x=1 x=2")])
        self.assertEqual(len(list(known.replacing("old", known.places))), 1)

    def test_what_provides_is_asked_with_its_version(self) -> None:
        known = databases([package("a", provides="x=2"), package("b", provides="x")])
        wanted = parse_relation("x>=1")
        assert wanted is not None
        found = [one.description.name for one in known.providing(wanted, known.places)]
        self.assertEqual(found, ["a"])
