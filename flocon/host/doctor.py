"""What actually goes wrong, and how it is mended: each check is a function from facts to findings.

The facts are gathered before: what the running node tells of itself (``/doctor.json``), what stands
in pacman's configuration, and the environment. Nothing is asked here and nothing is changed; only
``look_at_folders``, which the node runs for itself as its own user, touches the disk.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flocon.core import node_lines, pacman_conf
from flocon.core.addresses import network_location, shown
from flocon.core.names import parse_path
from flocon.errors import ConfigurationError
from flocon.options import DEFAULT_PACMAN_CONF, LOOPBACK_PORT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from flocon.core.pacman_conf import Configuration, Repository, Statement

#: Bytes that should be free where the store lies: a large package.
LEAST_FREE = 256 << 20
#: Seconds that clocks may differ.
MOST_CLOCK_ERROR = 60.0
#: Seconds by which databases may be older than a peer's: one runs pacman daily, one weekly.
STALE_AFTER = 86_400.0
#: Seconds that a database may be ahead of this clock: mirrors' clocks differ, too.
FUTURE = 3_600.0
#: Findings taken from the node's own parts.
MOST_TOLD = 32
#: Package files whose rights are looked at in each cache.
MOST_LOOKED_AT = 200
_FIREWALL = (
    "open 19432/tcp and 19432/udp: 'firewall-cmd --permanent --add-service=flocon && firewall-cmd"
    " --reload', 'ufw allow flocon', or see /usr/share/flocon/nftables.conf"
)
#: Why a mirror gives nothing, whatever it is asked for.
SHUT = "wants a name and a password, or others than its Server line has (401)"
_INCLUDED = re.compile(r"includes (.+), which cannot be read")
_METACHARACTERS = frozenset("|&;<>`")


class Verdict(Enum):
    """How a check went; only ``WRONG`` makes a machine unhealthy."""

    GOOD = "good"
    WARNING = "warning"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check: what was found, and the command that mends it."""

    check: str
    verdict: Verdict
    reason: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that checks look at.

    ``node`` is what the node answered at ``/doctor.json``, None where none answers on ``port``.
    ``configuration`` is pacman's, or why it cannot be read; ``version`` is pacman's, where known.
    ``now`` is in seconds since 1970. ``there`` are those of the node's caches that whoever asks
    finds, though the node may not; ``named`` is the file that was looked at as pacman.conf.
    """

    port: int
    node: Mapping[str, Any] | None
    configuration: Configuration | ConfigurationError
    version: tuple[int, int] | None
    environment: Mapping[str, str]
    now: float
    there: frozenset[str] = frozenset()
    named: Path = DEFAULT_PACMAN_CONF


def examine(facts: Facts) -> list[Finding]:
    """Run every check, in the order in which things are best mended."""
    findings: list[Finding] = []
    for check in CHECKS:
        findings += check(facts)
    return findings


def healthy(findings: Iterable[Finding]) -> bool:
    return all(finding.verdict is not Verdict.WRONG for finding in findings)


# This machine


def check_node(facts: Facts) -> Iterator[Finding]:
    if facts.node is None:
        yield Finding(
            "node",
            Verdict.WRONG,
            f"no node answers on port {facts.port}",
            "systemctl enable --now flocon (or 'twistd flocon'); journalctl -u flocon tells more",
        )
    else:
        yield Finding("node", Verdict.GOOD, f"a node answers on port {facts.port}")


def check_pacman(facts: Facts) -> Iterator[Finding]:
    """Whether each repository's requests reach the node, and before any mirror."""
    configuration = facts.configuration
    if isinstance(configuration, ConfigurationError):
        yield _unread(facts, configuration)
        return
    try:
        repositories = pacman_conf.repositories(configuration)
    except ConfigurationError as error:
        yield _unread(facts, error)
        return
    findings = [
        finding for repository in repositories if (finding := _reach(repository, facts)) is not None
    ]
    if not repositories:
        yield _nothing_listed("pacman", configuration.root)
    elif findings:
        yield from findings
    else:
        yield _reached(repositories, facts.port)


