"""The only place where the rooms meet: a node, put together from its parts.

``core`` decides, ``net`` talks, ``host`` touches the machine; here they are handed to each other.
Children of a MultiService stop in reverse order, so presence comes last and its bye goes first.
"""

from __future__ import annotations

import gc
import platform
import random
import secrets
import signal
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from twisted.application.service import MultiService, Service
from twisted.internet import defer, task
from twisted.internet.endpoints import quoteStringArgument, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.threads import deferToThreadPool

from flocon import __version__
from flocon.core.names import Asked, parse_file_name
from flocon.core.presence import Identity, Presence
from flocon.core.quarantine import Quarantine
from flocon.core.quarantine import load as load_records
from flocon.core.sources import (
    Dated,
    Holder,
    Origin,
    Source,
    order_for_database,
    owners_before,
    rank_holders,
    rank_mirrors,
    rank_owners,
)
from flocon.core.standing import Standing
from flocon.core.traffic import Traffic
from flocon.errors import Broken, ConfigurationError, Refused, SourceError, Stalled, StoreError
from flocon.host.cache import Cache
from flocon.host.databases import open_database
from flocon.host.identity import node_identity
from flocon.host.interfaces import InterfaceWatch, impossible
from flocon.host.keyring import Keyring, Verdict
from flocon.host.metered import is_metered
from flocon.host.pacman import PacmanWatch, servers_for
from flocon.host.remember import recall, remember
from flocon.host.signals import Signals
from flocon.host.upgrades import pending_upgrades
from flocon.log import logger, show_debug
from flocon.net.control import Control
from flocon.net.fetch import (
    Limits,
    Wanted,
    fetch_small,
    last_modified,
    literal_host,
    mirror_agent,
    network_location,
    peer_agent,
)
from flocon.net.holds import Holds
from flocon.net.lan import Lan
from flocon.net.loopback import Loopback
from flocon.net.multicast import Multicast
from flocon.net.neighbourhood import DATABASES, RELAY, Neighbourhood
from flocon.net.pace import Pacer
from flocon.net.prefetch import Prefetch
from flocon.net.replicate import InventoryClient
from flocon.net.site import Site
from flocon.net.transfers import Attempt, Subject, Transfers
from flocon.options import DEFAULT_LAN, LAN_PORT, Options, default_control

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.defer import Deferred

    from flocon.core.inventory import Change, Content, Inventory
    from flocon.core.peers import Peer
    from flocon.core.syncdb import Entry, Listing
    from flocon.host.pacman import PacmanConfiguration
    from flocon.net.transfers import Incoming, Transfer
    from flocon.options import Settings

__all__ = ["Node", "Options", "makeService"]

#: A peer answers within its LAN's round trip, or is asked no more for a while.
PEER_CONNECT = 0.5
PEER_LIMITS = Limits(first_byte=1.0, stall=2.0)
#: An owner waits for its mirrors itself, and may have to change to another of them.
RELAY_LIMITS = Limits(first_byte=1.5, stall=4.5)
MIRROR_CONNECT = 2.5
MIRROR_LIMITS = Limits(first_byte=2.5, stall=4.0)
#: The second time round a mirror gets longer, but pacman waits 10 s in all for the first byte.
PATIENT_FIRST_BYTE = 4.0
PACMAN_PATIENCE = 8.5
#: Owners asked, one after the other, before this node turns to the mirrors itself.
MOST_OWNERS = 3
#: An owner that follows another owner itself looks again so often, after so many seconds.
RELAY_LOOKS = 5
RELAY_PAUSE = 0.1
#: Peers asked how new their database is, where the operator lets them answer.
MOST_DATABASES = 8
#: Seconds between two looks whether the link is metered.
METERED_AGAIN = 300.0
#: How often one mirror is asked for one file, once bytes of it came.
MOST_TRIES = 3
#: A signature is a few hundred bytes; pacman takes 16 KiB.
LARGEST_SIGNATURE = 16 << 10
#: Seconds pacman's request waits for a sync database that was replaced a moment ago.
SETTLING_PATIENCE = 3.0
#: Connections to the LAN face in all and of one address; pacman's five files and a spare or two.
MOST_LAN_CONNECTIONS = 1_024
MOST_LAN_PER_ADDRESS = 32
MOST_LOOPBACK_CONNECTIONS = 512
MOST_CONTROL_CONNECTIONS = 16


