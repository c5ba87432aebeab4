"""What variables are is told as bash has it, or not at all."""

from __future__ import annotations

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.recipes.expansions import LONGEST, evaluate
from flocon.recipes.shell import read_beginning
from tests.recipes import bash

VALUES = st.text("12ab.-_/v*?", max_size=8)
PATTERNS = st.text("12ab.-_v*?", min_size=1, max_size=4)
OPERATIONS = st.one_of(
    st.builds("{}{}".format, st.sampled_from(["%", "%%", "#", "##"]), PATTERNS),
    st.builds("{}{}/{}".format, st.sampled_from(["/", "//", "/#", "/%"]), PATTERNS, PATTERNS),
    st.builds(":{}".format, st.integers(0, 9)),
    st.builds(":{}:{}".format, st.integers(0, 9), st.integers(-3, 9)),
    st.builds(": -{}".format, st.integers(1, 9)),
    st.sampled_from(
        [",,", "^^", ",", "^", "[0]", "[1]", "[@]", ":-b", "-b", "+b", ":+b", "/./_", "//[0-9]/N"]
    ),
)
WORDS = st.lists(
    st.sampled_from(
        ["a", "{a,b}", "{,.sig}", "-", "1.2", "'{x,y}'", '"{x,y}"', "$_v", '"$_v"', "{", "}", ","]
    ),
    min_size=1,
    max_size=5,
).map("".join)


def values(text: str) -> dict[str, tuple[str, ...] | None]:
    return dict(evaluate(read_beginning(text).assignments))


class Told(SynchronousTestCase):
    def test_what_recipes_do_with_versions(self) -> None:
        for operation, said in (
            ("", "1.2.3-rc1"),
            ("%.*", "1.2"),
            ("%%.*", "1"),
            ("##*.", "3-rc1"),
            ("#1.", "2.3-rc1"),
            ("//./_", "1_2_3-rc1"),
            ("/-/", "1.2.3rc1"),
            ("//[.-]/", "123rc1"),
            ("%-rc*", "1.2.3"),
            (":0:3", "1.2"),
            ("^^", "1.2.3-RC1"),
            ("/%1/2", "1.2.3-rc2"),
        ):
            found = values(f'_v=1.2.3-rc1\na="${{_v{operation}}}"')
            self.assertEqual(found["a"], (said,), operation)

    def test_arrays_grow_and_are_put_into_others(self) -> None:
        found = values('a=(1 2)\na+=(3)\nb=("${a[@]}" x{,.sig})\nc=${a[1]}\nd=$a')
        self.assertEqual(found["b"], ("1", "2", "3", "x", "x.sig"))
        self.assertEqual((found["c"], found["d"]), (("2",), ("1",)))

    def test_what_depends_on_the_surroundings_is_not_told(self) -> None:
        for text in (
            "a=$CARCH",
            "a=(*)",
            "a=~/x",
            "a=(x?y)",
            "a=$b",
            "b='x y'\na=($b)",
            "a=({1..3})",
        ):
            self.assertIsNone(values(text)["a"], text)

    def test_a_value_that_doubles_ends(self) -> None:
        text = "a=xxxxxxxx\n" + "a=$a$a\n" * 64
        self.assertIsNone(values(text)["a"])
        many = values("a=" + "x" * LONGEST + "\n" + "".join(f"b{at}=$a\n" for at in range(3_000)))
        self.assertIsNone(many["b2999"])


class AsBash(SynchronousTestCase):
    @settings(max_examples=4, phases=(Phase.explicit, Phase.reuse, Phase.generate))
    @given(st.lists(st.tuples(VALUES, OPERATIONS), min_size=150, max_size=150))
    def test_operations(self, cases: list[tuple[str, str]]) -> None:
        self.compare([f"_v='{value}'\na=\"${{_v{operation}}}\"" for value, operation in cases])

    @settings(max_examples=4, phases=(Phase.explicit, Phase.reuse, Phase.generate))
    @given(st.lists(st.tuples(VALUES, WORDS), min_size=150, max_size=150))
    def test_words_of_arrays(self, cases: list[tuple[str, str]]) -> None:
        self.compare([f"_v='{value}'\na=({word})" for value, word in cases])

    def compare(self, texts: list[str]) -> None:
        if reason := bash.why_not():
            self.skipTest(reason)
        ran = bash.run(texts, [["a"]] * len(texts))
        for text, one in zip(texts, ran, strict=True):
            told = values(text).get("a")
            if told is not None:
                self.assertEqual(one.values["a"], told, text)
