"""What has to be built for a recipe, and what comes from elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.jobs.plan import Found, Offer, Plan, find_cycle, satisfies
from flocon.pacman.relations import Relation, parse_relation

if TYPE_CHECKING:
    from collections.abc import Mapping


def offer(base: str, *needs: str, version: str = "1-1", provides: tuple[str, ...] = ()) -> Offer:
    return Offer(base, version, (base,), (f"{base}={version}", *provides), needs)


def have(packages: Mapping[str, str]) -> object:
    """Return what tells the package of a name, if its version fits."""

    def find(relation: Relation) -> str:
        version = packages.get(relation.name)
        return relation.name if version is not None and relation.fits(version) else ""

    return find


class PlanTests(SynchronousTestCase):
    def plan(
        self,
        *watched: Offer,
        own: Mapping[str, str] | None = None,
        pacman: Mapping[str, str] | None = None,
    ) -> Plan:
        return Plan(watched, have(own or {}), have(pacman or {}))  # type: ignore[arg-type]

    def test_what_pacman_has_is_no_matter_of_the_aur(self) -> None:
        plan = self.plan(pacman={"glibc": "2-1"})
        plan.add(offer("tool", "glibc>=2"))
        self.assertEqual(plan.questions(), set())
        self.assertEqual(plan.outcome("tool").needs.packages, ("glibc",))

    def test_what_is_built_here_comes_before_what_pacman_has(self) -> None:
        plan = self.plan(offer("library"), own={"library": "1-1"}, pacman={"library": "1-1"})
        plan.add(offer("tool", "library"))
        self.assertEqual(plan.outcome("tool").needs.bases, ("library",))

    def test_what_was_added_to_the_own_repository_comes_before_pacman(self) -> None:
        plan = self.plan(own={"library": "1-1"}, pacman={"library": "1-1"})
        plan.add(offer("tool", "library"))
        self.assertEqual(plan.outcome("tool").needs.own, ("library",))

    def test_a_version_that_does_not_fit_is_asked_elsewhere(self) -> None:
        plan = self.plan(pacman={"library": "1-1"})
        plan.add(offer("tool", "library>=2"))
        self.assertEqual(plan.questions(), {Relation("library", ">=", "2")})

    def test_the_aur_is_asked_for_names_and_its_recipes_are_new(self) -> None:
        plan = self.plan()
        plan.add(offer("tool", "library"))
        self.assertEqual(plan.questions(), {Relation("library")})
        plan.learn({"library": Found({"library-base": ("library=1-1",)})})
        self.assertEqual(plan.questions(), set())
        self.assertEqual(plan.new_bases(), ["library-base"])
        self.assertEqual(plan.outcome("tool").needs.bases, ("library-base",))

    def test_who_alone_provides_it_is_taken(self) -> None:
        plan = self.plan()
        plan.add(offer("tool", "library"))
        plan.learn({"library": Found(providing={"other": ("library",)})})
        self.assertEqual(plan.new_bases(), ["other"])

    def test_of_several_who_provide_it_a_person_chooses(self) -> None:
        plan = self.plan()
        plan.add(offer("tool", "library"))
        plan.learn({"library": Found(providing={"one": ("library",), "other": ("library",)})})
        self.assertEqual(plan.new_bases(), [])
        (lacks,) = plan.outcome("tool").lacks
        self.assertIn("(one, other)", lacks)

    def test_what_nobody_has_is_said(self) -> None:
        plan = self.plan()
        plan.add(offer("tool", "library>=3"))
        plan.learn({"library": Found()})
        self.assertEqual(
            plan.outcome("tool").lacks,
            ("tool needs library>=3, which neither pacman nor the AUR has",),
        )

    def test_the_aurs_version_has_to_fit(self) -> None:
        plan = self.plan()
        plan.add(offer("tool", "library>=3"))
        # What the AUR said of it was newer than what git has.
        plan.learn({"library": Found({"library": ("library=3-1",)})})
        plan.add(offer("library", version="2-1"))
        self.assertEqual(plan.new_bases(), [])
        self.assertEqual(plan.outcome("tool").lacks, ("tool needs library>=3, and library is 2-1",))

    def test_who_provides_it_in_a_version_that_fits_is_taken(self) -> None:
        """As pacman does: by name alone another one would be built, and be of no use."""
        others = {
            "old": ("old=9-1", "library=2.9"),
            "unversioned": ("unversioned=9-1", "library"),
            "fork": ("fork=9-1", "library=3.1"),
            "other": ("other=9-1", "library-extra=3.1"),
        }
        found = Found({"library": ("library=2-1",)}, others)
        plan = self.plan()
        plan.add(offer("tool", "library>=3"))
        plan.learn({"library": found})
        self.assertEqual(plan.new_bases(), ["fork"])
        self.assertEqual(plan.outcome("tool").lacks, ())
        for needed, base in (("library", "library"), ("library=2", "library"), ("library<2", "")):
            plan = self.plan()
            plan.add(offer("tool", needed))
            plan.learn({"library": found})
            self.assertEqual(plan.new_bases(), [base] if base else [], needed)

    def test_a_library_of_a_version_is_looked_for_as_it_stands(self) -> None:
        one = Found(providing={"one": ("libx.so=1-64",), "two": ("libx.so=2-64",)})
        for needed, base in (("libx.so=1-64", "one"), ("libx.so=2-64", "two")):
            plan = self.plan()
            plan.add(offer("tool", needed))
            plan.learn({"libx.so": one})
            self.assertEqual(plan.new_bases(), [base])
        plan = self.plan()
        plan.add(offer("tool", "libx.so=1-32"))
        plan.learn({"libx.so": one})
        (lacks,) = plan.outcome("tool").lacks
        nobody = "in a version that neither pacman nor the AUR has (one, two)"
        self.assertEqual(lacks, f"tool needs libx.so=1-32, {nobody}")

    def test_what_waits_to_be_approved_is_said_where_it_is_needed(self) -> None:
        known = replace(offer("library", version="2-1"), waiting="3-1")
        plan = self.plan(known)
        plan.add(offer("tool", "library>=3"))
        plan.learn({"library": Found({"library": ("library=3-1",)})})
        self.assertEqual(plan.new_bases(), [])
        (lacks,) = plan.outcome("tool").lacks
        self.assertEqual(lacks, "tool needs library>=3, and 3-1 of library waits to be approved")

    def test_a_recipe_does_not_need_its_own_packages(self) -> None:
        plan = self.plan()
        plan.add(
            Offer(
                "tool",
                "1-1",
                ("tool", "tool-data"),
                ("tool=1-1", "tool-data=1-1"),
                ("tool-data=1-1",),
            )
        )
        self.assertEqual(plan.questions(), set())
        self.assertEqual(plan.outcome("tool").needs.bases, ())

    def test_a_name_counts_before_what_is_provided(self) -> None:
        plan = self.plan(offer("fork", provides=("library=1",)), offer("library"))
        plan.add(offer("tool", "library"))
        self.assertEqual(plan.outcome("tool").needs.bases, ("library",))


class ProvidesTests(SynchronousTestCase):
    def assertSatisfies(self, provides: str, relation: str, *, right: bool) -> None:
        parsed = parse_relation(relation)
        assert parsed is not None
        self.assertIs(satisfies((provides,), parsed), right)

    def test_what_has_no_version_passes_no_test_of_one(self) -> None:
        self.assertSatisfies("library", "library", right=True)
        self.assertSatisfies("library", "library>=1", right=False)

    def test_versions_are_compared(self) -> None:
        self.assertSatisfies("library=1:2-1", "library>=1:2", right=True)
        self.assertSatisfies("library=1:2-1", "library<1:2", right=False)
        self.assertSatisfies("liblibrary.so=2-64", "liblibrary.so=2-64", right=True)


class CycleTests(SynchronousTestCase):
    def test_a_circle_is_found(self) -> None:
        needs = {"a": ("b",), "b": ("c", "d"), "c": (), "d": ("b",)}
        self.assertEqual(find_cycle(needs), ("b", "d"))

    def test_what_needs_itself_is_one(self) -> None:
        self.assertEqual(find_cycle({"a": ("a",)}), ("a",))

    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=10, max_size=10))
    def test_it_is_one_or_there_is_an_order(self, needs: list[list[int]]) -> None:
        graph = {str(at): tuple(map(str, some)) for at, some in enumerate(needs)}
        cycle = find_cycle(graph)
        for at, base in enumerate(cycle):
            self.assertIn(cycle[(at + 1) % len(cycle)], graph[base])
        ordered: set[str] = set()
        while more := {
            one for one in graph if one not in ordered and ordered.issuperset(graph[one])
        }:
            ordered |= more
        self.assertEqual(len(ordered) == len(graph), not cycle)
