"""The beginning of a PKGBUILD, as far as it is nothing but assignments. No I/O; nothing is run.

A PKGBUILD is a program of bash. Its beginning nearly always is a list of variables, and that can be
read without running it, by a grammar so narrow that bash reads the same: blank lines, comments,
``name=word`` and ``name=(word word)``, in words: plain signs, ``'...'``, ``"..."``, ``$name`` and
``${name...}`` without another quote or expansion inside. At the first statement that is anything
else the reading ends, and nothing after it is known to be an assignment at the top level.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Blank lines and comments before a statement or a word of an array; ``#`` begins one there only.
_BETWEEN = re.compile(r"(?:[ \t\n]++|#[^\n]*+)*+")
_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?=)(\(?)")
#: What may follow an assignment in its line.
_LINE_END = re.compile(r"[ \t]*(?:[ \t]#[^\n]*)?(?:\n|\Z)")
#: Signs without a meaning, or with one for the value only: braces, patterns, ``~``.
_BARE = re.compile(r"[A-Za-z0-9_.,:/@%+=^#!~{}*?\[\]-]+")
_BARE_ESCAPE = re.compile(r"\\([ -~])")
_SINGLE = re.compile(r"'([^']*)'")
_QUOTED = re.compile(r'[^"\\$`]+')
_QUOTED_ESCAPE = re.compile(r'\\([$`"\\])')
#: What may be done to a variable's value: none of it sets a variable or runs anything.
_OPERATION = (
    r"(?:\[(?:[@*]|[0-9]{1,3})\])?"
    r"(?:(?:%%?|\#\#?|//?|:?[-+])(?:[^{}$`'\"\\\n]|\\[./_+~: -])*"
    r"|:(?: ?-?[0-9]{1,4})?(?:: ?-?[0-9]{1,4})?|,,?|\^\^?)?"
)
_EXPANSION = re.compile(
    r"\$(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)(?P<operation>" + _OPERATION + r")\})"
)
#: A default for a variable that nobody set: ``: "${_debug:=no}"``.
_DEFAULT = re.compile(
    r":[ \t]+(?P<quote>\"?)\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*):?=[A-Za-z0-9_.,/:+-]*\}(?P=quote)"
)
#: What a program's surroundings are made of (``IFS``, ``PATH``): nothing is known after it is set.
_SURROUNDINGS = re.compile(r"[A-Z][A-Z0-9_]*|_")
#: Signs that mean something in a bare word beside themselves.
_MEANING = re.compile(r"[~{}*?\[\]]")


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a word from ``start`` to ``end`` of the text, quotes not counted.

    ``text`` is what it says, or for an expansion the variable's name, with its ``operation``.
    ``quote`` is ``'``, ``"`` or "".
    """

    text: str
    start: int
    end: int
    quote: str = ""
    expands: bool = False
    operation: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether it says just its text, whatever kind of word it stands in."""
        return not self.expands and (bool(self.quote) or not _MEANING.search(self.text))


@dataclass(frozen=True, slots=True)
class Word:
    parts: tuple[Part, ...]

    @property
    def only(self) -> Part | None:
        """The one piece that says all of it as it stands; None where there is no such."""
        return self.parts[0] if len(self.parts) == 1 and self.parts[0].is_plain else None


@dataclass(frozen=True, slots=True)
class Assignment:
    """``name=`` or ``name+=`` (``adds``); one word, or those of an array.

    One without a word is a default: the value is that, or another that was there before.
    """

    name: str
    words: tuple[Word, ...]
    is_array: bool
    adds: bool

    def variables(self) -> Iterator[str]:
        """Yield the names of the variables that its value is made of."""
        for word in self.words:
            for part in word.parts:
                if part.expands:
                    yield part.text


@dataclass(frozen=True, slots=True)
class Beginning:
    """The assignments, and where in the text what follows them begins."""

    assignments: tuple[Assignment, ...]
    end: int


class _OtherThan(Exception):  # noqa: N818 - it ends the reading, and is no error
    """Here stands what is not in the grammar."""


def read_beginning(text: str) -> Beginning:
    """Read a PKGBUILD up to its first statement that is no assignment."""
    found: list[Assignment] = []
    position = 0
    while True:
        try:
            start = _skip(text, position)
            line, position = _statement(text, start)
        except _OtherThan:
            return Beginning(tuple(found), position)
        found += line
        if position == len(text):
            return Beginning(tuple(found), position)


def _skip(text: str, position: int) -> int:
    match = _BETWEEN.match(text, position)
    return match.end() if match else position


def _statement(text: str, position: int) -> tuple[list[Assignment], int]:
    """Return the assignment of a line, and where the next line begins."""
    if position == len(text):
        return [], position
    if (default := _DEFAULT.match(text, position)) and not _SURROUNDINGS.fullmatch(default["name"]):
        one = Assignment(default["name"], (), is_array=False, adds=False)
        return [one], _line_end(text, default.end())
    match = _NAME.match(text, position)
    if match is None or _SURROUNDINGS.fullmatch(match[1]):
        raise _OtherThan
    if match[3]:
        words, position = _array(text, match.end())
    else:
        word, position = _word(text, match.end())
        words = (word,)
    one = Assignment(match[1], words, bool(match[3]), match[2] == "+=")
    return [one], _line_end(text, position)


def _line_end(text: str, position: int) -> int:
    end = _LINE_END.match(text, position)
    if end is None:
        raise _OtherThan
    return end.end()


def _array(text: str, position: int) -> tuple[tuple[Word, ...], int]:
    words: list[Word] = []
    while True:
        position = _skip(text, position)
        if text.startswith(")", position):
            return tuple(words), position + 1
        if position == len(text) or text.startswith("[", position):
            raise _OtherThan
        word, position = _word(text, position)
        if not text.startswith((" ", "\t", "\n", ")"), position) or _joins_names(text, word):
            raise _OtherThan
        words.append(word)


def _joins_names(text: str, word: Word) -> bool:
    """Whether braces come before expansions and make names: ``$a{b,c}`` is ``$ab`` and ``$ac``."""
    named = (part for part in word.parts if part.expands and not part.quote)
    return any(text[part.end - 1] != "}" and text[part.end] in "{,}" for part in named)


def _word(text: str, position: int) -> tuple[Word, int]:
    parts: list[Part] = []
    while position < len(text) and text[position] not in " \t\n)":
        if text[position] == '"':
            quoted, position = _quoted(text, position + 1)
            parts += quoted
            continue
        part, position = _bare(text, position)
        parts.append(part)
    return Word(tuple(parts)), position


def _bare(text: str, position: int) -> tuple[Part, int]:
    if single := _SINGLE.match(text, position):
        return Part(single[1], position + 1, single.end() - 1, "'"), single.end()
    if expansion := _EXPANSION.match(text, position):
        return _expanding(expansion, ""), expansion.end()
    if escape := _BARE_ESCAPE.match(text, position):
        return Part(escape[1], position, escape.end(), "\\"), escape.end()
    if bare := _BARE.match(text, position):
        return Part(bare[0], position, bare.end()), bare.end()
    raise _OtherThan


def _quoted(text: str, position: int) -> tuple[list[Part], int]:
    parts: list[Part] = []
    start = position
    while not text.startswith('"', position):
        if plain := _QUOTED.match(text, position):
            parts.append(Part(plain[0], position, plain.end(), '"'))
            position = plain.end()
        elif expansion := _EXPANSION.match(text, position):
            parts.append(_expanding(expansion, '"'))
            position = expansion.end()
        elif escape := _QUOTED_ESCAPE.match(text, position):
            parts.append(Part(escape[1], position, escape.end(), '"'))
            position = escape.end()
        else:
            raise _OtherThan
    return parts or [Part("", start, position, '"')], position + 1


def _expanding(match: re.Match[str], quote: str) -> Part:
    name = match["name"] or match["braced"]
    operation = match["operation"] or ""
    return Part(name, match.start(), match.end(), quote, expands=True, operation=operation)
