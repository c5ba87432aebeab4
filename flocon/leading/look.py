"""One look at pacman.conf, all that it includes, and the record of what a set-up put there.

Beside each file that was set up lies ``FILE.flocon-backup``, the file without the node's lines, and
beside pacman.conf ``FILE.flocon-setup``, the record of what was written where. Where an Include
would read them as configuration, their names begin with a dot.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flocon.errors import ConfigurationError
from flocon.leading import node_lines, pacman_conf
from flocon.leading.pacman_conf import Configuration
from flocon.leading.printable import printable
from flocon.leading.record import Written, by_file, parse_record
from flocon.leading.replacing import LARGEST_FILE, content_of
from flocon.machine.reading import read_plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flocon.leading.node_lines import OwnLine


BACKUP = ".flocon-backup"
RECORD = ".flocon-setup"


@dataclass(slots=True)
class Look:
    """One look at the disk: ``now`` as files are, ``bare`` without the lines on record.

    ``root`` is pacman.conf's real path, ``included`` are the files that each Include names, and
    ``lost`` the lines on record that a file has not got any more.
    """

    root: str
    record: dict[str, Written] = field(default_factory=dict)
    included: dict[str, tuple[str, ...]] = field(default_factory=dict)
    now: dict[str, bytes] = field(default_factory=dict)
    bare: dict[str, bytes] = field(default_factory=dict)
    lost: dict[str, tuple[OwnLine, ...]] = field(default_factory=dict)

    @property
    def configuration(self) -> Configuration:
        """What pacman reads there now."""
        return Configuration(self.root, self.now, self.included)

    def read(self, name: str, where: str, what: str = "") -> None:
        """Read a file that was not read yet; raise ConfigurationError that names ``where``."""
        if name in self.now:
            return
        try:
            text = b"" if Path(name).is_dir() else read_plain(name, LARGEST_FILE)
        except OSError as error:
            problem = f"{what}cannot be read ({error.strerror})"
            remedy = "check the path and its permissions"
            raise ConfigurationError(printable(where), problem, remedy) from None
        self.now[name] = text
        written = self.record.get(name)
        bare, lost = node_lines.take_out(text, written.lines if written else ())
        self.bare[name] = bare
        if lost:
            self.lost[name] = lost

    def follow(self, *, relative: bool = False) -> None:
        """Read every file that is included, however deep."""
        waiting, seen = [self.root], set()
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            for index, pattern in pacman_conf.include_patterns(self.bare[name]):
                place = f"{name} line {index + 1}"
                if not pattern.startswith("/") and not relative:
                    problem = (
                        f"includes {pattern!r}, which depends on the folder pacman is started in"
                    )
                    raise ConfigurationError(printable(place), problem, "write a path from /")
                if pattern not in self.included:
                    self.included[pattern] = _matches(pattern)
                for one in self.included[pattern]:
                    self.read(one, place, f"includes {printable(pattern)}, which ")
                    waiting.append(one)


def read(path: Path) -> Configuration:
    """Return pacman's configuration as it is, all that it includes with it.

    Raises ConfigurationError where a part of it cannot be read.
    """
    return look(path).configuration


def look(path: Path, *, follow: bool = True) -> Look:
    """Look at the configuration and at each file on record; raise ConfigurationError.

    Without ``follow`` only at pacman.conf itself and at those on record, as far as they are there.
    """
    root = os.path.realpath(path)
    record = load_record(root)
    state = Look(root, record)
    # Where the lines are to go, what is gone has none; what cannot be read may have.
    if follow or not record or Path(root).exists():
        if Path(root).is_dir():
            # An included folder is as an empty file to pacman; this is what somebody named.
            remedy = f"name the file, like {printable(str(path / 'pacman.conf'))}"
            raise ConfigurationError(printable(str(path)), "is a folder, and no file", remedy)
        state.read(root, str(path))
    for name in record:
        if Path(name).exists():
            state.read(name, name)
    if follow:
        state.follow()
    return state


def _matches(pattern: str) -> tuple[str, ...]:
    """Return the files a glob(3) pattern names, or itself where it names none."""
    names = sorted(glob.glob(re.sub(r"\\(.)", r"[\1]", pattern)))  # noqa: PTH207 - relative too
    return tuple(os.path.realpath(name) for name in names or [pattern])


def beside(name: str, suffix: str, patterns: Iterable[str]) -> str:
    """Return the path of what lies beside a file: hidden where one of ``patterns`` includes it."""
    path = Path(name)
    candidate = str(path.with_name(path.name + suffix))
    for pattern in patterns:
        folder, _, last = pattern.rpartition("/")
        here = os.path.realpath(folder or "/") == str(path.parent)
        if fnmatch.fnmatchcase(candidate, pattern) or (
            here and fnmatch.fnmatchcase(path.name + suffix, last)
        ):
            return str(path.with_name(f".{path.name}{suffix}"))
    return candidate


def record_paths(root: str) -> list[str]:
    """Return where the record can be."""
    path = Path(root)
    return [str(path.with_name(f"{dot}{path.name}{RECORD}")) for dot in ("", ".")]


def load_record(root: str) -> dict[str, Written]:
    """Return what is on record, by path; raise ConfigurationError for what is none of ours."""
    for path in record_paths(root):
        text = content_of(path)
        if text is None:
            continue
        try:
            return by_file(parse_record(text))
        except (ValueError, KeyError, TypeError, RecursionError):
            problem = "is not a record that this flocon reads"
            remedy = f"restore FILE{BACKUP} by hand, and remove it"
            raise ConfigurationError(printable(path), problem, remedy) from None
    return {}
