"""The desk: what the faces ask, answered from what ``core``, ``net`` and ``host`` know together.

Part of the front door, as ``service`` is: what is listed and held, who is asked next and how
patiently, and where a signature comes from. The rules themselves are in ``core``.
"""

from __future__ import annotations

import time
from dataclasses import replace
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from twisted.internet import defer, task

from flocon.core.names import Asked, content_path, escape, parse_file_name
from flocon.core.redirects import Redirects
from flocon.core.sources import (
    Came,
    Dated,
    Holder,
    Origin,
    Source,
    earlier_owners,
    order_for_database,
    owners_before,
    rank_holders,
    rank_mirrors,
    rank_owners,
    sample_databases,
    without_delay,
)
from flocon.errors import Broken, Contradicted, Refused, SourceError, Stalled, StoreError
from flocon.host.databases import LARGEST_FILE, find_problem, open_database
from flocon.host.keyring import Keyring, Verdict
from flocon.host.pacman import PacmanWatch, servers_for
from flocon.log import logger
from flocon.net.fetch import (
    Attempt,
    Limits,
    Wanted,
    fetch_small,
    last_modified,
    literal_host,
    mirror_agent,
    network_location,
    peer_agent,
)
from flocon.net.transfer import Subject
from flocon.net.transfers import Transfers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from twisted.internet.defer import Deferred

    from flocon.core.inventory import Content, Inventory
    from flocon.core.peers import Peer
    from flocon.core.presence import Identity
    from flocon.core.standing import Standing
    from flocon.core.syncdb import Entry
    from flocon.core.traffic import Traffic
    from flocon.host.cache import Cache
    from flocon.ledger import Ledger
    from flocon.net.neighbourhood import Neighbourhood
    from flocon.net.transfer import Incoming, Transfer
    from flocon.options import Settings

