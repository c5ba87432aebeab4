"""Which versions stay to go back to, and which is gone back to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import RepositoryError
from flocon.repository.keeping import choose_version, packages_among, superfluous


def file(name: str, version: str, architecture: str = "x86_64") -> str:
    return f"{name}-{version}-{architecture}.pkg.tar.zst"


_FILES = st.builds(
    file,
    st.sampled_from(["a", "b", "a-b"]),
    st.sampled_from(["1-1", "2-1", "1.10-1", "1.9-1", "1:1-1", "1-1.1"]),
    st.sampled_from(["x86_64", "any"]),
)


class Keeping(SynchronousTestCase):
    def test_packages_come_newest_first(self) -> None:
        names = [file("a", "1.9-1"), file("a", "1:0-1"), file("a", "1.10-1"), "x", "a.db"]
        names.append(file("a", "2-1") + ".sig")
        found = [one.version for one in packages_among(names)]
        self.assertEqual(found, ["1:0-1", "1.10-1", "1.9-1"])

    def test_the_newest_stay(self) -> None:
        present = [file("a", f"{number}-1") for number in (1, 2, 10, 9)]
        self.assertCountEqual(
            superfluous(present, [file("a", "10-1")], 2), [file("a", "1-1"), file("a", "2-1")]
        )

    def test_what_is_listed_stays_however_old(self) -> None:
        present = [file("a", f"{number}-1") for number in (1, 2, 3, 4)]
        gone = superfluous(present, [file("a", "1-1")], 2)
        self.assertEqual(gone, [file("a", "2-1")])

    def test_what_is_listed_no_more_goes_whole(self) -> None:
        present = [file("a", "1-1"), file("a", "2-1"), file("b", "1-1")]
        gone = superfluous(present, [file("b", "1-1")], 3)
        self.assertCountEqual(gone, [file("a", "1-1"), file("a", "2-1")])

    def test_names_that_begin_alike_are_others(self) -> None:
        present = [file("a", "1-1"), file("a-b", "1-1")]
        self.assertEqual(superfluous(present, present[:1], 1), present[1:])

    def test_what_is_no_package_is_left_alone(self) -> None:
        self.assertEqual(superfluous(["x", "a.db", file("a", "1-1") + ".sig"], [], 1), [])

    @given(st.sets(_FILES), st.sets(_FILES), st.integers(1, 4))
    def test_nothing_goes_that_is_listed(
        self, present: set[str], listed: set[str], keep: int
    ) -> None:
        gone = superfluous(present, listed, keep)
        self.assertFalse(set(gone) & listed)
        left = present - set(gone)
        for one in packages_among(listed):
            alike = [
                other
                for other in packages_among(left - listed)
                if (other.name, other.architecture) == (one.name, one.architecture)
            ]
            self.assertLessEqual(len(alike), keep)


class GoingBack(SynchronousTestCase):
    present = (file("a", "1-1"), file("a", "2-1"), file("a", "3-1"), file("b", "2-1"))

    def refused(self, package: str, current: str, version: str | None) -> str:
        choose = choose_version
        return str(
            self.assertRaises(RepositoryError, choose, package, self.present, current, version)
        )

    def test_to_the_one_before(self) -> None:
        self.assertEqual(choose_version("a", self.present, "3-1", None).version, "2-1")
        self.assertEqual(choose_version("a", self.present, "2-1", None).version, "1-1")

    def test_to_the_one_that_is_named_also_forth(self) -> None:
        self.assertEqual(choose_version("a", self.present, "3-1", "1-1").text, file("a", "1-1"))
        self.assertEqual(choose_version("a", self.present, "1-1", "3-1").version, "3-1")

    def test_what_is_not_there_is_said_with_what_is(self) -> None:
        self.assertEqual(
            self.refused("a", "3-1", "9-1"),
            "a has no version 9-1 to go back to; there are 2-1, 1-1",
        )
        self.assertEqual(
            self.refused("a", "1-1", None),
            "a has no version before 1-1 to go back to; there are 3-1, 2-1",
        )
        self.assertIn("no other version of it was kept", self.refused("b", "2-1", None))
        self.assertIn("no other version of it was kept", self.refused("c", "1-1", None))
