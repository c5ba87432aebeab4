r"""pacman.conf and what it includes, as text: where the node's line stands, or would belong.

Bytes in, bytes out; every line that is not the node's own passes through untouched. Finding and
reading the files, writing them and running pacman-conf is ``host.setup``'s.

The grammar is pacman's, as measured with 6.0.2: a line ends at ``\n``, its blanks at both ends are
dropped, and so is what follows a NUL; ``#`` begins a comment only as the first character; a section
begins with ``[name]`` and lasts across the ends of included files; where a section's name comes
twice, pacman complains about the second and goes on without it.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flocon.core.addresses import shown
from flocon.core.names import is_repository
from flocon.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

#: ``isspace`` in pacman's locales.
_BLANKS = b" \t\n\v\f\r"
#: pacman reads a line into a buffer of ``PATH_MAX``; the rest would be a line of its own.
LONGEST_LINE = 4_095
#: Files within files, the outermost included.
DEEPEST_INCLUDE = 10
#: The first version that knows ``CacheServer``.
CACHE_SERVER_SINCE = (6, 1)
_OPTIONS = "options"
_HEADER = "["
_SERVER_KEYS = {"Server", "CacheServer"}
_NODE_HOSTS = {"localhost", "127.0.0.1", "::1"}
_MIRROR_SCHEMES = {"http", "https"}
_VERSION = re.compile(r"\bPacman v([0-9]{1,4})\.([0-9]{1,4})")


class Method(Enum):
    """Which lines lead pacman to the node: its value is their keys, in the order written."""

    CACHE_SERVER = ("CacheServer",)
    SERVER = ("Server",)
    BOTH = ("CacheServer", "Server")


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


@dataclass(frozen=True, slots=True)
class OwnLine:
    """A line of the node's: the section it stands in, as its own file tells it, and its content."""

    section: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Insertion:
    """A line to be put before the line at ``place``."""

    place: Place
    line: OwnLine


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, what a person should know, and which repositories ask the node first."""

    insertions: tuple[Insertion, ...]
    notes: tuple[str, ...]
    repositories: tuple[str, ...]


def parse_version(text: str) -> tuple[int, int] | None:
    """Read major and minor from what ``pacman --version`` prints."""
    match = _VERSION.search(text)
    return (int(match[1]), int(match[2])) if match else None


def method_for(version: tuple[int, int], *, databases: bool) -> Method:
    """Return what a pacman of that version is best told; before 6.1 databases come with it."""
    if version < CACHE_SERVER_SINCE:
        return Method.SERVER
    return Method.BOTH if databases else Method.CACHE_SERVER


def node_url(port: int) -> str:
    """Return the address to write, with pacman's own variables in it."""
    return f"http://localhost:{port}/$repo/os/$arch"


def is_node(url: str, ports: Collection[int]) -> bool:
    """Whether ``url`` leads to this machine's node, in whatever way it is written."""
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError:
        return False
    return parts.scheme == "http" and parts.hostname in _NODE_HOSTS and port in ports


def own_ports(lines: Iterable[OwnLine]) -> frozenset[int]:
    """Return the ports that lines written by an earlier set-up lead to."""
    found = set()
    for line in lines:
        read = read_line(line.content)
        if read and (port := urlsplit(read[1] or "").port):
            found.add(port)
    return frozenset(found)


# Reading


def split_lines(text: bytes) -> list[bytes]:
    r"""Split at ``\n`` only, as pacman does, and keep it."""
    lines = text.split(b"\n")
    kept = [line + b"\n" for line in lines[:-1]]
    return [*kept, lines[-1]] if lines[-1] else kept


def read_line(line: bytes) -> tuple[str, str | None] | None:
    """Return key and value, ``"["`` and name for a section, None for a comment or nothing."""
    content = line.partition(b"\0")[0].strip(_BLANKS)
    if not content or content.startswith(b"#"):
        return None
    if content.startswith(b"[") and content.endswith(b"]"):
        return _HEADER, _text(content[1:-1])
    key, equals, value = content.partition(b"=")
    return _text(key.strip(_BLANKS)), _text(value.strip(_BLANKS)) if equals else None


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
                raise _refuse(place, "is longer than pacman reads at once", "shorten it")
            if said := read_line(line):
                yield (statement := self._statement((*above, place), said, line.strip(_BLANKS)))
                if statement.key == "Include":
                    yield from self._included(statement)

    def _included(self, statement: Statement) -> Iterator[Statement]:
        if len(statement.stack) > DEEPEST_INCLUDE:
            raise _refuse(statement.place, "is an Include within too many others", "remove it")
        for path in self._configuration.included[statement.value]:
            yield from self.read(path, statement.stack)

    def _statement(
        self, stack: tuple[Place, ...], said: tuple[str, str | None], content: bytes
    ) -> Statement:
        key, value = said
        if key == _HEADER:
            self._section = value
        if self._section is None:
            problem = "stands before the first [section]"
            raise _refuse(stack[-1], problem, "move it below one, or remove it")
        if not value and (key == "Include" or key in _SERVER_KEYS):
            raise _refuse(stack[-1], f"{key} has no value", f"write it as {key} = VALUE")
        return Statement(stack, self._section, key, value or "", content)


