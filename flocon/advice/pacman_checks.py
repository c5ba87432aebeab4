"""Whether what pacman asks for reaches the node, and before any mirror: from facts to findings.

Judges pacman's configuration and its environment as they stand; nothing is read, asked or changed.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flocon.advice.findings import Finding, Verdict, nothing_listed
from flocon.asking.addresses import network_location, without_user
from flocon.errors import ConfigurationError
from flocon.files import ARCH, parse_path
from flocon.leading import node_lines, pacman_conf
from flocon.settings.settings import DEFAULT_PACMAN_CONF, LOOPBACK_PORT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from flocon.advice.facts import Facts
    from flocon.leading.pacman_conf import Repository, Statement

_METACHARACTERS = frozenset("|&;<>`")


def check_node(facts: Facts) -> Iterator[Finding]:
    if facts.node is not None:
        yield Finding("node", Verdict.GOOD, f"a node answers on port {facts.port}")
        return
    reason = f"no node answers on port {facts.port}"
    remedy = (
        "systemctl enable --now flocon (or 'twistd flocon'); where it failed, journalctl -u flocon"
        " tells why, and 'systemctl reset-failed flocon' lets it start again"
    )
    if facts.refused is not None:
        reason += f", and none would start: {facts.refused.where}: {facts.refused.problem}"
        remedy = (
            f"{facts.refused.remedy}; then 'systemctl reset-failed flocon' and 'systemctl start"
            " flocon'"
        )
    yield Finding("node", Verdict.WRONG, reason, remedy)


def check_pacman(facts: Facts) -> Iterator[Finding]:
    """Whether each repository's requests reach the node, and before any mirror."""
    configuration = facts.configuration
    if isinstance(configuration, ConfigurationError):
        yield from _unread(facts, configuration)
        return
    try:
        repositories = pacman_conf.repositories(configuration)
    except ConfigurationError as error:
        yield from _unread(facts, error)
        return
    findings = [
        finding for repository in repositories if (finding := _reach(repository, facts)) is not None
    ]
    if unasked := [one.name for one in repositories if _is_unasked(one, facts.ports)]:
        names = ", ".join(f"[{name}]" for name in unasked)
        reason = f"pacman does not ask the node for {names}"
        findings.append(Finding("pacman", Verdict.WRONG, reason, _set_up(facts)))
    if bare := [one.name for one in repositories if not one.servers]:
        findings.append(_no_server(bare, facts))
    yield from _before_arch(repositories, facts.ports)
    if not repositories:
        yield nothing_listed("pacman", configuration.root)
    elif findings:
        yield from findings
    else:
        yield _reached(repositories, facts.ports)


def _no_server(names: Sequence[str], facts: Facts) -> Finding:
    """Tell of a mirrorlist in which all is a comment, as it is where pacman was just installed."""
    sections = ", ".join(f"[{name}]" for name in names)
    reason = f"no Server stands for {sections}: pacman fetches nothing of that"
    remedy = f"uncomment mirrors in the file that the section includes, then {_set_up(facts)}"
    return Finding("pacman", Verdict.WRONG, reason, remedy)


def _before_arch(repositories: Sequence[Repository], ports: Collection[int]) -> Iterator[Finding]:
    """Tell of what the node alone gives, be it anybody's, and pacman takes before Arch's own."""
    names = [one.name for one in repositories]
    for one in repositories:
        is_own = one.servers and all(node_lines.is_node(said.value, ports) for said in one.servers)
        hidden = pacman_conf.behind(names, one.name)
        if is_own and hidden and one.name not in ARCH:
            yield Finding(
                "pacman",
                Verdict.WARNING,
                f"[{one.name}] stands before {', '.join(f'[{other}]' for other in hidden)}: pacman"
                " takes its packages instead of Arch's of the same name, be they newer or not",
                f"move the section at {one.header.place} to the end, unless that is meant",
            )


def _reached(repositories: Sequence[Repository], ports: Collection[int]) -> Finding:
    """Tell for which repositories the node is asked; those that only pacman can fetch need not."""
    led: list[str] = []
    alone: list[str] = []
    for one in repositories:
        asked = any(node_lines.is_node(server.value, ports) for server in one.servers)
        (led if asked else alone).append(one.name)
    if not led:
        reason = f"no http mirror, so nothing to ask a node for: {', '.join(alone)}"
        return Finding("pacman", Verdict.UNKNOWN, reason)
    without = f"; not for {', '.join(alone)}, without an http mirror" if alone else ""
    return Finding("pacman", Verdict.GOOD, f"pacman asks the node first: {', '.join(led)}{without}")


def _unread(facts: Facts, error: ConfigurationError) -> Iterator[Finding]:
    """Tell what a configuration that cannot be read means, on this machine."""
    reason = f"{error.where}: {error.problem}"
    told = (facts.node or {}).get("configuration") or {}
    if facts.has_no_pacman:
        reason = f"no pacman here to be led to the node ({reason})"
        yield Finding("pacman", Verdict.UNKNOWN, reason)
    elif reason != told.get("problem"):  # else check_configuration tells what mends it
        yield Finding("pacman", Verdict.WRONG, reason, error.remedy)


