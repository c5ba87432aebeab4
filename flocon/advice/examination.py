"""What the doctor is told of a running node: how it stands, looked at and asked for anew.

Has a few peers knock, looks for a few mirrors and at folders; every answer is bounded, made of
JSON's values, and changes nothing. What it means is the doctor's to say.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet import defer, task
from twisted.internet.threads import deferToThreadPool

from flocon.advice.facts import SHUT
from flocon.asking.agents import literal_host
from flocon.asking.attempts import Limits
from flocon.asking.fetch import Wanted, fetch
from flocon.asking.small import fetch_small, last_modified
from flocon.errors import FolderSilent, Refused, SourceError
from flocon.files import Asked, parse_file_name
from flocon.machine.endpoints import ports_of
from flocon.machine.interfaces import look_at_links
from flocon.neighbours.knock import clock_off, read_knock
from flocon.secrecy import without_any_passwords

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
    from pathlib import Path

    from twisted.internet.defer import Deferred

    from flocon.asking.answer import Head
    from flocon.asking.source import Source
    from flocon.neighbours.quarantine import Quarantine
    from flocon.pacman.watch import PacmanWatch
    from flocon.presence.multicast import Multicast
    from flocon.presence.peer import Peer
    from flocon.presence.presence import Presence
    from flocon.settings.settings import Settings
    from flocon.sources.candidates import Candidates
    from flocon.sources.means import Agents
    from flocon.store.lanes import Lanes
    from flocon.store.store import Store

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


class _Begun:
    """A sink that wants to know that there is an answer, and nothing of it."""

    def begin(self, head: Head) -> None:
        raise Refused("this", head.status)

    def write(self, position: int, data: bytes) -> None: ...


def needs_pacman(settings: Settings) -> bool:
    """Whether a node does nothing without pacman's configuration.

    It has mirrors of its own, or it gives the LAN states that may all have been carried to it.
    """
    mirror = settings.mirror
    return not (settings.mirrors or (mirror.serve and mirror.repositories))


class Examination:
    """Answers ``/doctor.json``; ``node`` gives this node's id, which may change."""

    def __init__(
        self,
        reactor: Any,
        *,
        node: Callable[[], str],
        settings: Callable[[], Settings],
        namesake: Callable[[], Mapping[str, Any] | None],
        candidates: Candidates,
        agents: Agents,
        pacman: PacmanWatch,
        presence: Presence,
        multicast: Multicast,
        quarantine: Quarantine,
        lan_port: Callable[[], int],
        store: Store,
        lanes: Lanes,
    ) -> None:
        self._reactor = reactor
        self._node = node
        self._settings = settings
        self._namesake = namesake
        self._candidates = candidates
        self._agents = agents
        self._pacman = pacman
        self._presence = presence
        self._multicast = multicast
        self._quarantine = quarantine
        self._lan_port = lan_port
        self._store = store
        self._lanes = lanes
        self._since = reactor.seconds()
        self._turn = defer.DeferredLock()
        #: Each tells of problems it knows, for ``flocon doctor``: dicts of ``check``, ``reason``,
        #: ``remedy`` and ``wrong`` (whether it is more than a warning).
        self.tellers: list[Callable[[], Iterable[Mapping[str, Any]]]] = [self._tell_of_databases]
        #: Each finds out, before that, what somebody else has to be asked for.
        self.lookers: list[Callable[[], Coroutine[Any, Any, None]]] = []

    async def examine(self, _: Mapping[str, str]) -> dict[str, Any]:
        """Return what ``flocon doctor`` needs to know of the node; has a few peers knock."""
        # One after the other: each of them has peers knock.
        answer: dict[str, Any] = await self._turn.run(
            lambda: defer.Deferred.fromCoroutine(self._examine())
        )
        return answer

    async def _examine(self) -> dict[str, Any]:
        # Seldom asked for, and much code.
        from flocon.advice import gathering  # noqa: PLC0415

        configuration = self._pacman.configuration
        peers = sorted(self._presence.peers(), key=lambda peer: peer.first_heard)
        settings = self._settings()
        knocks, mirrors = await defer.gatherResults(
            [
                self._all(self._knock(peer) for peer in peers[:MOST_KNOCKS]),
                self._all(self._probe(source) for source in self._probed()),
            ]
        )
        folders = await self._in_thread(gathering.look_at_store, settings.store.path)
        if self._store.problem:
            # A folder that is well now may not have been when the node opened it.
            wrong = {"problem": self._store.problem, "remedy": self._store.remedy}
            folders["store"] = {**folders["store"], **wrong}
        read = await self._in_thread(gathering.look_at_configuration, settings.pacman_conf)
        links = await self._in_thread(look_at_links, settings.presence.interfaces)
        for look in self.lookers:
            await look()
        return {
            "node": self._node(),
            "namesake": self._namesake(),
            "unit": "INVOCATION_ID" in os.environ,
            "pacman_conf": str(settings.pacman_conf),
            "configuration": read if configuration.repositories or needs_pacman(settings) else None,
            "repositories": [one.name for one in configuration.repositories],
            "mirrors": mirrors,
            "links": links,
            "problems": [problem for tell in self.tellers for problem in tell()],
            "lan_port": self._lan_port(),
            "standin_ports": ports_of((*settings.standins.pacserve, *settings.standins.pacredir)),
            "listening_seconds": round(self._reactor.seconds() - self._since, 1),
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
            "further": sorted({one.repository for one in self._pacman.listing.further}),
            "max_size": settings.store.max_size,
            "caches": [await self._look_at_cache(one) for one in configuration.cache_directories],
            **folders,
        }

    async def _look_at_cache(self, path: Path) -> dict[str, Any]:
        """Tell of a cache of pacman's whether it can be read; it may hang."""
        from flocon.advice import gathering  # noqa: PLC0415

        try:
            lane = self._lanes.lane(path, "giving")
            problem = await lane.ask(gathering.look_at_cache, path, own=True)
        except FolderSilent as silent:
            return {"path": str(path), "problem": silent.reason, "silent": True}
        return {"path": str(path), "problem": problem}

    def _term(self, peer: Peer) -> str | None:
        record = self._quarantine.record(peer.node, peer.address, time.time())
        return record.described(time.time()) if record else None

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
                parents = self._candidates.parents
                architecture = next(iter(self._pacman.configuration.architectures), "")
                servers = (
                    *(parents.for_packages(repository.name, architecture) if parents else ()),
                    *self._candidates.servers(asked, None),
                )
                for source in self._candidates.order(file.text, servers, None):
                    found.setdefault(source.label, source)
        return list(found.values())[:MOST_PROBED]

    async def _probe(self, source: Source) -> dict[str, str]:
        """Ask a mirror for the head of a database; whatever else it answers, it is there.

        ``parent`` is the kind of a caching proxy on the LAN, "" of a mirror.
        """
        told = {"mirror": source.label, "parent": source.parent, "problem": ""}
        wanted = Wanted(source.url, source.label)
        try:
            if not source.takes_heads:
                await self._begin(wanted, source)
                return told
            await last_modified(self._agents.of(source), self._reactor, wanted, PROBE_PATIENCE)
        except Refused as error:
            if error.status == PROXY_WANTED:
                told["problem"] = "a proxy wants a name and a password (407)"
            elif error.status == PASSWORD_WANTED:
                told["problem"] = SHUT
        except SourceError as error:
            told["problem"] = without_any_passwords(error.detail)[:200]
        return told

    async def _begin(self, wanted: Wanted, source: Source) -> None:
        """Ask for a file, and leave when the answer has begun."""
        limits = Limits(first_byte=PROBE_PATIENCE, stall=PROBE_PATIENCE)
        agent = self._agents.of(source)
        with suppress(Refused):
            await fetch(agent, self._reactor, wanted, _Begun(), limits)

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
