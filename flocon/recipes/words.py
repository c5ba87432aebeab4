"""Words and signs in a recipe's text that are worth a look. No I/O.

They help a reader and decide nothing: a text that has none of them may do the same.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from flocon.books.units import UNSEEN
from flocon.recipes.differences import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: Packages that bring programs from the registries of a language while something is built.
FETCHERS = frozenset(
    {
        "npm", "nodejs-npm", "yarn", "pnpm", "bun", "bun-bin", "deno", "python-pip",
        "python-pipx", "uv", "curl", "wget", "aria2",
    }
)  # fmt: skip
#: What a line may have, and what to say of it; the first that fits is said.
_WORDS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), what)
    for pattern, what in (
        (r"/dev/(?:tcp|udp)/", "talks to the network"),
        (
            r"\b(?:ba|z|da)?sh\s+-c\b|\|\s*(?:sudo\s+)?(?:ba|z|da)?sh\b",
            "runs what it made as a program",
        ),
        (r"\beval\b|\bsource\s+<\(|\bexec\s", "runs what it made as a program"),
        (r"\$'[^']*\\[0-7x]", "hides signs behind numbers"),
        (
            r"\bbase(?:32|64)\b|\bxxd\b|\bopenssl\s+enc\b|\\x[0-9a-f]{2}\\x",
            "takes hidden text apart",
        ),
        (r"\b(?:curl|wget|aria2c|fetch)\b", "fetches something"),
        (r"\b(?:npm|npx|yarn|pnpm|bun|bunx|deno)\s+\w", "fetches programs"),
        (r"\bpipx?3?\s+install\b|\bgem\s+install\b|\buv\s+(?:pip|tool)\b", "fetches programs"),
        (r"\b(?:cargo|go)\s+install\b", "fetches programs"),
        (r"\bgit\s+(?:clone|fetch|pull|submodule)\b", "fetches a history"),
        (r"\b(?:nc|ncat|socat|ssh|scp|telnet)\s", "talks to the network"),
        (r"\bsystemctl\b", "starts or stops services"),
        (r"\b(?:crontab|at\s+now)\b|/etc/cron", "has something run later"),
        (r"\bsudo\b|\bpkexec\b|\bdoas\b", "asks for root's rights"),
        (
            r"\bchmod\s+(?:[^\sug]*+[ug]\S*s|\S*[2467][0-7]{3})\b|\bsetcap\b",
            "gives rights to a program",
        ),
        (r"\s(?:-[A-Za-z]*m|--mode)[\s=]*0?[2467][0-7]{3}\b", "gives rights to a program"),
        (r"/etc/(?:passwd|shadow|sudoers|ld\.so\.preload|profile)", "touches who may do what"),
        (
            r"\.ssh\b|\.gnupg\b|authorized_keys|\.mozilla|\.config/(?:google-)?chrom",
            "reads secrets",
        ),
        (r"~/|\$\{?HOME\b", "touches a home"),
        (r"\bpython[0-9.]*\s+-c\b|\bperl\s+-e\b|\bnode\s+-e\b", "runs a text as a program"),
        (r"\bnohup\b|\bsetsid\b|\bdisown\b", "leaves something running"),
    )
)
_SCRIPT_NAMES = re.compile(
    r".*\.(?:install|sh|bash|zsh|py|pl|rb|js|hook|service|timer|socket|path|desktop|rules|conf|sysusers"
    r"|tmpfiles|sysctl|mk)|Makefile|[^.]+"
)
#: What is looked at: lines of one file and signs of one line; and what is said of one file.
_MOST_LINES, _LONGEST_LOOKED_AT, _MOST_FOUND = 5_000, 4_000, 40
#: Signs that are looked at in all files of a recipe; a line takes time for some more than it has.
MOST_LOOKED_AT, _OF_A_LINE = 512 << 10, 16
_LONGEST_LINE, _GAP = 300, re.compile(r"\S[ \t]{60,}\S")
_LONGEST_SHOWN = 160
_TEXT_OUTSIDE_COMMENTS = re.compile(r"[^#\s][^#]*")


def runs(name: str, data: bytes, *, is_program: bool) -> bool:
    """Whether a file of a recipe could be run, on this machine or those that install it."""
    if b"\0" in data:
        return False
    return is_program or data.startswith(b"#!") or bool(_SCRIPT_NAMES.fullmatch(name))


@dataclass(frozen=True, slots=True)
class Look:
    """What is looked at of a file: its first lines, and whether these are all; what that costs."""

    lines: tuple[str, ...]
    cost: int
    is_whole: bool


def look(data: bytes, room: int) -> Look:
    """Return what is looked at of a file where there is ``room`` for so many signs."""
    if b"\0" in data:
        return Look((), 0, is_whole=True)
    all_lines = data.decode("utf-8", "replace").removesuffix("\n").split("\n", _MOST_LINES)
    looked_at: list[str] = []
    cost = 0
    for line in all_lines[:_MOST_LINES]:
        cost += min(len(line), _LONGEST_LOOKED_AT) + _OF_A_LINE
        if cost > room:
            break
        looked_at.append(line)
    return Look(tuple(looked_at), cost, len(looked_at) == len(all_lines))


def found(lines: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """Yield number, text and what is to be said of lines that have a word worth a look."""
    return _noted(lines, _word)


def oddities(lines: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """Yield lines that show a person something else than what they are."""
    return _noted(lines, _oddity)


def _noted(lines: Sequence[str], judge: Callable[[str], str]) -> Iterator[tuple[int, str, str]]:
    said = ((number, line, judge(line)) for number, line in enumerate(lines, 1))
    noted = ((number, _shown(line), what) for number, line, what in said if what)
    return islice(noted, _MOST_FOUND)


def _word(line: str) -> str:
    if line.lstrip().startswith("#"):
        return ""
    looked_at = line[:_LONGEST_LOOKED_AT]
    return next((what for pattern, what in _WORDS if pattern.search(looked_at)), "")


def _oddity(line: str) -> str:
    if UNSEEN.search(line) or any(
        unicodedata.category(one) in {"Cc", "Cf", "Co", "Zl", "Zp"} for one in set(line) - {"\t"}
    ):
        return "has signs that do not show"
    if _GAP.search(line[:_LONGEST_LOOKED_AT]):
        return "goes on after many blanks"
    if len(line) > _LONGEST_LINE:
        return f"is {len(line):,} signs long"
    code = _TEXT_OUTSIDE_COMMENTS.match(line)
    signs = set(code[0]) if code and not code[0].isascii() else ()
    if any(one.isalpha() and not one.isascii() and _is_like_latin(one) for one in signs):
        return "has letters that look like others"
    return ""


def _is_like_latin(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(("CYRILLIC", "GREEK", "FULLWIDTH", "ARMENIAN"))


def _shown(line: str) -> str:
    said = visible(line.strip()[: _LONGEST_SHOWN + 1])
    return said if len(said) <= _LONGEST_SHOWN else f"{said[:_LONGEST_SHOWN]}..."