def _reached(repositories: Sequence[Repository], port: int) -> Finding:
    """Tell for which repositories the node is asked; those that only pacman can fetch need not."""
    led: list[str] = []
    alone: list[str] = []
    for one in repositories:
        asked = any(node_lines.is_node(server.value, {port}) for server in one.servers)
        (led if asked else alone).append(one.name)
    if not led:
        reason = f"no http mirror, so nothing to ask a node for: {', '.join(alone)}"
        return Finding("pacman", Verdict.UNKNOWN, reason)
    without = f"; not for {', '.join(alone)}, without an http mirror" if alone else ""
    return Finding("pacman", Verdict.GOOD, f"pacman asks the node first: {', '.join(led)}{without}")


def _unread(facts: Facts, error: ConfigurationError) -> Finding:
    """Return what a configuration that cannot be read means, on this machine."""
    reason = f"{error.where}: {error.problem}"
    if _has_no_pacman(facts):
        return Finding(
            "pacman", Verdict.UNKNOWN, f"no pacman here to be led to the node ({reason})"
        )
    return Finding("pacman", Verdict.WRONG, reason, error.remedy)


def _has_no_pacman(facts: Facts) -> bool:
    """Whether the node has no configuration of pacman's, but mirrors of its own, as on a NAS."""
    told: Mapping[str, Any] = facts.node or {"configuration": {}}
    return told.get("configuration", {}) is None


def _lists_nothing(facts: Facts) -> bool:
    """Whether there is no repository in what the node reads, so that nothing else can be right."""
    return facts.node is not None and facts.node.get("repositories") == []


def _nothing_listed(check: str, path: object) -> Finding:
    return Finding(
        check,
        Verdict.WRONG,
        f"{path} has no repository, so there is nothing to fetch",
        "write one there, as [core] and below it Include = /etc/pacman.d/mirrorlist; or, if"
        " pacman's configuration is another file, name that with --pacman-conf",
    )


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
    own = [one for one in repository.servers if node_lines.is_node(one.value, {port})]
    mirrors = [one for one in repository.servers if one.key == "Server" and _is_mirror(one, own)]
    if not mirrors:
        return _reach_for_nothing(repository, own)
    caches = [one for one in own if one.key == "CacheServer"]
    servers = [one for one in own if one.key == "Server"]
    known = version is None or version >= node_lines.CACHE_SERVER_SINCE
    if caches and known:
        return None
    if not servers:
        reason = f"pacman does not ask the node for [{name}]"
        if caches:
            reason = (
                f"this pacman does not know the CacheServer line of [{name}] ({caches[0].place})"
            )
        return Finding("pacman", Verdict.WRONG, reason, _set_up(facts))
    order = repository.servers
    if order.index(servers[0]) > order.index(mirrors[0]):
        return Finding(
            "pacman",
            Verdict.WRONG,
            f"pacman asks {_host(mirrors[0].value)} before the node for [{name}]"
            f" ({servers[0].place})",
            f"remove the line at {servers[0].place}, then run {_set_up(facts)}",
        )
    return None


def _set_up(facts: Facts) -> str:
    """Return the command that leads this very configuration to this very node."""
    words = ["flocon setup"]
    if facts.named != DEFAULT_PACMAN_CONF:
        words += ["--pacman-conf", shlex.quote(str(facts.named))]
    words += ["--port", str(facts.port)] if facts.port != LOOPBACK_PORT else []
    return " ".join(words)


