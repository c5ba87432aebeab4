"""Which packages of a mirror's store stay, and which go, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.files import beside, parse_file_name
from flocon.mirrors.keeping import Going, Package, Plan, Rules, Why, plan, with_newest_pins
from flocon.pacman.versions import compare_versions

DAY = 86_400.0
NOW = 1_790_000_000.0
NO_RULES = Rules(keep=0, max_age=0, max_size=1 << 40)


def package(
    name: str, version: str, *, size: int = 10, days: float = 0, why: str = "", arch: str = "any"
) -> Package:
    """Return a package that was used so many days ago."""
    return Package(f"{name}-{version}-{arch}.pkg.tar.zst", size, NOW - days * DAY, why)


def names(found: Plan) -> dict[str, Why]:
    return {one.package.file_name.removesuffix("-any.pkg.tar.zst"): one.why for one in found.going}


class VersionsTests(SynchronousTestCase):
    def going(self, keep: int, *packages: Package) -> set[str]:
        found = plan(packages, replace(NO_RULES, keep=keep), NOW)
        self.assertEqual({one.why for one in found.going} - {Why.OLDER}, set())
        return set(names(found))

    def test_the_newest_of_each_name_stay(self) -> None:
        versions = [package("a", one) for one in ("1.9-1", "1.10-1", "1:0.1-1", "1.10-2")]
        self.assertEqual(self.going(2, *versions, package("b", "1-1")), {"a-1.9-1", "a-1.10-1"})

    def test_what_is_protected_stays_and_counts_among_them(self) -> None:
        old = package("a", "1-1", why="wanted")
        new = package("a", "4-1", why="wanted")
        others = [package("a", "2-1"), package("a", "3-1")]
        self.assertEqual(self.going(2, old, *others, new), {"a-2-1"})

    def test_without_a_number_all_stay(self) -> None:
        self.assertEqual(self.going(0, *(package("a", f"{n}-1") for n in range(9))), set())

    def test_architectures_are_counted_apart(self) -> None:
        both = [package("a", "1-1", arch="x86_64"), package("a", "2-1", arch="aarch64")]
        self.assertEqual(self.going(1, *both), set())

    def test_one_version_in_two_files_is_one(self) -> None:
        old = package("a", "1-1")
        xz = replace(old, file_name="a-1-1-any.pkg.tar.xz")
        self.assertEqual(self.going(2, old, xz, package("a", "2-1")), set())
        found = self.going(1, old, xz, package("a", "2-1"))
        self.assertEqual(found, {"a-1-1", "a-1-1-any.pkg.tar.xz"})

    def test_what_lies_beside_another_of_its_name_is_of_the_same_version(self) -> None:
        old, new = package("a", "1-1"), package("a", "2-1")
        second = replace(old, file_name=beside(old.file_name, b"s" * 32) or "")
        self.assertEqual(self.going(2, old, second, new), set())
        found = plan([old, second, new], replace(NO_RULES, keep=1), NOW)
        self.assertEqual({one.package for one in found.going}, {old, second})

    def test_a_pin_protects_as_many_versions_as_are_kept(self) -> None:
        pinned = [package("a", f"{n}-1", why="pinned", days=n) for n in range(1, 5)]
        other = package("a", "0-1", why="in a snapshot")
        found = with_newest_pins([*pinned, other], 2, "pinned")
        self.assertEqual(
            [one.protection for one in found], ["", "", "pinned", "pinned", "in a snapshot"]
        )
        self.assertEqual(with_newest_pins([*pinned, other], 0, "pinned"), [*pinned, other])


class AgeTests(SynchronousTestCase):
    def test_what_was_unused_for_longer_goes_unless_it_is_protected(self) -> None:
        packages = [package("a", "1-1", days=31), package("b", "1-1", days=29)]
        packages.append(package("c", "1-1", days=99, why="in a snapshot"))
        found = plan(packages, replace(NO_RULES, max_age=30 * DAY), NOW)
        self.assertEqual(names(found), {"a-1-1": Why.UNUSED})
        self.assertEqual(names(plan(packages, NO_RULES, NOW)), {})

    def test_a_clock_that_was_set_back_makes_nothing_old(self) -> None:
        rules = replace(NO_RULES, max_age=30 * DAY)
        self.assertEqual(plan([package("a", "1-1")], rules, 0).going, ())


class RoomTests(SynchronousTestCase):
    def test_the_first_that_may_go_do_until_the_others_fit(self) -> None:
        packages = [
            package("a", "1-1", size=40, why="wanted"),
            package("b", "1-1", size=30),
            package("c", "1-1", size=20),
            package("d", "1-1", size=10),
        ]
        found = plan(packages, replace(NO_RULES, max_size=70), NOW)
        self.assertEqual(names(found), {"b-1-1": Why.ROOM})
        self.assertEqual((found.staying, found.protected, found.is_over), (70, 40, False))

    def test_what_goes_for_another_reason_makes_room_first(self) -> None:
        packages = [package("c", "1-1", size=20), package("a", "1-1"), package("a", "2-1", size=80)]
        found = plan(packages, Rules(keep=1, max_age=0, max_size=100), NOW)
        self.assertEqual(names(found), {"a-1-1": Why.OLDER})

    def test_where_what_is_protected_does_not_fit_that_is_told_and_nothing_of_it_goes(self) -> None:
        packages = [package("a", "1-1", size=90, why="wanted"), package("b", "1-1", size=20)]
        found = plan(packages, replace(NO_RULES, max_size=80), NOW)
        self.assertEqual((names(found), found.is_over), ({"b-1-1": Why.ROOM}, True))

    def test_what_did_not_go_after_all_still_takes_its_room(self) -> None:
        packages = [package("a", "1-1", size=40), package("b", "1-1", size=30)]
        found = plan(packages, replace(NO_RULES, max_size=0), NOW)
        gone = found.after((Going(packages[0], Why.ROOM),))
        self.assertEqual((gone.going, gone.staying), ((Going(packages[0], Why.ROOM),), 30))


packages_of_all_kinds = st.lists(
    st.builds(
        package,
        st.sampled_from("abc"),
        st.builds("{}:{}.{}-{}".format, *([st.integers(0, 3)] * 4)),
        size=st.integers(0, 100),
        days=st.integers(-10, 400),
        why=st.sampled_from(["", "", "", "wanted", "in a snapshot", "being sent"]),
        arch=st.sampled_from(["any", "x86_64"]),
    ),
    unique_by=lambda one: one.file_name,
    max_size=40,
)
rules_of_all_kinds = st.builds(
    Rules,
    keep=st.integers(0, 4),
    max_age=st.one_of(st.just(0.0), st.floats(1, 500 * DAY)),
    max_size=st.integers(0, 3_000),
)


def versions_of(packages: Sequence[Package]) -> dict[tuple[str, str], set[str]]:
    """Return the versions of each package, by name and architecture."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in packages:
        file = parse_file_name(one.file_name)
        assert file is not None
        found[file.name, file.architecture].add(file.version)
    return found