def repositories(configuration: Configuration) -> list[Repository]:
    """Return every repository with its servers; of two with one name, the first, as pacman does."""
    found: list[tuple[Statement, list[Statement]]] = []
    for statement in statements(configuration):
        if statement.key == _HEADER:
            found.append((statement, []))
        elif statement.key in _SERVER_KEYS:
            found[-1][1].append(statement)
    result: dict[str, Repository] = {}
    for header, servers in found:
        if header.section != _OPTIONS:
            result.setdefault(header.section, Repository(header.section, header, tuple(servers)))
    return list(result.values())


def _refuse(place: Place, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(str(place), problem, remedy)


# Deciding


def plan(configuration: Configuration, method: Method, port: int) -> Plan:
    """Decide where the node's lines go, and leave alone what leads to the node already.

    A CacheServer goes first into the repository's own section, which no mirror ranker rewrites;
    pacman asks it before every Server wherever it stands. A Server alone goes before the first
    http Server, into the file which has that: the mirrorlist, or the section. Beside a CacheServer
    it stands in the section as well. Local servers (``file://``) keep their rank, and a repository
    that has no http mirror is left out: the node could get nothing for it.

    Raises ConfigurationError where no repository can be set up.
    """
    planner = _Planner(configuration, method, port)
    for repository in repositories(configuration):
        planner.add(repository)
    if not planner.asking and not planner.kept:
        why = "; ".join(planner.notes) or "it has no repository"
        remedy = "enable a repository that has an http mirror"
        raise ConfigurationError(configuration.root, f"nothing can be set up ({why})", remedy)
    return planner.result()


class _Planner:
    def __init__(self, configuration: Configuration, method: Method, port: int) -> None:
        self._configuration = configuration
        self._method = method
        self._port = port
        self._insertions: dict[Insertion, None] = {}
        self.asking: list[str] = []
        #: Set up by hand in another way, and left so.
        self.kept: list[str] = []
        said = list(statements(configuration))
        self.notes = [*_second_sections(said), *_external_program(said)]
        self._has_architecture = any(
            one.section == _OPTIONS and one.key == "Architecture" and one.value for one in said
        )

    def add(self, repository: Repository) -> None:
        own = [one for one in repository.servers if self._is_own(one)]
        mirrors = [
            one
            for one in repository.servers
            if one.key == "Server" and one not in own and _scheme(one.value) in _MIRROR_SCHEMES
        ]
        if not mirrors:
            self._leave_out(repository, own)
            return
        if not is_repository(repository.name):
            self._note(repository.header.place, "a name that the node does not serve is left out")
            return
        well = [self._lead(key, repository, own, mirrors[0]) for key in self._method.value]
        (self.asking if all(well) else self.kept).append(repository.name)

    def result(self) -> Plan:
        # Of several before one line, a CacheServer comes first: it is asked first.
        ordered = sorted(self._insertions, key=lambda one: (one.place.path, one.place.index))
        return Plan(tuple(ordered), tuple(self.notes), tuple(self.asking))

    def _is_own(self, statement: Statement) -> bool:
        return is_node(statement.value, {self._port})

    def _leave_out(self, repository: Repository, own: list[Statement]) -> None:
        servers = [one.value for one in repository.servers if one not in own]
        if own:
            why = "has no http mirror besides the node"
        elif servers:
            why = f"has no http mirror ({shown(servers[0])}), and is left out"
        else:
            why = "has no Server, and is left out; uncomment a mirror to have it set up"
        self._note(repository.header.place, f"[{repository.name}] {why}")

    def _lead(
        self, key: str, repository: Repository, own: list[Statement], mirror: Statement
    ) -> bool:
        """Have a line of this kind lead to the node; tell whether it does so as it should."""
        there = [one for one in own if one.key == key]
        place = self._place(key, repository, mirror)
        if key == "CacheServer":
            if not there and own and self._method is Method.CACHE_SERVER:
                # Both would have pacman ask twice for what is missing.
                say = f"[{repository.name}] reaches the node by this Server line, which is kept"
                self._note(own[0].place, say)
                return False
        elif there:
            order = repository.servers
            if order.index(there[0]) < order.index(mirror):
                return True
            if any(one.place.path == place.path for one in there):
                self._note(there[0].place, "the node is asked after a mirror; move it to the top")
                return False
            there = []
        if not there:
            self._insert(place, key, repository)
        return True

    def _place(self, key: str, repository: Repository, mirror: Statement) -> Place:
        header = repository.header.place
        if key == "CacheServer":
            return Place(header.path, header.index + 1)
        if self._method is Method.BOTH:
            for place in mirror.stack:
                if place.path == header.path:
                    return place
        return mirror.place

    def _insert(self, place: Place, key: str, repository: Repository) -> None:
        if not self._has_architecture:
            raise ConfigurationError(
                self._configuration.root,
                f"has no Architecture, which the node's address in [{repository.name}] needs",
                "write 'Architecture = auto' below [options]",
            )
        lines = split_lines(self._configuration.texts[place.path])
        if place.index == len(lines) and not lines[-1].endswith(b"\n"):
            last = Place(place.path, place.index - 1)
            raise _refuse(last, "ends the file without a newline", "add one")
        section = _section_before(lines, place.index)
        content = f"{key} = {node_url(self._port)}".encode()
        self._insertions[Insertion(place, OwnLine(section, content))] = None

    def _note(self, place: Place, text: str) -> None:
        note = f"{place}: {text}"
        if note not in self.notes:
            self.notes.append(note)


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower()


def _section_before(lines: Sequence[bytes], index: int) -> str:
    """Return the section a line put at ``index`` is in, as far as its own file tells."""
    for line in reversed(lines[:index]):
        said = read_line(line)
        if said and said[0] == _HEADER:
            return said[1] or ""
    return ""


def _second_sections(said: Iterable[Statement]) -> Iterator[str]:
    seen: set[str] = {_OPTIONS}
    for one in said:
        if one.key == _HEADER and one.section != _OPTIONS:
            if one.section in seen:
                yield f"{one.place}: pacman goes on without this second [{one.section}]"
            seen.add(one.section)


def _external_program(said: Iterable[Statement]) -> Iterator[str]:
    for one in said:
        if one.section == _OPTIONS and one.key == "XferCommand":
            yield (
                f"{one.place}: pacman has XferCommand run a program for every address, the node's"
                " too; a proxy in that program's settings must leave out localhost"
            )


# Editing


def put_in(text: bytes, insertions: Iterable[Insertion]) -> bytes:
    """Return ``text`` of one file with the lines in it, each ended as its neighbour is."""
    lines = split_lines(text)
    at: dict[int, list[bytes]] = {}
    for one in insertions:
        at.setdefault(one.place.index, []).append(one.line.content)
    result = []
    for index in range(len(lines) + 1):
        result += [content + _ending(lines, index) for content in at.get(index, ())]
        result += lines[index : index + 1]
    return b"".join(result)


def _ending(lines: Sequence[bytes], index: int) -> bytes:
    """Return the line ending in use at ``index``."""
    for line in (*lines[index : index + 1], *lines[max(index - 1, 0) : index]):
        if line.endswith(b"\n"):
            return b"\r\n" if line.endswith(b"\r\n") else b"\n"
    return b"\n"


def take_out(text: bytes, own: Iterable[OwnLine]) -> tuple[bytes, tuple[OwnLine, ...]]:
    """Return ``text`` of one file without these lines, and those that were not there any more."""
    left = Counter(own)
    section = ""
    result = []
    for line in split_lines(text):
        said = read_line(line)
        if said and said[0] == _HEADER:
            section = said[1] or ""
        found = OwnLine(section, line.strip(_BLANKS))
        if left[found] > 0:
            left[found] -= 1
        else:
            result.append(line)
    return b"".join(result), tuple(left.elements())


def flattened(configuration: Configuration) -> bytes:
    """Return one text that says the same with nothing included and no comments."""
    said = statements(configuration)
    return b"".join(one.content + b"\n" for one in said if one.key != "Include")


# Judging what pacman-conf reads


def contradiction(
    before: str, after: str, outcome: Plan, method: Method, *, port: int, ports: Collection[int]
) -> str:
    """Compare two outputs of pacman-conf; return what is wrong with the second, or nothing.

    All that is not the node's (on any of ``ports``) is as it was, and of each repository that
    should ask the node it is the first http Server, or a CacheServer. A pacman-conf that prints
    no CacheServer at all is not held against it.
    """
    if _others(before, ports) != _others(after, ports):
        return "something else than the node's lines was changed"
    servers: dict[str, list[tuple[str, str]]] = {}
    for section, key, value in _dump(after):
        if key in _SERVER_KEYS:
            servers.setdefault(section, []).append((key, value))
    shows_cache = any(key == "CacheServer" for found in servers.values() for key, _ in found)
    wanted = [key for key in method.value if key == "Server" or shows_cache]
    for name in outcome.repositories:
        for wish in wanted:
            urls = [url for key, url in servers.get(name, ()) if key == wish]
            urls = [url for url in urls if _scheme(url) in _MIRROR_SCHEMES]
            if wish == "Server":
                urls = urls[:1]
            if not any(is_node(url, {port}) for url in urls):
                return f"no {wish} of [{name}] leads to the node"
    return ""


def _others(dump: str, ports: Collection[int]) -> list[tuple[str, str, str]]:
    return [one for one in _dump(dump) if not (one[1] in _SERVER_KEYS and is_node(one[2], ports))]


def _dump(text: str) -> Iterator[tuple[str, str, str]]:
    section = ""
    for line in text.split("\n"):
        said = read_line(line.encode("utf-8", "surrogateescape"))
        if said is None:
            continue
        if said[0] == _HEADER:
            section = said[1] or ""
        yield section, said[0], said[1] or ""