def _reach_for_nothing(repository: Repository, own: list[Statement]) -> Finding | None:
    """Tell of a node that is asked first for what only pacman can fetch: it has an error line."""
    others = [one for one in repository.servers if one.key == "Server" and one not in own]
    asked = [one for one in own if one.key == "Server"]
    if not others or not asked or _comes_before(others[0], asked[0], repository):
        return None
    return Finding(
        "pacman",
        Verdict.WARNING,
        f"the node can get nothing for [{repository.name}], which has no http mirror"
        f" ({shown(others[0].value)}), and is asked first",
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


def check_configuration(facts: Facts) -> Iterator[Finding]:
    """Whether the node can read what pacman, as root, reads."""
    told = facts.node.get("configuration") if facts.node else None
    if not told:
        return
    same = str(facts.named) == told.get("path")
    if _lists_nothing(facts) and not told.get("problem"):
        # Of the same file check_pacman tells.
        if not same:
            yield _nothing_listed("configuration", told.get("path"))
        return
    path = shlex.quote(str(told.get("path", "")))
    if told.get("problem"):
        yield Finding(
            "configuration",
            Verdict.WRONG,
            f"the node cannot read pacman's configuration, and so knows no mirror of it:"
            f" {told['problem']}",
            str(told.get("remedy") or f"chmod a+r {path}"),
        )
    else:
        yield Finding("configuration", Verdict.GOOD, f"the node reads {told.get('path')}")


def check_mirrors(facts: Facts) -> Iterator[Finding]:
    """Whether what nobody on the LAN holds can be fetched."""
    if facts.node is None or "mirrors" not in facts.node:
        return
    mirrors = _rows(facts.node, "mirrors")
    if not mirrors and _lists_nothing(facts):
        return
    shut = [str(one.get("mirror")) for one in mirrors if one.get("problem") == SHUT]
    if shut:
        yield Finding(
            "mirrors",
            Verdict.WRONG,
            f"{', '.join(shut)}: {SHUT}",
            "write NAME:PASSWORD@ before the host there, with @ in them as %40; .netrc is not read",
        )
    mirrors = [one for one in mirrors if one.get("problem") != SHUT]
    if shut and not mirrors:
        return
    away = [one for one in mirrors if one.get("problem")]
    told = "; ".join(f"{one.get('mirror')}: {one['problem']}" for one in away)
    if not mirrors:
        yield Finding(
            "mirrors",
            Verdict.WARNING,
            "the node knows no http or https mirror, so it has only what the LAN holds",
            "write one into /etc/pacman.d/mirrorlist, or into mirrors in /etc/flocon.toml",
        )
    elif len(away) == len(mirrors):
        yield Finding(
            "mirrors",
            Verdict.WRONG,
            f"every mirror is out of reach: {told}",
            "look whether this machine has a way out; behind a proxy, write"
            ' proxy = "http://HOST:PORT" into /etc/flocon.toml and restart the node',
        )
    elif away:
        yield Finding(
            "mirrors",
            Verdict.WARNING,
            f"{len(away)} of {len(mirrors)} mirrors out of reach: {told}",
            "take them out of the mirrorlist, or rank the mirrors anew",
        )
    else:
        names = ", ".join(str(one.get("mirror")) for one in mirrors)
        yield Finding("mirrors", Verdict.GOOD, f"the node reaches {names}")


def check_caches(facts: Facts) -> Iterator[Finding]:
    if facts.node is None:
        return
    caches = _rows(facts.node, "caches")
    problems = [one for one in caches if one.get("problem")]
    for one in problems:
        path = str(one.get("path", ""))
        remedy = f"install -d {shlex.quote(path)}; chmod a+rX -R {shlex.quote(path)}"
        reason = f"{path}: {one['problem']}"
        if facts.node.get("unit") and path in facts.there and (hider := _hider(path)):
            setting, value = hider
            reason = f"{path}: the node's own unit hides it ({setting})"
            remedy = (
                f"systemctl edit flocon, write [Service] and below it {setting}={value};"
                " then systemctl restart flocon"
            )
        yield Finding("cache", Verdict.WRONG, reason, remedy)
    if not caches:
        yield Finding("cache", Verdict.UNKNOWN, "the node knows no cache of pacman's")
    elif not problems:
        paths = ", ".join(str(one.get("path", "")) for one in caches)
        yield Finding("cache", Verdict.GOOD, f"the node reads {paths}")


def _hider(path: str) -> tuple[str, str] | None:
    """Return the setting of a unit that hides a path, and the value that does not."""
    for setting, value, places in (
        ("PrivateTmp", "no", ("/tmp", "/var/tmp")),  # noqa: S108 - names, not files
        ("ProtectHome", "read-only", ("/home", "/root", "/run/user")),
    ):
        if any(path == place or path.startswith(f"{place}/") for place in places):
            return setting, value
    return None


def check_store(facts: Facts) -> Iterator[Finding]:
    if facts.node is None:
        return
    store = facts.node.get("store") or {}
    path, free = str(store.get("path", "")), int(store.get("free_bytes") or 0)
    if store.get("problem"):
        yield Finding(
            "store",
            Verdict.WRONG,
            f"{path}: {store['problem']}",
            f"install -d -o flocon -g flocon {shlex.quote(path)}",
        )
    elif free < LEAST_FREE:
        yield Finding(
            "store",
            Verdict.WRONG,
            f"{path} has {free >> 20} MiB left, so what comes in is not kept",
            "paccache -r, or set store.path in /etc/flocon.toml to a larger disk",
        )
    else:
        yield Finding("store", Verdict.GOOD, f"{path} can be written and has room")


# The LAN


def check_links(facts: Facts) -> Iterator[Finding]:
    """Whether the interfaces are there, and connected to anything."""
    links = facts.node.get("links") if facts.node else None
    if not links:
        return
    running, silent = list(links.get("running") or ()), list(links.get("silent") or ())
    for name in links.get("missing") or ():
        there = f" ({', '.join(running)} is)" if running else ""
        yield Finding(
            "interface",
            Verdict.WRONG,
            f"there is no interface {name}, on which the node is to be present",
            f"name one that 'ip address' shows{there} with --interface, or in"
            " presence.interfaces of /etc/flocon.toml",
        )
    if running and not links.get("missing"):
        others = f" ({', '.join(silent)} not)" if silent else ""
        yield Finding("interface", Verdict.GOOD, f"{', '.join(running)} connected{others}")
    elif not running and silent:
        yield Finding(
            "interface",
            Verdict.WRONG,
            f"no carrier: {', '.join(silent)} is switched off, or connected to nothing",
            "plug the cable in, or join the Wi-Fi; 'ip link' shows the state",
        )


def _is_cut_off(facts: Facts) -> bool:
    """Whether no interface is connected: then nothing else of the LAN tells anything."""
    links = (facts.node or {}).get("links") or {}
    return not links.get("running") and bool(links.get("silent") or links.get("missing"))


def check_identity(facts: Facts) -> Iterator[Finding]:
    """Whether another machine was met that had this node's id: each took the other for itself."""
    other = facts.node.get("namesake") if facts.node else None
    if not other:
        return
    path = shlex.quote(str((facts.node or {}).get("store", {}).get("path", "")) + "/node")
    who = f"{other.get('name')} at {other.get('address')}"
    yield Finding(
        "identity",
        Verdict.WARNING,
        f"{who} had this node's id, {other.get('node')}, as if both came from one image; one of"
        " the two has taken another",
        f"leave {path} out of what machines are made from",
    )


def check_told(facts: Facts) -> Iterator[Finding]:
    """Pass on what the node's parts have found out for themselves."""
    for one in _rows(facts.node or {}, "problems")[:MOST_TOLD]:
        yield Finding(
            str(one.get("check", "node")),
            Verdict.WRONG if one.get("wrong") else Verdict.WARNING,
            str(one.get("reason", "")),
            str(one.get("remedy", "")),
        )


def check_multicast(facts: Facts) -> Iterator[Finding]:
    """Whether the group is joined on each link and this node's own datagrams come back."""
    if facts.node is None or _is_cut_off(facts):
        return
    places = _rows(facts.node, "places")
    if not places:
        yield Finding(
            "multicast",
            Verdict.WRONG,
            "no interface that is up can multicast",
            "ip link set dev INTERFACE up multicast on",
        )
        return
    problems = list(_deaf_places(places))
    yield from problems
    if not problems:
        names = ", ".join(dict.fromkeys(str(place.get("link")) for place in places))
        yield Finding("multicast", Verdict.GOOD, f"own datagrams come back on {names}")


def _deaf_places(places: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    for place in places:
        where = f"{place.get('link')} (IPv{place.get('version')})"
        if not place.get("joined"):
            reason = f"the group is not joined on {where}"
            yield Finding("multicast", Verdict.WRONG, reason, "flocon rejoin")
        elif not place.get("own_heard"):
            sent = place.get("sent") or 0
            reason = f"of {sent} datagrams sent on {where} none came back: a firewall is in the way"
            if not sent:
                reason = f"no datagram could be sent on {where}"
            yield Finding("multicast", Verdict.WRONG, reason, _FIREWALL)


def check_neighbours(facts: Facts) -> Iterator[Finding]:
    """Whether anybody is heard, and hears this node."""
    if facts.node is None or _is_cut_off(facts):
        return
    peers = _rows(facts.node, "peers")
    # Whoever has this node's id is heard, and taken for itself.
    if not peers and facts.node.get("namesake"):
        return
    if not peers:
        yield Finding(
            "peers",
            Verdict.WRONG,
            "joined and sent, but nobody else is heard: no other node runs, a firewall drops"
            " 19432/udp, or a switch with IGMP snooping has no querier",
            "start flocon on another machine; else give the switch a querier or end its snooping"
            " (a Linux bridge: ip link set dev BRIDGE type bridge mcast_querier 1)",
        )
        return
    deaf = [one for one in _rows(facts.node, "knocks") if one.get("heard") is False]
    if deaf:
        yield Finding(
            "peers",
            Verdict.WRONG,
            f"this node hears {_names(deaf)}, but is not heard there",
            "on that machine: " + _FIREWALL,
        )
    else:
        yield Finding("peers", Verdict.GOOD, f"{_names(peers)} heard")


def check_door(facts: Facts) -> Iterator[Finding]:
    """Whether the LAN port is open as seen from a peer."""
    if facts.node is None or not _rows(facts.node, "peers"):
        return
    port = facts.node.get("lan_port")
    knocks = [one for one in _rows(facts.node, "knocks") if isinstance(one.get("open"), bool)]
    closed = [one for one in knocks if not one["open"]]
    if not knocks:
        problems = [one for one in _rows(facts.node, "knocks") if one.get("problem")]
        why = f" ({problems[0]['problem']})" if problems else ""
        yield Finding(
            "port",
            Verdict.UNKNOWN,
            f"no peer could be asked to knock at port {port}{why}",
        )
    elif closed:
        yield Finding(
            "port", Verdict.WRONG, f"port {port} is closed as seen from {_names(closed)}", _FIREWALL
        )
    else:
        yield Finding("port", Verdict.GOOD, f"port {port} is open as seen from {_names(knocks)}")


def check_clock(facts: Facts) -> Iterator[Finding]:
    """Whether this clock agrees with the peers', or at least with pacman's files."""
    if facts.node is None:
        return
    ahead = [
        float(one["clock_ahead_seconds"])
        for one in _rows(facts.node, "knocks")
        if isinstance(one.get("clock_ahead_seconds"), (int, float))
    ]
    remedy = "timedatectl set-ntp true"
    if ahead:
        ahead.sort()
        off = (ahead[(len(ahead) - 1) // 2] + ahead[len(ahead) // 2]) / 2
        if abs(off) > MOST_CLOCK_ERROR:
            way = "behind" if off > 0 else "ahead of"
            reason = f"this clock is {_duration(abs(off))} {way} those of the peers"
            yield Finding("clock", Verdict.WRONG, reason, remedy)
        else:
            yield Finding("clock", Verdict.GOOD, "this clock agrees with those of the peers")
        return
    newest = max(_times(facts.node.get("databases")).values(), default=0.0)
    if newest > facts.now + MOST_CLOCK_ERROR:
        reason = f"pacman's databases are {_duration(newest - facts.now)} in the future"
        yield Finding("clock", Verdict.WRONG, reason, remedy)
    else:
        yield Finding("clock", Verdict.UNKNOWN, "no peer's clock to compare with")


def check_architectures(facts: Facts) -> Iterator[Finding]:
    if facts.node is None:
        return
    own = set(facts.node.get("architectures") or ())
    others = [
        peer
        for peer in _rows(facts.node, "peers")
        if own and peer.get("architectures") and not own & set(peer["architectures"])
    ]
    if others:
        yield Finding(
            "architecture",
            Verdict.WARNING,
            f"{_names(others)} have packages of another architecture than {'/'.join(sorted(own))}:"
            " only those for any are shared",
        )
    elif _rows(facts.node, "peers"):
        yield Finding("architecture", Verdict.GOOD, "packages of the peers fit this machine")


def check_databases(facts: Facts) -> Iterator[Finding]:
    """Whether pacman's sync databases are there, and not much older than a peer's."""
    if facts.node is None:
        return
    own = _times(facts.node.get("databases"))
    unread = any(one.get("check") == "databases" for one in _rows(facts.node, "problems"))
    if not own and (unread or _lists_nothing(facts) or _has_no_pacman(facts)):
        return  # there are none to be, or check_told says what is wrong with them
    if not own:
        yield Finding(
            "databases",
            Verdict.WRONG,
            "there is no sync database, so nothing is known to be right and no peer is asked",
            "pacman -Sy",
        )
        return
    ahead = {name: when - facts.now for name, when in own.items() if when > facts.now + FUTURE}
    if ahead and not _is_clock_wrong(facts):
        names = ", ".join(sorted(ahead))
        yield Finding(
            "databases",
            Verdict.WRONG,
            f"the databases of {names} are dated {_duration(max(ahead.values()))} in the future, so"
            " pacman takes no newer one",
            "pacman -Syyu",
        )
        return
    late: dict[str, float] = {}
    for knock in _rows(facts.node, "knocks"):
        for name, modified in _times(knock.get("databases")).items():
            if name in own and modified - own[name] > STALE_AFTER:
                late[name] = max(late.get(name, 0.0), modified - own[name])
    if late:
        names = ", ".join(sorted(late))
        yield Finding(
            "databases",
            Verdict.WRONG,
            f"the databases of {names} are {_duration(max(late.values()))} older than a peer's, so"
            " what is new there is not trusted here",
            "pacman -Syu",
        )
    else:
        yield Finding("databases", Verdict.GOOD, "the sync databases are as new as the peers'")


def _is_clock_wrong(facts: Facts) -> bool:
    return any(one.verdict is Verdict.WRONG for one in check_clock(facts))


def check_quarantine(facts: Facts) -> Iterator[Finding]:
    if facts.node is None:
        return
    for peer in _rows(facts.node, "peers"):
        if peer.get("quarantine"):
            yield Finding(
                "quarantine",
                Verdict.WARNING,
                f"{peer.get('name')} at {peer.get('address')} is in quarantine"
                f" {peer['quarantine']}",
                f"flocon pardon {shlex.quote(str(peer.get('address')))}",
            )


CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    check_node,
    check_pacman,
    check_proxy,
    check_external_program,
    check_configuration,
    check_mirrors,
    check_caches,
    check_store,
    check_databases,
    check_told,
    check_links,
    check_identity,
    check_multicast,
    check_neighbours,
    check_door,
    check_clock,
    check_architectures,
    check_quarantine,
)


def _rows(node: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    return list(node.get(key) or ())


def _times(value: Any) -> dict[str, float]:
    return {str(name): float(one) for name, one in (value or {}).items()}


def _names(rows: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(f"{one.get('name')}" for one in rows)


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        # Clocks are told to the minute: two hours may be a little less.
        if seconds >= 1.95 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


# The node's own look, as its own user


def look_at_folders(caches: Iterable[Path], store: Path) -> dict[str, Any]:
    """Tell whether pacman's caches can be read and the store be written; for a thread."""
    return {
        "caches": [{"path": str(path), "problem": _unreadable(path)} for path in caches],
        "store": {"path": str(store), "problem": _unwritable(store), "free_bytes": _free(store)},
    }


def look_at_configuration(path: Path) -> dict[str, str]:
    """Tell whether pacman's configuration can be read, with all it includes; for a thread."""
    from flocon.host import pacman_files  # noqa: PLC0415 - seldom asked for, and much code

    try:
        pacman_files.read(path)
    except ConfigurationError as error:
        # What cannot be read is often included: that is the file to be opened.
        included = _INCLUDED.search(error.problem)
        return {
            "path": included[1] if included else str(path),
            "problem": f"{error.where}: {error.problem}",
            # Rights are the one thing that the node lacks and pacman, as root, does not.
            "remedy": "" if os.strerror(errno.EACCES) in error.problem else error.remedy,
        }
    return {"path": str(path), "problem": ""}


def _unreadable(path: Path) -> str:
    try:
        with os.scandir(path) as entries:
            names = [one.path for one, _ in zip(entries, range(MOST_LOOKED_AT), strict=False)]
    except OSError as error:
        return error.strerror or str(error)
    # Folders that pacman downloads into are its own.
    closed = [one for one in names if os.path.isfile(one) and not os.access(one, os.R_OK)]  # noqa: PTH113
    files = "1 file" if len(closed) == 1 else f"{len(closed)} files"
    return f"{files} cannot be read by the node" if closed else ""


def _unwritable(path: Path) -> str:
    if not path.is_dir():
        return "is not there"
    return "" if os.access(path, os.W_OK | os.X_OK) else "cannot be written by the node"


def _free(path: Path) -> int:
    try:
        room = os.statvfs(path)
    except OSError:
        return 0
    return room.f_bavail * room.f_frsize
