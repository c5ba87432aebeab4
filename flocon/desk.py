"""The desk: what the faces ask, answered from what ``core``, ``net`` and ``host`` know together.

Part of the front door, as ``service`` is: what is listed and held, who is asked next and how
patiently, and where a signature comes from. The rules themselves are in ``core``.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from twisted.internet import defer, task

from flocon.core.addresses import network_location
from flocon.core.attempts import Attempt, Limits
from flocon.core.doubts import Doubts
from flocon.core.names import (
    Asked,
    Kind,
    content_path,
    escape,
    mirror_root,
    parse_file_name,
)
from flocon.core.patience import (
    MOST_PEERS,
    PACMAN,
    PEERS,
    Pace,
    peers_come_last,
    stagger,
)
from flocon.core.privacy import Privacy
from flocon.core.redirects import Redirects
from flocon.core.relays import Relays
from flocon.core.sources import (
    Came,
    Holder,
    Origin,
    Source,
    earlier_owners,
    owners_before,
    rank_holders,
    rank_mirrors,
    rank_owners,
)
from flocon.core.strangers import MOST_OF_PROVED, PROVING_RATE, Strangers
from flocon.core.subjects import Subject
from flocon.database_sources import DATABASES_FILE, DatabaseSources, Ways
from flocon.errors import Broken, Contradicted, Refused, SourceError, Stalled, Unreachable
from flocon.host.keyring import Keyring, Verdict
from flocon.host.pacman_configuration import package_servers_for, servers_for
from flocon.log import logger
from flocon.net.agents import literal_host, peer_agent
from flocon.net.fetch import Wanted
from flocon.net.heads import ask_heads
from flocon.net.mirrors import mirror_agent
from flocon.net.relaying import Relaying
from flocon.net.small import fetch_small, last_modified
from flocon.net.staggered import first_good
from flocon.net.transfers import Transfers
from flocon.net.writing import Backlog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from twisted.internet.defer import Deferred
    from twisted.python.threadpool import ThreadPool

    from flocon.core.attempts import Choose, Mirrors
    from flocon.core.content import Content
    from flocon.core.database_origins import DatabaseOrigins
    from flocon.core.entries import Entry
    from flocon.core.inventory import Inventory
    from flocon.core.own_announcement import Identity
    from flocon.core.peer import Peer
    from flocon.core.room import Lessee
    from flocon.core.standing import Standing
    from flocon.core.traffic import Traffic
    from flocon.host.incoming import Arrivals
    from flocon.host.keeping import Keeping
    from flocon.host.offering import Offering
    from flocon.host.opening import Opening
    from flocon.host.pacman import PacmanWatch
    from flocon.ledger import Ledger
    from flocon.net.heads import Told
    from flocon.net.neighbourhood import Neighbourhood
    from flocon.net.transfer import Transfer
    from flocon.net.writing import Incoming
    from flocon.options import Settings

#: A peer answers within its LAN's round trip.
PEER_CONNECT = 0.8
MIRROR_CONNECT = 8.0
#: Who is slow gets company long before (``core.patience``): these end what nobody can better.
LIMITS = Limits(first_byte=PACMAN, stall=PACMAN)
#: An owner that is asked for what it fetches already says at once whether it does.
LOOK_LIMITS = Limits(first_byte=0.6, stall=PACMAN)
#: Signatures are asked of a few peers, each some time after the one before; in seconds.
PEERS_STAGGER = 0.5
SIGNATURE_PATIENCE = PACMAN - PEERS
#: Owners asked, one after the other, before this node turns to the mirrors itself.
MOST_OWNERS = 3
#: An owner that follows another owner itself looks again so often, after so many seconds.
RELAY_LOOKS = 5
RELAY_PAUSE = 0.1
#: Bytes that pacman has of a file already and that are fetched again, to verify all of it.
MOST_FETCHED_AGAIN = 1 << 20
#: How often one mirror is asked for one file, once bytes of it came.
MOST_TRIES = 3
#: Seconds for which mirrors are not asked again for a signature that they have just said they lack,
#: and how many such packages are remembered: pacman asks as soon as it has the package.
UNSIGNED = 60.0
MOST_UNSIGNED = 512
#: A signature is a few hundred bytes; pacman takes 16 KiB.
LARGEST_SIGNATURE = 16 << 10
#: Seconds pacman's request waits for a sync database that was replaced a moment ago.
SETTLING_PATIENCE = 3.0
#: Seconds in which a holder says that it is there, before pacman is sent to it; how many are asked.
GREETING_PATIENCE = 0.5
MOST_GREETED = 2
#: Owners that may disappoint at once before those that have given nothing are left out.
MOST_OWNERS_BORNE = 9


class Reporter:
    """Takes note of how sources did."""

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        standing: Standing,
        traffic: Traffic,
        ledger: Ledger,
        offence: Callable[[Source, str], None],
    ) -> None:
        self._reactor = reactor
        self._ledger = ledger
        self._standing = standing
        self._traffic = traffic
        self._offence = offence
        self._doubts = Doubts()
        self._strangers = Strangers()
        self._proved = Strangers(MOST_OF_PROVED)
        #: Owners, which may be slow as the WAN is: without them it is crossed more than once.
        self._owners = Strangers(MOST_OWNERS_BORNE)
        #: Told of each peer, and its address, that could not be connected to.
        self.unreachable: Callable[[str, str], None] = lambda *_: None

    def began(self, source: Source) -> None:
        self._standing.began(source.key, self._reactor.seconds())
        self._ledger.began(source.came)

    def ended(self, source: Source, size: int, seconds: float, failure: SourceError | None) -> None:
        self.left(source, size, seconds)
        if failure is None:
            self._standing.succeeded(source.key, size, seconds)
            if source.origin is Origin.PEER and not source.relayed:
                # An owner is as fast as a WAN that all share.
                self._strangers.gave(size, seconds, self._reactor.seconds())
        elif isinstance(failure, Refused):
            self.refused(source, failure)
        elif _is_at_fault(source, size, failure):
            self._failed(source)
        if isinstance(failure, Unreachable) and source.origin is Origin.PEER:
            self.unreachable(source.node, source.label)

    def refused(self, source: Source, failure: Refused) -> None:
        """Leave a mirror alone that asked for it; a peer that is busy is asked less anyhow."""
        if failure.retry_after is not None and source.origin is Origin.MIRROR:
            self._standing.rest(source.key, failure.retry_after, self._reactor.seconds())

    def left(self, source: Source, size: int, seconds: float) -> None:
        """Take note of what came of a source that nothing more was wanted of."""
        self._standing.ended(source.key)
        self._ledger.ended(source.came, size, seconds)
        self.took(source, size)

    def took(self, source: Source, size: int) -> None:
        self._traffic.take(source.came, size)

    def slow(self, source: Source) -> None:
        """Have a source that another had to help asked after others for a while."""
        self._failed(source)

    def _failed(self, source: Source) -> None:
        now = self._reactor.seconds()
        self._standing.failed(source.key, now)
        if source.relayed:
            self._owners.disappointed(now)
        elif source.origin is Origin.PEER:
            self._strangers.disappointed(now)
            if self._has_proved(source.key):
                self._proved.disappointed(now)

    def _has_proved(self, key: str) -> bool:
        """Whether a peer has given something at a fair rate."""
        return self._standing.throughput(key) >= PROVING_RATE

    def owners_come_first(self, now: float) -> bool:
        """Whether owners that have proved nothing are asked at all."""
        return self._owners.come_first(now)

    def comes_first(self, key: str, now: float) -> bool:
        """Whether a peer is asked before the mirrors, as far as it is for all together."""
        return (self._proved if self._has_proved(key) else self._strangers).come_first(now)

    def contradicted(self, file_name: str, contributors: Sequence[Source]) -> None:
        self._log.warn(
            "wrong bytes for {file} from {sources}; they are fetched elsewhere",
            file=file_name,
            sources=", ".join(map(str, contributors)),
        )
        now = self._reactor.seconds()
        for source in contributors:
            self._failed(source)
        peers = [source for source in contributors if source.origin is Origin.PEER]
        for peer in peers:
            # Of several it cannot be told which one it was; and an owner passes on what a mirror
            # sent. But not time and again.
            beyond_doubt = len(contributors) == 1 and not peer.relayed
            if beyond_doubt or self._doubts.note(peer.key, now):
                self._offence(peer, f"wrong bytes for {file_name}")


def _is_at_fault(source: Source, size: int, failure: SourceError) -> bool:
    """Whether a failure tells of a source that is slow or gone, and not of one file only.

    Who lacks a file, or is busy, is a good source all the same; so is an owner that ends before
    the first byte, since no mirror of its own had the file. Were owners pushed back for that,
    nodes would no longer agree on who owns what, and would fetch files twice.
    """
    if isinstance(failure, Refused):
        return False
    return not (source.relayed and size == 0 and isinstance(failure, Broken))


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
        offering: Offering,
        opening: Opening,
        keeping: Keeping,
        arrivals: Arrivals,
        for_strangers: ThreadPool,
        neighbourhood: Neighbourhood,
        standing: Standing,
        traffic: Traffic,
        ledger: Ledger,
        offence: Callable[[Source, str], None],
        origins: DatabaseOrigins,
    ) -> None:
        self.reactor = reactor
        self._ledger = ledger
        self.settings = settings
        self.epoch = identity.epoch
        self.node = identity.node
        #: Whether this node fetches for others now.
        self.relays = settings.relay
        #: Since when it fetches what it can now.
        self.able_since = reactor.seconds()
        self.traffic = traffic
        self.pace = Pace()
        self.backlog = Backlog()
        self.reporter = Reporter(reactor, standing, traffic, ledger, offence)
        self._pacman = pacman
        self._offering = offering
        self._opening = opening
        self._keeping = keeping
        self._arrivals = arrivals
        #: The threads in which that is hashed for which only strangers wait.
        self._for_strangers = for_strangers
        self._neighbourhood = neighbourhood
        self.reporter.unreachable = neighbourhood.unreachable
        self._standing = standing
        self.peer_agent, self._peer_pool = peer_agent(reactor, PEER_CONNECT)
        self._mirror_agent, self._mirror_pool = mirror_agent(
            reactor, MIRROR_CONNECT, settings.proxy
        )
        self.transfers = Transfers(self, sign=self._sign, publish=self._publish)
        #: When the mirrors said that they have no signature of a package, by its name and SHA-256.
        self._unsigned: dict[tuple[str, bytes], float] = {}
        self.privacy = Privacy(lambda: pacman.listing, settings.peers.private)
        self.relaying = Relaying(
            reactor, Relays(settings.peers.relayed_per_day), lambda: ledger.savings.wan_rate
        )
        self._redirects = Redirects()
        self._keyring: tuple[Path, Keyring] | None = None
        self._databases = DatabaseSources(
            reactor,
            shared=lambda: self.settings.databases == "lan",
            pacman=pacman,
            neighbourhood=neighbourhood,
            standing=standing,
            peer_agent=self.peer_agent,
            transfers=self.transfers,
            ways=Ways(self._databases_mirrors, LIMITS, self._pacman_keyring),
            origins=origins,
            remembered=settings.store.path / DATABASES_FILE,
        )
        self.status: Callable[[], dict[str, Any]] = dict

    # What transfers need

    def agent(self, source: Source) -> Any:
        return self.peer_agent if source.origin is Origin.PEER else self._mirror_agent

    def threads(self, own: bool) -> ThreadPool:
        pool: ThreadPool = self.reactor.getThreadPool() if own else self._for_strangers
        return pool

    def incoming(self, size: int | None, lessee: Lessee) -> Incoming:
        return self._keeping.incoming(size, lessee)

    def spare(self, size: int | None, lessee: Lessee) -> Incoming:
        return self._arrivals.spare(size, lessee)

    # What the faces need

    @property
    def inventory(self) -> Inventory:
        return self._offering.inventory

    def settled(self) -> Deferred[None]:
        """Fire when it is known what is listed and, after the start, who is there."""
        settled = self._pacman.settled(SETTLING_PATIENCE)
        if not self._neighbourhood.is_acquainted:
            settled.addCallback(lambda _: self._neighbourhood.acquainted())
        return settled

    def entry(self, asked: Asked) -> Entry | None:
        found = self._pacman.listing.find(asked.file.subject, asked.repository)
        return found[0] if found else None

    def held(self, file_name: str, content: Content | None) -> Any:
        found = self._offering.find(file_name)
        return found if found and content in {None, found.content} else None

    def offered(self, file_name: str) -> Any:
        """Return a file that is held here and that others may have."""
        found = self._offering.find(file_name)
        return found if found and self.privacy.allows(file_name, found.content) else None

    def open(self, found: Any, *, signature: bool, own: bool = True) -> Deferred[Any]:
        return self._opening.open(found, signature=signature, own=own)

    def signature_asked(self, file_name: str) -> None:
        """Learn that pacman has a package, wherever it was sent for it."""
        self._redirects.arrived(file_name)

    def signature(self, file_name: str) -> Any:
        return self.transfers.signature(file_name)

    def is_unsigned(self, entry: Entry) -> bool:
        """Whether the mirrors have just said that they have no signature of a package."""
        then = self._unsigned.get((entry.file_name, entry.sha256), float("-inf"))
        return bool(self.reactor.seconds() - then < UNSIGNED)

    def package(self, asked: Asked, entry: Entry | None, start: int) -> Transfer:
        """Return the transfer that brings a package.

        The rest of a file that nobody on the LAN holds is taken from the mirrors as it is, once
        much of it is there: fetching all again to verify it would cost more than it saves.
        """
        servers = self.servers(asked, entry)
        name = asked.file.text
        mirrors_alone = self._chooser(name, servers, None), self._mirrors_of(name, servers)
        if entry is None:
            return self.transfers.alone(Subject(name), *mirrors_alone)
        running = self.transfers.find(name, entry.content)
        if (
            start > MOST_FETCHED_AGAIN
            and running is None
            and not self._neighbourhood.holding(entry.file_name, entry.content)
        ):
            return self.transfers.alone(Subject(name, start=start), *mirrors_alone)
        # Others may follow what was begun for them: two owners must not wait for each other.
        relays = not (running and running.begun_by)
        terms = self._chooser(name, servers, entry, relays=relays), self._mirrors_of(name, servers)
        if running is None:
            return self.transfers.join(Subject(name, entry.content), *terms)
        running.widen(*terms)
        return running

    @property
    def redirects(self) -> bool:
        """Whether the operator lets pacman take packages from their holders itself."""
        return self.settings.transfer == "redirect"

    def elsewhere(self, entry: Entry) -> Deferred[Source | None]:
        """Return the holder that pacman is to take a listed package from; None to bring it here."""
        return defer.Deferred.fromCoroutine(self._elsewhere(entry))

    async def _elsewhere(self, entry: Entry) -> Source | None:
        now = self.reactor.seconds()
        name = entry.file_name
        if (
            self._redirects.is_again(name, now)
            or self.transfers.find(name, entry.content) is not None
            # Its signature could only be had together with the package.
            or (entry.signature is None and self._pacman.signature_wanted(entry.repository))
        ):
            return None
        trusted = (
            source
            for source in self._direct_sources(entry, now)
            if self._redirects.may_be_sent(source.key, now)
        )
        for source in islice(trusted, MOST_GREETED):
            alive = self._redirects.is_alive(source.key, now) or await self._greet(source)
            # Others may have been sent there while it was greeted.
            if alive and self._redirects.may_be_sent(source.key, now):
                self._redirects.sent(name, source.key, now)
                return source
        return None

    def _direct_sources(self, entry: Entry, now: float) -> Iterator[Source]:
        """Yield the holders whose addresses pacman can be told, the best one first."""
        path = content_path(entry.file_name, entry.sha256)
        for source in self._holders(entry.file_name, entry, now) if path else ():
            place = network_location(source.url)
            # A zone is this machine's own affair; and pacman's address of the signature would be
            # another one if that of the package told what it is.
            if "%" not in place and not self._standing.demoted(source.key, now):
                yield replace(source, url=f"http://{place}{path}")

    async def _greet(self, source: Source) -> bool:
        """Ask a holder for the head of what pacman would be sent there for."""
        wanted = Wanted(source.url, source.label)
        try:
            await last_modified(self.peer_agent, self.reactor, wanted, GREETING_PATIENCE)
        except Refused:
            return False
        except SourceError:
            self._standing.failed(source.key, self.reactor.seconds())
            return False
        self._redirects.answered(source.key, self.reactor.seconds())
        return True

    def relay(self, asked: Asked, etag: str | None, asker: str) -> Deferred[Transfer | None]:
        """Return the transfer that brings a listed package to peers; None refuses ``asker``."""
        return defer.Deferred.fromCoroutine(self._relay(asked, etag, asker))

    async def _relay(self, asked: Asked, etag: str | None, asker: str) -> Transfer | None:
        entry = self._relayed_entry(asked, etag)
        if entry is None:
            return None
        for _ in range(RELAY_LOOKS):
            transfer = self.transfers.find(entry.file_name, entry.content)
            if transfer is None:
                return self._begin_relay(asked, entry, asker)
            if not transfer.follows_a_relay:
                return transfer
            # Another owner was asked for it; if that one has just failed, this node is the next.
            await task.deferLater(self.reactor, RELAY_PAUSE)
        return None

    def coming(self, asked: Asked, etag: str | None) -> Transfer | None:
        """Return the transfer of a listed package that this node fetches itself already.

        At once: the asker may be the one whom this node's own transfer waits for.
        """
        entry = self._relayed_entry(asked, etag)
        transfer = self.transfers.find(entry.file_name, entry.content) if entry else None
        return transfer if transfer is not None and transfer.fetches_itself else None

    def listed(self, asked: Asked, etag: str | None) -> tuple[Content, Transfer | None] | None:
        """Return what a peer would be relayed, and the transfer that brings it now, if one does."""
        entry = self._relayed_entry(asked, etag)
        return None if entry is None else (entry.content, self.coming_package(entry))

    def coming_package(self, entry: Entry) -> Transfer | None:
        """Return the transfer that brings a listed package already, whoever sends it."""
        return self.transfers.find(entry.file_name, entry.content)

    def told(self, asked: Asked, modified_since: str | None) -> Deferred[Told]:
        """Return what a mirror says of a file without sending it."""
        return defer.Deferred.fromCoroutine(self._told(asked, modified_since))

    async def _told(self, asked: Asked, modified_since: str | None) -> Told:
        await self._pacman.configured()
        servers = self.servers(asked, self.entry(asked))
        mirrors = self._mirrors(asked.file.text, servers, self.reactor.seconds())
        return await ask_heads(self._mirror_agent, self.reactor, mirrors, modified_since)

    def _relayed_entry(self, asked: Asked, etag: str | None) -> Entry | None:
        """Return what is listed of a package that a peer asks for, if it may have it from here."""
        entry = self.entry(asked) if self.relays else None
        if entry and self.privacy.keeps(entry.repository):
            return None
        return entry if entry and etag in {None, f'"{entry.sha256.hex()}"'} else None

    def _begin_relay(self, asked: Asked, entry: Entry, asker: str) -> Transfer | None:
        """Fetch from the mirrors alone: a request is never passed on to another peer."""
        if not self.relaying.admits(asker, self.settings.peers.relays):
            return None
        name = entry.file_name
        servers = self.servers(asked, entry)
        transfer = self.transfers.join(
            Subject(name, entry.content),
            self._chooser(name, servers, None),
            self._mirrors_of(name, servers),
        )
        self.relaying.begin(transfer, asker)
        transfer.finished.wait().addBoth(lambda _: self._count_for_peers(transfer))
        return transfer

    def _count_for_peers(self, transfer: Transfer) -> None:
        """Count what crossed the WAN because a peer asked, however the transfer went."""
        self.traffic.for_peers_bytes += transfer.shares.get(Came.MIRROR, 0)

    def from_mirrors(self, asked: Asked, modified_since: str | None) -> Transfer:
        name = asked.file.text
        servers = self.servers(asked, None)
        subject = Subject(name, modified_since=modified_since)
        return self.transfers.alone(
            subject, self._chooser(name, servers, None), self._mirrors_of(name, servers)
        )

    def has_others(self, repository: str) -> bool:
        """Whether pacman has servers for a repository that only pacman can ask."""
        known = self._pacman.configuration.repository(repository)
        return known is not None and known.has_others

    def database(self, asked: Asked, modified_since: str | None) -> Deferred[Transfer | bytes]:
        return self._databases.transfer(asked, modified_since)

    def open_database(self, file_name: str) -> Any:
        return self._databases.open(file_name)

    def _databases_mirrors(self, asked: Asked) -> list[Source]:
        servers = self.servers(asked, None)
        return self._mirrors(asked.file.text, servers, self.reactor.seconds())

    # Whom to ask

    def servers(self, asked: Asked, entry: Entry | None) -> tuple[str, ...]:
        """Return the mirrors that may have a file, each complete but for the file's name.

        pacman's CacheServers are asked first, as pacman does; for packages only.
        """
        configuration = self._pacman.configuration
        repository = asked.repository or (entry.repository if entry else "")
        if asked.file.kind is Kind.NOTE:
            places = (
                (one.name, servers_for(configuration, one.name, ""))
                for one in configuration.repositories
            )
            roots = (mirror_root(server, name) for name, servers in places for server in servers)
            return tuple(dict.fromkeys(filter(None, roots)))
        of = package_servers_for if asked.file.kind is Kind.PACKAGE else servers_for
        if repository:
            return of(configuration, repository, asked.architecture)
        every = (of(configuration, one.name, "") for one in configuration.repositories)
        return tuple(dict.fromkeys(server for servers in every for server in servers))

    def _mirrors_of(self, name: str, servers: Sequence[str]) -> Mirrors:
        return lambda: self._mirrors(name, servers, self.reactor.seconds())

    def _chooser(
        self, name: str, servers: Sequence[str], entry: Entry | None, *, relays: bool = True
    ) -> Choose:
        began = self.reactor.seconds()

        def choose(tried: Sequence[Attempt]) -> Attempt | None:
            # Once bytes came, pacman's patience is as it was when the last one did.
            since = max([began, *(attempt.heard for attempt in tried)])
            now = self.reactor.seconds()
            failed = [one for one in tried if isinstance(one.failure, Contradicted)]
            contradictions = sum(one.source.origin is Origin.PEER for one in failed)
            order = self.candidates(
                name,
                servers,
                entry,
                relays=relays,
                peers_last=peers_come_last(now - since, contradictions, now - began),
            )
            return self._next(name, servers, order, tried, now - since)

        return choose

    def _next(
        self,
        name: str,
        servers: Sequence[str],
        order: Iterator[Source],
        tried: Sequence[Attempt],
        waited: float,
    ) -> Attempt | None:
        began = time.perf_counter()
        now = self.reactor.seconds()
        left = _left(order, tried)
        if name.endswith(".sig") and _missing(tried):
            # A signature that one mirror lacks is not waited for at another that may be dead.
            left = (one for one in left if not self._standing.demoted(one.key, now))
        source = next(left, None)
        self._ledger.look_ups.add(time.perf_counter() - began)
        if source is not None:
            return Attempt(source, _limits(source, waited))
        return _once_more(self._mirrors(name, servers, now), tried, waited)

    def order(self, name: str, servers: Sequence[str], entry: Entry | None) -> list[Source]:
        """Return everybody who would be asked for a file now, the first one first."""
        return list(self.candidates(name, servers, entry))

    def candidates(
        self,
        name: str,
        servers: Sequence[str],
        entry: Entry | None,
        *,
        relays: bool = True,
        peers_last: bool = False,
    ) -> Iterator[Source]:
        """Yield whom to ask for a file, one after the other; mostly the first one does.

        Peers only for what is listed: holders, then pacman's own caches, then owners (where it may
        be had through them), then the mirrors, then those holders that failed lately. Where peers
        disappointed too often (``core.strangers``), those that have proved nothing come last too.
        """
        now = self.reactor.seconds()
        mirrors = self._mirrors(name, servers, now)
        caches = [
            one for one in mirrors if one.is_cache and not self._standing.demoted(one.key, now)
        ]
        if peers_last:
            yield from mirrors
        last: list[Source] = []
        if entry is not None:
            for source in self._holders(name, entry, now):
                demoted = self._standing.demoted(source.key, now)
                if demoted or not self.reporter.comes_first(source.key, now):
                    last.append(source)
                else:
                    yield source
            if not peers_last:
                yield from caches
            if relays:
                yield from self._owners(entry)
        if not peers_last:
            yield from (one for one in mirrors if entry is None or one not in caches)
        yield from last

    def _holders(self, name: str, entry: Entry, now: float) -> Iterator[Source]:
        peers = {
            peer.node: peer for peer in self._neighbourhood.holding(entry.file_name, entry.content)
        }
        holders = [Holder(node, near=True, key=peer.address) for node, peer in peers.items()]
        for holder in rank_holders(holders, name, self._standing, now):
            yield _peer_source(peers[holder.node], name)

    def _owners(self, entry: Entry) -> list[Source]:
        """Return the peers to ask to fetch a file that nobody holds, before the mirrors."""
        now = self.reactor.seconds()
        own = self.node
        first = self.reporter.owners_come_first(now)
        able = {
            peer.node: peer
            for peer in self._neighbourhood.able(entry.repository)
            if not self._standing.demoted(peer.address, now)
            and (first or self._standing.throughput(peer.address) > 0)
        }
        nodes = [*able, own] if self.relays else list(able)
        ranked = rank_owners(nodes, entry.file_name)
        since = {
            node: able[node].able_since if node in able else self.able_since
            for node in ranked[:MOST_OWNERS]
        }
        earlier = earlier_owners(ranked, own, since, now, MOST_OWNERS)
        looked_at = [_owner_source(able[node], entry) for node in earlier]
        owners = [
            _owner_source(able[node], entry) for node in owners_before(ranked, own, MOST_OWNERS)
        ]
        return [*(replace(one, only_if_cached=True) for one in looked_at), *owners]

    def _mirrors(self, name: str, servers: Sequence[str], now: float) -> list[Source]:
        keys = [network_location(server) for server in servers]
        ranked = rank_mirrors(servers, keys, self._standing, now)
        caches = self._pacman.configuration.caches
        return [_mirror_source(server, name, is_cache=server in caches) for server in ranked]

    # Signatures, and what is kept

    async def _sign(self, transfer: Transfer) -> bytes | None:
        """Return the signature of a package that arrived; None where the mirrors have none."""
        name, content = transfer.subject.file_name, transfer.subject.content
        entries = [one for one in self._pacman.listing.find(name) if one.content == content]
        if not entries:
            return None
        entry = entries[0]
        embedded = entry.read_signature()
        if embedded is not None:
            return embedded
        if not self._pacman.signature_wanted(entry.repository):
            return None
        source = transfer.source
        if source is not None and source.origin is Origin.PEER:
            signature = await self._peers_signature(transfer, entry, source)
            if signature is not None:
                return signature
        return await self._mirrors_signature(transfer, entry)

    async def _peers_signature(
        self, transfer: Transfer, entry: Entry, source: Source
    ) -> bytes | None:
        """Return what a holder has for a signature, if pacman's keyring says that it is right."""
        now = self.reactor.seconds()
        others = [
            one for one in self._holders(entry.file_name, entry, now) if one.key != source.key
        ]

        async def ask(holder: Source) -> bytes:
            signature = await self._small(holder, LIMITS)
            verdict = await self._pacman_keyring().verify(
                transfer.incoming.fileno(), signature, peer=holder.label
            )
            if verdict is Verdict.GOOD:
                return signature
            if verdict is Verdict.BAD:
                self.reporter.contradicted(entry.file_name + ".sig", [holder])
            raise Contradicted(holder.label, f"has no good signature of {entry.file_name}")

        tries = [partial(ask, holder) for holder in (source, *others[:2])]
        try:
            return await first_good(self.reactor, tries, stagger=PEERS_STAGGER, patience=PEERS)
        except SourceError:
            return None

    async def _mirrors_signature(self, transfer: Transfer, entry: Entry) -> bytes | None:
        """Return what a mirror has that does not plainly belong to something else.

        None where those that answer have none: one that may be dead is not waited for then.
        """
        name = entry.file_name
        now = self.reactor.seconds()
        mirrors = self._mirrors(
            name, package_servers_for(self._pacman.configuration, entry.repository, ""), now
        )
        failures: list[SourceError] = []

        async def ask(mirror: Source) -> bytes:
            try:
                signature = await self._small(mirror, LIMITS)
                verdict = await self._pacman_keyring().verify(transfer.incoming.fileno(), signature)
                if verdict is Verdict.BAD:
                    raise Contradicted(mirror.label, f"has a wrong signature of {name}")
            except SourceError as failure:
                failures.append(failure)
                raise
            return signature

        alive = [one for one in mirrors if not self._standing.demoted(one.key, now)]
        tries = [partial(ask, mirror) for mirror in alive or mirrors]
        try:
            return await first_good(
                self.reactor,
                tries,
                stagger=stagger(len(tries)),
                patience=SIGNATURE_PATIENCE,
            )
        except SourceError as failure:
            if mirrors and len(failures) == len(tries) and all(map(_is_missing, failures)):
                self._remember_unsigned(entry)
                return None
            raise next((one for one in failures if not _is_missing(one)), failure) from None

    def _remember_unsigned(self, entry: Entry) -> None:
        key = entry.file_name, entry.sha256
        self._unsigned.pop(key, None)
        self._unsigned[key] = self.reactor.seconds()
        if len(self._unsigned) > MOST_UNSIGNED:
            del self._unsigned[next(iter(self._unsigned))]

    async def _small(self, source: Source, limits: Limits) -> bytes:
        wanted = Wanted(source.url + ".sig", source.label)
        try:
            data = await fetch_small(
                self.agent(source), self.reactor, wanted, limits, LARGEST_SIGNATURE
            )
        except Refused as refused:
            self.reporter.refused(source, refused)
            raise
        self.traffic.take(source.came, len(data))
        return data

    def _pacman_keyring(self) -> Keyring:
        directory = self._pacman.configuration.gpg_directory
        if self._keyring is None or self._keyring[0] != directory:
            self._keyring = (directory, Keyring(self.reactor, directory))
        return self._keyring[1]

    async def _publish(self, transfer: Transfer, signature: bytes | None) -> bool:
        subject = transfer.subject
        assert subject.content is not None  # noqa: S101 - only listed files come here
        return await self._keeping.publish(
            transfer.incoming, subject.file_name, subject.content, signature
        )

    async def stop(self) -> None:
        self.transfers.stop()
        self.relaying.stop()
        await self.close_idle()

    async def close_idle(self) -> None:
        """Close the connections that are kept for later."""
        await self._peer_pool.closeCachedConnections()
        await self._mirror_pool.closeCachedConnections()


