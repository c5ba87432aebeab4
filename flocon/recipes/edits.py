"""What of a PKGBUILD's text has changed: values where values may, or the text that was read.

No I/O. The text is parted into *slots*, the values that a plain new version changes, and all that
stands between them. Two texts with the same slots and the same between them differ in values alone;
each of those is plain, so that it cannot leave the quotes it stands in.

A slot is, among the assignments at the beginning of a PKGBUILD (``shell``): the value of pkgver,
pkgrel or a variable of this package that is called after a version; a checksum; a commit in
a source's fragment. Everywhere else the old version may become the new one, where it has points
and stands for itself.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from flocon.recipes.shell import read_beginning

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from flocon.recipes.shell import Assignment, Beginning, Part

VALUE, SUM, COMMIT = "value", "sum", "commit"
#: Bytes of a PKGBUILD that is compared: the longest have some 60 KB.
LARGEST = 96 << 10
#: Signs of a value; a longer one is no version.
LONGEST_VALUE = 128
PLAIN = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_~-]*")
SUMS = re.compile(r"(md5|sha1|sha224|sha256|sha384|sha512|b2)sums(?:_[a-z0-9_]+)?")
SOURCES = re.compile(r"source(?:_[a-z0-9_]+)?")
_SUM_DIGITS = {
    "md5": 32,
    "sha1": 40,
    "sha224": 56,
    "sha256": 64,
    "sha384": 96,
    "sha512": 128,
    "b2": 128,
}
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_FRAGMENT = re.compile(r"#commit=([0-9a-f]{40}|[0-9a-f]{64})(?=\?signed\Z|\Z)")
#: A variable of this package's own, and the words of its name: ``_pkgver``, ``_ver_major``.
_OWN_NAME = re.compile(r"_[A-Za-z0-9_]*")
_NAME_WORDS = frozenset(
    {
        "ver", "version", "pkgver", "pkgversion", "basever", "srcver", "upver", "srctag",
        "gittag", "gitver", "gitrev", "tag", "commit", "rev", "revision", "rel", "release",
        "pkgrel", "build", "buildid", "buildno", "major", "minor", "micro", "patch", "patchlevel",
        "subver", "realver", "fullver",
    }
)  # fmt: skip
#: ``_buildver``, but no driver and no server.
_NAME_ENDING = re.compile(r"(?!.*(?:driver|server|over|ever|river)\Z)[a-z]+(?:ver|version|commit)")
#: Signs that would show a person another text than bash reads, or that bash keeps for itself.
_UNREADABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
#: What looks as if it set a variable, anywhere.
_SETTING = re.compile(
    r"(?<![A-Za-z0-9_$])([A-Za-z_][A-Za-z0-9_]*)(?:\[[^\]\n]{0,64}\])?"
    r"(?:\+?=|[ \t]{0,8}(?:\+\+|--))"
)
_POINTED = re.compile(r"[0-9]+(?:\.[0-9]+)+[0-9A-Za-z.+_~]*")
_ADDRESS = re.compile(r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}")
#: What may stand before and after a version that stands for itself. No sign that would make a part
#: of an expansion or a redirection of it (``$1.0``, ``$a_1.0``, ``\1.0``).
_BEFORE = r"(?<![^\s\-/='\"@:,])"
_AFTER = r"(?![^\s\-_/'\",:;.$]|\.[^A-Za-z])"


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a value: from ``start`` to ``end``, of variable ``name``."""

    kind: str
    name: str
    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Change:
    """What stood in a slot, and what stands there now."""

    kind: str
    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Text:
    """A PKGBUILD's text, its beginning, the slots there and what stands around them."""

    text: str
    beginning: Beginning
    slots: tuple[Slot, ...]

    @property
    def lines(self) -> list[str]:
        """Its lines, each slot's value masked by what no text has."""
        said, position = [], 0
        for one in self.slots:
            said += [self.text[position : one.start], f"\0{one.kind} {one.name}\0"]
            position = one.end
        return "".join([*said, self.text[position:]]).split("\n")

    @property
    def version(self) -> str:
        """The value of pkgver as a slot, "" where it is none."""
        return next((one.value for one in self.slots if one.name == "pkgver"), "")


