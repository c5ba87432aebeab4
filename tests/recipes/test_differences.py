"""A person sees all that changed, and nothing else than that."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.recipes.differences import GONE, HEAD, NEW, NOTE, PART, SAME, as_text, differ, visible
from flocon.recipes.recipe import Recipe, TreeFile

TEXTS = st.lists(st.sampled_from(["a", "b", "c", "", "d e"]), max_size=30).map("\n".join)


def recipe(**files: bytes | TreeFile) -> Recipe:
    found = {
        name: one if isinstance(one, TreeFile) else TreeFile(0o100644, one)
        for name, one in files.items()
    }
    return Recipe("x", "", found)


def lines(before: bytes, after: bytes) -> list[tuple[str, str]]:
    found = differ(recipe(PKGBUILD=before), recipe(PKGBUILD=after))
    return [(kind, text) for one in found for kind, text in one.lines]


class Differences(SynchronousTestCase):
    def test_a_change_is_shown_with_what_is_around_it(self) -> None:
        text = b"".join(b"%d\n" % at for at in range(20))
        found = lines(text, text.replace(b"\n9\n", b"\nx\n"))
        self.assertEqual(
            found,
            [
                (HEAD, "--- PKGBUILD"),
                (HEAD, "+++ PKGBUILD"),
                (PART, "@@ -7,7 +7,7 @@"),
                *[(SAME, str(at)) for at in (6, 7, 8)],
                (GONE, "9"),
                (NEW, "x"),
                *[(SAME, str(at)) for at in (10, 11, 12)],
            ],
        )

    def test_signs_that_do_not_show_are_written_out(self) -> None:
        fillers = "\u034f\u115f\u17b4\u180b\u2800\u3164\ufe0f\uffa0\U000e0100"
        for sign in "\x00\x1b\r\x7f\x85\u00a0\u00ad\u200b\u202e\u2028\u2066\ufeff\ue000" + fillers:
            said = visible(f"a{sign}b\t")
            self.assertEqual(said, f"a<U+{ord(sign):04X}>b\t")
        self.assertEqual(visible("\u00e9 \u6f22"), "\u00e9 \u6f22")

    def test_bytes_that_are_no_text_differ_where_they_do(self) -> None:
        found = lines(b"a\xff\n", b"a\xfe\n")
        self.assertEqual(found[-2:], [(GONE, "a<U+DCFF>"), (NEW, "a<U+DCFE>")])

    def test_a_sign_and_what_is_written_for_it_are_not_the_same(self) -> None:
        found = lines(b"<U+202E>\n", "\u202e\n".encode())
        self.assertEqual(found[-2:], [(GONE, "<U+202E>"), (NEW, "<U+202E>")])

    def test_what_is_no_text_is_told_by_its_size(self) -> None:
        self.assertEqual(lines(b"\0a", b"\0ab")[-1], (NOTE, "no text: 2 bytes, now 3 bytes"))

    def test_a_line_end_that_is_missing_is_told(self) -> None:
        self.assertEqual(lines(b"a\n", b"a")[-2:], [(GONE, "a"), (NEW, "a<no line end>")])

    def test_files_come_and_go_and_become_others(self) -> None:
        link = TreeFile(0o120000, b"/etc/shadow")
        found = differ(recipe(a=b"1\n", PKGBUILD=b"x\n"), recipe(a=link, PKGBUILD=b"x\n", b=b"2\n"))
        told = {one.name: list(one.lines) for one in found}
        self.assertEqual([*told], ["a", "b"])
        self.assertIn((NOTE, "was a file, is a link"), told["a"])
        self.assertIn((HEAD, "--- nothing"), told["b"])

    def test_a_recipe_without_another_is_new_as_a_whole(self) -> None:
        found = differ(None, recipe(**{".SRCINFO": b"s\n", "PKGBUILD": b"x\n", "z": b"1\n"}))
        self.assertEqual([one.name for one in found], ["PKGBUILD", "z", ".SRCINFO"])

    def test_a_few_changes_of_a_long_text_are_shown_alone(self) -> None:
        text = [b"%d" % number for number in range(10_000)]
        other = list(text)
        other[7], other[5_000], other[9_990] = b"a", b"b", b"c"
        found = lines(b"\n".join(text), b"\n".join(other))
        self.assertEqual([text for kind, text in found if kind == NEW], ["a", "b", "c"])
        self.assertLess(len(found), 40)

    def test_what_stayed_is_looked_for_within_bounds_in_all_files(self) -> None:
        # Each line is at many places: to go through them takes the cube of their number.
        before, after = b"x\n" + b"a\nb\n" * 2_000, b"y\n" + b"a\n" * 99
        found = lines(before, after)
        self.assertEqual(sum(kind == GONE for kind, _ in found), 4_001)
        before, after = b"x\n" + b"a\nb\n" * 90, b"y\n" + b"a\na\nb\nb\n" * 49
        names = [f"{number:03}" for number in range(300)]
        files = differ(
            recipe(**dict.fromkeys(names, before)), recipe(**dict.fromkeys(names, after))
        )
        told = [list(one.lines) for one in files]
        same = [sum(kind == SAME for kind, _ in one) for one in told]
        self.assertEqual(len(same), len(names))
        self.assertEqual([kind for kind, _ in told[0]].count(NOTE), 0)
        self.assertIn("was not looked for", told[-1][2].text)
        self.assertGreater(same[0], 10)
        self.assertEqual(same[-1], 1)

    def test_large_texts_without_likeness_are_shown_whole(self) -> None:
        before, after = (
            b"".join(b"%s%d\n" % (one, at) for at in range(5_000)) for one in (b"a", b"b")
        )
        found = [kind for kind, _ in lines(before, after)]
        self.assertEqual((found.count(GONE), found.count(NEW)), (5_000, 5_000))

    @given(TEXTS, TEXTS)
    def test_the_lines_make_the_new_text_of_the_old_one(self, before: str, after: str) -> None:
        old, result, position = before.split("\n"), [], 0
        for kind, text in lines(before.encode() + b"\n", after.encode() + b"\n"):
            if kind == PART:
                match = re.search(r"-(\d+),", text)
                assert match is not None
                start = int(match[1]) - 1
                result += old[position:start]
                position = start
            elif kind in {SAME, GONE}:
                self.assertEqual(old[position], text)
                position += 1
            if kind in {SAME, NEW}:
                result.append(text)
        self.assertEqual([*result, *old[position:]], after.split("\n"))

    def test_as_text_it_is_a_unified_diff(self) -> None:
        said = as_text(differ(recipe(PKGBUILD=b"a\nb\n"), recipe(PKGBUILD=b"a\nc\n")))
        self.assertEqual(said, "--- PKGBUILD\n+++ PKGBUILD\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n")