def _once_more(
    mirrors: Sequence[Source], tried: Sequence[Attempt], waited: float
) -> Attempt | None:
    """Return a mirror that was slow, to be asked again with more patience, if there is time."""
    asked = [attempt.source for attempt in tried]
    patience = PACMAN - waited
    slow = {one.source for one in tried if isinstance(one.failure, (Stalled, Broken))}
    active = {attempt.source for attempt in tried if attempt.failure is None}
    again = [
        one
        for one in mirrors
        if one in slow and one not in active and asked.count(one) < MOST_TRIES
    ]
    if again and patience > 1:
        source = min(again, key=asked.count)
        return Attempt(source, _limits(source, waited))
    return None


def _missing(tried: Sequence[Attempt]) -> bool:
    """Return whether a source answered that it has no such file."""
    return any(_is_missing(one.failure) for one in tried)


def _is_missing(failure: SourceError | None) -> bool:
    return isinstance(failure, Refused) and failure.status == 404  # noqa: PLR2004


def _peer_source(peer: Peer, file_name: str) -> Source:
    place = f"{literal_host(peer.address)}:{peer.port}"
    url = f"http://{place}/pkg/{escape(file_name)}"
    return Source(Origin.PEER, peer.address, peer.address, url, node=peer.node)


def _owner_source(peer: Peer, entry: Entry) -> Source:
    place = f"{literal_host(peer.address)}:{peer.port}"
    # The architecture only matters to nodes whose mirrors are not resolved by pacman.conf.
    architecture = _architecture(entry.file_name)
    path = f"/relay/{entry.repository}/{architecture}/{escape(entry.file_name)}"
    url = f"http://{place}{path}"
    return Source(Origin.PEER, peer.address, peer.address, url, relayed=True, node=peer.node)


