"""What packages say of each other in a database: what they need, provide, replace, conflict with.

Kept as the database has it and taken apart when it is asked for: of 14,000 packages few are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flocon.files import belongs_to
from flocon.pacman.versions import compare_versions

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The fields used, each after a blank line, and all of the value up to the next one.
_FIELDS = re.compile(
    rb"(?:\A|\n\n)%(FILENAME|NAME|VERSION|ARCH|DEPENDS|PROVIDES|REPLACES|CONFLICTS|GROUPS)%\n"
    rb"([^\n]*(?:\n[^\n]+)*)"
)
#: A name, and a version that is demanded or provided; descriptions may follow in ``OPTDEPENDS``.
_RELATION = re.compile(
    r"(?P<name>[^<>=\s]{1,255})(?:(?P<test><=|>=|<|>|=)(?P<version>[^<>=\s]{1,255}))?"
)
#: What one package needs, or provides, at most; Arch's largest groups need some 400.
MOST_RELATIONS = 4_096
#: Bytes of a relation that takes twice as long as a short one.
_LONG = 64


@dataclass(frozen=True, slots=True)
class Relation:
    """A package's name, and a test of its version: "" for any, else ``<``, ``<=``, ``=``..."""

    name: str
    test: str = ""
    version: str = ""

    def fits(self, version: str) -> bool:
        """Whether a package of this version passes."""
        if not self.test:
            return True
        order = compare_versions(version, self.version)
        if order == 0:
            return "=" in self.test
        return self.test.startswith("<" if order < 0 else ">")

    def __str__(self) -> str:
        return f"{self.name}{self.test}{self.version}"


def parse_relation(text: str) -> Relation | None:
    """Take apart what stands in ``DEPENDS`` or ``PROVIDES``; None where it is nothing such."""
    match = _RELATION.fullmatch(text.strip())
    return Relation(match["name"], match["test"] or "", match["version"] or "") if match else None


@dataclass(frozen=True, slots=True)
class Description:
    """A package as a database describes it, with its relations as they stand there.

    What is installed has no ``file_name``.
    """

    name: str
    version: str
    file_name: str
    _depends: bytes = b""
    _provides: bytes = b""
    _replaces: bytes = b""
    _groups: bytes = b""
    _conflicts: bytes = b""

    @property
    def depends(self) -> list[Relation]:
        return _relations(self._depends)

    @property
    def provides(self) -> list[Relation]:
        return _relations(self._provides)

    @property
    def replaces(self) -> list[Relation]:
        return _relations(self._replaces)

    @property
    def conflicts(self) -> list[Relation]:
        return _relations(self._conflicts)

    @property
    def groups(self) -> list[str]:
        return _lines(self._groups)

    def count_depends(self) -> int:
        """Return how many relations are taken apart to know what it needs; long ones count more."""
        return _count(self._depends)

    def count_provides(self) -> int:
        """Return how many are, to know what it provides."""
        return _count(self._provides)

    @property
    def size(self) -> int:
        """The bytes of what it has to say."""
        texts = self.name, self.version, self.file_name
        relations = self._depends, self._provides, self._replaces, self._groups, self._conflicts
        return sum(map(len, texts)) + sum(map(len, relations))

    def satisfies(self, wanted: Relation) -> bool:
        """Whether the package does, by its own name or by what it provides.

        What is provided without a version passes no test of one.
        """
        if self.name == wanted.name and wanted.fits(self.version):
            return True
        provided = self.provides if self._provides else ()
        return any(one.name == wanted.name and passes(one, wanted) for one in provided)


def passes(provided: Relation, wanted: Relation) -> bool:
    """Whether what is provided by a name passes the test of a version of it."""
    return not wanted.test or (provided.test == "=" and wanted.fits(provided.version))


def describe(desc: bytes) -> Description | None:
    """Return what a ``desc`` describes, None where no package could be installed by it."""
    fields = dict(_FIELDS.findall(desc))
    try:
        name, version, file_name, architecture = (
            fields.get(key, b"").decode("ascii")
            for key in (b"NAME", b"VERSION", b"FILENAME", b"ARCH")
        )
    except UnicodeDecodeError:
        return None
    if not belongs_to(file_name, name, version, architecture):
        return None
    return _description(name, version, file_name, fields)


def describe_installed(desc: bytes) -> Description | None:
    """Return what a ``desc`` of ``DBPath/local`` describes; None without a name or a version."""
    fields = dict(_FIELDS.findall(desc))
    try:
        name, version = (fields.get(key, b"").decode("ascii") for key in (b"NAME", b"VERSION"))
    except UnicodeDecodeError:
        return None
    return _description(name, version, "", fields) if name and version else None


def _description(
    name: str, version: str, file_name: str, fields: Mapping[bytes, bytes]
) -> Description:
    return Description(
        name,
        version,
        file_name,
        fields.get(b"DEPENDS", b""),
        fields.get(b"PROVIDES", b""),
        fields.get(b"REPLACES", b""),
        fields.get(b"GROUPS", b""),
        fields.get(b"CONFLICTS", b""),
    )


def _lines(value: bytes) -> list[str]:
    lines = value.split(b"\n", MOST_RELATIONS)[:MOST_RELATIONS]
    return [line.decode("utf-8", "replace") for line in lines if line]


def _count(value: bytes) -> int:
    return value.count(b"\n") + len(value) // _LONG + 1


def _relations(value: bytes) -> list[Relation]:
    return [one for one in map(parse_relation, _lines(value)) if one is not None]