class AlwaysTests(SynchronousTestCase):
    @given(packages_of_all_kinds, rules_of_all_kinds)
    def test_nothing_protected_ever_goes(self, packages: list[Package], rules: Rules) -> None:
        found = plan(packages, rules, NOW)
        self.assertEqual([one for one in found.going if one.package.protection], [])

    @given(packages_of_all_kinds, rules_of_all_kinds)
    def test_bounds_hold_for_all_that_is_not_protected(
        self, packages: list[Package], rules: Rules
    ) -> None:
        found = plan(packages, rules, NOW)
        gone = {one.package.file_name for one in found.going}
        stay = [one for one in packages if one.file_name not in gone]
        free = [one for one in stay if not one.protection]
        for key, versions in versions_of(free).items():
            newer = versions_of(packages)[key] - versions
            if rules.keep:
                for version in versions:
                    above = {one for one in newer | versions if compare_versions(one, version) > 0}
                    self.assertLess(len(above), rules.keep)
        if rules.max_age:
            self.assertEqual([one for one in free if NOW - one.used > rules.max_age], [])
        self.assertEqual(sum(one.size for one in stay), found.staying)
        self.assertTrue(found.staying <= rules.max_size or not free)

    @given(packages_of_all_kinds, rules_of_all_kinds)
    def test_nothing_goes_without_the_reason_that_is_given(
        self, packages: list[Package], rules: Rules
    ) -> None:
        found = plan(packages, rules, NOW)
        left = sum(one.size for one in packages)
        for one in sorted(found.going, key=lambda one: one.why is Why.ROOM):
            if one.why is Why.OLDER:
                file = parse_file_name(one.package.file_name)
                assert file is not None
                of_name = versions_of(packages)[file.name, file.architecture]
                newer = [other for other in of_name if compare_versions(other, file.version) > 0]
                self.assertGreaterEqual(len(newer), rules.keep)
            elif one.why is Why.UNUSED:
                self.assertGreater(NOW - one.package.used, rules.max_age)
            else:
                self.assertGreater(left, rules.max_size)
            left -= one.package.size

    @given(packages_of_all_kinds, rules_of_all_kinds)
    def test_what_stays_stays_when_it_is_looked_at_again(
        self, packages: list[Package], rules: Rules
    ) -> None:
        gone = {one.package.file_name for one in plan(packages, rules, NOW).going}
        stay = [one for one in packages if one.file_name not in gone]
        self.assertEqual(plan(stay, rules, NOW).going, ())
