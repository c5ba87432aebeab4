"""What the variables at the beginning of a PKGBUILD are, where that can be told without bash.

No I/O; nothing is run. What is not told for certain is None: a variable of the surroundings, a
pattern that could match files, an operation with more than one reading.
"""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TypeAlias

    from flocon.recipes.shell import Assignment, Part, Word

    Values: TypeAlias = Mapping[str, tuple[str, ...] | None]

#: Signs of one word, words of one array, and signs of all together: ``a=$a$a`` doubles each time.
LONGEST = 4_096
MOST_WORDS = 1_024
MOST_SIGNS = 4 << 20
#: Signs of a value of which a part is taken: it takes the square of them.
_LONGEST_CUT = 128
#: Of an expansion without quotes: nothing that is split, or matches files.
_UNSPLIT = re.compile(r"[A-Za-z0-9_.,:/@%+=^#!~{}-]*")
_SUBSCRIPT = re.compile(r"\[(?:[@*]|[0-9]+)\]")
_SLICE = re.compile(r":( ?-?[0-9]+)?(?::( ?-?[0-9]+))?")
#: A pattern's pieces: an escaped sign, a set, or one sign.
_PATTERN = re.compile(r"\\(.)|\[([A-Za-z0-9_.+~:-]+)\]|([^\\\[\]])", re.DOTALL)
#: In a bare word of an array: one more than one word is made of (``foo{,.sig}``).
_BRACES = frozenset("{,}")


class _Untold(Exception):  # noqa: N818 - it is an answer
    """What it says cannot be told."""


def evaluate(assignments: Iterable[Assignment]) -> Values:
    """Return what each variable is after these assignments, as words; None where it is not told."""
    values: dict[str, tuple[str, ...] | None] = {}
    arrays: set[str] = set()
    left = MOST_SIGNS
    for one in assignments:
        try:
            words = _assigned(one, values, is_array=one.name in arrays)
            left -= len(words) + sum(map(len, words))
            values[one.name] = words if left > 0 else None
        except _Untold:
            values[one.name] = None
        if one.is_array:
            arrays.add(one.name)
        elif not one.adds:
            # A word given to an array is its first element, and the rest stays.
            values[one.name] = None if one.name in arrays else values[one.name]
    return values


def _assigned(one: Assignment, values: Values, *, is_array: bool) -> tuple[str, ...]:
    before = values.get(one.name, ()) if one.adds else ()
    if before is None or (is_array and not one.is_array):
        raise _Untold
    if not one.is_array and not one.words:
        raise _Untold
    if not one.is_array:
        said = _joined(one.words[0], values)
        return ("".join((*before, said)),)
    words = list(before)
    for word in one.words:
        words += _words(word, values)
        if len(words) > MOST_WORDS:
            raise _Untold
    return tuple(words)


def _joined(word: Word, values: Values) -> str:
    """Return the value of a scalar: nothing of it is split, and braces are only signs."""
    texts = []
    for part in word.parts:
        if part.expands:
            texts.append(_one(_expanded(part, values)))
        elif part.quote or not re.search(r"[~*?\[\]]", part.text):
            texts.append(part.text)
        else:
            raise _Untold
    return _bounded("".join(texts))


def _bounded(text: str) -> str:
    if len(text) > LONGEST:
        raise _Untold
    return text


def _one(words: tuple[str, ...]) -> str:
    if len(words) != 1:
        raise _Untold
    return words[0]


def _words(word: Word, values: Values) -> list[str]:
    """Return what an array gets of one word."""
    if len(word.parts) == 1 and _is_all(word.parts[0]):
        return list(_expanded(word.parts[0], values))
    pieces: list[str | None] = []
    signs: list[str] = []
    for part in word.parts:
        if part.expands:
            said = _one(_expanded(part, values))
            if not part.quote and not (said and _UNSPLIT.fullmatch(said)):
                raise _Untold
            pieces.append(said)
        elif part.quote:
            pieces.append(part.text)
        else:
            for sign in part.text:
                if sign in "~*?[]":
                    raise _Untold
                pieces.append(None if sign in _BRACES else sign)
                signs += sign if sign in _BRACES else ""
    words = _alternatives(pieces, signs)
    if all(words) or (len(words) == 1 and any(part.quote for part in word.parts)):
        return words
    # An empty word without quotes is none. Where some of it has quotes, it is not looked for where.
    if any(part.quote for part in word.parts):
        raise _Untold
    return [one for one in words if one]


def _is_all(part: Part) -> bool:
    return part.expands and part.quote == '"' and part.operation == "[@]"