class Reporter:
    """Takes note of how sources did."""

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        standing: Standing,
        traffic: Traffic,
        offence: Callable[[Source, str], None],
    ) -> None:
        self._reactor = reactor
        self._standing = standing
        self._traffic = traffic
        self._offence = offence

    def began(self, source: Source) -> None:
        self._standing.began(source.key)

    def ended(self, source: Source, size: int, seconds: float, failure: SourceError | None) -> None:
        self._standing.ended(source.key)
        if source.origin is Origin.PEER:
            self._traffic.from_peers_bytes += size
        else:
            self._traffic.from_mirrors_bytes += size
        if failure is None:
            self._standing.succeeded(source.key, size, seconds)
        elif not (isinstance(failure, Refused) and source.origin is Origin.MIRROR):
            # A mirror that lacks a file is a mirror all the same.
            self._standing.failed(source.key, self._reactor.seconds())

    def contradicted(self, file_name: str, contributors: Sequence[Source]) -> None:
        self._log.warn(
            "wrong bytes for {file} from {sources}; they are fetched elsewhere",
            file=file_name,
            sources=", ".join(map(str, contributors)),
        )
        for source in contributors:
            self._standing.failed(source.key, self._reactor.seconds())
        only = contributors[0] if len(contributors) == 1 else None
        # Of several it cannot be told which one it was; and an owner passes on what a mirror sent.
        if only is not None and only.origin is Origin.PEER and not only.relayed:
            self._offence(only, f"wrong bytes for {file_name}")


