"""What a person can ask of a running node: who has what, why it comes from there, what is wrong.

Nothing is decided here: the order of sources is that of ``sources``, asked for and put into words.
Every answer is bounded, made of JSON's values, and changes nothing.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import time
from typing import TYPE_CHECKING, Any

from twisted.internet import defer, task
from twisted.internet.threads import deferToThreadPool

from flocon.core.addresses import shown
from flocon.core.attempts import Limits
from flocon.core.names import Asked, FileName, Kind, parse_file_name
from flocon.core.secrecy import without_any_passwords
from flocon.core.sources import Origin, Source
from flocon.core.versions import version_key
from flocon.errors import Refused, SourceError
from flocon.host.interfaces import look_at_links
from flocon.net.agents import literal_host
from flocon.net.fetch import Wanted
from flocon.net.knock import clock_off, read_knock
from flocon.net.small import fetch_small, last_modified

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence

    from twisted.internet.defer import Deferred

    from flocon.core.content import Content
    from flocon.core.entries import Entry
    from flocon.core.own_announcement import Identity
    from flocon.core.peer import Peer
    from flocon.core.presence import Presence
    from flocon.core.quarantine import Quarantine, Record
    from flocon.core.recent import Recent
    from flocon.core.standing import Standing
    from flocon.host.offering import Held, Offering
    from flocon.host.pacman import PacmanWatch
    from flocon.net.multicast import Multicast
    from flocon.net.neighbourhood import Neighbourhood
    from flocon.net.transfers import Transfers
    from flocon.options import Settings
    from flocon.sources.candidates import Candidates
    from flocon.sources.listed import Listed
    from flocon.sources.means import Agents

#: Files in one answer.
MOST_FILES = 500
#: Names of this node's own inventory that a search looks at in one go.
SLICE = 20_000
#: Peers asked to knock, and what their answer may be.
MOST_KNOCKS = 5
KNOCK_LIMITS = Limits(first_byte=3.0, stall=1.0)
LARGEST_KNOCK = 8 << 10
#: How often it is looked whether an interface's datagrams come back, and the seconds between.
LOOKS = 5
LOOK_PAUSE = 0.5
#: Mirrors looked for, and for how many seconds each.
MOST_PROBED = 4
PROBE_PATIENCE = 5.0
#: What a proxy answers that lets nobody through without a password.
PASSWORD_WANTED, PROXY_WANTED = 401, 407


class Explainer:
    """Answers the questions of the loopback face; see ``questions``."""

    def __init__(
        self,
        reactor: Any,
        *,
        identity: Identity,
        settings: Callable[[], Settings],
        namesake: Callable[[], Mapping[str, Any] | None],
        offering: Offering,
        listed: Listed,
        candidates: Candidates,
        transfers: Transfers,
        agents: Agents,
        pacman: PacmanWatch,
        neighbourhood: Neighbourhood,
        presence: Presence,
        multicast: Multicast,
        standing: Standing,
        quarantine: Quarantine,
        recent: Recent,
        lan_port: Callable[[], int],
    ) -> None:
        self._reactor = reactor
        self.identity = identity
        self._settings = settings
        self._namesake = namesake
        self._offering = offering
        self._listed = listed
        self._candidates = candidates
        self._transfers = transfers
        self._agents = agents
        self._pacman = pacman
        self._neighbourhood = neighbourhood
        self._presence = presence
        self._multicast = multicast
        self._standing = standing
        self._quarantine = quarantine
        self._recent = recent
        self._lan_port = lan_port
        self._turn = defer.DeferredLock()
        #: Each tells of problems it knows, for ``flocon doctor``: dicts of ``check``, ``reason``,
        #: ``remedy`` and ``wrong`` (whether it is more than a warning).
        self.tellers: list[Callable[[], Iterable[Mapping[str, Any]]]] = [self._tell_of_databases]

    @property
    def questions(self) -> dict[str, Callable[[Mapping[str, str]], Any]]:
        """Each path of the loopback face that is answered here."""
        return {
            "/search.json": self.search,
            "/why.json": self.why,
            "/recent.json": self.recent,
            "/doctor.json": self.examine,
        }

    async def recent(self, _: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return what pacman asked lately, the newest first."""
        return [one.describe() for one in reversed(list(self._recent))]

    # Who has it

    async def search(self, fields: Mapping[str, str]) -> dict[str, Any] | None:
        """Tell who holds the package ``name``, or every file with ``part`` in its name."""
        name, part = fields.get("name", ""), fields.get("part", "")
        if bool(name) == bool(part):
            return None
        found = await self._search(f"{name}-" if name else part, name)
        listing = self._pacman.listing
        listed = listing.named(name) if name else []
        rows = [self._row(file, content, nodes) for (file, content), nodes in found.items()]
        rows.sort(key=lambda row: row["file"])
        rows.sort(key=lambda row: version_key(row["version"]), reverse=True)
        rows.sort(key=lambda row: row["name"])
        return {
            "node": self.identity.node,
            "listed": [_entry(entry) for entry in listed[:MOST_FILES]],
            "files": rows[:MOST_FILES],
            "truncated": len(rows) > MOST_FILES,
        }

    async def _search(self, part: str, name: str = "") -> dict[tuple[str, Content], list[str]]:
        """Return the nodes that hold each file with ``part`` in its name; let others run meanwhile.

        One more than may be answered is enough.
        """
        found: dict[tuple[str, Content], list[str]] = {}
        for rows in self._neighbourhood.holders.search(part):
            for file, content, nodes in rows:
                if _is_called(file, name):
                    found.setdefault((file, content), []).extend(nodes)
            if len(found) > MOST_FILES:
                break
            await task.deferLater(self._reactor, 0)
        inventory = self._offering.inventory
        own = list(inventory.names())
        for start in range(0, len(own), SLICE):
            for file in own[start : start + SLICE]:
                held = inventory.get(file) if part in file else None
                if held is not None and _is_called(file, name):
                    found.setdefault((file, held), []).insert(0, self.identity.node)
            if len(found) > 2 * MOST_FILES:
                break
            await task.deferLater(self._reactor, 0)
        return found

    def _row(self, file_name: str, content: Content, nodes: Sequence[str]) -> dict[str, Any]:
        file = parse_file_name(file_name)
        entries = self._pacman.listing.find(file_name)
        own = self.identity.node
        here = self._held(file_name, content) if own in nodes else None
        return {
            "file": file_name,
            "name": file.name if file else file_name,
            "version": file.version if file else "",
            "architecture": file.architecture if file else "",
            "size": content.size,
            "sha256": content.sha256.hex(),
            "listed": [one.repository for one in entries if one.content == content],
            "here": here.origin if here else None,
            "holders": [self._who(node) for node in nodes if node != own],
        }

    def _who(self, node: str) -> dict[str, Any]:
        peer = self._presence.peer(node)
        if peer is None:
            return {"node": node, "name": "", "address": ""}
        return {"node": node, "name": peer.name, "address": peer.address}

    # Why it comes from there

    async def why(self, fields: Mapping[str, str]) -> dict[str, Any] | None:
        """Tell how ``file`` (of ``repository``, or of any) would be answered now, or was lately."""
        file = parse_file_name(fields.get("file", ""))
        if file is None:
            return None
        if file.kind is Kind.DATABASE:
            return self._why_database(file)
        asked = Asked(fields.get("repository", ""), "", file)
        await self._listed.settled()
        name = file.subject
        entry = self._listed.entry(asked)
        content = entry.content if entry else None
        here = self._held(name, content)
        running = self._transfers.find(name, content) if content else None
        order = self._candidates.order(name, self._candidates.servers(asked, entry), entry)
        others = await self._search(name)
        told: dict[str, Any] = {
            "file": name,
            "listed": [_entry(one) for one in self._pacman.listing.find(name)],
            "here": {"origin": here.origin, "sha256": here.content.sha256.hex()} if here else None,
            "arriving": None,
            "order": [self._candidate(source, entry) for source in order],
            "left_out": self._left_out(name, entry, order, others),
            "recent": [one.describe() for one in self._recent.of(name, name + ".sig")],
        }
        if running is not None:
            told["arriving"] = {
                "source": str(running.source) if running.source else "",
                "bytes": running.arrived,
                "size": running.size,
                "whole": running.verified,
            }
        told["answer"] = _answer(told)
        return told

    def _held(self, file_name: str, content: Content | None) -> Held | None:
        found = self._offering.find(file_name)
        return found if found and content in {None, found.content} else None

    def _why_database(self, file: FileName) -> dict[str, Any]:
        asked = Asked(file.name, "", file)
        order = self._candidates.order(file.text, self._candidates.servers(asked, None), None)
        told: dict[str, Any] = {
            "file": file.text,
            "listed": [],
            "here": None,
            "arriving": None,
            "order": [self._candidate(source, None) for source in order],
            "left_out": [],
            "recent": [one.describe() for one in self._recent.of(file.text)],
        }
        if self._settings().databases == "lan":
            told["answer"] = (
                "databases come from the newest of peers and mirrors, as flocon.toml says"
            )
        elif order:
            told["answer"] = f"databases come from the mirrors: {order[0].label} is asked first"
        else:
            told["answer"] = f"no mirror is known for {file.name}: the answer is an error"
        return told

    def _candidate(self, source: Source, entry: Entry | None) -> dict[str, Any]:
        now = self._reactor.seconds()
        failing = self._standing.demoted(source.key, now)
        peer = self._presence.peer(source.node) if source.origin is Origin.PEER else None
        role = "mirror"
        if source.origin is Origin.PEER:
            role = "owner" if source.relayed else "holder"
            role = "earlier owner" if source.only_if_cached else role
        return {
            "role": role,
            "name": peer.name if peer else "",
            "address": source.label,
            "url": shown(source.url),
            "failing": failing,
            "bytes_per_second": round(self._standing.throughput(source.key)),
            "active": self._standing.active(source.key),
            "why": _reason(role, failing),
        }

    def _left_out(
        self,
        name: str,
        entry: Entry | None,
        order: Sequence[Source],
        others: Mapping[tuple[str, Content], Sequence[str]],
    ) -> list[dict[str, Any]]:
        """Tell of each peer that could have been meant, and why it is not asked."""
        asked = {source.node for source in order}
        holding = {
            node: content
            for (file, content), nodes in others.items()
            if file == name
            for node in nodes
        }
        told = []
        for peer in self._presence.peers():
            if peer.node not in asked:
                why = self._why_not(peer, entry, holding.get(peer.node))
                told.append({"name": peer.name, "address": peer.address, "why": why})
        return sorted(told, key=lambda one: str(one["name"]))[:MOST_FILES]

    def _why_not(self, peer: Peer, entry: Entry | None, held: Content | None) -> str:
        record = self._in_quarantine(peer)
        if record is not None:
            return f"in quarantine {record.described(time.time())}"
        if entry is None:
            return "peers are asked only for what the sync databases list"
        if held is not None and held != entry.content:
            return "holds other bytes under this name than the sync database lists"
        if not any(one.node == peer.node for one in self._neighbourhood.able(entry.repository)):
            return f"does not hold it, and does not fetch [{entry.repository}] for others"
        if self._standing.demoted(peer.address, self._reactor.seconds()):
            return "does not hold it, and failed lately"
        return "does not hold it, and comes behind this node as the one to fetch it"

    def _term(self, peer: Peer) -> str | None:
        record = self._in_quarantine(peer)
        return record.described(time.time()) if record else None

    def _in_quarantine(self, peer: Peer) -> Record | None:
        return self._quarantine.record(peer.node, peer.address, time.time())

    # How this node stands

    async def examine(self, _: Mapping[str, str]) -> dict[str, Any]:
        """Return what ``flocon doctor`` needs to know of the node; has a few peers knock."""
        # One after the other: each of them has peers knock.
        answer: dict[str, Any] = await self._turn.run(
            lambda: defer.Deferred.fromCoroutine(self._examine())
        )
        return answer

    async def _examine(self) -> dict[str, Any]:
        # Seldom asked for, and much code.
        from flocon.host import doctor  # noqa: PLC0415

        configuration = self._pacman.configuration
        peers = sorted(self._presence.peers(), key=lambda peer: peer.first_heard)
        settings = self._settings()
        knocks, mirrors = await defer.gatherResults(
            [
                self._all(self._knock(peer) for peer in peers[:MOST_KNOCKS]),
                self._all(self._probe(source) for source in self._probed()),
            ]
        )
        folders = await self._in_thread(
            doctor.look_at_folders, configuration.cache_directories, settings.store.path
        )
        read = await self._in_thread(doctor.look_at_configuration, settings.pacman_conf)
        links = await self._in_thread(look_at_links, settings.presence.interfaces)
        return {
            "node": self.identity.node,
            "namesake": self._namesake(),
            "unit": "INVOCATION_ID" in os.environ,
            "pacman_conf": str(settings.pacman_conf),
            "configuration": read if configuration.repositories or not settings.mirrors else None,
            "repositories": [one.name for one in configuration.repositories],
            "mirrors": mirrors,
            "links": links,
            "problems": [problem for tell in self.tellers for problem in tell()],
            "lan_port": self._lan_port(),
            "time": round(time.time(), 3),
            "architectures": list(configuration.architectures),
            "peers": [
                {
                    "name": peer.name,
                    "address": peer.address,
                    "architectures": list(peer.architectures),
                    "quarantine": self._term(peer),
                }
                for peer in peers
            ],
            "places": await self._places(),
            "knocks": knocks,
            "databases": self.database_times(),
            "max_size": settings.store.max_size,
            **folders,
        }

    def _tell_of_databases(self) -> Iterator[dict[str, Any]]:
        """Tell of databases that pacman has and this node cannot read."""
        for repository, path, problem in self._pacman.unusable():
            why, _, remedy = problem.partition("; ")
            if not remedy:
                closed = os.strerror(errno.EACCES) in why
                remedy = f"chmod a+r {shlex.quote(str(path))}" if closed else "pacman -Syy"
            yield {
                "check": "databases",
                "wrong": True,
                "reason": f"{path} cannot be read ({why}), so nothing of [{repository}] is shared"
                " with the LAN or taken from it",
                "remedy": remedy,
            }

    def _all(self, coroutines: Iterable[Coroutine[Any, Any, Any]]) -> Deferred[list[Any]]:
        return defer.gatherResults([defer.Deferred.fromCoroutine(one) for one in coroutines])

    async def _places(self) -> list[dict[str, Any]]:
        """Return where the group is joined; what has just come up gets the time to be heard."""
        for _ in range(LOOKS):
            if all(one["own_heard"] for one in self._multicast.places()):
                break
            await task.deferLater(self._reactor, LOOK_PAUSE)
        return self._multicast.places()

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        threads = self._reactor.getThreadPool()
        return await deferToThreadPool(self._reactor, threads, function, *arguments)

    def _probed(self) -> list[Source]:
        """Return mirrors to look for, each with a database that it should have, in their order."""
        found: dict[str, Source] = {}
        for repository in self._pacman.configuration.repositories:
            file = parse_file_name(f"{repository.name}.db")
            if file is not None:
                asked = Asked(repository.name, "", file)
                for source in self._candidates.order(
                    file.text, self._candidates.servers(asked, None), None
                ):
                    found.setdefault(source.label, source)
        return list(found.values())[:MOST_PROBED]

    async def _probe(self, source: Source) -> dict[str, str]:
        """Ask a mirror for the head of a database; whatever else it answers, it is there."""
        from flocon.host import doctor  # noqa: PLC0415

        told = {"mirror": source.label, "problem": ""}
        wanted = Wanted(source.url, source.label)
        try:
            await last_modified(self._agents.of(source), self._reactor, wanted, PROBE_PATIENCE)
        except Refused as error:
            if error.status == PROXY_WANTED:
                told["problem"] = "a proxy wants a name and a password (407)"
            elif error.status == PASSWORD_WANTED:
                told["problem"] = doctor.SHUT
        except SourceError as error:
            told["problem"] = without_any_passwords(error.detail)[:200]
        return told

    def database_times(self) -> dict[str, float]:
        """Return when each sync database was last changed, in seconds since 1970."""
        return {one.repository: one.modified for one in self._pacman.listing.databases}

    async def _knock(self, peer: Peer) -> dict[str, Any]:
        place = f"{literal_host(peer.address)}:{peer.port}"
        url = f"http://{place}/knock?port={self._lan_port()}"
        told: dict[str, Any] = {"name": peer.name, "address": peer.address, "problem": ""}
        began = time.time()
        try:
            data = await fetch_small(
                self._agents.peers,
                self._reactor,
                Wanted(url, peer.address),
                KNOCK_LIMITS,
                LARGEST_KNOCK,
            )
            knocked = read_knock(json.loads(data))
        except (SourceError, ValueError, RecursionError) as error:
            return {**told, "problem": str(error)[:200]}
        if knocked is None:
            return {**told, "problem": "does not answer knocks"}
        off = clock_off(knocked, began, time.time())
        return {
            **told,
            "port": knocked.port,
            "open": knocked.open,
            "heard": knocked.heard,
            "clock_ahead_seconds": round(off, 1),
            "databases": dict(knocked.databases),
        }


