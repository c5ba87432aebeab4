"""What must be upstream's own is asked for, wherever a source names it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.recipes.described import Described, read_described
from flocon.recipes.references import new_references, unasked

HASH, OTHER = "a1" * 20, "b2" * 20


def described(source: str) -> Described:
    text = f"pkgbase = x\n\tpkgver = 1\n\tpkgrel = 1\n\tsource = {source}\npkgname = x\n"
    found = read_described(text.encode())
    assert isinstance(found, Described), found
    return found


def asked(before: str, after: str) -> list[tuple[str, str]]:
    found = new_references(described(before), described(after))
    return [(one.repository, one.name) for one in found]


def told(before: str, after: str) -> list[str]:
    return list(unasked(described(before), described(after)))


class References(SynchronousTestCase):
    def test_commits_and_tags_of_histories(self) -> None:
        for kind, old, new in (
            ("commit", HASH, OTHER),
            ("tag", "v1", "v2"),
            ("tag", "x/v1", "x/v2"),
            ("branch", "a", "b"),
        ):
            found = asked(f"git+https://e.org/w#{kind}={old}", f"git+https://e.org/w#{kind}={new}")
            self.assertEqual(found, [("https://e.org/w", new)])

    def test_archives_of_forges(self) -> None:
        home = ("https://github.com/o/r", OTHER)
        for place in (
            "https://github.com/o/r/archive/@.tar.gz",
            "https://github.com/o/r/archive/@.zip",
            "https://github.com/o/r/tarball/@",
            "https://raw.githubusercontent.com/o/r/@/LICENSE",
            "https://codeload.github.com/o/r/tar.gz/@",
        ):
            self.assertEqual(
                asked(place.replace("@", HASH), place.replace("@", OTHER)), [home], place
            )

    def test_a_date_or_a_described_commit_in_the_place_of_a_tag(self) -> None:
        place = "https://github.com/o/r/archive/{}.tar.gz"
        for name in ("20240101", "v1-0-gabcdef1"):
            self.assertEqual(
                asked(place.format("v1"), place.format(name)), [("https://github.com/o/r", name)]
            )
        self.assertEqual(asked(place.format("v1"), place.format("v1.2")), [])

    def test_a_commit_however_it_is_written(self) -> None:
        home = "https://github.com/o/r"
        for before, after, wanted in (
            (f"{home}/archive/1.0.tar.gz", f"{home}/archive/2A1B3C4.tar.gz", "2A1B3C4"),
            (f"{home}/archive/1.0.tar.gz", f"{home}/archive/2a1b.tar.gz", "2a1b"),
            (f"{home}/archive/1.0.tar.gz", f"{home}/archive/%61bcdef1.tar.gz", "abcdef1"),
            (f"{home}/archive/1.0.tar.gz", f"{home}/archive/abcdef1.bundle", "abcdef1"),
            (f"{home}/archive/v1.tar.gz", f"{home}/archive/v1-0-gABCDEF1.tar.gz", "v1-0-gABCDEF1"),
            (f"{home}/x?ref=1.0", f"{home}/x?ref=2024111", "2024111"),
            (f"{home}/x?ref=a/1.0", f"{home}/x?ref=a%2F2024111", "2024111"),
        ):
            self.assertEqual(asked(before, after), [(home, wanted)], after)

    def test_a_forge_under_other_names(self) -> None:
        for place, repository in (
            ("https://github.com./o/r/archive/{}.zip", "https://github.com/o/r"),
            ("https://www.github.com/o/r/archive/{}.zip", "https://github.com/o/r"),
            ("https://api.github.com/repos/o/r/tarball/{}", "https://api.github.com/repos/o"),
            ("https://gitlab.com/api/v4/a.zip?sha={}", "https://gitlab.com/api/v4"),
            ("https://gitlab.com/o/g/releases/-/archive/{}/x.zip", "https://gitlab.com/o/g"),
        ):
            found = asked(place.format("1.0"), place.format("2024111"))
            self.assertEqual(found, [(repository, "2024111")], place)

    def test_what_a_project_released_itself(self) -> None:
        place = "https://github.com/o/r/releases/download/v{}/x-{}.tar.gz"
        self.assertEqual(asked(place.format(1, HASH), place.format(2, OTHER)), [])

    def test_what_did_not_change_is_not_asked(self) -> None:
        self.assertEqual(
            asked(f"git+https://e.org/w#commit={HASH}", f"git+https://e.org/w#commit={HASH}"), []
        )

    def test_where_nobody_can_be_asked_is_told(self) -> None:
        for before, after in (
            ("hg+https://e.org/w#revision=1", "hg+https://e.org/w#revision=2"),
            ("git+https://e.org/w#tag=v1", "git+https://e.org/w#tag=v1..v2"),
            ("git+https://e.org/w#tag=v1", "git+https://e.org/w#tag=v1~1"),
            ("git+https://e.org/w#tag=v1", "git+https://e.org/w#tag=@{1}"),
            (f"https://e.org/{HASH}.tgz", f"https://e.org/{OTHER}.tgz"),
            ("https://e.org/1.0.tgz", "https://e.org/2A1B3C4.tgz"),
        ):
            self.assertEqual(len(list(unasked(described(before), described(after)))), 1, after)
        self.assertEqual(
            list(unasked(described("https://e.org/1"), described("https://e.org/2"))), []
        )

    def test_a_branch_does_for_a_source_that_follows_one_alone(self) -> None:
        for kind, source in (
            ("commit", "git+https://e.org/w"),
            ("tag", "git+https://e.org/w"),
            ("branch", "git+https://e.org/w#branch=2-x"),
        ):
            before, after = (f"git+https://e.org/w#{kind}={one}-x" for one in (1, 2))
            (one,) = new_references(described(before), described(after))
            self.assertEqual(one.source, source)

    def test_a_short_commit_where_no_forge_is_known(self) -> None:
        for place in (
            "https://git.e.org/o/r/archive/@.tar.gz",
            "https://git.e.org/o/r/-/archive/@/r-@.zip",
            "https://git.e.org/cgit/r.git/snapshot/@.tar.xz",
            "https://git.e.org/cgit/r.git/patch?id=@",
            "https://git.e.org/gitweb/?p=r.git;a=snapshot;h=@",
            "https://git.e.org/o/r/raw/commit/@/fix.patch",
            "https://git.e.org/o/r/archive/1.0-3-g@.tar.gz",
        ):
            for name in ("2a1b", "2a1b3", "2024", "C0FFEE"):
                found = told(place.replace("@", "1.0"), place.replace("@", name))
                self.assertEqual(len(found), 1, (place, name, found))
                self.assertIn("nobody can be asked whose commit", found[0])
            self.assertEqual(told(place.replace("@", "1.0"), place.replace("@", "1.1")), [], place)

    def test_numbers_are_no_commits_where_no_history_is(self) -> None:
        for before, after in (
            ("https://e.org/app-2024.11.tar.gz", "https://e.org/app-2025.01.tar.gz"),
            ("https://e.org/20241128/app.zip", "https://e.org/20251128/app.zip"),
            ("https://e.org/app.zip?build=2024", "https://e.org/app.zip?build=2025"),
        ):
            self.assertEqual(told(before, after), [], after)

    def test_what_anybody_may_hand_in_at_a_forge(self) -> None:
        for place in (
            "https://github.com/o/r/pull/{}.patch",
            "https://github.com/o/r/files/{}/fix.patch",
            "https://github.com/user-attachments/files/{}/fix.patch",
            "https://gitlab.com/o/g/r/-/merge_requests/{}.patch",
            "https://codeberg.org/o/r/pulls/{}.diff",
            "https://git.e.org/o/r/pulls/{}.patch",
            "https://git.e.org/o/r/-/uploads/{}/x.tar",
        ):
            (found,) = told(place.format(12), place.format(13))
            self.assertIn("anybody may have put", found)
            self.assertEqual(told(f"a::{place.format(12)}", f"b::{place.format(12)}"), [])
        # A folder of the project's own that is called so.
        place = "https://raw.githubusercontent.com/o/r/v{}/files/x.service"
        self.assertEqual(told(place.format(1), place.format(2)), [])

    def test_an_address_that_is_none_is_no_trouble(self) -> None:
        self.assertEqual(told("https://[/x-1", "https://[/x-2"), [])