class Desk:
    """Answers what the faces ask: what is listed, what is held, who is asked next."""

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        *,
        settings: Settings,
        identity: Identity,
        pacman: PacmanWatch,
        cache: Cache,
        neighbourhood: Neighbourhood,
        standing: Standing,
        traffic: Traffic,
        offence: Callable[[Source, str], None],
    ) -> None:
        self.reactor = reactor
        self.settings = settings
        self.epoch = identity.epoch
        self.node = identity.node
        #: Whether this node fetches for others now.
        self.relays = settings.relay
        self.traffic = traffic
        self.reporter = Reporter(reactor, standing, traffic, offence)
        self._pacman = pacman
        self._cache = cache
        self._neighbourhood = neighbourhood
        self._standing = standing
        self._peer_agent, self._peer_pool = peer_agent(reactor, PEER_CONNECT)
        self._mirror_agent, self._mirror_pool = mirror_agent(reactor, MIRROR_CONNECT)
        self.transfers = Transfers(self, sign=self._sign, publish=self._publish)
        self._keyring: tuple[Path, Keyring] | None = None
        self.status: Callable[[], dict[str, Any]] = dict

    # What transfers need

    def agent(self, source: Source) -> Any:
        return self._peer_agent if source.origin is Origin.PEER else self._mirror_agent

    def incoming(self, size: int | None) -> Incoming:
        return self._cache.incoming(size)

    def spare(self) -> Incoming:
        return self._cache.spare()

    # What the faces need

    @property
    def inventory(self) -> Inventory:
        return self._cache.inventory

    def settled(self) -> Deferred[None]:
        return self._pacman.settled(SETTLING_PATIENCE)

    def entry(self, asked: Asked) -> Entry | None:
        found = self._pacman.listing.find(asked.file.subject, asked.repository)
        return found[0] if found else None

    def held(self, file_name: str, content: Content | None) -> Any:
        found = self._cache.find(file_name)
        return found if found and content in {None, found.content} else None

    def open(self, found: Any, *, signature: bool) -> Any:
        return self._cache.open(found, signature=signature)

    def signature(self, file_name: str) -> Any:
        return self.transfers.signature(file_name)

    def package(self, asked: Asked, entry: Entry | None, start: int) -> Transfer:
        """Return the transfer that brings a package.

        The rest of a file that nobody on the LAN holds is taken from the mirrors as it is:
        fetching all of it again for the LAN would cost more than it saves.
        """
        servers = self._servers(asked, entry)
        name = asked.file.text
        if entry is None:
            return self.transfers.alone(Subject(name), self._chooser(name, servers, None))
        running = self.transfers.find(name, entry.content)
        if (
            start
            and running is None
            and not self._neighbourhood.holding(entry.file_name, entry.content)
        ):
            subject = Subject(name, start=start)
            return self.transfers.alone(subject, self._chooser(name, servers, None))
        return self.transfers.join(
            Subject(name, entry.content), self._chooser(name, servers, entry)
        )

    def relay(self, asked: Asked, etag: str | None) -> Deferred[Transfer | None]:
        """Return the transfer that brings a listed package to peers; None refuses."""
        return defer.Deferred.fromCoroutine(self._relay(asked, etag))

    async def _relay(self, asked: Asked, etag: str | None) -> Transfer | None:
        entry = self.entry(asked)
        if not self.relays or entry is None or etag not in {None, f'"{entry.sha256.hex()}"'}:
            return None
        for _ in range(RELAY_LOOKS):
            transfer = self.transfers.find(entry.file_name, entry.content)
            if transfer is None:
                return self._begin_relay(asked, entry)
            if not transfer.follows_a_relay:
                return transfer
            # Another owner was asked for it; if that one has just failed, this node is the next.
            await task.deferLater(self.reactor, RELAY_PAUSE)
        return None

    def _begin_relay(self, asked: Asked, entry: Entry) -> Transfer | None:
        """Fetch from the mirrors alone: a request is never passed on to another peer."""
        relaying = sum(transfer.relaying for transfer in self.transfers)
        if relaying >= self.settings.peers.relays:
            return None
        name = entry.file_name
        chooser = self._chooser(name, self._servers(asked, entry), None)
        transfer = self.transfers.join(Subject(name, entry.content), chooser)
        transfer.relaying = True
        return transfer

    def from_mirrors(self, asked: Asked, modified_since: str | None) -> Transfer:
        name = asked.file.text
        servers = self._servers(asked, None)
        subject = Subject(name, modified_since=modified_since)
        return self.transfers.alone(subject, self._chooser(name, servers, None))

    def database(self, asked: Asked, modified_since: str | None) -> Deferred[Transfer]:
        """Return the transfer that brings a database: from the mirrors, or as the operator lets."""
        return defer.Deferred.fromCoroutine(self._database(asked, modified_since))

    async def _database(self, asked: Asked, modified_since: str | None) -> Transfer:
        if self.settings.databases != "lan":
            return self.from_mirrors(asked, modified_since)
        name = asked.file.text
        mirrors = self._mirrors(name, self._servers(asked, None), self.reactor.seconds())
        peers = await self._peers_databases(asked)
        since = _seconds(modified_since)
        order = order_for_database(mirrors, peers, since, time.time())

        def choose(tried: Sequence[Attempt]) -> Attempt | None:
            asked_already = [attempt.source for attempt in tried]
            left = [source for source in order if source not in asked_already]
            return Attempt(left[0], _limits(left[0])) if left else None

        return self.transfers.alone(Subject(name, modified_since=modified_since), choose)

    async def _peers_databases(self, asked: Asked) -> list[Dated]:
        """Ask a few peers at once how new theirs is; who does not answer soon has none."""
        peers = [
            peer
            for peer in self._neighbourhood.sharing(asked.file.name)
            if not self._standing.demoted(peer.node, self.reactor.seconds())
        ]
        sources = [_database_source(peer, asked.file.text) for peer in peers[:MOST_DATABASES]]
        answers = await defer.DeferredList(
            [defer.Deferred.fromCoroutine(self._dated(source)) for source in sources],
            consumeErrors=True,
        )
        return [dated for good, dated in answers if good and dated is not None]

    async def _dated(self, source: Source) -> Dated | None:
        wanted = Wanted(source.url, source.label)
        modified = await last_modified(
            self._peer_agent, self.reactor, wanted, PEER_LIMITS.first_byte
        )
        seconds = _seconds(modified)
        return None if seconds is None else Dated(source, seconds)

    def open_database(self, file_name: str) -> Any:
        """Open this machine's own database for peers, where the operator shares them."""
        if self.settings.databases != "lan":
            raise StoreError(file_name, "databases are not shared here")
        return open_database(self._pacman.configuration.sync_directory, file_name)

    # Whom to ask

    def _servers(self, asked: Asked, entry: Entry | None) -> tuple[str, ...]:
        configuration = self._pacman.configuration
        repository = asked.repository or (entry.repository if entry else "")
        if repository:
            return servers_for(configuration, repository, asked.architecture)
        every = (servers_for(configuration, one.name, "") for one in configuration.repositories)
        return tuple(dict.fromkeys(server for servers in every for server in servers))

    def _chooser(
        self, name: str, servers: Sequence[str], entry: Entry | None
    ) -> Callable[[Sequence[Attempt]], Attempt | None]:
        began = self.reactor.seconds()

        def choose(tried: Sequence[Attempt]) -> Attempt | None:
            waited = self.reactor.seconds() - began
            return self._next(name, servers, entry, tried, waited)

        return choose

    def _next(
        self,
        name: str,
        servers: Sequence[str],
        entry: Entry | None,
        tried: Sequence[Attempt],
        waited: float,
    ) -> Attempt | None:
        now = self.reactor.seconds()
        holders = self._holders(name, entry, now) if entry else []
        mirrors = self._mirrors(name, servers, now)
        good = [one for one in holders if not self._standing.demoted(one.key, now)]
        last = [one for one in holders if one not in good]
        owners = self._owners(entry) if entry else []
        asked = [attempt.source for attempt in tried]
        for source in [*good, *owners, *mirrors, *last]:
            if source not in asked:
                return Attempt(source, _limits(source))
        patience = min(PATIENT_FIRST_BYTE, PACMAN_PATIENCE - waited)
        slow = {one.source for one in tried if isinstance(one.failure, (Stalled, Broken))}
        again = [one for one in mirrors if one in slow and asked.count(one) < MOST_TRIES]
        if again and patience > 1:
            source = min(again, key=asked.count)
            return Attempt(source, Limits(first_byte=patience, stall=MIRROR_LIMITS.stall))
        return None

    def _holders(self, name: str, entry: Entry, now: float) -> list[Source]:
        peers = {
            peer.node: peer for peer in self._neighbourhood.holding(entry.file_name, entry.content)
        }
        holders = [Holder(node, near=True) for node in peers]
        ranked = rank_holders(holders, name, self._standing, now)
        return [_peer_source(peers[holder.node], name) for holder in ranked]

    def _owners(self, entry: Entry) -> list[Source]:
        """Return the peers to ask to fetch a file that nobody holds, before the mirrors."""
        now = self.reactor.seconds()
        own = self.node
        able = {
            peer.node: peer
            for peer in self._neighbourhood.able(entry.repository)
            if not self._standing.demoted(peer.node, now)
        }
        nodes = [*able, own] if self.relays else list(able)
        ranked = rank_owners(nodes, entry.file_name)
        return [
            _owner_source(able[node], entry) for node in owners_before(ranked, own, MOST_OWNERS)
        ]

    def _mirrors(self, name: str, servers: Sequence[str], now: float) -> list[Source]:
        keys = [network_location(server) for server in servers]
        ranked = rank_mirrors(servers, keys, self._standing, now)
        return [_mirror_source(server, name) for server in ranked]

    # Signatures, and what is kept

    async def _sign(self, transfer: Transfer) -> bytes | None:
        """Return the signature of a package that arrived; None where the mirrors have none."""
        name, content = transfer.subject.file_name, transfer.subject.content
        entries = [one for one in self._pacman.listing.find(name) if one.content == content]
        if not entries:
            return None
        entry = entries[0]
        if entry.signature is not None:
            return entry.signature
        source = transfer.source
        if source is not None and source.origin is Origin.PEER:
            signature = await self._peers_signature(transfer, entry, source)
            if signature is not None:
                return signature
        return await self._mirrors_signature(name, entry)

    async def _peers_signature(
        self, transfer: Transfer, entry: Entry, source: Source
    ) -> bytes | None:
        """Return what a holder has for a signature, if pacman's keyring says that it is right."""
        now = self.reactor.seconds()
        others = [one for one in self._holders(entry.file_name, entry, now) if one != source]
        for holder in [source, *others[:2]]:
            try:
                signature = await self._small(holder, PEER_LIMITS)
            except SourceError:
                continue
            verdict = await self._pacman_keyring().verify(transfer.incoming.fileno(), signature)
            if verdict is Verdict.GOOD:
                return signature
            if verdict is Verdict.BAD:
                self.reporter.contradicted(entry.file_name + ".sig", [holder])
        return None

    async def _mirrors_signature(self, name: str, entry: Entry) -> bytes | None:
        configuration = self._pacman.configuration
        servers = servers_for(configuration, entry.repository, "")
        failure: SourceError | None = None
        for source in self._mirrors(name, servers, self.reactor.seconds()):
            try:
                return await self._small(source, MIRROR_LIMITS)
            except Refused as refused:
                if refused.status != 404:  # noqa: PLR2004
                    failure = refused
            except SourceError as error:
                failure = error
        if failure is not None:
            raise failure
        return None

    async def _small(self, source: Source, limits: Limits) -> bytes:
        wanted = Wanted(source.url + ".sig", source.label)
        data = await fetch_small(
            self.agent(source), self.reactor, wanted, limits, LARGEST_SIGNATURE
        )
        if source.origin is Origin.PEER:
            self.traffic.from_peers_bytes += len(data)
        else:
            self.traffic.from_mirrors_bytes += len(data)
        return data

    def _pacman_keyring(self) -> Keyring:
        directory = self._pacman.configuration.gpg_directory
        if self._keyring is None or self._keyring[0] != directory:
            self._keyring = (directory, Keyring(self.reactor, directory))
        return self._keyring[1]

    async def _publish(self, transfer: Transfer, signature: bytes | None) -> bool:
        subject = transfer.subject
        assert subject.content is not None  # noqa: S101 - only listed files come here
        return await self._cache.publish(
            transfer.incoming, subject.file_name, subject.content, signature
        )

    async def stop(self) -> None:
        self.transfers.stop()
        await self._peer_pool.closeCachedConnections()
        await self._mirror_pool.closeCachedConnections()


