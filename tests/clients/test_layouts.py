"""A path names a file of a repository, by our own layout or another tool's, or nothing."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.clients.layouts import parse_asked
from flocon.files import Asked, Kind
from flocon.settings.permitted_mirror import MOST_FOLDERS

NAME = "gtk++-1:2.0-1-x86_64.pkg.tar.zst"
LAYOUTS = {"arm": "$arch/$repo", "plain": "$arch", "deep": "pub/arch/$repo/os/$arch"}


def parse(path: str) -> Asked | None:
    return parse_asked(path.encode(), LAYOUTS)


class Paths(SynchronousTestCase):
    def assertNames(self, path: str, repository: str, architecture: str, name: str) -> None:
        asked = parse(path)
        assert asked is not None, path
        found = (asked.repository, asked.architecture, asked.file.text)
        self.assertEqual(found, (repository, architecture, name))

    def test_our_own(self) -> None:
        for name in (NAME, f"{NAME}.sig", "extra.db", "extra.db.sig", "extra.files"):
            self.assertNames(f"/extra/os/x86_64/{name}", "extra", "x86_64", name)

    def test_names_may_be_escaped_once(self) -> None:
        self.assertNames(f"/extra/os/x86_64/{NAME.replace('+', '%2B')}", "extra", "x86_64", NAME)
        self.assertIsNone(parse(f"/extra/os/x86_64/{NAME.replace('+', '%252B')}"))

    def test_pacolocos_and_flexos_names_lead_to_the_usual_layout(self) -> None:
        for beginning in ("/repo/archlinux", "/custom_repo/anything", "//repo//archlinux/"):
            path = f"{beginning}/extra/os/x86_64/{NAME}"
            self.assertNames(path, "extra", "x86_64", NAME)

    def test_or_to_what_the_operator_says(self) -> None:
        self.assertNames(f"/repo/arm/aarch64/core/{NAME}", "core", "aarch64", NAME)
        self.assertNames(f"/repo/deep/pub/arch/core/os/x86_64/{NAME}", "core", "x86_64", NAME)
        self.assertIsNone(parse(f"/repo/deep/pub/other/core/os/x86_64/{NAME}"))
        self.assertIsNone(parse(f"/repo/arm/core/os/aarch64/{NAME}"))

    def test_in_as_many_folders_as_there_may_be(self) -> None:
        below = "x/" * (MOST_FOLDERS - 1)
        path = f"/repo/far/{below}x86_64/{NAME}"
        self.assertIsNotNone(parse_asked(path.encode(), {"far": f"{below}$arch"}))

    def test_where_there_is_no_repository_in_it_the_name_is_one(self) -> None:
        self.assertNames(f"/custom_repo/plain/x86_64/{NAME}", "plain", "x86_64", NAME)
        self.assertNames("/repo/plain/x86_64/plain.db", "plain", "x86_64", "plain.db")
        self.assertIsNone(parse("/repo/plain/x86_64/core.db"))

    def test_a_repository_may_be_called_as_such_a_name_is(self) -> None:
        self.assertNames("/repo/os/x86_64/repo.db", "repo", "x86_64", "repo.db")

    def test_a_database_is_asked_for_where_it_lies(self) -> None:
        self.assertIsNone(parse("/extra/os/x86_64/core.db"))

    def test_a_mirrors_notes(self) -> None:
        for name in ("lastupdate", "lastsync"):
            asked = parse(f"/{name}")
            assert asked is not None
            self.assertEqual((asked.file.kind, asked.file.text), (Kind.NOTE, name))
            self.assertIsNone(parse(f"/extra/os/x86_64/{name}"))

    def test_all_else_is_nothing(self) -> None:
        for path in (
            "",
            "/",
            "core.db",
            "/core.db",
            f"/{NAME}",
            f"/extra/os/{NAME}",
            f"/extra/x86_64/{NAME}",
            f"/extra/os/x86_64/sub/{NAME}",
            f"/../os/x86_64/{NAME}",
            f"/extra/os/x86_64/..%2f{NAME}",
            f"/extra%2fos/x86_64/{NAME}",
            f"/extra/os/x86_64/{NAME}%00",
            "/extra/os/x86_64/",
            "/extra/os/x86_64/index.html",
            "/repo",
            "/repo/",
            "/repo/archlinux",
            f"/repo/archlinux/{NAME}",
            "/extra/os/x86_64/%ff.db",
            "/" + "a/" * 3_000 + NAME,
        ):
            self.assertIsNone(parse(path), path)

    @settings(max_examples=300, deadline=None)
    @given(
        st.lists(
            st.sampled_from(
                (
                    "/",
                    "repo",
                    "custom_repo",
                    "os",
                    "x86_64",
                    "..",
                    ".",
                    "%2f",
                    "%2e",
                    "%00",
                    "plain",
                )
            )
            | st.sampled_from(
                (NAME, "core", "core.db", "arm", "$repo", "$arch", "%", "\\", ".sig")
            ),
            max_size=14,
        ).map("".join)
    )
    def test_whatever_the_path_its_parts_are_checked_names(self, path: str) -> None:
        asked = parse("/" + path)
        if asked is not None:
            for part in (asked.repository, asked.architecture, asked.file.text):
                self.assertNotIn("/", part)
                self.assertFalse(part.startswith("."))
                self.assertTrue(part.isascii() and part.isprintable())
