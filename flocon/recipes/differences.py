"""How two commits of a recipe differ, for a person to read on a terminal or a page. No I/O.

What does not show is shown: a sign of control, one that turns the direction of writing or has no
width stands as ``<U+202E>``. Nothing is left out of a text; of what is no text nothing is shown.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from flocon.books.units import UNSEEN
from flocon.recipes.recipe import FILE, LINK, PKGBUILD, PROGRAM, SRCINFO, SUBMODULE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flocon.recipes.recipe import Recipe, TreeFile

#: What a line is: of a file's head, of a part's, as it was in both, new, gone, or said of the file.
HEAD, PART, SAME, NEW, GONE, NOTE = "head", "part", "same", "new", "gone", "note"
_SIGNS = {SAME: " ", NEW: "+", GONE: "-"}
#: Lines of context; and steps in which what stayed is looked for, in all files of a recipe. Beyond,
#: lines are shown as gone and new: looking may take the cube of them.
_CONTEXT = 3
_MOST_STEPS = 1_000_000
#: Signs of which it is remembered how they are shown.
_MOST_SIGNS_KNOWN = 4_096
#: Categories of Unicode that do not show: control, format, surrogates, private, other blanks.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
#: After a line that the end of its file ends: no text has it.
_UNENDED = "\0"
_SHOWN = re.compile(r"[ -~\t]*")
_KINDS = {FILE: "file", PROGRAM: "program", LINK: "link", SUBMODULE: "submodule"}


class Line(NamedTuple):
    kind: str
    text: str


class _Change(NamedTuple):
    """Lines of the old text, counted from 0, and the lines in their place."""

    old_from: int
    old_to: int
    new_from: int
    new_to: int


@dataclass(frozen=True, slots=True)
class FileDifference:
    """What changed in one file of a recipe; names and texts have nothing that does not show.

    Its lines are made as they are read, once.
    """

    name: str
    lines: Iterator[Line]


class _Signs(dict[int, str]):
    """How signs are shown, by their numbers, as far as that was asked."""

    def __missing__(self, number: int) -> str:
        if len(self) >= _MOST_SIGNS_KNOWN:
            self.clear()
        sign = chr(number)
        shown = self[number] = sign if _shows(sign) else f"<U+{number:04X}>"
        return shown


_signs = _Signs()


class _TooMuchError(Exception):
    """Looking for what stayed takes more than it may."""


class _Effort:
    """How many steps are left for a recipe."""

    def __init__(self) -> None:
        self._left = _MOST_STEPS

    def spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise _TooMuchError


class _Matcher(difflib.SequenceMatcher[str]):
    """Looks for what stayed, within an effort."""

    def __init__(self, old: Sequence[str], new: Sequence[str], effort: _Effort) -> None:
        self._old, self._effort = old, effort
        effort.spend(len(old) + len(new))
        super().__init__(None, old, new)

    def find_longest_match(
        self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None
    ) -> difflib.Match:
        # Of each old line all places of the new text that have it are gone through.
        places: dict[str, list[int]] = self.b2j  # type: ignore[attr-defined]  # not in the stubs
        lines = islice(self._old, alo, ahi)
        self._effort.spend(sum(1 + len(places.get(line, ())) for line in lines))
        return super().find_longest_match(alo, ahi, blo, bhi)


def visible(text: str) -> str:
    """Return a text with every sign that does not show written out; tabs stay."""
    if _SHOWN.fullmatch(text):
        return text
    return text.translate(_signs)


def _shows(sign: str) -> bool:
    if sign in " \t":
        return True
    category = unicodedata.category(sign)
    return category not in _UNSEEN and category != "Zs" and not UNSEEN.match(sign)


def _read_lines(data: bytes) -> list[str] | None:
    """Return a text's lines, the last one with a mark if it does not end; None for no text.

    They are compared as they are, and made visible afterwards: a sign that does not show and the
    way in which it is written out are not the same.
    """
    if b"\0" in data:
        return None
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    if lines[-1]:
        lines[-1] += _UNENDED
    else:
        lines.pop()
    return lines


def _show(line: str) -> str:
    if line.endswith(_UNENDED):
        return visible(line[:-1]) + "<no line end>"
    return visible(line)


def differ(before: Recipe | None, after: Recipe) -> Iterator[FileDifference]:
    """Yield what changed, in the order in which a person reads: PKGBUILD, others, .SRCINFO."""
    old = before.files if before is not None else {}
    effort = _Effort()
    for name in sorted(old.keys() | after.files.keys(), key=_place):
        one, other = old.get(name), after.files.get(name)
        if one != other:
            yield FileDifference(visible(name), _difference(name, one, other, effort))


def _place(name: str) -> tuple[int, str]:
    return (0 if name == PKGBUILD else 2 if name == SRCINFO else 1), name


def _difference(
    name: str, before: TreeFile | None, after: TreeFile | None, effort: _Effort
) -> Iterator[Line]:
    yield Line(HEAD, _side("---", name, before))
    yield Line(HEAD, _side("+++", name, after))
    if before and after and before.mode != after.mode:
        yield Line(NOTE, f"was a {_kind(before)}, is a {_kind(after)}")
    elif after and not before and after.mode != FILE:
        yield Line(NOTE, f"is a {_kind(after)}")
    old = _read_lines(before.data) if before else []
    new = _read_lines(after.data) if after else []
    if old is None or new is None:
        sizes = (f"{len(one.data):,} bytes" if one else "nothing" for one in (before, after))
        yield Line(NOTE, "no text: {}, now {}".format(*sizes))
    else:
        yield from (Line(kind, _show(text)) for kind, text in _compared(old, new, effort))


def _side(sign: str, name: str, file: TreeFile | None) -> str:
    return f"{sign} {visible(name)}" if file else f"{sign} nothing"


def _kind(file: TreeFile) -> str:
    return _KINDS.get(file.mode, f"{file.mode:o}")


def _compared(old: Sequence[str], new: Sequence[str], effort: _Effort) -> Iterator[Line]:
    """Yield lines with what is around them, in parts."""
    start = _common(old, new)
    rest, other = old[start:], new[start:]
    end = _common(reversed(rest), reversed(other))
    rest, other = rest[: len(rest) - end], other[: len(other) - end]
    try:
        changes = _changes(rest, other, effort)
    except _TooMuchError:
        yield Line(NOTE, "what stayed of these lines was not looked for: there is too much of it")
        changes = [_Change(0, len(rest), 0, len(other))]
    part: list[_Change] = []
    for change in changes:
        moved = _Change(*(edge + start for edge in change))
        if part and moved.old_from - part[-1].old_to > 2 * _CONTEXT:
            yield from _part(old, new, part)
            part = []
        part.append(moved)
    if part:
        yield from _part(old, new, part)


def _part(old: Sequence[str], new: Sequence[str], changes: Sequence[_Change]) -> Iterator[Line]:
    first, last = changes[0], changes[-1]
    before = min(_CONTEXT, first.old_from)
    after = min(_CONTEXT, len(old) - last.old_to)
    old_from, old_to = first.old_from - before, last.old_to + after
    new_from, new_to = first.new_from - before, last.new_to + after
    sizes = f"-{old_from + 1},{old_to - old_from} +{new_from + 1},{new_to - new_from}"
    yield Line(PART, f"@@ {sizes} @@")
    position = old_from
    for change in changes:
        yield from (Line(SAME, line) for line in old[position : change.old_from])
        yield from (Line(GONE, line) for line in old[change.old_from : change.old_to])
        yield from (Line(NEW, line) for line in new[change.new_from : change.new_to])
        position = change.old_to
    yield from (Line(SAME, line) for line in old[position:old_to])


def _common(one: Iterable[str], other: Iterable[str]) -> int:
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def _changes(old: Sequence[str], new: Sequence[str], effort: _Effort) -> list[_Change]:
    """Return which lines became which, in order; raise _TooMuchError."""
    if not old and not new:
        return []
    if not old or not new:
        return [_Change(0, len(old), 0, len(new))]
    codes = _Matcher(old, new, effort).get_opcodes()
    return [_Change(*edges) for what, *edges in codes if what != "equal"]


def as_text(differences: Iterable[FileDifference]) -> str:
    """Return differences as a program for differences would print them."""
    lines = (line for one in differences for line in one.lines)
    return "".join(f"{_SIGNS.get(kind, '')}{text}\n" for kind, text in lines)