def _peer_source(peer: Peer, file_name: str) -> Source:
    place = f"{literal_host(peer.address)}:{peer.port}"
    return Source(Origin.PEER, peer.node, peer.address, f"http://{place}/pkg/{_quote(file_name)}")


def _database_source(peer: Peer, file_name: str) -> Source:
    place = f"{literal_host(peer.address)}:{peer.port}"
    return Source(Origin.PEER, peer.node, peer.address, f"http://{place}/db/{_quote(file_name)}")


def _seconds(date: str | None) -> float | None:
    """Return an HTTP date as seconds since 1970, None where it is none."""
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None


def _owner_source(peer: Peer, entry: Entry) -> Source:
    place = f"{literal_host(peer.address)}:{peer.port}"
    # The architecture only matters to nodes whose mirrors are not resolved by pacman.conf.
    architecture = _architecture(entry.file_name)
    path = f"/relay/{entry.repository}/{architecture}/{_quote(entry.file_name)}"
    return Source(Origin.PEER, peer.node, peer.address, f"http://{place}{path}", relayed=True)


def _limits(source: Source) -> Limits:
    if source.relayed:
        return RELAY_LIMITS
    return PEER_LIMITS if source.origin is Origin.PEER else MIRROR_LIMITS


def _mirror_source(server: str, file_name: str) -> Source:
    place = network_location(server)
    url = f"{server.rstrip('/')}/{_quote(file_name)}"
    return Source(Origin.MIRROR, place, place.rpartition("@")[2], url)


