"""The beginning of a PKGBUILD is read as bash reads it, or not at all."""

from __future__ import annotations

from random import Random

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.recipes.edits import read_text
from flocon.recipes.expansions import evaluate
from flocon.recipes.shell import read_beginning
from tests.recipes import bash
from tests.recipes.attacks import soup
from tests.recipes.samples import OLD, TEXT, filled


def names(text: str) -> list[str]:
    return [one.name for one in read_beginning(text).assignments]


class Beginnings(SynchronousTestCase):
    def test_a_usual_recipe_is_read_up_to_its_first_function(self) -> None:
        text = filled(TEXT, OLD)
        found = read_beginning(text)
        self.assertTrue(text[found.end :].lstrip().startswith("prepare() {"))
        self.assertEqual(len(found.assignments), 16)

    def test_what_is_an_assignment(self) -> None:
        for text in (
            "a=1",
            "a=",
            "a='x\ny'",
            'a="x $b ${c%.*} y"',
            "a=(x y)",
            "a=(\n x # no )\n 'y)'\n)",
            "a+=(x)",
            "a=x#y",
            "a=b=c",
            "a=1 # said",
            "  a=1\t",
            "a=($b.tar{,.sig} ${b}{c,d})",
            "a=${b//./_}",
            "a=${b//\\./_}",
            "a=${b:0:3}",
        ):
            self.assertEqual(names(text), ["a"], text)

    def test_what_is_none_ends_the_reading(self) -> None:
        for text in (
            "a=$(id)",
            "a=`id`",
            "a=1 id",
            "a=1; id",
            "a=1|id",
            "a=1&",
            "a=<(id)",
            "a=(x)y",
            "a=([0]=x)",
            "a=$'x'",
            'a=$"x"',
            "a='x",
            'a="x',
            "a=(x",
            "a=x\\\ny",
            "a=\u00e9",
            "a=1\r",
            "a[0]=1",
            "a=${b:=c}",
            "a=${!b}",
            "a=${b@P}",
            "a=${b:$c}",
            "a=$1",
            "a=${b[$(id)]}",
            "PATH=x",
            "IFS=x",
            "_=x",
            "export a=1",
            "a+=x y",
            "a=(x);id",
            "a=(x)#y",
            "a=($b{c,d})",
            "a=({$b,c}d)",
            "a=({c,$b}d)",
            "if a=1; then",
            "a() { :; }",
        ):
            self.assertEqual(names(text), [], text)
            self.assertEqual(names(f"z=1\n{text}"), ["z"], text)

    def test_where_it_ends_is_told(self) -> None:
        self.assertEqual(read_beginning("a=1\n# x\n\nid\nb=2").end, 4)


class AsBashReads(SynchronousTestCase):
    @settings(max_examples=8, phases=(Phase.explicit, Phase.reuse, Phase.generate))
    @given(st.lists(st.randoms(use_true_random=False), min_size=60, max_size=60))
    def test_of_any_text_nothing_but_assignments_are_run_and_values_are_bashs(
        self, randoms: list[Random]
    ) -> None:
        if reason := bash.why_not():
            self.skipTest(reason)
        check_beginnings(self, [soup(random) for random in randoms])


def check_beginnings(case: SynchronousTestCase, texts: list[str]) -> None:
    """Fail where bash reads the beginning of a text otherwise than ``read_beginning``."""
    read = [
        (text, found) for text in texts if not isinstance(found := read_text(text.encode()), str)
    ]
    asked = [
        list(dict.fromkeys(one.name for one in found.beginning.assignments)) for _, found in read
    ]
    # Bash reads what follows as well: the end must be one whatever that is.
    wholes = bash.run([text for text, _ in read], asked)
    alone = bash.run([text[: found.beginning.end] for text, found in read], asked)
    for (text, found), whole, begun in zip(read, wholes, alone, strict=True):
        count = len(found.beginning.assignments)
        case.assertEqual(len(begun.trace), count + 2, f"{text!r}: {begun.trace}")
        case.assertEqual(whole.trace[: count + 1], begun.trace[: count + 1], text)
        for name, value in evaluate(found.beginning.assignments).items():
            if value is not None:
                case.assertEqual(begun.values[name], value, f"{name} of {text!r}")
        for slot in found.slots:
            values = begun.values[slot.name]
            case.assertTrue(any(slot.value in value for value in values), f"{slot} of {text!r}")
