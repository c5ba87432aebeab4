"""The version by which a recipe is built."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from flocon.jobs.releases import finds_version, next_release, written_over
from flocon.pacman.versions import compare_versions

VERSIONS = some.builds(
    "{}{}-{}".format,
    some.sampled_from(["", "1:", "2:"]),
    some.sampled_from(["1", "1.0", "2", "r7.abc", "r70.abc"]),
    some.sampled_from(["1", "2", "1.1", "2.9", "2.10"]),
)


class WrittenOverTests(SynchronousTestCase):
    def over(self, approved: str, *known: str, finds: bool = False) -> dict[str, str]:
        return dict(written_over(approved, known, finds=finds))

    def test_what_is_new_keeps_its_own_version(self) -> None:
        for known in ((), ("1-1",), ("2-1", "2-1.9"), ("1:9-1",)):
            self.assertEqual(self.over("2-2", *known), {})

    def test_the_same_version_gets_a_release_of_its_own_each_time(self) -> None:
        self.assertEqual(self.over("2-1", "2-1"), {"pkgrel": "1.1"})
        self.assertEqual(self.over("2-1", "2-1", "2-1.1", "3-1"), {"pkgrel": "1.2"})
        self.assertEqual(self.over("1:2-1", "1:2-1", "2-5"), {"pkgrel": "1.1"})

    def test_an_older_version_stays_an_older_one(self) -> None:
        self.assertEqual(self.over("1-1", "2-1"), {})
        self.assertEqual(self.over("2-1", "1:1-1"), {})

    def test_who_finds_out_the_version_begins_with_the_newest(self) -> None:
        over = self.over("r1-3", "r7-1", "r70.abc-1", "r70.abc-1.1", finds=True)
        self.assertEqual(over, {"pkgver": "r70.abc", "pkgrel": "1.2"})
        current = written_over("1-1", ["0.9-1", "r7-1"], "r7-1", finds=True)
        self.assertEqual(current, {"pkgver": "r7", "pkgrel": "1.1"})
        self.assertEqual(self.over("r80-1", finds=True), {})
        self.assertEqual(self.over("r7-2", "r7-1.5", finds=True), {})
        self.assertEqual(self.over("r7-1", "r7-1", finds=True), {"pkgrel": "1.1"})

    def test_what_no_builder_would_write_is_not_written(self) -> None:
        self.assertEqual(self.over("r1-1", "r7,$x-1", finds=True), {})

    @given(VERSIONS, some.lists(VERSIONS, max_size=5))
    def test_no_version_is_given_twice(self, approved: str, known: list[str]) -> None:
        release = self.over(approved, *known).get("pkgrel", approved.rpartition("-")[2])
        built = f"{approved.rpartition('-')[0]}-{release}"
        self.assertNotIn(built, known)
        self.assertGreaterEqual(compare_versions(built, approved), 0)

    def test_releases_grow(self) -> None:
        self.assertEqual(next_release("1:2.0-1"), "1.1")
        self.assertEqual(next_release("1:2.0-1.9"), "1.10")


class FindsVersionTests(SynchronousTestCase):
    def test_a_function_of_that_name_finds_it(self) -> None:
        for line in (b"pkgver() {", b"pkgver () {", b"function pkgver() {", b"  pkgver()"):
            self.assertTrue(finds_version(b"pkgver=1\npkgrel=1\n" + line), line)

    def test_nothing_else_does(self) -> None:
        for text in (b"pkgver=1\npkgrel=1\n", b"pkgver() {\n", b"pkgver=1\npkgrel=1\n_pkgver() {"):
            self.assertFalse(finds_version(text), text)
