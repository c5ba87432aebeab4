"""Edits of a PKGBUILD by who wants to be approved by rule, and texts that confuse a reader."""

from __future__ import annotations

import re
from random import Random

#: What could end a quote, a word, a line or a text within the text, or begin another.
SNIPPETS = (
    "$(touch x)", "`touch x`", "${x:=y}", "$x", "$((1+1))", "<(touch x)", ";touch x;", "|sh",
    "&", "&&", "||", "\n", "\\\n", "\\", "'", '"', "$'\\n'", '$"x"', "\t", " ", "  ", "\r\n",
    "\r", "\0", "\x01", "\x7f", "\u00a0", "\u2028", "\u202e", "\u200b", "\ufeff", "\u0456", "#",
    " #", "# ", "\n#", "(", ")", "()", "{", "}", "{,}", "{a,b}", "{1..3}", "[", "]", "[0]=", "*",
    "?", "!", "!!", "~", "^", "=", "+=", "==", "<<EOF\n", "<<-EOF\n", "<<<x", "\nEOF\n",
    "<<'1.0'\n", ":", "::", ",", "@", "%", "/", "../", "-", "--", "+", ".", "..", "_", "SKIP",
    "skip", "0", "9", "a", "f", "1.0", "1.0.0", "127.0.0.1", "x=1 ", "eval x", "pkgver=6",
    "pkgver+=6", "pkgver=(6)", "pkgver[0]=6", "declare -x ", "local ", "readonly ", "export ",
    "unset pkgver\n", "source=(x)", "depends+=(npm)", "f() { :; }\n", "pkgver() { echo 6; }\n",
    "trap x EXIT\n", "alias make=x\n", "set -e\n", "exit 7\n", "return\n", "if :; then\n",
    "fi\n", "case x in x) ", ";; esac\n", "coproc x\n", "time ", "! ", "[[ x ]]", "((1))",
    "{ touch x; }\n", "IFS=/\n", "PATH=/x\n", "BASH_ENV=x\n", "PS4='$(x)'\n", "_=x\n", "-Dm4755",
    "git+https://e.example/x", "#commit=", "#tag=", "?signed", "https://e.example/", "npm",
    "bun", ".install", "deadbeef", "0" * 40, "f" * 64, "A" * 64, "g" * 64,
)  # fmt: skip
VALUES = (
    "1.2.4", "1.3.0", "2", "42", "1.3rc1", "1.3_beta2", "v1.3", "2024.01.02",
    "1.3.0.r12.gabcdef1", "0.0", "1.3~1", "1.3+2", "1.3-2", "1..3", "1.3.", "-1", ".1", "1.3/..",
    "1:1.3", "$x", "", "SKIP", "master", "1.3 4", "'1.3'", '"1.3"', "1.3;x", "1.3.evil.example",
    "e.example", "1{,}3", "1*", "~1", "1~", "\\1", "1#2", "1=2", "abcdef1", "a" * 40, "b" * 64,
    "4" * 200,
)  # fmt: skip
_WORD = re.compile(r"[0-9A-Za-z.+_~-]+")


def edited(text: str, random: Random) -> str:
    """Return a text with one to four edits of random kinds."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 4))):
        text = random.choice(_EDITS)(text, random)
    return text


def _place(text: str, random: Random) -> int:
    return random.randrange(len(text) + 1)


def _insert(text: str, random: Random) -> str:
    at = _place(text, random)
    return text[:at] + random.choice(SNIPPETS) + text[at:]


def _overwrite(text: str, random: Random) -> str:
    at = _place(text, random)
    said = random.choice(SNIPPETS)
    return text[:at] + said + text[at + len(said) :]


def _delete(text: str, random: Random) -> str:
    at = _place(text, random)
    return text[:at] + text[at + random.randrange(1, 12) :]


def _change_word(text: str, random: Random) -> str:
    """Put another value in the place of a word: where values stand, most often."""
    words = [one for one in _WORD.finditer(text) if any(sign.isdigit() for sign in one[0])]
    if not words:
        return text
    word = random.choice(words)
    return text[: word.start()] + random.choice(VALUES + SNIPPETS) + text[word.end() :]


def _change_digits(text: str, random: Random) -> str:
    """Change a digit for another: what every new version does."""
    digits = [at for at, sign in enumerate(text) if sign.isdigit()]
    if not digits:
        return text
    at = random.choice(digits)
    return text[:at] + random.choice("0123456789abcdefg") + text[at + 1 :]


def _after_value(text: str, random: Random) -> str:
    ends = [one.end() for one in _WORD.finditer(text)]
    if not ends:
        return text
    at = random.choice(ends)
    return text[:at] + random.choice(SNIPPETS) + text[at:]


def _lines(text: str, random: Random) -> str:
    lines = text.split("\n")
    one, other = random.randrange(len(lines)), random.randrange(len(lines))
    what = random.randrange(4)
    if what == 0:
        lines[one], lines[other] = lines[other], lines[one]
    elif what == 1:
        lines.insert(one, lines[other])
    elif what == 2:
        del lines[one]
    else:
        lines[one] = "#" + lines[one]
    return "\n".join(lines)


def _join(text: str, random: Random) -> str:
    ends = [at for at, sign in enumerate(text) if sign == "\n"]
    if not ends:
        return text
    at = random.choice(ends)
    return (
        text[:at] + random.choice(("", " ", "\\\n", ";", "\r\n", "\n\n", "\t\n")) + text[at + 1 :]
    )


_EDITS = (
    _insert, _overwrite, _delete, _change_word, _change_word, _change_digits, _change_digits,
    _after_value, _lines, _join,
)  # fmt: skip
_BEGIN = (
    "pkgver=",
    "_v=",
    "_v+=",
    "a=(",
    "a+=(",
    "source=(",
    "\nb=",
    "$_v",
    "${_v}",
    "${_v%.*}",
    "${_v//./_}",
)
_SOUP = (
    *SNIPPETS, *_BEGIN, *_BEGIN, "x", "1.0", "\n", "\n", "\n", " ", "'", "'", '"', '"', ")", "(",
    "$", "${", "}", "a", "b", "=", "\\\n", "# c\n", "x=y\n", "y='a b'\n", 'z="$_v"\n',
    "w=(a 'b' \"c\")\n",
)  # fmt: skip


def soup(random: Random) -> str:
    """Return pieces of shell in no order: what a grammar of a few lines must not misunderstand."""
    start = "_v=1.2.3\n" if random.random() < 0.7 else ""
    return start + "".join(random.choice(_SOUP) for _ in range(random.randrange(1, 24)))