def _alternatives(pieces: list[str | None], signs: list[str]) -> list[str]:
    """Return the words of ``a{b,c}``: None stands for the next of ``signs``; none are nested."""
    choices: list[list[str]] = [[""]]
    inside: list[str] | None = None
    rest = iter(signs)
    for piece in pieces:
        sign = next(rest) if piece is None else ""
        if sign == "{":
            if inside is not None:
                raise _Untold
            inside = [""]
        elif sign == "}":
            if inside is None or len(inside) == 1:
                raise _Untold
            choices += [inside, [""]]
            inside = None
        elif sign == "," and inside is not None:
            inside.append("")
        else:
            said = sign if piece is None else piece
            (choices[-1] if inside is None else inside)[-1] += said
    count = 1
    for choice in choices:
        count *= len(choice)
    if inside is not None or count > MOST_WORDS:
        raise _Untold
    return [_bounded("".join(chosen)) for chosen in product(*choices)]


def _expanded(part: Part, values: Values) -> tuple[str, ...]:
    words = values.get(part.text)
    if words is None:
        raise _Untold
    operation = part.operation
    subscript = _SUBSCRIPT.match(operation)
    if subscript is None:
        words = words[:1]
    else:
        operation = operation[subscript.end() :]
        at = subscript[0][1:-1]
        if at == "*":
            raise _Untold
        words = words if at == "@" else words[int(at) : int(at) + 1]
        if at == "@" and operation:
            raise _Untold
    return tuple(_operated(word, operation) for word in words)


def _operated(value: str, operation: str) -> str:
    if not operation:
        return value
    if len(value) > _LONGEST_CUT:
        raise _Untold
    if operation in {",", ",,", "^", "^^"}:
        return _cased(value, operation)
    if operation.startswith(("-", ":-")):
        if not value:
            raise _Untold
        return value
    if operation.startswith(("%", "#")):
        return _trimmed(value, operation)
    if operation.startswith("/"):
        return _replaced(value, operation)
    found = _SLICE.fullmatch(operation)
    if found is None or not (found[1] or found[2]):
        raise _Untold
    return _sliced(value, int(found[1] or 0), None if found[2] is None else int(found[2]))


def _cased(value: str, operation: str) -> str:
    if not value.isascii():
        raise _Untold
    changed = value.lower() if "," in operation else value.upper()
    return changed if len(operation) == 2 else changed[:1] + value[1:]  # noqa: PLR2004 - doubled


def _sliced(value: str, start: int, length: int | None) -> str:
    if start < 0:
        start += len(value)
    if not 0 <= start <= len(value):
        raise _Untold
    end = len(value) if length is None else start + length if length >= 0 else len(value) + length
    if end < start:
        raise _Untold
    return value[start:end]


def _regex(pattern: str) -> str:
    """Return a pattern of bash as a regular expression; one ``*`` at most, and plain sets."""
    said, position, many = "", 0, 0
    while position < len(pattern):
        piece = _PATTERN.match(pattern, position)
        if piece is None:
            raise _Untold
        position = piece.end()
        if piece[2] is not None:
            said += "[" + _set(piece[2]) + "]"
        elif piece[3] == "*":
            many += 1
            said += ".*"
        else:
            said += "." if piece[3] == "?" else re.escape(piece[1] or piece[3])
    if many > 1:
        raise _Untold
    return said


def _set(signs: str) -> str:
    """Return the signs of a set: single ones, ``-`` as the last, and digits' or letters' ranges."""
    last = "\\-" if signs.endswith("-") else ""
    signs = signs.removesuffix("-")
    rest = signs.replace("0-9", "").replace("a-z", "").replace("A-Z", "")
    if "-" in rest or ":" in rest:
        raise _Untold
    return signs.replace("+", r"\+").replace("~", r"\~") + last


def _trimmed(value: str, operation: str) -> str:
    at_end, longest = operation[0] == "%", operation[:1] == operation[1:2]
    pattern = operation[2:] if longest else operation[1:]
    compiled = re.compile(_regex(pattern), re.DOTALL)
    places = range(len(value) + 1)
    if at_end:
        starts = places if longest else reversed(places)
        found = (value[:at] for at in starts if compiled.fullmatch(value, at))
    else:
        ends = reversed(places) if longest else places
        found = (value[at:] for at in ends if compiled.fullmatch(value, 0, at))
    return next(found, value)


def _replaced(value: str, operation: str) -> str:
    every = operation.startswith("//")
    pattern, replacement = _halves(operation[2:] if every else operation[1:])
    if not pattern or "&" in replacement or "\\" in replacement:
        raise _Untold
    if not every and pattern[0] in "#%":
        compiled = _regex(pattern[1:])
        said = f"\\A(?:{compiled})" if pattern[0] == "#" else f"(?:{compiled})\\Z"
        if "*" in pattern:
            raise _Untold
        return re.sub(said, lambda _: replacement, value, count=1, flags=re.DOTALL)
    said = _regex(pattern)
    if not re.sub(r"\\.", "", pattern).strip("*"):
        raise _Untold
    return re.sub(said, lambda _: replacement, value, count=0 if every else 1, flags=re.DOTALL)


def _halves(text: str) -> tuple[str, str]:
    """Return pattern and replacement, parted at the first slash that is not escaped."""
    position = 0
    while position < len(text) and text[position] != "/":
        position += 2 if text[position] == "\\" else 1
    return text[:position], text[position + 1 :]