#: A peer answers within its LAN's round trip, or is asked no more for a while.
PEER_CONNECT = 0.8
PEER_LIMITS = Limits(first_byte=2.5, stall=2.5, step=8 << 10)
#: An owner waits for its mirrors itself, and may have to change to another of them.
RELAY_LIMITS = Limits(first_byte=2.5, stall=2.5, step=2 << 10)
MIRROR_CONNECT = 2.5
MIRROR_LIMITS = Limits(first_byte=2.5, stall=2.5, step=1 << 10)
#: The second time round a mirror gets longer and may drip: there is nobody better. But pacman
#: waits 10 s in all for the first byte.
PATIENT_FIRST_BYTE = 4.0
PATIENT_STALL = 4.0
PACMAN_PATIENCE = 8.5
#: Owners asked, one after the other, before this node turns to the mirrors itself.
MOST_OWNERS = 3
#: An owner that follows another owner itself looks again so often, after so many seconds.
RELAY_LOOKS = 5
RELAY_PAUSE = 0.1
#: Peers asked how new their database is, where the operator lets them answer.
MOST_DATABASES = 8
#: Databases of which it is remembered who gave them; a machine has a handful of repositories.
MOST_GIVEN = 256
#: Bytes that pacman has of a file already and that are fetched again, to verify all of it.
MOST_FETCHED_AGAIN = 1 << 20
#: How often one mirror is asked for one file, once bytes of it came.
MOST_TRIES = 3
#: A signature is a few hundred bytes; pacman takes 16 KiB.
LARGEST_SIGNATURE = 16 << 10
#: Seconds pacman's request waits for a sync database that was replaced a moment ago.
SETTLING_PATIENCE = 3.0
#: Seconds in which a holder says that it is there, before pacman is sent to it; how many are asked.
GREETING_PATIENCE = 0.5
MOST_GREETED = 2


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

    def began(self, source: Source) -> None:
        self._standing.began(source.key)
        self._ledger.began(source.came)

    def ended(self, source: Source, size: int, seconds: float, failure: SourceError | None) -> None:
        self._standing.ended(source.key)
        self._ledger.ended(source.came, size, seconds)
        self._traffic.take(source.came, size)
        if failure is None:
            self._standing.succeeded(source.key, size, seconds)
        elif _is_at_fault(source, size, failure):
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
        cache: Cache,
        neighbourhood: Neighbourhood,
        standing: Standing,
        traffic: Traffic,
        ledger: Ledger,
        offence: Callable[[Source, str], None],
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
        self.reporter = Reporter(reactor, standing, traffic, ledger, offence)
        self._pacman = pacman
        self._cache = cache
        self._neighbourhood = neighbourhood
        self._standing = standing
        self.peer_agent, self._peer_pool = peer_agent(reactor, PEER_CONNECT)
        self._mirror_agent, self._mirror_pool = mirror_agent(reactor, MIRROR_CONNECT)
        self.transfers = Transfers(self, sign=self._sign, publish=self._publish)
        self._redirects = Redirects()
        self._keyring: tuple[Path, Keyring] | None = None
        #: Who gave a database last, by its request: its signature comes from there too.
        self._given: dict[tuple[str, str, str], Transfer] = {}
        self.status: Callable[[], dict[str, Any]] = dict

    # What transfers need

    def agent(self, source: Source) -> Any:
        return self.peer_agent if source.origin is Origin.PEER else self._mirror_agent

    def incoming(self, size: int | None) -> Incoming:
        return self._cache.incoming(size)

    def spare(self) -> Incoming:
        return self._cache.spare()

    # What the faces need

    @property
    def inventory(self) -> Inventory:
        return self._cache.inventory

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
        found = self._cache.find(file_name)
        return found if found and content in {None, found.content} else None

    def open(self, found: Any, *, signature: bool) -> Any:
        return self._cache.open(found, signature=signature)

    def signature(self, file_name: str) -> Any:
        return self.transfers.signature(file_name)

    def package(self, asked: Asked, entry: Entry | None, start: int) -> Transfer:
        """Return the transfer that brings a package.

        The rest of a file that nobody on the LAN holds is taken from the mirrors as it is, once
        much of it is there: fetching all again to verify it would cost more than it saves.
        """
        servers = self.servers(asked, entry)
        name = asked.file.text
        if entry is None:
            return self.transfers.alone(Subject(name), self._chooser(name, servers, None))
        running = self.transfers.find(name, entry.content)
        if (
            start > MOST_FETCHED_AGAIN
            and running is None
            and not self._neighbourhood.holding(entry.file_name, entry.content)
        ):
            subject = Subject(name, start=start)
            return self.transfers.alone(subject, self._chooser(name, servers, None))
        return self.transfers.join(
            Subject(name, entry.content), self._chooser(name, servers, entry)
        )

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
        for source in islice(self._direct_sources(entry, now), MOST_GREETED):
            if self._redirects.is_alive(source.key, now) or await self._greet(source):
                self._redirects.sent(name, now)
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

    def _relayed_entry(self, asked: Asked, etag: str | None) -> Entry | None:
        """Return what is listed of a package that a peer asks for, if it may have it from here."""
        entry = self.entry(asked) if self.relays else None
        return entry if entry and etag in {None, f'"{entry.sha256.hex()}"'} else None

    def _begin_relay(self, asked: Asked, entry: Entry, asker: str) -> Transfer | None:
        """Fetch from the mirrors alone: a request is never passed on to another peer."""
        begun_by = [transfer.begun_by for transfer in self.transfers if transfer.begun_by]
        most = self.settings.peers.relays
        # One asker leaves half of it to the others.
        if len(begun_by) >= most or begun_by.count(asker) >= (most + 1) // 2:
            return None
        name = entry.file_name
        chooser = self._chooser(name, self.servers(asked, entry), None)
        transfer = self.transfers.join(Subject(name, entry.content), chooser)
        transfer.begun_by = asker
        transfer.finished.wait().addBoth(lambda _: self._count_for_peers(transfer))
        return transfer

    def _count_for_peers(self, transfer: Transfer) -> None:
        """Count what crossed the WAN because a peer asked, however the transfer went."""
        self.traffic.for_peers_bytes += transfer.shares.get(Came.MIRROR, 0)

    def from_mirrors(self, asked: Asked, modified_since: str | None) -> Transfer:
        name = asked.file.text
        servers = self.servers(asked, None)
        subject = Subject(name, modified_since=modified_since)
        return self.transfers.alone(subject, self._chooser(name, servers, None))

    def database(self, asked: Asked, modified_since: str | None) -> Deferred[Transfer]:
        """Return the transfer that brings a database: from the mirrors, or as the operator lets."""
        return defer.Deferred.fromCoroutine(self._database(asked, modified_since))

    async def _database(self, asked: Asked, modified_since: str | None) -> Transfer:
        # A node that has just started may not know its mirrors yet.
        await self._pacman.configured()
        if self.settings.databases != "lan":
            return self.from_mirrors(asked, modified_since)
        if asked.file.is_signature:
            return self._databases_signature(asked, modified_since)
        peers = await self._peers_databases(asked)
        transfer = (
            self._newest(asked, modified_since, peers)
            if peers
            else self.from_mirrors(asked, modified_since)
        )
        key = _request_of(asked)
        self._given.pop(key, None)
        self._given[key] = transfer
        if len(self._given) > MOST_GIVEN:
            del self._given[next(iter(self._given))]
        return transfer

    def _newest(self, asked: Asked, modified_since: str | None, peers: Sequence[Dated]) -> Transfer:
        """Return the transfer of a database that peers have too.

        pacman ends with an error where a database is no such thing, or fails at it for good later,
        and asks nobody else: so what a peer gives is looked through before pacman gets a byte.
        """
        name = asked.file.text
        mirrors = self._mirrors(name, self.servers(asked, None), self.reactor.seconds())
        order = order_for_database(mirrors, peers, _seconds(modified_since), time.time())
        began = self.reactor.seconds()

        def choose(tried: Sequence[Attempt]) -> Attempt | None:
            since = max([began, *(attempt.heard for attempt in tried)])
            waited = self.reactor.seconds() - since
            asked_already = [attempt.source for attempt in tried]
            for source in without_delay(order, waited):
                if source not in asked_already:
                    return Attempt(source, _limits(source))
            return _once_more(mirrors, tried, waited)

        subject = Subject(
            name, modified_since=modified_since, find_problem=find_problem, most=LARGEST_FILE
        )
        return self.transfers.alone(subject, choose)

    def _databases_signature(self, asked: Asked, modified_since: str | None) -> Transfer:
        """Return the transfer of a database's signature: from who gave the database, nobody else.

        pacman can do without most of them, but not with one that belongs to another database.
        """
        given = self._given.get(_request_of(asked))
        source = given.source if given else None
        if source is None or source.origin is not Origin.PEER:
            return self.from_mirrors(asked, modified_since)
        signature = replace(source, url=source.url + ".sig")

        def choose(tried: Sequence[Attempt]) -> Attempt | None:
            return None if tried else Attempt(signature, PEER_LIMITS)

        subject = Subject(asked.file.text, modified_since=modified_since, most=LARGEST_SIGNATURE)
        return self.transfers.alone(subject, choose)

    async def _peers_databases(self, asked: Asked) -> list[Dated]:
        """Ask a few peers at once how new theirs is; who does not answer soon has none."""
        repository = asked.file.name
        peers = [
            peer
            for peer in self._neighbourhood.sharing(repository)
            if not self._standing.demoted(peer.node, self.reactor.seconds())
        ]
        digests = [dict(peer.databases)[repository] for peer in peers]
        chosen = [peers[place] for place in sample_databases(digests, MOST_DATABASES)]
        sources = [_database_source(peer, asked.file.text) for peer in chosen]
        answers = await defer.DeferredList(
            [defer.Deferred.fromCoroutine(self._dated(source)) for source in sources],
            consumeErrors=True,
        )
        return [dated for good, dated in answers if good and dated is not None]

    async def _dated(self, source: Source) -> Dated | None:
        wanted = Wanted(source.url, source.label)
        modified = await last_modified(
            self.peer_agent, self.reactor, wanted, PEER_LIMITS.first_byte
        )
        seconds = _seconds(modified)
        return None if seconds is None else Dated(source, seconds)

    def open_database(self, file_name: str) -> Any:
        """Open this machine's own database for peers, where the operator shares them."""
        if self.settings.databases != "lan":
            raise StoreError(file_name, "databases are not shared here")
        return open_database(self._pacman.configuration.sync_directory, file_name)

    # Whom to ask

    def servers(self, asked: Asked, entry: Entry | None) -> tuple[str, ...]:
        """Return the mirrors that may have a file, each complete but for the file's name."""
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
            # Once bytes came, pacman's patience is as it was when the last one did.
            since = max([began, *(attempt.heard for attempt in tried)])
            waited = self.reactor.seconds() - since
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
        began = time.perf_counter()
        asked = [attempt.source for attempt in tried]
        left = (one for one in self.candidates(name, servers, entry) if one not in asked)
        now = self.reactor.seconds()
        if name.endswith(".sig") and _missing(tried):
            # A signature that one mirror lacks is not waited for at another that may be dead.
            left = (one for one in left if not self._standing.demoted(one.key, now))
        source = next(left, None)
        self._ledger.look_ups.add(time.perf_counter() - began)
        if source is not None:
            return Attempt(source, _limits(source))
        return _once_more(self._mirrors(name, servers, now), tried, waited)

    def order(self, name: str, servers: Sequence[str], entry: Entry | None) -> list[Source]:
        """Return everybody who would be asked for a file now, the first one first."""
        return list(self.candidates(name, servers, entry))

    def candidates(
        self, name: str, servers: Sequence[str], entry: Entry | None
    ) -> Iterator[Source]:
        """Yield whom to ask for a file, one after the other; mostly the first one does.

        Peers only for what is listed: holders, then owners, then the mirrors, then those holders
        that failed lately.
        """
        now = self.reactor.seconds()
        last: list[Source] = []
        if entry is not None:
            for source in self._holders(name, entry, now):
                if self._standing.demoted(source.key, now):
                    last.append(source)
                else:
                    yield source
            yield from self._owners(entry)
        yield from self._mirrors(name, servers, now)
        yield from last

    def _holders(self, name: str, entry: Entry, now: float) -> Iterator[Source]:
        peers = {
            peer.node: peer for peer in self._neighbourhood.holding(entry.file_name, entry.content)
        }
        holders = [Holder(node, near=True) for node in peers]
        for holder in rank_holders(holders, name, self._standing, now):
            yield _peer_source(peers[holder.node], name)

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
        return [_mirror_source(server, name) for server in ranked]

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

    async def _mirrors_signature(self, transfer: Transfer, entry: Entry) -> bytes | None:
        """Return what the first mirror has that does not plainly belong to something else."""
        name = entry.file_name
        configuration = self._pacman.configuration
        servers = servers_for(configuration, entry.repository, "")
        failure: SourceError | None = None
        for source in self._mirrors(name, servers, self.reactor.seconds()):
            try:
                signature = await self._small(source, MIRROR_LIMITS)
                verdict = await self._pacman_keyring().verify(transfer.incoming.fileno(), signature)
                if verdict is not Verdict.BAD:
                    return signature
                failure = Contradicted(source.label, f"has a wrong signature of {name}")
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
        return await self._cache.publish(
            transfer.incoming, subject.file_name, subject.content, signature
        )

    async def stop(self) -> None:
        self.transfers.stop()
        await self._peer_pool.closeCachedConnections()
        await self._mirror_pool.closeCachedConnections()


