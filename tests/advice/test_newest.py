"""The newest files of a package, where anybody may make some up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.advice.newest import MOST_LOOKED_AT, MOST_OF_A_PLACE, Newest, Row
from flocon.files import Content
from flocon.pacman.versions import version_key

PLACES = ("", "10.0.0.2", "10.0.0.3")


def row(version: str, architecture: str = "any", *, name: str = "tool", digest: int = 0) -> Row:
    content = Content(10, bytes([digest]) * 32)
    return Row(f"{name}-{version}-{architecture}.pkg.tar.zst", content)


def versions(rows: list[Row]) -> list[str]:
    return [one.file_name.split("-", 1)[1].rsplit("-", 1)[0] for one in rows]


class NewestTests(SynchronousTestCase):
    def test_versions_are_compared_as_pacman_does(self) -> None:
        newest = Newest("tool")
        for version in ("1.9-1", "1.10-1", "1:0.1-1", "1.10rc1-1"):
            newest.add(row(version), PLACES)
        self.assertEqual(versions(newest.rows(9)), ["1:0.1-1", "1.10-1", "1.10rc1-1"])

    def test_what_is_for_other_machines_is_left_out(self) -> None:
        newest = Newest("tool", ("x86_64",))
        for architecture in ("any", "x86_64", "aarch64"):
            newest.add(row("1-1", architecture), PLACES)
        found = {one.file_name.split(".")[0].rpartition("-")[2] for one in newest.rows(9)}
        self.assertEqual(found, {"any", "x86_64"})

    def test_packages_whose_names_begin_alike_are_others(self) -> None:
        newest = Newest("tool")
        for name in ("tool-extra", "tools", "mytool"):
            newest.add(row("2-1", name=name), PLACES)
        self.assertEqual(newest.rows(9), [])

    def test_made_up_versions_of_one_machine_hide_nobody_elses(self) -> None:
        newest = Newest("tool")
        newest.add(row("1.1-1"), ["10.0.0.2"])
        for number in range(1_000):
            newest.add(row(f"99:{number}-1"), ["10.0.0.66"])
        self.assertEqual(len(newest.kept()), MOST_OF_A_PLACE + 1)
        self.assertEqual(versions(newest.rows(20))[-1], "1.1-1")

    def test_no_more_of_one_machine_is_looked_at_than_any_has(self) -> None:
        newest = Newest("tool")
        for number in range(MOST_LOOKED_AT + 1):
            newest.add(row(f"{number}-1"), ["10.0.0.66"])
        newest.add(row("0.1-1"), ["10.0.0.66", "10.0.0.2"])
        told = versions(newest.rows(9))
        self.assertEqual(told[0], f"{MOST_LOOKED_AT - 1}-1")
        self.assertEqual(told[-1], "0.1-1")

    def test_two_contents_of_one_version_are_both_told(self) -> None:
        newest = Newest("tool")
        for digest in (2, 1):
            newest.add(row("1-1", digest=digest), [f"10.0.0.{digest}"])
        self.assertEqual(newest.rows(9), [row("1-1", digest=1), row("1-1", digest=2)])

    @given(
        st.lists(
            st.tuples(
                st.sampled_from([f"{number}-1" for number in range(12)]),
                st.sets(st.sampled_from(PLACES), min_size=1),
                st.integers(0, 1),
            )
        )
    )
    def test_each_place_has_its_newest_told(self, files: list[tuple[str, set[str], int]]) -> None:
        newest = Newest("tool")
        for version, places, digest in files:
            newest.add(row(version, digest=digest), places)
        told = newest.rows(len(PLACES) * MOST_OF_A_PLACE)
        keys = [version_key(one) for one in versions(told)]
        self.assertEqual(keys, sorted(keys, reverse=True))
        self.assertEqual(set(told), newest.kept())
        for place in PLACES:
            of_it = {version for version, places, _ in files if place in places}
            if of_it:
                self.assertIn(max(of_it, key=version_key), versions(told))
