"""The same .SRCINFO, read by us and by Arch's own library (python-alpm)."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.recipes.srcinfo import Srcinfo, parse_srcinfo
from tests.needs import leave_out

MACHINE = "x86_64"
#: Our keys, and what the library calls them.
LISTS = {
    "depends": "dependencies",
    "makedepends": "make_dependencies",
    "checkdepends": "check_dependencies",
    "optdepends": "optional_dependencies",
    "provides": "provides",
    "conflicts": "conflicts",
    "replaces": "replaces",
    "groups": "groups",
    "license": "licenses",
    "options": "options",
    "backup": "backups",
}
ONE = {"pkgdesc": "description", "url": "url", "install": "install", "changelog": "changelog"}

_NAMES = st.from_regex(r"[a-z][a-z0-9@_+-]{0,8}[a-z0-9]", fullmatch=True)
_VERSIONS = st.from_regex(r"[0-9]{1,3}(\.[0-9a-z]{1,4}){0,2}", fullmatch=True)
_RELATIONS = st.builds(
    "{}{}".format,
    _NAMES,
    st.just("") | st.builds("{}{}".format, st.sampled_from([">=", "<=", "=", "<", ">"]), _VERSIONS),
)
_PROVISIONS = st.builds("{}{}".format, _NAMES, st.just("") | _VERSIONS.map("={}".format))
#: The library takes several blanks for one.
_TEXT = st.from_regex(r"[A-Za-zÄöß0-9](?: ?[A-Za-z0-9Äöß=#,.']){0,20}", fullmatch=True)
_SOURCES = st.builds(
    "{}{}".format,
    st.sampled_from(["", "name::"]),
    st.sampled_from(
        [
            "https://example.org/a.tar.gz?x=1",
            "git+https://example.org/b.git",
            "git+https://example.org/b.git#branch=next",
            "git+https://example.org/b.git?signed#tag=v1",
            "a.patch",
        ]
    ),
)
_VALUES = {
    "depends": _RELATIONS,
    "makedepends": _RELATIONS,
    "checkdepends": _RELATIONS,
    "optdepends": st.builds("{}: {}".format, _NAMES, _TEXT),
    "provides": _PROVISIONS,
    "conflicts": _RELATIONS,
    "replaces": _RELATIONS,
    "groups": _NAMES,
    "license": st.sampled_from(["MIT", "GPL-3.0-or-later", "BSD-2-Clause"]),
    "options": st.sampled_from(["!strip", "debug", "!lto", "emptydirs"]),
    "backup": st.sampled_from(["etc/a.conf", "etc/b/c"]),
    "source": _SOURCES,
}
_OF_PACKAGES = sorted(LISTS.keys() - {"makedepends", "checkdepends"})
_WITH_ARCHITECTURE = sorted(LISTS.keys() - {"groups", "license", "options", "backup"})


@st.composite
def _section(draw: st.DrawFn, keys: list[str], *, clears: bool) -> list[str]:
    """Draw the lines of a section beside those that it needs."""
    lines = []
    for key in draw(st.lists(st.sampled_from(keys), unique=True, max_size=5)):
        kinds = [key]
        if key in _WITH_ARCHITECTURE:
            kinds += [f"{key}_{MACHINE}", f"{key}_aarch64"]
        for kind in draw(st.lists(st.sampled_from(kinds), unique=True, min_size=1)):
            values = draw(st.lists(_VALUES[key], min_size=0 if clears else 1, max_size=3))
            lines += [f"\t{kind} = {value}" for value in values] or [f"\t{kind} = "]
    return lines


@st.composite
def _srcinfo(draw: st.DrawFn) -> str:
    base, *others = draw(st.lists(_NAMES, unique=True, min_size=1, max_size=3))
    lines = [f"pkgbase = {base}", f"\tpkgdesc = {draw(_TEXT)}"]
    lines += [f"\tpkgver = {draw(_VERSIONS)}", f"\tpkgrel = {draw(st.integers(1, 99))}"]
    if draw(st.booleans()):
        lines.append(f"\tepoch = {draw(st.integers(1, 9))}")
    lines += ["\turl = https://example.org/", f"\tarch = {MACHINE}", "\tarch = aarch64"]
    sources = draw(st.lists(_SOURCES, max_size=3))
    lines += [f"\tsource = {one}" for one in sources]
    lines += ["\tsha256sums = SKIP" for _ in sources]
    lines += draw(_section(sorted(LISTS), clears=False))
    for name in [base, *others]:
        lines += ["", f"pkgname = {name}"]
        if draw(st.booleans()):
            lines.append(f"\tpkgdesc = {draw(_TEXT)}")
        lines += draw(_section(_OF_PACKAGES, clears=True))
    return "\n".join(lines) + "\n"


def _texts(values: Iterable[Any]) -> list[str]:
    return [str(value) for value in values]


class Oracle(SynchronousTestCase):
    def setUp(self) -> None:
        try:
            self.library: Any = importlib.import_module("alpm.alpm_srcinfo")
            self.types: Any = importlib.import_module("alpm.alpm_types")
        except ImportError:
            leave_out("python-alpm is not installed")

    @given(_srcinfo())
    def test_both_say_the_same_of_each_package(self, text: str) -> None:
        ours = parse_srcinfo(text.encode())
        self.assertEqual(ours.oddities, ())
        theirs = self.library.SourceInfoV1(text)
        packages = theirs.packages_for_architecture(self.types.Architecture(MACHINE))
        self.assertEqual([one.name for one in packages], list(ours.names))
        for package in packages:
            self.assert_same(ours, package)

    def assert_same(self, ours: Srcinfo, package: Any) -> None:
        name = package.name
        self.assertEqual(str(package.version), ours.version)
        for key, called in LISTS.items():
            expected = _texts(getattr(package, called))
            self.assertEqual(list(ours.values(key, MACHINE, name)), expected, (key, name))
        for key, called in ONE.items():
            value = getattr(package, called)
            expected = [] if value is None else [str(value)]
            self.assertEqual(list(ours.values(key, MACHINE, name)), expected, (key, name))
        sources = _texts(one.source for one in package.sources)
        self.assertEqual(list(ours.values("source", MACHINE, name)), sources)
