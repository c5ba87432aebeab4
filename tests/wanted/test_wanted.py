"""Which packages of a state are wanted, for machines that have some of its repositories."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.wanted.dependencies import Databases
from flocon.wanted.wanted import choose
from tests.wanted.describing import databases, package

CORE, EXTRA = ("core",), ("core", "extra")


class Choosing(SynchronousTestCase):
    def choose(
        self,
        known: Databases,
        names: dict[tuple[str, ...], list[str]],
        pins: tuple[str, ...] = (),
        repositories: tuple[str, ...] = EXTRA,
    ) -> set[tuple[str, str]]:
        self.choice = choose(known, repositories, names, pins)
        return {(repositories[place], name) for place, name in self.choice.packages}

    def test_what_is_held_with_what_its_newer_version_needs(self) -> None:
        known = databases([package("a", "2-1", needs="fresh"), package("c")], [package("fresh")])
        wanted = self.choose(known, {(): ["a"]})
        self.assertEqual(wanted, {("core", "a"), ("extra", "fresh")})

    def test_what_takes_the_place_of_what_is_held(self) -> None:
        known = databases([package("new", replaces="old", needs="b"), package("b")], [])
        self.assertEqual(self.choose(known, {(): ["old"]}), {("core", "new"), ("core", "b")})

    def test_all_that_takes_the_place_of_what_was_one_package(self) -> None:
        known = databases(
            [package("one", replaces="old"), package("two", replaces="old<2")],
            [package("old"), package("late", replaces="old")],
        )
        self.assertEqual(self.choose(known, {(): ["old"]}), {("core", "one"), ("core", "two")})

    def test_what_takes_the_place_of_older_ones_comes_beside_the_newest(self) -> None:
        known = databases([package("new", replaces="old<2")], [package("old", "3-1")])
        self.assertEqual(self.choose(known, {(): ["old"]}), {("core", "new"), ("extra", "old")})

    def test_pins_are_packages_and_groups(self) -> None:
        known = databases([package("a", groups="base", needs="c"), package("b")], [package("c")])
        wanted = self.choose(known, {}, pins=("base", "b", "typo"))
        self.assertEqual(wanted, {("core", "a"), ("core", "b"), ("extra", "c")})
        self.assertEqual(self.choice.unknown, {"typo"})

    def test_what_is_in_no_repository_any_more_is_not_wanted(self) -> None:
        self.assertEqual(self.choose(databases([package("a")], []), {(): ["foreign"]}), set())

    def test_machines_get_it_from_the_repositories_that_they_have(self) -> None:
        testing = ("testing", "core", "extra")
        known = databases(
            [package("a", "3-1"), package("b", "3-1")],
            [package("a", needs="b"), package("b")],
            [],
        )
        wanted = self.choose(known, {EXTRA: ["a"]}, repositories=testing)
        self.assertEqual(wanted, {("core", "a"), ("core", "b")})
        wanted = self.choose(known, {EXTRA: ["a"], testing: ["b"]}, repositories=testing)
        self.assertEqual(wanted, {("core", "a"), ("core", "b"), ("testing", "b")})

    def test_a_client_gets_it_from_the_repository_of_which_it_asked(self) -> None:
        known = databases([package("a", "3-1")], [package("a", needs="b"), package("b")])
        self.assertEqual(self.choose(known, {("extra",): ["a"]}), {("extra", "a"), ("extra", "b")})

    def test_what_moved_to_another_repository_is_wanted_there(self) -> None:
        known = databases([package("a")], [package("b")])
        self.assertEqual(self.choose(known, {("extra",): ["a"]}), {("core", "a")})

    def test_what_is_needed_of_nobody_is_told(self) -> None:
        self.choose(databases([package("a", needs="gone>=2")], []), {CORE: ["a"]})
        self.assertEqual(self.choice.unresolved, {"gone>=2"})

    def test_what_one_kind_of_machine_needs_does_for_another(self) -> None:
        known = databases(
            [package("a", needs="sh"), package("b", provides="sh")], [package("c", provides="sh")]
        )
        wanted = self.choose(known, {(): ["a"], ("extra",): ["c"]})
        self.assertEqual(wanted, {("core", "a"), ("extra", "c")})