def _reach(repository: Repository, facts: Facts) -> Finding | None:
    """Return what keeps a repository's requests from reaching the node first, if anything."""
    name, port, version = repository.name, facts.port, facts.version
    for one in repository.servers:
        if node_lines.is_node(one.value, {port}) and not _is_path(one.value, name):
            line = f"{one.key} = {node_lines.node_url(port)}"
            return Finding(
                "pacman",
                Verdict.WRONG,
                f"the node does not know the path of the line at {one.place}: {one.value}",
                f"write there: {line}",
            )
    own = [one for one in repository.servers if node_lines.is_node(one.value, facts.ports)]
    mirrors = [one for one in repository.servers if one.key == "Server" and _is_mirror(one, own)]
    if not mirrors:
        return _reach_for_nothing(repository, own)
    caches = [one for one in own if one.key == "CacheServer"]
    servers = [one for one in own if one.key == "Server"]
    known = version is None or version >= node_lines.CACHE_SERVER_SINCE
    if caches and known:
        return None
    if not own:
        return None  # told of all such repositories together
    if not servers:
        reason = f"this pacman does not know the CacheServer line of [{name}] ({caches[0].place})"
        return Finding("pacman", Verdict.WRONG, reason, _set_up(facts))
    order = repository.servers
    if order.index(servers[0]) > order.index(mirrors[0]):
        return Finding(
            "pacman",
            Verdict.WRONG,
            f"pacman asks {_host(mirrors[0].value)} before the node ({servers[0].place})",
            f"remove the line at {servers[0].place}, then run {_set_up(facts)}",
        )
    return None


def _is_unasked(repository: Repository, ports: Collection[int]) -> bool:
    own = [one for one in repository.servers if node_lines.is_node(one.value, ports)]
    return not own and any(
        one.key == "Server" and _is_mirror(one, own) for one in repository.servers
    )


def _set_up(facts: Facts) -> str:
    """Return the command that leads this very configuration to this very node."""
    words = ["flocon setup"]
    if facts.named != DEFAULT_PACMAN_CONF:
        words += ["--pacman-conf", shlex.quote(str(facts.named))]
    words += ["--port", str(facts.port)] if facts.port != LOOPBACK_PORT else []
    return " ".join(words)


def _reach_for_nothing(repository: Repository, own: list[Statement]) -> Finding | None:
    """Tell of a node that is asked first for what only pacman can fetch: each file is an error.

    After three pacman asks the node for nothing any more, of other repositories either. A
    CacheServer may fail as often as it likes.
    """
    others = [one for one in repository.servers if one.key == "Server" and one not in own]
    asked = [one for one in own if one.key == "Server"]
    if not others or not asked or _comes_before(others[0], asked[0], repository):
        return None
    return Finding(
        "pacman",
        Verdict.WARNING,
        f"the node can get nothing for [{repository.name}], which has no http mirror"
        f" ({without_user(others[0].value)}), and is asked first: after three errors pacman leaves"
        " the node out, for other repositories too",
        f"remove the line at {asked[0].place}",
    )


def _comes_before(one: Statement, other: Statement, repository: Repository) -> bool:
    return repository.servers.index(one) < repository.servers.index(other)


def _is_path(url: str, repository: str) -> bool:
    """Whether a node knows what pacman asks for with such a line, for a repository."""
    path = urlsplit(url).path.replace("$repo", repository).replace("$arch", "x86_64")
    asked = parse_path(f"{path.rstrip('/')}/{repository}.db".encode("ascii", "replace"))
    return asked is not None and asked.repository == repository


def _is_mirror(statement: Statement, own: list[Statement]) -> bool:
    scheme = statement.value.partition("://")[0].lower()
    return statement not in own and scheme in {"http", "https"}


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or network_location(url)
    except ValueError:
        return network_location(url)


def check_proxy(facts: Facts) -> Iterator[Finding]:
    """Whether a proxy would be asked for localhost; libcurl heeds these variables."""
    environment = facts.environment
    proxies = [name for name in ("http_proxy", "all_proxy", "ALL_PROXY") if environment.get(name)]
    if not proxies:
        yield Finding("proxy", Verdict.GOOD, "no proxy stands before the node")
        return
    without = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    names = {name.strip().lstrip(".") for name in without.replace(" ", ",").split(",")}
    if names & {"localhost", "*"}:
        yield Finding("proxy", Verdict.GOOD, f"{proxies[0]} is not used for localhost")
    else:
        yield Finding(
            "proxy",
            Verdict.WRONG,
            f"{proxies[0]} is set and no_proxy leaves localhost to it: pacman asks the proxy for"
            " the node",
            f"export no_proxy={','.join(filter(None, ['localhost,127.0.0.1,::1', without]))}",
        )


def check_external_program(facts: Facts) -> Iterator[Finding]:
    """Whether XferCommand is one that pacman can run.

    No shell runs it: pacman (6.0.2, measured) splits it at blanks outside quotation marks and
    replaces ``%u`` and ``%o`` only where they are words of their own.
    """
    if isinstance(facts.configuration, ConfigurationError):
        return
    try:
        said = list(pacman_conf.statements(facts.configuration))
    except ConfigurationError:
        return
    for one in said:
        if (one.section, one.key) == ("options", "XferCommand"):
            yield _judge_program(one)
            return
    yield Finding("XferCommand", Verdict.GOOD, "pacman downloads by itself")


def _judge_program(statement: Statement) -> Finding:
    def wrong(reason: str) -> Finding:
        remedy = f"remove it, or mend it at {statement.place}: pacman needs none"
        return Finding("XferCommand", Verdict.WRONG, reason, remedy)

    try:
        words = shlex.split(statement.value)
        lexer = shlex.shlex(statement.value, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        pieces = list(lexer)
    except ValueError:
        return wrong("XferCommand has a quotation mark without its other half")
    if "%u" not in words:
        return wrong(
            "XferCommand has no %u that is a word of its own, so no address is handed over"
        )
    if any(piece and set(piece) <= _METACHARACTERS for piece in pieces):
        return wrong(
            "XferCommand has shell characters outside quotation marks, and no shell runs it"
        )
    return Finding(
        "XferCommand",
        Verdict.WARNING,
        f"XferCommand runs {words[0]} for every file, one after the other",
        f"take it out ({statement.place}) unless it is needed: pacman downloads in parallel",
    )
