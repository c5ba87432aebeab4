"""pacman.conf itself, for what pacman-conf does not tell: our comments, and which files there are.

Only the ``# flocon: Server = URL`` comments are looked for, which pacman-conf drops.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass
from fnmatch import fnmatchcase
from glob import glob, has_magic
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from flocon.errors import NoDescriptors
from flocon.machine.limits import lacks_descriptors
from flocon.machine.reading import open_plain
from flocon.pacman.database_files import Stamp, stamp_of

if TYPE_CHECKING:
    from collections.abc import Mapping


#: Files of one configuration, how deep they may include each other (pacman's own bound, ``conf.c``)
#: and how long each may be.
MOST_FILES = 256
DEEPEST_INCLUDE = 10
LONGEST_FILE = 1 << 20

_OWN_COMMENT = re.compile(r"#\s*flocon:\s*Server\s*=\s*(\S+)")


@dataclass(frozen=True, slots=True)
class Scan:
    """The files of a configuration, as of their stamps; and what our comments in them say.

    ``patterns`` are the Include lines' values; ``first_servers`` are by section, not filled in.
    """

    pacman_conf: Path
    stamps: Mapping[Path, Stamp | None]
    patterns: tuple[str, ...]
    first_servers: Mapping[str, tuple[str, ...]]

    def folders(self) -> set[Path]:
        """Return where a change can be one of this configuration."""
        folders = set()
        for path in self.stamps:
            # A link's target changes elsewhere.
            folders |= {path.absolute().parent, path.resolve().parent}
        for pattern in self.patterns:
            parent = str(Path(pattern).absolute().parent)
            matches = glob(parent) if has_magic(parent) else [parent]  # noqa: PTH207
            folders |= {Path(match) for match in matches}
        return folders

    def concerns(self, path: Path) -> bool:
        """Whether a change of ``path`` can be one of this configuration."""
        ours = chain(self.stamps, (file.resolve() for file in self.stamps))
        return any(path == file.absolute() for file in ours) or any(
            fnmatchcase(str(path), str(Path(pattern).absolute())) for pattern in self.patterns
        )

    def is_current(self) -> bool:
        return all(stamp_of(path) == stamp for path, stamp in self.stamps.items())


class Scanner:
    """Reads pacman.conf and what it includes the way pacman does (``parse_ini``, ``conf.c``)."""

    def __init__(self) -> None:
        self.stamps: dict[Path, Stamp | None] = {}
        self.patterns: dict[str, None] = {}
        self.servers: dict[str, dict[str, None]] = defaultdict(dict)
        self._read = 0
        # An included file's section goes on behind its Include line: pacman keeps it so.
        self._section = ""

    def read(self, path: Path, depth: int = 0) -> None:
        self._read += 1
        if self._read > MOST_FILES or depth > DEEPEST_INCLUDE:
            return
        self.stamps.setdefault(path, stamp_of(path))
        try:
            file = os.fdopen(open_plain(path), encoding="utf-8", errors="surrogateescape")
            with file:
                text = file.read(LONGEST_FILE)
        except OSError as error:
            if lacks_descriptors(error):
                raise NoDescriptors(str(path)) from None
            return  # pacman-conf says so, in better words
        for line in map(str.strip, text.splitlines()):
            if line.startswith("[") and line.endswith("]"):
                self._section = line[1:-1]
            elif comment := _OWN_COMMENT.match(line):
                self.servers[self._section][comment[1]] = None
            elif not line.startswith("#"):
                key, _, value = line.partition("=")
                if key.strip() == "Include":
                    self._include(value.strip(), depth)

    def _include(self, pattern: str, depth: int) -> None:
        self.patterns[pattern] = None
        for match in sorted(glob(pattern)):  # noqa: PTH207 - any path, as glob(3)
            self.read(Path(match), depth + 1)


def scan(pacman_conf: Path) -> Scan:
    """Read a configuration's files; raises NoDescriptors where that is not possible now."""
    scanner = Scanner()
    scanner.read(pacman_conf)
    servers = {section: tuple(values) for section, values in scanner.servers.items()}
    return Scan(pacman_conf, scanner.stamps, tuple(scanner.patterns), servers)
