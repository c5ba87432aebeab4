"""A .SRCINFO as its lines have it, and whether two differ in what a new version changes alone.

No I/O. The resolver and the AUR believe this file, and bash does not read it: so it must say what
the PKGBUILD says, as far as that can be told without running it (``expansions``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flocon.errors import RecipeError
from flocon.pacman.relations import parse_relation
from flocon.recipes.edits import SOURCES, SUMS
from flocon.recipes.sources import parse_source
from flocon.recipes.srcinfo import parse_srcinfo

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from flocon.recipes.edits import Text
    from flocon.recipes.expansions import Values
    from flocon.recipes.sources import Source

#: Values that are named in a sentence, and signs of one.
_MOST_NAMED, _LONGEST_NAMED = 5, 300
#: Whose folders of the first two levels are somebody's: another one is another's.
FORGES = frozenset(
    {
        "github.com", "gitlab.com", "codeberg.org", "bitbucket.org", "git.sr.ht", "gitea.com",
        "gitlab.freedesktop.org", "gitlab.gnome.org", "invent.kde.org",
        "raw.githubusercontent.com", "codeload.github.com",
    }
)  # fmt: skip
_SELF = re.compile(r"(?:provides|conflicts|replaces)(?:_[a-z0-9_]+)?")
_NEEDS = re.compile(r"(?:depends|makedepends|checkdepends|optdepends)(?:_[a-z0-9_]+)?")
#: What has a line of its own in .SRCINFO, and one that is written otherwise there.
_KEYS = re.compile(
    r"pkgname|pkgbase|epoch|url|install|changelog|arch|groups|license|noextract|validpgpkeys|backup"
    r"|xdata|(?:depends|makedepends|checkdepends|optdepends|provides|conflicts|replaces|options)"
    r"(?:_[a-z0-9_]+)?"
)
#: Something after the beginning that looks as if it set sources or their sums.
_SET_LATER = re.compile(r"(?<![A-Za-z0-9_$-])(?:source|[a-z0-9]+sums)(?:_[a-z0-9_]+)?\+?=")


@dataclass(frozen=True, slots=True)
class Described:
    """Values by section and key: section "" is the base's, others a package's name."""

    values: Mapping[tuple[str, str], tuple[str, ...]]
    names: tuple[str, ...]
    #: What is written as makepkg would not: another reader could take it for something else.
    oddities: tuple[str, ...] = ()

    def one(self, key: str) -> str:
        """Return the base's value of a key that has one; "" for none."""
        found = self.values.get(("", key), ())
        return found[0] if len(found) == 1 else ""

    @property
    def version(self) -> str:
        epoch = self.one("epoch")
        said = f"{self.one('pkgver')}-{self.one('pkgrel')}"
        return f"{epoch}:{said}" if epoch and epoch != "0" else said

    def versions(self) -> tuple[str, ...]:
        """Return the ways in which other fields say this version."""
        epoch, version = self.one("epoch") or "0", self.one("pkgver")
        release = f"{version}-{self.one('pkgrel')}"
        return version, release, f"{epoch}:{version}", f"{epoch}:{release}"

    def sources(self) -> list[Source]:
        """Return the sources of all architectures, each taken apart."""
        return [
            parse_source(value)
            for (section, key), values in self.values.items()
            if not section and SOURCES.fullmatch(key)
            for value in values
        ]

    def sources_of(self, key: str) -> list[Source]:
        """Return the sources of ``source`` or ``source_ARCH``, in their order."""
        return [parse_source(value) for value in self.values.get(("", key), ())]


def read_described(data: bytes | None) -> Described | str:
    """Return what a .SRCINFO says; or a sentence that says why it cannot be read."""
    if data is None:
        return "there is no .SRCINFO"
    try:
        found = parse_srcinfo(data)
    except RecipeError as error:
        return str(error)
    values = {
        (section, key): said
        for section, keys in found.sections.items()
        for key, said in keys.items()
    }
    values["", "pkgbase"] = (found.base,)
    oddities = tuple(f".SRCINFO, line {line}: {what}" for line, what in found.oddities)
    return Described(values, found.names, oddities)


def other_than_before(old: Described, new: Described) -> Iterator[str]:
    """Yield what a .SRCINFO says otherwise than the one before, beside what a version changes."""
    yield from new.oddities
    if old.names != new.names:
        yield f"packages were {_few(old.names)}, and are {_few(new.names)}"
        return
    for section, key in sorted(old.values.keys() | new.values.keys()):
        before, after = (one.values.get((section, key), ()) for one in (old, new))
        if before == after or (not section and key in {"pkgver", "pkgrel"}):
            continue
        said = f"{key} of {section}" if section else key
        if len(before) != len(after):
            yield f"{said} has {_difference(before, after)}"
            continue
        for was, now in zip(before, after, strict=True):
            if was != now and not _is_expected(key, was, now, old, new):
                yield f"{said} was {_short(was) or 'empty'}, and is {_short(now) or 'empty'}"