def _is_called(file_name: str, name: str) -> bool:
    """Whether a file is of the package ``name``, or any name will do."""
    file = parse_file_name(file_name) if name else None
    return not name or (file is not None and file.name == name)


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "repository": entry.repository,
        "file": entry.file_name,
        "version": entry.version,
        "size": entry.size,
        "sha256": entry.sha256.hex(),
    }


def _reason(role: str, failing: bool) -> str:
    if failing:
        return "failed lately, so it comes after the others of its kind"
    return {
        "holder": "holds these very bytes",
        "earlier owner": "may be fetching it already, since the owner has only just become it",
        "owner": "fetches what nobody holds, for everybody",
        "mirror": "is named in pacman's configuration",
    }[role]


def _answer(told: Mapping[str, Any]) -> str:
    """Return how the file would be answered, in a sentence."""
    if told["here"]:
        return f"this node holds it, in its {told['here']['origin']}"
    if told["arriving"]:
        if told["arriving"]["whole"]:
            return "it has just arrived, and is being kept"
        source = told["arriving"]["source"]
        return f"it is on its way here{f', from {source}' if source else ''}"
    order = [one for one in told["order"] if one["role"] != "earlier owner"]
    if not order:
        return "there is nobody to ask: the answer is an error, and pacman asks its next server"
    first = order[0]
    who = first["name"] or first["address"]
    if not told["listed"]:
        return f"no sync database lists it, so only mirrors are asked: {who} first"
    if first["role"] == "owner":
        return f"nobody holds it: {who} is asked to fetch it for everybody"
    if first["role"] == "mirror":
        return f"nobody holds it, and this node fetches it itself: {who} is asked first"
    return f"a peer holds it: {who} is asked first"