def read_text(data: bytes) -> Text | str:
    """Return a PKGBUILD's text; or a sentence that says why it is none that can be compared."""
    if len(data) > LARGEST:
        return f"PKGBUILD has {len(data):,} bytes, too many to be compared"
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return "PKGBUILD is not UTF-8"
    if strange := _UNREADABLE.search(text):
        line = text.count("\n", 0, strange.start()) + 1
        return f"PKGBUILD has a sign that does not show in line {line} (U+{ord(strange[0]):04X})"
    beginning = read_beginning(text)
    counts = Counter(_SETTING.findall(text))
    once = {name for name, count in counts.items() if count == 1}
    slots = tuple(sorted(_slots(beginning, once), key=lambda one: one.start))
    return Text(text, beginning, slots)


def _slots(beginning: Beginning, once: Collection[str]) -> Iterator[Slot]:
    for one in beginning.assignments:
        for word in one.words:
            part = word.only
            if SOURCES.fullmatch(one.name) and one.is_array:
                yield from _fragments(one.name, word.parts)
            elif part is not None and (kind := _kind(one, part, once)):
                yield Slot(kind, one.name, part.text, part.start, part.end)


def _kind(one: Assignment, part: Part, once: Collection[str]) -> str:
    """Return which kind of slot a word is that is one plain piece, "" for none."""
    if part.quote == "\\":
        return ""
    if one.is_array:
        found = SUMS.fullmatch(one.name)
        fits = found and len(part.text) == _SUM_DIGITS[found[1]] and _HEX.fullmatch(part.text)
        return SUM if fits else ""
    if one.adds or not is_version_name(one.name) or not PLAIN.fullmatch(part.text):
        return ""
    return VALUE if one.name in once else ""


def is_version_name(name: str) -> bool:
    """Whether a variable is called after a version: ``pkgver``, ``_commit``, ``_ver_major``."""
    if name in {"pkgver", "pkgrel"}:
        return True
    words = {word.rstrip("0123456789") for word in name.lower().split("_")}
    if not _OWN_NAME.fullmatch(name):
        return False
    return not _NAME_WORDS.isdisjoint(words) or any(map(_NAME_ENDING.fullmatch, words))


def _fragments(name: str, parts: tuple[Part, ...]) -> Iterator[Slot]:
    """Yield the commit at the very end of a source that is written out."""
    if parts and not parts[-1].expands and (found := _FRAGMENT.search(parts[-1].text)):
        last = parts[-1]
        if last.quote != "\\" and last.end - last.start == len(last.text):
            start = last.start + found.start(1)
            yield Slot(COMMIT, name, found[1], start, start + len(found[1]))


def changes(before: Text, after: Text) -> list[Change]:
    """Return the slots whose values changed; both texts must have the same slots."""
    return [
        Change(old.kind, old.name, old.value, new.value)
        for old, new in zip(before.slots, after.slots, strict=True)
        if old.value != new.value
    ]


def first_other_line(before: Text, after: Text) -> int | None:
    """Return the first line of the new text in which more than values differs; None for none."""
    versions = before.version, after.version
    pairs = zip_longest(before.lines, after.lines)
    for number, (old, new) in enumerate(pairs, 1):
        if old is None or new is None or not is_same_line(old, new, *versions):
            return number
    return None


def is_same_line(old: str, new: str, old_version: str, new_version: str) -> bool:
    """Whether two lines are the same, or the same with the new version wherever the old one was."""
    if old == new:
        return True
    # What begins or ends a text within the text (``cat << 1.0``) decides what is run at all.
    if "<<" in old or old.strip() == old_version:
        return False
    return new == with_version(old, old_version, new_version)


def with_version(line: str, old_version: str, new_version: str) -> str:
    """Return a line with the new version wherever the old one stands for itself."""
    if not can_stand_anywhere(old_version) or not can_stand_anywhere(new_version):
        return line
    pattern = f"{_BEFORE}(v?){re.escape(old_version)}{_AFTER}"
    return re.sub(pattern, lambda found: found[1] + new_version, line)


def can_stand_anywhere(version: str) -> bool:
    """Whether a version has points, and is no address of a network: no other number is like it."""
    return (
        len(version) <= LONGEST_VALUE
        and bool(_POINTED.fullmatch(version))
        and not _ADDRESS.match(version)
    )