def _once_more(
    mirrors: Sequence[Source], tried: Sequence[Attempt], waited: float
) -> Attempt | None:
    """Return a mirror that was slow, to be asked again with more patience, if there is time."""
    asked = [attempt.source for attempt in tried]
    patience = min(PATIENT_FIRST_BYTE, PACMAN_PATIENCE - waited)
    slow = {one.source for one in tried if isinstance(one.failure, (Stalled, Broken))}
    again = [one for one in mirrors if one in slow and asked.count(one) < MOST_TRIES]
    if again and patience > 1:
        source = min(again, key=asked.count)
        return Attempt(source, Limits(first_byte=patience, stall=PATIENT_STALL))
    return None


def _missing(tried: Sequence[Attempt]) -> bool:
    """Return whether a source answered that it has no such file."""
    refusals = [one.failure for one in tried if isinstance(one.failure, Refused)]
    return any(refused.status == 404 for refused in refusals)  # noqa: PLR2004


def _peer_source(peer: Peer, file_name: str) -> Source:
    place = f"{literal_host(peer.address)}:{peer.port}"
    return Source(Origin.PEER, peer.node, peer.address, f"http://{place}/pkg/{escape(file_name)}")


def _database_source(peer: Peer, file_name: str) -> Source:
    place = f"{literal_host(peer.address)}:{peer.port}"
    return Source(Origin.PEER, peer.node, peer.address, f"http://{place}/db/{escape(file_name)}")


def _request_of(asked: Asked) -> tuple[str, str, str]:
    return asked.repository, asked.architecture, asked.file.subject


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
    path = f"/relay/{entry.repository}/{architecture}/{escape(entry.file_name)}"
    return Source(Origin.PEER, peer.node, peer.address, f"http://{place}{path}", relayed=True)


def _limits(source: Source) -> Limits:
    if source.relayed:
        return RELAY_LIMITS
    return PEER_LIMITS if source.origin is Origin.PEER else MIRROR_LIMITS


def _mirror_source(server: str, file_name: str) -> Source:
    place = network_location(server)
    url = f"{server.rstrip('/')}/{escape(file_name)}"
    return Source(Origin.MIRROR, place, place.rpartition("@")[2], url)


def _architecture(file_name: str) -> str:
    file = parse_file_name(file_name)
    return file.architecture if file else "any"
