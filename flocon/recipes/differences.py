"""How two commits of a recipe differ, for a person to read on a terminal or a page. No I/O.

What does not show is shown: a sign of control, one that turns the direction of writing or has no
width stands as ``<U+202E>``. Nothing is left out of a text; of what is no text nothing is shown.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from flocon.recipes.recipe import FILE, LINK, PKGBUILD, PROGRAM, SRCINFO, SUBMODULE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flocon.recipes.recipe import Recipe, TreeFile

#: What a line is: of a file's head, of a part's, as it was in both, new, gone, or said of the file.
HEAD, PART, SAME, NEW, GONE, NOTE = "head", "part", "same", "new", "gone", "note"
_SIGNS = {SAME: " ", NEW: "+", GONE: "-"}
#: Lines of context; and pairs of lines among which what stayed is looked for. Beyond, all are shown
#: as gone and new: looking takes the square of them.
_CONTEXT = 3
_MOST_PAIRS = 1_000_000
#: Categories of Unicode that do not show: control, format, surrogates, private, other blanks.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
#: What does not show either and is a letter, a mark or a symbol to Unicode: fillers, joiners, what
#: chooses a variant of the sign before it, and braille without a dot.
UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)
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
    """What changed in one file of a recipe; names and texts have nothing that does not show."""

    name: str
    lines: tuple[Line, ...]


def visible(text: str) -> str:
    """Return a text with every sign that does not show written out; tabs stay."""
    if _SHOWN.fullmatch(text):
        return text
    return "".join(one if _shows(one) else f"<U+{ord(one):04X}>" for one in text)


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


def differ(before: Recipe | None, after: Recipe) -> tuple[FileDifference, ...]:
    """Return what changed, in the order in which a person reads: PKGBUILD, others, .SRCINFO."""
    old = before.files if before is not None else {}
    names = sorted(old.keys() | after.files.keys(), key=_place)
    found = (_difference(name, old.get(name), after.files.get(name)) for name in names)
    return tuple(one for one in found if one is not None)


def _place(name: str) -> tuple[int, str]:
    return (0 if name == PKGBUILD else 2 if name == SRCINFO else 1), name


def _difference(
    name: str, before: TreeFile | None, after: TreeFile | None
) -> FileDifference | None:
    if before == after:
        return None
    said = [Line(HEAD, _side("---", name, before)), Line(HEAD, _side("+++", name, after))]
    if before and after and before.mode != after.mode:
        said.append(Line(NOTE, f"was a {_kind(before)}, is a {_kind(after)}"))
    elif after and not before and after.mode != FILE:
        said.append(Line(NOTE, f"is a {_kind(after)}"))
    old = _read_lines(before.data) if before else []
    new = _read_lines(after.data) if after else []
    if old is None or new is None:
        sizes = (f"{len(one.data):,} bytes" if one else "nothing" for one in (before, after))
        said.append(Line(NOTE, "no text: {}, now {}".format(*sizes)))
    else:
        said += (Line(kind, _show(text)) for kind, text in _compared(old, new))
    return FileDifference(visible(name), tuple(said))


def _side(sign: str, name: str, file: TreeFile | None) -> str:
    return f"{sign} {visible(name)}" if file else f"{sign} nothing"


def _kind(file: TreeFile) -> str:
    return _KINDS.get(file.mode, f"{file.mode:o}")


def _compared(old: Sequence[str], new: Sequence[str]) -> Iterator[Line]:
    """Yield lines with what is around them, in parts."""
    start = _common(old, new)
    rest, other = old[start:], new[start:]
    end = _common(reversed(rest), reversed(other))
    changes = _changes(rest[: len(rest) - end], other[: len(other) - end])
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


def _changes(old: Sequence[str], new: Sequence[str]) -> list[_Change]:
    """Return which lines became which, in order."""
    if not old and not new:
        return []
    if len(old) * len(new) > _MOST_PAIRS:
        return [_Change(0, len(old), 0, len(new))]
    codes = difflib.SequenceMatcher(None, old, new).get_opcodes()
    return [_Change(*edges) for what, *edges in codes if what != "equal"]


def as_text(differences: Iterable[FileDifference]) -> str:
    """Return differences as a program for differences would print them."""
    lines = (line for one in differences for line in one.lines)
    return "".join(f"{_SIGNS.get(kind, '')}{text}\n" for kind, text in lines)