def _architecture(file_name: str) -> str:
    file = parse_file_name(file_name)
    return file.architecture if file else "any"


def _quote(file_name: str) -> str:
    # ':' and '+' stand raw, as pacman itself sends them: some mirrors know no other way.
    return quote(file_name, safe=":+~@^")


class Node(MultiService):
    """One running flocon."""

    _log = logger()

    def __init__(self, reactor: Any, settings: Settings) -> None:
        super().__init__()
        show_debug(settings.debug)
        if nowhere := impossible(settings.presence.interfaces):
            problem = f"{nowhere[0]!r} can be neither an interface nor an address"
            remedy = "write a name or an address that 'ip address' shows"
            raise SystemExit(str(ConfigurationError("flocon: --interface", problem, remedy)))
        self._reactor = reactor
        self._settings = settings
        self._started = 0.0
        self._ports: list[Any] = []
        self._identity = Identity(
            node_identity(settings.store.path, settings.name), secrets.token_hex(4), settings.name
        )
        self.traffic = Traffic()
        self._standing = Standing()
        self._quarantine_file = settings.store.path / "quarantine.json"
        self.quarantine = Quarantine(load_records(recall(self._quarantine_file)))
        self._pacman = PacmanWatch(
            reactor,
            settings.pacman_conf,
            self._configuration_changed,
            self._listing_changed,
            own_ports=frozenset(_ports_of(settings.loopback)),
            mirrors=settings.mirrors,
        )
        self._cache = Cache(
            reactor,
            store=settings.store.path,
            max_size=settings.store.max_size,
            listed=self._listed,
            signature_needed=self._signature_needed,
            changed=self._inventory_changed,
        )
        self._presence = Presence(
            self._identity,
            chance=random.Random(),  # noqa: S311 - spreads datagrams, guards nothing
            beat=settings.presence.beat,
            port=LAN_PORT,
            system=_system(),
            abilities=self._abilities(settings.relay),
        )
        agent, self._inventory_pool = peer_agent(reactor, PEER_CONNECT)
        client = InventoryClient(reactor, agent)
        self.neighbourhood = Neighbourhood(
            reactor, self._presence, client, self._standing, self._held_off
        )
        self.desk = Desk(
            reactor,
            settings=settings,
            identity=self._identity,
            pacman=self._pacman,
            cache=self._cache,
            neighbourhood=self.neighbourhood,
            standing=self._standing,
            traffic=self.traffic,
            offence=self._offence,
        )
        self.desk.status = self.status
        self._multicast = Multicast(
            reactor,
            self._presence,
            group=settings.presence.group,
            group6=settings.presence.group6,
            port=settings.presence.port,
            on_event=self.neighbourhood.event,
        )
        self._interfaces = InterfaceWatch(
            reactor, settings.presence.interfaces, self._multicast.set_links
        )
        bandwidth = settings.peers.bandwidth
        self._lan = Site(
            reactor,
            Lan(self.desk, Pacer(reactor, bandwidth) if bandwidth else None),
            most_connections=MOST_LAN_CONNECTIONS,
            most_per_address=MOST_LAN_PER_ADDRESS,
        )
        self._loopback = Site(
            reactor, Loopback(self.desk), most_connections=MOST_LOOPBACK_CONNECTIONS
        )
        self._prefetch = Prefetch(
            reactor,
            self._upgrades,
            self._fetch_ahead,
            random.Random().uniform,  # noqa: S311
        )
        self._control = Site(reactor, Control(self), most_connections=MOST_CONTROL_CONNECTIONS)
        self._control_port: Any = None
        self._control_path = Path(settings.control or default_control(settings.store.path))
        self._metered = task.LoopingCall(self._look_at_the_link)
        self._metered.clock = reactor
        self._cache.ready.addCallback(_settle_memory)
        handlers = {signal.SIGUSR1: self.log_peers, signal.SIGUSR2: self.rejoin}
        self._holds = Holds(reactor)
        # Stopped from the last to the first: the bye goes out before anything else ends.
        parts: list[Service] = [
            self._holds,
            self._pacman,
            self._cache,
            self._prefetch,
            Signals(reactor, handlers),
            self._multicast,
            self._interfaces,
        ]
        for part in parts:
            part.setServiceParent(self)

    def privilegedStartService(self) -> None:
        """Take the ports, before twistd gives up root's rights; end at once where one is taken."""
        self._listen([self._settings.lan], self._lan, "--lan")
        self._listen(self._settings.loopback, self._loopback, "--loopback")
        super().privilegedStartService()

    def _listen(self, endpoints: Sequence[str], site: Site, option: str) -> None:
        problems = []
        for endpoint in endpoints:
            for description in _alternatives(endpoint):
                try:
                    self._ports.append(_listen_now(self._reactor, description, site))
                    break
                except (CannotListenError, OSError, ValueError) as error:
                    problems.append(f"{description}: {error}")
        if not any(port.factory is site for port in self._ports if hasattr(port, "factory")):
            remedy = f"stop what uses it, or choose another with {option}"
            raise SystemExit(str(ConfigurationError("flocon", "; ".join(problems), remedy)))

    def startService(self) -> None:
        self._started = self._reactor.seconds()
        if not self._ports:
            self.privilegedStartService()
        self._presence.update(self._started, port=self._lan_port())
        try:
            super().startService()
        except StoreError as error:
            raise SystemExit(f"flocon: {error}") from None
        self._listen_for_control()
        if self._settings.relay:
            self._metered.start(METERED_AGAIN)
        self._log.info(
            "flocon {version} is node {node} as {name}; its store is {store}",
            version=__version__,
            node=self._identity.node,
            name=self._identity.name,
            store=self._settings.store.path,
        )

    def _abilities(self, relays: bool) -> frozenset[str]:
        abilities = {"store"}
        if relays:
            abilities.add(RELAY)
        if self._settings.databases == "lan":
            abilities.add(DATABASES)
        return frozenset(abilities)

    async def _look_at_the_link(self) -> None:
        """Fetch nothing for others while the link costs by the byte."""
        relays = not await is_metered(self._reactor)
        if relays != self.desk.relays:
            self.desk.relays = relays
            self._log.info(
                "the link is {state}; this node {does} for others",
                state="not metered any more" if relays else "metered",
                does="fetches" if relays else "does not fetch",
            )
            self._presence.update(self._reactor.seconds(), abilities=self._abilities(relays))
            self._multicast.wake()

    def _listen_for_control(self) -> None:
        path = self._control_path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            description = f"unix:{quoteStringArgument(str(path))}:mode=660"
            self._control_port = _listen_now(self._reactor, description, self._control)
        except (CannotListenError, OSError) as error:
            self._log.warn(
                "no control socket: {error}; flocon ban, pardon, rejoin and prefetch need one",
                error=error,
            )

    def _lan_port(self) -> int:
        for port in self._ports:
            if port.factory is self._lan:
                return int(getattr(port.getHost(), "port", LAN_PORT))
        return LAN_PORT

    def stopService(self) -> Deferred[None]:
        return defer.Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        # The bye goes out first: from then on nobody asks us, and what ends, ends quietly.
        for part in (self._interfaces, self._multicast):
            await defer.maybeDeferred(part.disownServiceParent)
        if self._metered.running:
            self._metered.stop()
        if self._control_port is not None:
            self._ports.append(self._control_port)
            self._control_port = None
        for port in self._ports:
            await defer.maybeDeferred(port.stopListening)
        self._ports.clear()
        self.neighbourhood.stop()
        await self.desk.stop()
        await self._inventory_pool.closeCachedConnections()
        await defer.maybeDeferred(super().stopService)
        self._log.info("flocon has stopped")

    # What the machine tells

    def _configuration_changed(self, configuration: PacmanConfiguration) -> None:
        self._cache.set_directories(configuration.cache_directories)
        self._presence.update(
            self._reactor.seconds(), architectures=tuple(configuration.architectures[:8])
        )
        self._multicast.wake()

    def _listing_changed(self, listing: Listing) -> None:
        self._cache.listing_changed()
        self._presence.update(self._reactor.seconds(), databases=listing.digests()[:32])
        self._multicast.wake()
        if self._settings.prefetch:
            self._prefetch.wake()

    async def _upgrades(self) -> list[Entry]:
        """Return what pacman would upgrade and this machine does not hold yet."""
        wanted = await pending_upgrades(self._reactor, self._settings.pacman_conf)
        entries = await deferToThreadPool(
            self._reactor, self._reactor.getThreadPool(), self._pacman.listing.versions, set(wanted)
        )
        return [
            entry for entry in entries if self.desk.held(entry.file_name, entry.content) is None
        ]

    async def _fetch_ahead(self, entry: Entry) -> None:
        file = parse_file_name(entry.file_name)
        if file is not None:
            transfer = self.desk.package(Asked(entry.repository, "", file), entry, 0)
            await transfer.finished.wait()

    def prefetch(self) -> Deferred[int]:
        """Fetch now what pacman would upgrade."""
        return self._prefetch.now()

    def _listed(self, file_name: str) -> Sequence[Entry]:
        return self._pacman.listing.find(file_name)

    def _signature_needed(self, file_name: str) -> bool:
        return self._pacman.signature_needed(file_name)

    def _inventory_changed(self, changes: list[Change]) -> None:
        inventory = self._cache.inventory
        self._presence.inventory_changed(
            self._reactor.seconds(), inventory.generation, len(inventory), changes
        )
        self._multicast.wake()

    def _held_off(self, peer: Peer) -> bool:
        return self.quarantine.record(peer.node, peer.address, time.time()) is not None

    def _offence(self, source: Source, why: str) -> None:
        record = self.quarantine.offence(source.key, source.label, time.time(), why)
        self._log.warn(
            "{address} is in quarantine for {minutes:.0f} minutes: {why}",
            address=source.label,
            minutes=(record.until - record.since) / 60,
            why=why,
        )
        self._remember_quarantine()

    def _remember_quarantine(self) -> None:
        threads = self._reactor.getThreadPool()
        deferToThreadPool(
            self._reactor, threads, remember, self._quarantine_file, self.quarantine.dump()
        ).addErrback(lambda failure: self._log.failure("remembering failed", failure))

    def ban(self, peer: str) -> bool:
        """Never ask ``peer`` (node id, address or name) again; return whether it is known."""
        known = self._find_peers(peer)
        for one in known:
            self.quarantine.ban(one.node, one.address, time.time(), "banned by hand")
        self._remember_quarantine()
        return bool(known)

    def pardon(self, peer: str) -> bool:
        """Ask ``peer`` (node id, address or name) again; return whether it was held off."""
        words = {peer}.union(*({one.node, one.address} for one in self._find_peers(peer)))
        pardoned = [self.quarantine.pardon(word) for word in words]
        self._remember_quarantine()
        return any(pardoned)

    def _find_peers(self, word: str) -> list[Peer]:
        return [
            peer for peer in self._presence.peers() if word in {peer.node, peer.address, peer.name}
        ]

    # What the operator asks

    def log_peers(self) -> None:
        """Write the list of peers to the log."""
        now = self._reactor.seconds()
        peers = sorted(self._presence.peers(), key=lambda peer: (peer.name, peer.node))
        self._log.info("{count} peers", count=len(peers))
        for peer in peers:
            self._log.info(
                "{name} at {address} port {port}, {architectures}, {files} files,"
                " heard {silence:.0f} s ago",
                name=peer.name,
                address=peer.address,
                port=peer.port,
                architectures="/".join(peer.architectures) or "no architecture",
                files=peer.files,
                silence=self._presence.silence(now, peer),
            )
        for record in self.quarantine.all(time.time()):
            self._log.info(
                "{address} ({node}) is {state} since {since}: {why}",
                address=record.address,
                node=record.node,
                state="banned" if record.banned else "in quarantine",
                since=_date(record.since),
                why=record.why,
            )

    def rejoin(self) -> None:
        """Leave and join the group on every interface, and say hello."""
        self._log.info("joining the group anew")
        self._multicast.rejoin()

    def status(self) -> dict[str, Any]:
        """Return what ``/status.json`` says."""
        now = self._reactor.seconds()
        inventory = self._cache.inventory
        traffic = self.traffic
        return {
            "version": __version__,
            "node": self._identity.node,
            "name": self._identity.name,
            "control": str(self._control_path) if self._control_port else None,
            "uptime_seconds": round(now - self._started, 1),
            "peers": [self._peer_status(peer, now) for peer in self._presence.peers()],
            "inventory": {
                "files": len(inventory),
                "bytes": inventory.bytes,
                "generation": inventory.generation,
            },
            "traffic": {
                "from_peers_bytes": traffic.from_peers_bytes,
                "from_mirrors_bytes": traffic.from_mirrors_bytes,
                "to_peers_bytes": traffic.to_peers_bytes,
                "to_pacman_bytes": traffic.to_pacman_bytes,
            },
            "quarantine": [
                {
                    "node": record.node,
                    "address": record.address,
                    "since": _date(record.since),
                    "until": None if record.banned else _date(record.until),
                    "strikes": record.strikes,
                    "why": record.why,
                }
                for record in self.quarantine.all(time.time())
            ],
            "answers": dict(traffic.answers),
            "transfers": len(list(self.desk.transfers)),
            "dropped_datagrams": dict(self._presence.counters),
            "reactor": self._holds.status(),
        }

    def _peer_status(self, peer: Peer, now: float) -> dict[str, Any]:
        replica = self.neighbourhood.holders.replica(peer.node)
        demoted = self._standing.demoted(peer.node, now)
        return {
            "node": peer.node,
            "name": peer.name,
            "address": peer.address,
            "port": peer.port,
            "architectures": list(peer.architectures),
            "files": peer.files,
            "files_known": replica.files if replica else 0,
            "last_heard_seconds": round(self._presence.silence(now, peer), 1),
            "state": "quarantine" if self._held_off(peer) else "failing" if demoted else "good",
        }


