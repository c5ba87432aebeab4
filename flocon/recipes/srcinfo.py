"""What a .SRCINFO says: the values of a PKGBUILD, written out by makepkg. No I/O.

After SRCINFO(5): lines of ``key = value``, first those of the base, then a section for each
package. What makepkg would not have written is read where it is plain what it means, and told as
an oddity: a person is to look at such a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flocon.errors import RecipeError
from flocon.files import is_architecture, is_package_name
from flocon.recipes.recipe import SRCINFO

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Bytes and lines of one, and packages of one base: a kernel's has 30 KB, texlive's 60 packages.
LARGEST = 1 << 20
MOST_LINES = 20_000
MOST_PACKAGES = 500
#: Oddities that are told.
MOST_ODDITIES = 50

SUMS = tuple(
    f"{name}sums"
    for name in "ck md5 sha1 sha224 sha256 sha384 sha512 b2".split()  # noqa: SIM905
)
#: Keys with one value, and those with any number of them.
_ONE = frozenset({"pkgver", "pkgrel", "epoch", "pkgdesc", "url", "install", "changelog"})
_ANY_NUMBER = frozenset(
    {
        "arch", "groups", "license", "depends", "makedepends", "checkdepends", "optdepends",
        "provides", "conflicts", "replaces", "options", "backup", "source", "noextract",
        "validpgpkeys", "xdata", *SUMS,
    }
)  # fmt: skip
#: Keys of the base alone, whatever a package's section says.
OF_BASE = frozenset(
    {
        "pkgver", "pkgrel", "epoch", "makedepends", "checkdepends", "source", "noextract",
        "validpgpkeys", *SUMS,
    }
)  # fmt: skip
#: Keys that an architecture's name may follow.
WITH_ARCHITECTURE = frozenset(
    {
        "source", "depends", "makedepends", "checkdepends", "optdepends", "provides", "conflicts",
        "replaces", "options", *SUMS,
    }
)  # fmt: skip
_LINE = re.compile(r"(?P<key>[^=\s]+)(?P<before>\s*)=(?P<after>\s*)(?P<value>.*)", re.DOTALL)
#: As makepkg takes them (``lint_pkgbuild``); a pkgver may be any text without these signs.
_VERSION = re.compile(r"[^\s:/-]{1,255}")
_RELEASE = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?")
_EPOCH = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Srcinfo:
    """A .SRCINFO taken apart.

    ``sections`` has the keys of each package as they were written, those of the base under "".
    ``oddities`` are lines (0 for none) with a sentence each.
    """

    base: str
    names: tuple[str, ...]
    sections: Mapping[str, Mapping[str, tuple[str, ...]]]
    oddities: tuple[tuple[int, str], ...] = ()

    @property
    def pkgver(self) -> str:
        return self.sections[""]["pkgver"][0]

    @property
    def pkgrel(self) -> str:
        return self.sections[""]["pkgrel"][0]

    @property
    def epoch(self) -> int:
        """The epoch, 0 for none."""
        return int(next(iter(self.sections[""].get("epoch", ())), "") or 0)

    @property
    def version(self) -> str:
        """``[epoch:]pkgver-pkgrel``, as pacman writes it."""
        return f"{f'{self.epoch}:' if self.epoch else ''}{self.pkgver}-{self.pkgrel}"

    def keys(self, package: str = "") -> tuple[str, ...]:
        """Return the keys that a section has, with their architectures, in its order."""
        return tuple(self.sections[package])

    def values(self, key: str, architecture: str = "", package: str = "") -> tuple[str, ...]:
        """Return what counts for a machine of this architecture, and for a package of the base.

        Of no ``architecture`` that is what counts for all, of no ``package`` what the base says.
        """
        found = self._section_of(key, package).get(key, ())
        if architecture:
            special = f"{key}_{architecture}"
            found += self._section_of(special, package).get(special, ())
        return tuple(one for one in found if one)

    def _section_of(self, key: str, package: str) -> Mapping[str, tuple[str, ...]]:
        """Return the section that counts: a package's own, be it empty, or the base's."""
        own = self.sections[package] if package else {}
        known = _parse_key(key)
        is_own = key in own and known is not None and known[0] not in OF_BASE
        return own if is_own else self.sections[""]


def parse_srcinfo(data: bytes) -> Srcinfo:
    """Read a .SRCINFO; raise RecipeError where it is not plain what it says."""
    if len(data) > LARGEST:
        raise RecipeError(SRCINFO, 0, f"has {len(data)} bytes, and {LARGEST} are possible")
    reading = _Reading()
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
        reading.note(0, "it is no text in UTF-8")
    lines = text.split("\n")
    if len(lines) > MOST_LINES:
        raise RecipeError(SRCINFO, 0, f"has more than {MOST_LINES} lines")
    for number, line in enumerate(lines, 1):
        reading.take(number, line)
    return reading.finish()


class _Reading:
    """A .SRCINFO while it is read."""

    def __init__(self) -> None:
        self._base = ""
        self._sections: dict[str, dict[str, list[str]]] = {}
        self._now: dict[str, list[str]] | None = None
        #: The package whose section it is, "" for the base's.
        self._package = ""
        self._oddities: list[tuple[int, str]] = []

    def note(self, number: int, sentence: str) -> None:
        if len(self._oddities) < MOST_ODDITIES:
            self._oddities.append((number, sentence))

    def take(self, number: int, line: str) -> None:
        """Read one line."""
        stripped = line.strip(" \t\r")
        if not stripped or stripped.startswith("#"):
            return
        match = _LINE.fullmatch(stripped)
        if match is None:
            self.note(number, "this is no line of KEY = VALUE")
            return
        key, value = match["key"], match["value"]
        if match["before"] != " " or (value and match["after"] != " "):
            self.note(number, "'=' stands otherwise than makepkg writes it")
        if value and line != line.rstrip():
            self.note(number, "there are blanks at its end")
        if not value.isprintable():
            self.note(number, f"the value of {_shown(key)} has signs that cannot be seen")
        if key in {"pkgbase", "pkgname"}:
            self._begin(number, key, value)
        else:
            self._set(number, key, value)

    def _begin(self, number: int, key: str, name: str) -> None:
        if not is_package_name(name):
            raise RecipeError(SRCINFO, number, f"{_shown(name)} is no name of a package")
        if key == "pkgbase":
            if self._base:
                raise RecipeError(SRCINFO, number, "a second pkgbase")
            self._base, self._package = name, ""
        else:
            if not self._base:
                raise RecipeError(SRCINFO, number, "a pkgname before pkgbase")
            if name in self._sections:
                raise RecipeError(SRCINFO, number, f"a second section for {name}")
            if len(self._sections) > MOST_PACKAGES:
                raise RecipeError(SRCINFO, number, f"more than {MOST_PACKAGES} packages")
            self._package = name
        self._now = self._sections.setdefault(self._package, {})

    def _set(self, number: int, key: str, value: str) -> None:
        if self._now is None:
            raise RecipeError(SRCINFO, number, f"{_shown(key)} before pkgbase")
        known = _parse_key(key)
        if known is None:
            self.note(number, f"{_shown(key)} is no key that makepkg writes")
        elif self._package and known[0] in OF_BASE:
            self.note(number, f"{key} is the base's, and stands in a package's section")
        values = self._now.setdefault(key, [])
        if values and known is not None and known[0] in _ONE:
            if known[0] in OF_BASE:
                raise RecipeError(SRCINFO, number, f"a second {key}")
            self.note(number, f"a second {key}")
        values.append(value)

    def finish(self) -> Srcinfo:
        """Return what was read."""
        if not self._base:
            raise RecipeError(SRCINFO, 0, "has no pkgbase")
        base = self._sections[""]
        for key, grammar in (("pkgver", _VERSION), ("pkgrel", _RELEASE)):
            value = next(iter(base.get(key, ())), "")
            if not grammar.fullmatch(value) or not value.isprintable():
                raise RecipeError(SRCINFO, 0, f"{key} is {_shown(value)}, which is none")
        epoch = next(iter(base.get("epoch", ())), "")
        if epoch and not _EPOCH.fullmatch(epoch):
            raise RecipeError(SRCINFO, 0, f"epoch is {_shown(epoch)}, which is none")
        names = tuple(name for name in self._sections if name)
        if not names:
            raise RecipeError(SRCINFO, 0, "has no pkgname")
        if not any(base.get("arch", ())):
            self.note(0, "it names no architecture")
        sections = {
            name: {key: tuple(values) for key, values in section.items()}
            for name, section in self._sections.items()
        }
        return Srcinfo(self._base, names, sections, tuple(self._oddities))


def _parse_key(key: str) -> tuple[str, str] | None:
    """Return a key and the architecture that follows it, "" for none; None where it is no key."""
    if key in _ONE or key in _ANY_NUMBER:
        return key, ""
    plain, _, architecture = key.partition("_")
    is_special = plain in WITH_ARCHITECTURE and is_architecture(architecture)
    return (plain, architecture) if is_special and architecture != "any" else None


def _shown(text: str) -> str:
    """Return a stranger's word as it can stand in a sentence."""
    return ascii(text[:80])