def _limits(source: Source, waited: float) -> Limits:
    """Return how long a source may take that nobody can better; ``waited`` is pacman's already."""
    if source.only_if_cached:
        return LOOK_LIMITS
    return replace(LIMITS, first_byte=max(1.0, LIMITS.first_byte - waited))


def _left(order: Iterator[Source], tried: Sequence[Attempt]) -> Iterator[Source]:
    """Leave out who was asked, and who is being asked: by address, and not too many peers."""
    asked = {_asked_as(attempt.source) for attempt in tried}
    active = {attempt.source.key for attempt in tried if attempt.failure is None}
    peers = sum(attempt.source.origin is Origin.PEER for attempt in tried)
    for source in order:
        if _asked_as(source) in asked or source.key in active:
            continue
        if source.origin is Origin.PEER and peers >= MOST_PEERS:
            continue
        yield source


def _asked_as(source: Source) -> tuple[str, bool, bool]:
    return source.key, source.relayed, source.only_if_cached


def _mirror_source(server: str, file_name: str, *, is_cache: bool = False) -> Source:
    place = network_location(server)
    url = f"{server.rstrip('/')}/{escape(file_name)}"
    return Source(Origin.MIRROR, place, place, url, is_cache=is_cache)


def _architecture(file_name: str) -> str:
    file = parse_file_name(file_name)
    return file.architecture if file else "any"
