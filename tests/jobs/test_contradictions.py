"""What a build says against what was approved."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.jobs.contradictions import contradicted, other_version, went_back
from tests.aur.recipes import recipe


def srcinfo(version: str = "1.0-1", **more: Any) -> str:
    return recipe("tool", version, **more)[".SRCINFO"].decode()


class Contradicted(SynchronousTestCase):
    def said(self, approved: str, printed: str) -> list[str]:
        return [one.detail for one in contradicted("tool", approved, printed, "x86_64")]

    def test_the_same_is_no_surprise(self) -> None:
        self.assertEqual(self.said(srcinfo(depends=["a"]), srcinfo(depends=["a"])), [])

    def test_a_version_that_was_found_out_is_none(self) -> None:
        approved = srcinfo("1.0-1", provides=["lib=1.0"], sources=["https://x/1.0.tar"])
        printed = srcinfo("1.0.r5-1.1", provides=["lib=1.0.r5"], sources=["https://x/1.0.r5.tar"])
        self.assertEqual(self.said(approved, printed), [])

    def test_a_release_of_its_own_is_none(self) -> None:
        approved = srcinfo("1.0-1", depends=["tool-data=1.0-1"], provides=["lib=1:1.0-1"])
        printed = srcinfo("1.0-1.1", depends=["tool-data=1.0-1.1"], provides=["lib=1:1.0-1.1"])
        self.assertEqual(self.said(approved, printed), [])

    def test_a_short_version_stands_for_nothing_else(self) -> None:
        sources = ["https://x/11/1.tar"]
        approved = srcinfo("1-1", depends=["gtk3>=3.1"], sources=sources)
        printed = srcinfo("r7.abc-1", depends=["gtk3>=3.1"], sources=sources)
        self.assertEqual(self.said(approved, printed), [])

    def test_whatever_was_read_and_is_another_is_told(self) -> None:
        cases: dict[str, Any] = {
            "depends": ["evil"],
            "makedepends": ["evil"],
            "provides": ["glibc=99"],
            "sources": ["https://evil.example/x"],
            "install": "post_install() { :; }",
        }
        for key, value in cases.items():
            (detail,) = self.said(srcinfo(), srcinfo(**{key: value}))
            self.assertIn(key.rstrip("s")[:6], detail)

    def test_what_is_left_out_is_told_too(self) -> None:
        (detail,) = self.said(srcinfo(depends=["a"]), srcinfo())
        self.assertEqual(detail, "the recipe itself has another depends")

    def test_other_packages_are_told(self) -> None:
        (detail,) = self.said(srcinfo(), srcinfo(names=["tool", "more"]))
        self.assertIn("makes tool, more", detail)

    def test_what_cannot_be_read_is_told(self) -> None:
        for text in ("", "\udcff", "pkgbase = tool"):
            (detail,) = self.said(srcinfo(), text)
            self.assertIn("cannot be read", detail)


class WentBack(SynchronousTestCase):
    def test_an_older_version_is_told(self) -> None:
        (one,) = went_back("tool", "1:2-1", "3-1")
        self.assertEqual(one.detail, "goes back from 1:2-1 to 3-1")

    def test_the_same_or_a_newer_one_or_a_first_one_is_not(self) -> None:
        for before, version in (("2-1", "2-1"), ("2-1", "2-1.1"), ("", "1-1")):
            self.assertEqual([*went_back("tool", before, version)], [])


class OtherVersion(SynchronousTestCase):
    def test_what_nobody_approved_is_told(self) -> None:
        for approved, version, finds in (
            ("1.1-1", "99-1", False),
            ("1.1-1", "9:1.1-1", False),
            ("1.1-1", "9:1.2-1", True),
            ("1:1.1-1", "1.1-1", False),
        ):
            (one,) = other_version("tool", approved, version, finds=finds)
            self.assertEqual(one.detail, f"is {version} by its own word, and not {approved}")

    def test_another_release_or_a_version_that_was_found_out_is_none(self) -> None:
        for approved, version, finds in (
            ("1.1-1", "1.1-1.1", False),
            ("1:1.1-1", "1:1.1-2", False),
            ("r1.abc-1", "r7.def-1", True),
        ):
            self.assertEqual([*other_version("tool", approved, version, finds=finds)], [])