def makeService(options: Options) -> Node:
    """Return a node for ``twistd flocon`` and ``twist flocon``."""
    from twisted.internet import reactor  # noqa: PLC0415 - twistd installs it first

    return Node(reactor, options.settings)


def _listen_now(reactor: Any, description: str, site: Site) -> Any:
    """Return the port of an endpoint; those of servers are ready at once, or fail at once."""
    results: list[Any] = []
    serverFromString(reactor, description).listen(site).addBoth(results.append)
    if not results:
        raise ValueError("is not an endpoint that can be listened on at once")
    if hasattr(results[0], "raiseException"):
        results[0].raiseException()
    return results[0]


def _alternatives(endpoint: str) -> list[str]:
    """Return what to listen on instead where the machine has no IPv6."""
    return [endpoint, f"tcp:{LAN_PORT}"] if endpoint == DEFAULT_LAN else [endpoint]


def _ports_of(endpoints: Sequence[str]) -> list[int]:
    """Return the TCP ports that endpoint descriptions name."""
    ports = []
    for endpoint in endpoints:
        kind, _, rest = endpoint.partition(":")
        number = rest.partition(":")[0].removeprefix("port=")
        if kind.startswith("tcp") and number.isdigit():
            ports.append(int(number))
    return ports


def _settle_memory(_: None) -> None:
    """Keep what will stay out of the garbage collector's rounds: one took 60 ms."""
    gc.collect()
    gc.freeze()


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("ID", "linux")
    except OSError:
        return "linux"
