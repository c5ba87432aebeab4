"""Where the node's lines belong in a pacman.conf, and whether pacman then reads what was meant.

Finding and reading the files is ``look``'s, writing them ``setup``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flocon.asking.addresses import without_user
from flocon.errors import ConfigurationError
from flocon.files import is_repository
from flocon.leading.node_lines import Insertion, Method, OwnLine, is_node, node_url
from flocon.leading.pacman_conf import (
    HEADER,
    OPTIONS,
    SERVER_KEYS,
    Configuration,
    Place,
    Repository,
    Statement,
    read_line,
    refusal,
    repositories,
    split_lines,
    statements,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

_MIRROR_SCHEMES = {"http", "https"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, what a person should know, and which repositories ask the node first."""

    insertions: tuple[Insertion, ...]
    notes: tuple[str, ...]
    repositories: tuple[str, ...]


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
            one.section == OPTIONS and one.key == "Architecture" and one.value for one in said
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
            why = "is asked of the node alone, as an own repository is; any other needs a mirror"
        elif servers:
            why = f"has no http mirror ({without_user(servers[0])}), and is left out"
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
            raise refusal(last, "ends the file without a newline", "add one")
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
        if said and said[0] == HEADER:
            return said[1] or ""
    return ""


def _second_sections(said: Iterable[Statement]) -> Iterator[str]:
    seen: set[str] = {OPTIONS}
    for one in said:
        if one.key == HEADER and one.section != OPTIONS:
            if one.section in seen:
                yield f"{one.place}: pacman goes on without this second [{one.section}]"
            seen.add(one.section)


def _external_program(said: Iterable[Statement]) -> Iterator[str]:
    for one in said:
        if one.section == OPTIONS and one.key == "XferCommand":
            yield (
                f"{one.place}: pacman has XferCommand run a program for every address, the node's"
                " too; a proxy in that program's settings must leave out localhost"
            )


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
        if key in SERVER_KEYS:
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
    return [one for one in _dump(dump) if not (one[1] in SERVER_KEYS and is_node(one[2], ports))]


def _dump(text: str) -> Iterator[tuple[str, str, str]]:
    section = ""
    for line in text.split("\n"):
        said = read_line(line.encode("utf-8", "surrogateescape"))
        if said is None:
            continue
        if said[0] == HEADER:
            section = said[1] or ""
        yield section, said[0], said[1] or ""
