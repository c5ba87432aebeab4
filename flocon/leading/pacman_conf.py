r"""pacman.conf and what it includes, as text: the statements it makes, in pacman's order.

Finding and reading the files is ``look``'s.

The grammar is pacman's, as measured with 6.0.2: a line ends at ``\n``, its blanks at both ends are
dropped, and so is what follows a NUL; ``#`` begins a comment only as the first character; a section
begins with ``[name]`` and lasts across the ends of included files; where a section's name comes
twice, pacman complains about the second and goes on without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flocon.errors import ConfigurationError
from flocon.files import ARCH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: ``isspace`` in pacman's locales.
BLANKS = b" \t\n\v\f\r"
#: pacman reads a line into a buffer of ``PATH_MAX``; the rest would be a line of its own.
LONGEST_LINE = 4_095
#: Files within files, the outermost included.
DEEPEST_INCLUDE = 10
OPTIONS = "options"
HEADER = "["
SERVER_KEYS = {"Server", "CacheServer"}


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything pacman reads: ``texts`` by path, and each Include pattern's files in order."""

    root: str
    texts: Mapping[str, bytes]
    included: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file; ``index`` counts from 0, what a person reads from 1."""

    path: str
    index: int

    def __str__(self) -> str:
        return f"{self.path} line {self.index + 1}"


@dataclass(frozen=True, slots=True)
class Statement:
    """One line that says something: the Includes that lead to it, then itself, in ``stack``."""

    stack: tuple[Place, ...]
    section: str
    key: str
    value: str
    content: bytes

    @property
    def place(self) -> Place:
        return self.stack[-1]


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository and its Server and CacheServer statements, in the order pacman reads them."""

    name: str
    header: Statement
    servers: tuple[Statement, ...]


def split_lines(text: bytes) -> list[bytes]:
    r"""Split at ``\n`` only, as pacman does, and keep it."""
    lines = text.split(b"\n")
    kept = [line + b"\n" for line in lines[:-1]]
    return [*kept, lines[-1]] if lines[-1] else kept


def read_line(line: bytes) -> tuple[str, str | None] | None:
    """Return key and value, ``"["`` and name for a section, None for a comment or nothing."""
    content = line.partition(b"\0")[0].strip(BLANKS)
    if not content or content.startswith(b"#"):
        return None
    if content.startswith(b"[") and content.endswith(b"]"):
        return HEADER, _text(content[1:-1])
    key, equals, value = content.partition(b"=")
    return _text(key.strip(BLANKS)), _text(value.strip(BLANKS)) if equals else None


def include_patterns(text: bytes) -> list[tuple[int, str]]:
    """Return line index and value of each Include."""
    read = ((index, read_line(line)) for index, line in enumerate(split_lines(text)))
    return [(index, one[1] or "") for index, one in read if one and one[0] == "Include"]


def _text(content: bytes) -> str:
    # Paths are bytes: as os.fsdecode would have it.
    return content.decode("utf-8", "surrogateescape")


def statements(configuration: Configuration) -> Iterator[Statement]:
    """Yield every line that says something, Includes followed, in pacman's order.

    Raises ConfigurationError for what pacman would not read either: a line before the first
    section, a key without its value, Includes too deep; and for a line longer than its buffer.
    """
    return _Reader(configuration).read(configuration.root, ())


class _Reader:
    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._section: str | None = None

    def read(self, path: str, above: tuple[Place, ...]) -> Iterator[Statement]:
        for index, line in enumerate(split_lines(self._configuration.texts[path])):
            place = Place(path, index)
            if len(line.rstrip(b"\n")) > LONGEST_LINE:
                raise refusal(place, "is longer than pacman reads at once", "shorten it")
            if said := read_line(line):
                yield (statement := self._statement((*above, place), said, line.strip(BLANKS)))
                if statement.key == "Include":
                    yield from self._included(statement)

    def _included(self, statement: Statement) -> Iterator[Statement]:
        if len(statement.stack) > DEEPEST_INCLUDE:
            raise refusal(statement.place, "is an Include within too many others", "remove it")
        for path in self._configuration.included[statement.value]:
            yield from self.read(path, statement.stack)

    def _statement(
        self, stack: tuple[Place, ...], said: tuple[str, str | None], content: bytes
    ) -> Statement:
        key, value = said
        if key == HEADER:
            self._section = value
        if self._section is None:
            problem = "stands before the first [section]"
            raise refusal(stack[-1], problem, "move it below one, or remove it")
        if not value and (key == "Include" or key in SERVER_KEYS):
            raise refusal(stack[-1], f"{key} has no value", f"write it as {key} = VALUE")
        return Statement(stack, self._section, key, value or "", content)


def repositories(configuration: Configuration) -> list[Repository]:
    """Return every repository with its servers; of two with one name, the first, as pacman does."""
    found: list[tuple[Statement, list[Statement]]] = []
    for statement in statements(configuration):
        if statement.key == HEADER:
            found.append((statement, []))
        elif statement.key in SERVER_KEYS:
            found[-1][1].append(statement)
    result: dict[str, Repository] = {}
    for header, servers in found:
        if header.section != OPTIONS:
            result.setdefault(header.section, Repository(header.section, header, tuple(servers)))
    return list(result.values())


def refusal(place: Place, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(str(place), problem, remedy)


def flattened(configuration: Configuration) -> bytes:
    """Return one text that says the same with nothing included and no comments."""
    said = statements(configuration)
    return b"".join(one.content + b"\n" for one in said if one.key != "Include")


def behind(repositories: Sequence[str], name: str) -> list[str]:
    """Return which of Arch's repositories stand behind one: its packages come before theirs.

    ``repositories`` are those that pacman reads, in its order.
    """
    at = list(repositories).index(name) if name in repositories else len(repositories)
    return [one for one in repositories[at:] if one in ARCH]