def _difference(before: Sequence[str], after: Sequence[str]) -> str:
    old, new = set(before), set(after)
    added = [one for one in after if one not in old]
    gone = [one for one in before if one not in new]
    parts = [f"{_few(added)} more"] if added else []
    parts += [f"{_few(gone)} less"] if gone else []
    return " and ".join(parts) or "another number of the same"


def _few(values: Sequence[str]) -> str:
    said = ", ".join(map(_short, values[:_MOST_NAMED]))
    return f"{said} and others" if len(values) > _MOST_NAMED else said


def _short(value: str) -> str:
    return value if len(value) <= _LONGEST_NAMED else f"{value[:_LONGEST_NAMED]}..."


def _is_expected(key: str, was: str, now: str, old: Described, new: Described) -> bool:
    if SUMS.fullmatch(key):
        return len(was) == len(now) and "SKIP" not in (was, now)
    if SOURCES.fullmatch(key):
        return is_same_template(parse_source(was), parse_source(now))
    if _SELF.fullmatch(key) or _NEEDS.fullmatch(key):
        return _is_own_version(was, now, old, new, own_only=not _SELF.fullmatch(key))
    return key == "noextract" and _shape(was) == _shape(now)


def _is_own_version(was: str, now: str, old: Described, new: Described, *, own_only: bool) -> bool:
    before, after = parse_relation(was), parse_relation(now)
    if before is None or after is None:
        return False
    if (before.name, before.test) != (after.name, after.test):
        return False
    if own_only and before.name not in old.names:
        return False
    return (before.version, after.version) in set(zip(old.versions(), new.versions(), strict=True))


def is_same_template(before: Source, after: Source) -> bool:
    """Whether two sources come from one place, in the same way, under names of the same shape."""
    if (before.kind, before.fragment, before.signed) != (after.kind, after.fragment, after.signed):
        return False
    if before.is_local or before.is_vcs:
        return before.url == after.url and _shape(before.name) == _shape(after.name)
    try:
        one, other = urlsplit(before.url), urlsplit(after.url)
    except ValueError:
        return False
    path, other_path = one.path.split("/"), other.path.split("/")
    whole = 3 if before.host in FORGES else 1
    return (
        (one.scheme, one.netloc) == (other.scheme, other.netloc)
        and len(path) == len(other_path)
        and path[:whole] == other_path[:whole]
        and _shape(before.name) == _shape(after.name)
    )


def _shape(name: str) -> str:
    """Return the letters that a file's name begins and ends with, its version taken out."""
    return re.sub(r"[0-9](?:.*[0-9])?[a-z]{0,2}", "0", name)


def other_than_written(
    new: Described, text: Text, values: Values, changed: Collection[str]
) -> Iterator[str]:
    """Yield what a .SRCINFO says otherwise than the PKGBUILD beside it.

    Looked at are versions, sources and sums, and what is made of variables that ``changed``.
    """
    if _SET_LATER.search(text.text, text.beginning.end):
        yield "PKGBUILD sets sources or sums after its beginning, where they cannot be read"
    dependent = _made_of(text, changed)
    sources_and_sums = {
        key
        for key in (*values, *(key for section, key in new.values if not section))
        if SOURCES.fullmatch(key) or is_sums(key)
    }
    made = {key for key in dependent if _KEYS.fullmatch(key)}
    for key in sorted({"pkgver", "pkgrel"} | sources_and_sums | made):
        said = new.names if key == "pkgname" else new.values.get(("", key), ())
        written = values.get(key, ())
        if written is None:
            yield f"what PKGBUILD says of {key} cannot be told without running it"
        elif tuple(filter(None, written)) != said:
            yield f"{key} in .SRCINFO is not what PKGBUILD says"


def is_sums(key: str) -> bool:
    """Whether a key has sums of sources, be they such as a rule may let change or not."""
    return SUMS.fullmatch(key) is not None or key.startswith("cksums")


def _made_of(text: Text, changed: Collection[str]) -> set[str]:
    """Return the variables whose values are made of others that changed."""
    found = set(changed)
    for one in text.beginning.assignments:
        if not found.isdisjoint(one.variables()):
            found.add(one.name)
    return found - set(changed)
