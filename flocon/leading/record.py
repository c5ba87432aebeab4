"""The record of a set-up: what was written where, as a value and as the text of its file."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flocon.leading.node_lines import OwnLine

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


_RECORD_VERSION = 1


@dataclass(frozen=True, slots=True)
class Written:
    """One file on record: where its backup is, digests of both, and the lines put in.

    ``older`` are backups of the set-up that this one is taking the place of.
    """

    path: str
    backup: str
    before: str
    after: str
    lines: tuple[OwnLine, ...]
    older: tuple[str, ...] = ()

    @property
    def backups(self) -> set[str]:
        return {self.backup, *self.older}


def tells_the_same(new: Mapping[str, Written], old: Mapping[str, Written]) -> bool:
    """Whether two records tell of the same lines and backups, whatever else the files say."""

    def told(record: Mapping[str, Written]) -> dict[str, object]:
        return {name: (one.backups, Counter(one.lines)) for name, one in record.items()}

    return told(new) == told(old)


def by_file(told: Iterable[Written]) -> dict[str, Written]:
    """Return a record by where each file lies now, be what was written to a link by now."""
    result: dict[str, Written] = {}
    for one in told:
        name = os.path.realpath(one.path)
        result = of_both(result, {name: replace(one, path=name)})
    return result


def of_both(old: Mapping[str, Written], new: Mapping[str, Written]) -> dict[str, Written]:
    """Return the record of the moment in which files have the lines of either."""
    result = {**old, **new}
    for name in old.keys() & new.keys():
        lines = Counter(old[name].lines) | Counter(new[name].lines)
        older = old[name].backups - {new[name].backup}
        result[name] = replace(new[name], lines=tuple(lines.elements()), older=tuple(sorted(older)))
    return result


def dump_record(record: Mapping[str, Written]) -> bytes:
    """Return the text of a record."""
    files = [
        {
            "path": one.path,
            "backup": one.backup,
            "before": one.before,
            "after": one.after,
            "lines": [[line.section, os.fsdecode(line.content)] for line in one.lines],
            **({"older": list(one.older)} if one.older else {}),
        }
        for one in record.values()
    ]
    return json.dumps({"version": _RECORD_VERSION, "files": files}, indent=1).encode() + b"\n"


def parse_record(text: bytes) -> list[Written]:
    """Read a record; raise ValueError, KeyError or TypeError for what is none of this version."""
    table = json.loads(text)
    if table["version"] != _RECORD_VERSION:
        raise ValueError(table["version"])
    return [
        Written(
            path=str(one["path"]),
            backup=str(one["backup"]),
            before=str(one["before"]),
            after=str(one["after"]),
            lines=tuple(OwnLine(str(section), os.fsencode(line)) for section, line in one["lines"]),
            older=tuple(map(str, one.get("older", ()))),
        )
        for one in table["files"]
    ]


def lines_of(record: Iterable[Written]) -> Iterable[OwnLine]:
    """Return the lines of all files on record."""
    return (line for one in record for line in one.lines)


def digest_of(text: bytes) -> str:
    """Return the SHA-256 of a file's text, in hexadecimal digits."""
    return hashlib.sha256(text).hexdigest()
