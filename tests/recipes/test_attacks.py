"""Whoever edits a PKGBUILD outside the places of values waits for a person, whatever the edit."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import unified_diff
from functools import lru_cache
from random import Random

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.recipes.bumps import judge
from flocon.recipes.edits import Text, changes, first_other_line, read_text
from flocon.recipes.values import looks_like_commit, problem
from tests.recipes import bash
from tests.recipes.attacks import SNIPPETS, edited
from tests.recipes.samples import (
    DESCRIPTION,
    FILES,
    NEW,
    OLD,
    PROPOSED,
    RICH,
    TEXT,
    WAIT,
    evidence,
    filled,
    old,
    recipe,
)

#: Asking bash takes a while: there is no looking for a shorter text that fails as well.
WITHOUT_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
BEFORE = filled(TEXT, OLD)
#: All texts that one may become, made without the reader that is tested.
_PLACES = {
    "VERSION": r"(?P<VERSION>[0-9A-Za-z][0-9A-Za-z.+_~]*)",
    "RELEASE": r"[0-9]+(?:\.[0-9]+)?",
    "BUILD": r"[0-9A-Za-z][0-9A-Za-z.+_~-]*",
    "COMMIT": r"[0-9a-f]{40}",
    "SUM": r"(?:[0-9a-f]{64}|[0-9A-F]{64})",
    "DATA": r"(?:[0-9a-f]{64}|[0-9A-F]{64})",
}
_NUMBER = re.compile(r"[0-9A-Za-z.+_~-]*[0-9][0-9A-Za-z.+_~-]*|[0-9A-Fa-f]{32,}")


def _allowed() -> re.Pattern[str]:
    said = re.escape(TEXT)
    for name, place in _PLACES.items():
        said = said.replace(re.escape(f"@{name}@"), place)
    said = said.replace("5" * 64, _PLACES["SUM"])
    first, version, rest = said.partition(_PLACES["VERSION"])
    # The comment stands before the value: which version it may have is looked at afterwards.
    first = first.replace(re.escape("1.2.3"), r"(?P<SINCE>[0-9A-Za-z.+_~-]+)")
    return re.compile(
        first + version + rest.replace(re.escape("1.2.3"), r"(?:1\.2\.3|(?P=VERSION))")
    )


ALLOWED = _allowed()


@lru_cache(maxsize=2)
def _read(said: str) -> Text | str:
    """Return what is read of a PKGBUILD: most are edits of the same one."""
    return read_text(said.encode("utf-8", "surrogatepass"))


def passes(before: str, after: str) -> bool:
    """Whether checks C and D do."""
    old_text, new_text = _read(before), _read(after)
    if not isinstance(old_text, Text) or not isinstance(new_text, Text):
        return False
    if first_other_line(old_text, new_text) is not None:
        return False
    return not any(map(problem, changes(old_text, new_text)))


def is_let(before: str, after: str) -> bool:
    """Whether it passes, and nothing that was a release has the form of a commit (check G)."""
    if not passes(before, after):
        return False
    old_text, new_text = _read(before), _read(after)
    assert isinstance(old_text, Text)
    assert isinstance(new_text, Text)
    return not any(
        looks_like_commit(one.after) and not looks_like_commit(one.before)
        for one in changes(old_text, new_text)
    )


def is_allowed(after: str) -> bool:
    found = ALLOWED.fullmatch(after)
    return found is not None and found["SINCE"] in {"1.2.3", found["VERSION"]}


def check_as_bash(case: SynchronousTestCase, pairs: list[tuple[str, str]]) -> None:
    """Fail where bash finds more in an approved text than other values."""
    names = [list(re.findall(r"^([A-Za-z_]\w*)\+?=", text, re.MULTILINE)) for text, _ in pairs]
    befores = bash.run([before for before, _ in pairs], names)
    afters = bash.run([after for _, after in pairs], names)
    for (before, after), one, other in zip(pairs, befores, afters, strict=True):
        said = "\n".join(unified_diff(before.split("\n"), after.split("\n"), n=0))
        case.assertEqual(_masked(one.trace), _masked(other.trace), said)
        case.assertEqual(_masked(one.functions), _masked(other.functions), said)
        for name, values in one.values.items():
            case.assertEqual(_masked(values), _masked(other.values[name]), f"{name}: {said}")


def _masked(said: str | tuple[str, ...]) -> list[str]:
    return [_NUMBER.sub("0", one) for one in ((said,) if isinstance(said, str) else said)]


class Attacks(SynchronousTestCase):
    @settings(max_examples=60)
    @given(st.lists(st.randoms(use_true_random=False), min_size=25, max_size=25))
    def test_any_edit_outside_the_places_of_values_waits(self, randoms: list[Random]) -> None:
        for random in randoms:
            after = edited(BEFORE, random)
            if not is_allowed(after):
                self.assertFalse(passes(BEFORE, after), after)

    @settings(max_examples=200)
    @given(st.integers(0, len(BEFORE)), st.text(min_size=1, max_size=8))
    def test_any_text_put_anywhere_waits(self, place: int, said: str) -> None:
        after = BEFORE[:place] + said + BEFORE[place:]
        if not is_allowed(after):
            self.assertFalse(passes(BEFORE, after), after)

    def test_each_snippet_at_each_line_waits(self) -> None:
        for snippet in SNIPPETS:
            for line in re.finditer("^|$", BEFORE, re.MULTILINE):
                after = BEFORE[: line.start()] + snippet + BEFORE[line.start() :]
                if not is_allowed(after):
                    self.assertFalse(passes(BEFORE, after), after)

    @settings(max_examples=30)
    @given(st.lists(st.randoms(use_true_random=False), min_size=20, max_size=20))
    def test_edits_beside_the_pkgbuild_wait_too(self, randoms: list[Random]) -> None:
        text, said = filled(TEXT, NEW), filled(DESCRIPTION, NEW)
        for random in randoms:
            other = edited(said, random)
            proposed = recipe(text, other.encode("utf-8", "surrogatepass"), FILES, commit=PROPOSED)
            if _said(other) != _said(said):
                found = judge(old(), proposed, evidence(), wait=WAIT)
                self.assertFalse(found.passed, other)

    @settings(max_examples=4, phases=WITHOUT_SHRINKING)
    @given(st.lists(st.randoms(use_true_random=False), min_size=200, max_size=200))
    def test_bash_finds_nothing_but_values_in_what_passes(self, randoms: list[Random]) -> None:
        self.check_edits(BEFORE, randoms, passes)

    @settings(max_examples=3, phases=WITHOUT_SHRINKING)
    @given(st.lists(st.randoms(use_true_random=False), min_size=300, max_size=300))
    def test_nor_in_a_recipe_that_makes_much_of_its_versions(self, randoms: list[Random]) -> None:
        self.check_edits(RICH, randoms, is_let)

    def check_edits(
        self, before: str, randoms: list[Random], passed: Callable[[str, str], bool]
    ) -> None:
        """Claim of those edits of a text that have passed that bash finds other values alone."""
        if reason := bash.why_not():
            self.skipTest(reason)
        texts = [edited(before, random) for random in randoms]
        check_as_bash(self, [(before, after) for after in texts if passed(before, after)])

    def test_much_of_it_is_read_as_bash_does(self) -> None:
        """Else nothing of it would pass, and nothing be tested."""
        for old_value, new_value in (
            ("_build=20241128", "_build=20251128"),
            ("_major=1", "_major=2"),
            ("5" * 64, "4" * 64),
            ("pkgrel=2", "pkgrel=3"),
        ):
            after = RICH.replace(old_value, new_value)
            self.assertTrue(is_let(RICH, after), new_value)
        after = RICH.replace("_pkgver=1.2.3", "_pkgver=1.3.0").replace("_tag=v1.2.3", "_tag=v1.3.0")
        self.assertTrue(is_let(RICH, after))
        if not bash.why_not():
            check_as_bash(self, [(RICH, after)])


def _said(text: str) -> dict[tuple[str, str], list[str]]:
    """Return what a .SRCINFO says, read as simply as can be: blanks and the order of keys apart."""
    found: dict[tuple[str, str], list[str]] = {}
    section = ""
    for line in text.split("\n"):
        key, mark, value = (one.strip() for one in line.partition("="))
        if not (key or mark) or key.startswith("#"):
            continue
        section = value if key == "pkgname" else section
        found.setdefault((section, key), []).append(value)
    return found
