"""What one machine would install is worked out as pacman does it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.pacman.relations import Description
from flocon.wanted import resolving
from flocon.wanted.dependencies import Databases
from flocon.wanted.transactions import (
    Transaction,
    machine_with,
    named,
    resolved,
    transaction,
    upgrades,
)
from tests.wanted.describing import databases, package


class Case(SynchronousTestCase):
    installed: tuple[Description, ...] = ()
    ignored: tuple[str, ...] = ()
    ignored_groups: tuple[str, ...] = ()

    def install(self, known: Databases, *words: str) -> Transaction:
        machine = machine_with(self.installed, self.ignored, self.ignored_groups, ["x86_64"])
        return transaction(known, machine, named(known, machine, words))

    def upgrade(self, known: Databases, *, back: bool = False) -> Transaction:
        machine = machine_with(self.installed, self.ignored, self.ignored_groups, ["x86_64"])
        return transaction(known, machine, upgrades(known, machine, back=back))

    def expect(self, found: Transaction, *names: str) -> None:
        """Expect packages as ``name`` or ``name-version``, in order."""
        self.assertEqual(list(found.problems), [])
        here = [one.description for one in found.packages]
        told = [
            f"{one.name}-{one.version}" if "-" in name else one.name
            for one, name in zip(here, names, strict=True)
        ]
        self.assertEqual(told, list(names))

    def expect_problem(self, found: Transaction, *problems: str) -> None:
        self.assertEqual(list(found.problems), list(problems))


class Needs(Case):
    def test_what_is_needed_comes_depth_first(self) -> None:
        known = databases(
            [package("a", needs="b c"), package("b", needs="d"), package("c"), package("d")]
        )
        self.expect(self.install(known, "a"), "a", "b", "d", "c")

    def test_one_that_is_taken_already_does_before_one_of_that_name(self) -> None:
        known = databases([package("a", needs="b sh"), package("b", provides="sh"), package("sh")])
        self.expect(self.install(known, "a"), "a", "b")

    def test_one_that_comes_anyhow_does_before_one_of_that_name(self) -> None:
        known = databases([package("a", needs="sh"), package("z", provides="sh"), package("sh")])
        self.expect(self.install(known, "a", "z"), "a", "z")

    def test_a_second_version_of_what_is_taken_is_not_looked_at(self) -> None:
        known = databases(
            [package("a", needs="b c"), package("b"), package("c", needs="b>=2")],
            [package("b", "2-1"), package("d", provides="b=3")],
        )
        self.expect(self.install(known, "a"), "a", "b-1-1", "c", "d")

    def test_one_name_from_two_repositories_is_refused(self) -> None:
        known = databases([package("a")], [package("a", "2-1")])
        self.expect_problem(self.install(known, "a", "a>=2"), "a is meant of two repositories")

    def test_what_nobody_has_is_told_with_who_needs_it(self) -> None:
        known = databases([package("a", needs="b"), package("b", needs="gone>=2")])
        self.expect_problem(
            self.install(known, "a"),
            "nothing satisfies gone>=2, which b needs",
            "nothing satisfies b, which a needs",
        )

    def test_what_is_meant_of_another_architecture_is_refused(self) -> None:
        foreign = Description("a", "1-1", "a-1-1-arm.pkg.tar.zst")
        found = self.install(databases([foreign]), "a")
        self.expect_problem(found, "a-1-1-arm.pkg.tar.zst is for another architecture")

    def test_a_long_chain_is_followed_to_its_end(self) -> None:
        chain = [package(f"p{at}", needs=f"p{at + 1}") for at in range(5_000)]
        found = self.install(databases([*chain, package("p5000")]), "p0")
        self.assertEqual((len(found.packages), list(found.problems)), (5_001, []))

    def test_what_is_tried_over_and_over_ends(self) -> None:
        doubling = [package(f"p{at}", needs=f"p{at + 1} q{at}") for at in range(64)]
        doubling += [package(f"q{at}", needs=f"p{at + 1}") for at in range(64)]
        self.patch(resolving, "MOST_STEPS", 2_000)
        self.assertTrue(self.install(databases([*doubling]), "p0").problems)


class Installed(Case):
    installed: tuple[Description, ...] = (
        package("sh", "1-1"),
        package("b", provides="virtual"),
        package("held"),
    )

    def test_what_is_there_is_not_needed_again(self) -> None:
        known = databases([package("a", needs="sh"), package("sh", "2-1")])
        self.expect(self.install(known, "a"), "a")

    def test_of_several_one_that_is_installed_is_taken(self) -> None:
        known = databases(
            [package("a", provides="virtual=2"), package("c", needs="virtual=2")],
            [package("b", "2-1", provides="virtual=2")],
        )
        self.expect(self.install(known, "c"), "c", "b")
        self.expect(self.install(known, "virtual=2"), "b")

    def test_what_stays_may_not_lose_what_it_needs(self) -> None:
        self.installed = (package("sh", "1-1"), package("user", needs="sh<2"))
        known = databases([package("sh", "2-1")])
        self.expect_problem(self.upgrade(known), "user needs sh<2, which would go")

    def test_what_lacks_something_already_may_stay(self) -> None:
        self.installed = (package("sh", "1-1"), package("user", needs="gone"))
        self.expect(self.upgrade(databases([package("sh", "2-1")])), "sh")


class Upgrades(Case):
    installed = (package("a", "2-1"), package("b", "2-1"), package("c", "2-1", groups="games"))

    def setUp(self) -> None:
        self.known = databases(
            [package("a", "3-1"), package("b", "1-1")],
            [package("a", "9-1"), package("c", "3-1")],
        )

    def test_the_newer_of_the_first_database_that_knows_it(self) -> None:
        self.expect(self.upgrade(self.known), "a-3-1", "c-3-1")

    def test_back_to_the_older_where_that_is_wanted(self) -> None:
        self.expect(self.upgrade(self.known, back=True), "a-3-1", "b-1-1", "c-3-1")

    def test_what_is_ignored_stays(self) -> None:
        self.ignored, self.ignored_groups = ("[ax]",), ("g*",)
        self.expect(self.upgrade(self.known))

    def test_what_is_ignored_comes_where_it_is_named(self) -> None:
        self.ignored = ("a",)
        self.expect(self.install(self.known, "a"), "a-3-1")

    def test_what_is_ignored_satisfies_nobody(self) -> None:
        self.ignored = ("new",)
        known = databases([package("a", "3-1", needs="new"), package("new")])
        self.expect_problem(self.upgrade(known), "nothing satisfies new, which a needs")

    def test_all_that_take_a_packages_place_come_for_it(self) -> None:
        known = databases([package("x", replaces="a"), package("y", replaces="a<3")])
        self.expect(self.upgrade(known), "x", "y")

    def test_who_takes_only_an_older_ones_place_does_not_come(self) -> None:
        self.expect(self.upgrade(databases([package("x", replaces="a<2")])))

    def test_one_may_take_the_place_of_several(self) -> None:
        known = databases([package("x", replaces="a b", conflicts="a b c<2")])
        self.expect(self.upgrade(known), "x")


class Conflicts(Case):
    def test_two_that_conflict_cannot_come(self) -> None:
        known = databases([package("a", conflicts="b"), package("b")])
        self.expect_problem(self.install(known, "a", "b"), "a and b are in conflict")

    def test_who_prints_only_does_not_look_at_it(self) -> None:
        known = databases([package("a", conflicts="b"), package("b")])
        machine = machine_with([])
        self.expect(resolved(known, machine, named(known, machine, ["a", "b"])), "a", "b")

    def test_one_that_provides_the_other_comes_alone(self) -> None:
        known = databases([package("a"), package("b", conflicts="a", provides="a")])
        self.expect(self.install(known, "a", "b"), "b")

    def test_of_two_that_provide_each_other_who_conflicts_first_comes(self) -> None:
        known = databases(
            [package("a", conflicts="b", provides="b"), package("b", conflicts="a", provides="a")]
        )
        self.expect(self.install(known, "a", "b"), "a")
        self.expect(self.install(known, "b", "a"), "b")

    def test_who_is_left_out_may_be_needed(self) -> None:
        known = databases(
            [
                package("a", "2-1"),
                package("b", conflicts="a", provides="a"),
                package("c", needs="a>=2"),
            ]
        )
        self.expect_problem(self.install(known, "a", "b", "c"), "c needs a>=2")

    def test_what_is_installed_conflicts_from_either_side(self) -> None:
        self.installed = (package("old", conflicts="a"), package("other"))
        known = databases([package("a"), package("b", conflicts="other")])
        problem = "{} and {}, which is installed, are in conflict"
        self.expect_problem(self.install(known, "a"), problem.format("a", "old"))
        self.expect_problem(self.install(known, "b"), problem.format("b", "other"))

    def test_what_goes_conflicts_with_nobody(self) -> None:
        self.installed = (package("old", conflicts="new"),)
        self.expect(self.upgrade(databases([package("new", replaces="old")])), "new")

    def test_a_package_does_not_conflict_with_itself(self) -> None:
        self.installed = (package("a", conflicts="sh"),)
        known = databases([package("a", "2-1", conflicts="sh", provides="sh")])
        self.expect(self.upgrade(known), "a")
