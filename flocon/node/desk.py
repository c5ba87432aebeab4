"""The parts that find out whom to ask, put together: this room's composition, and nothing else.

No question is answered here: whoever has one is given the part that answers it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.asking.addresses import tool_of
from flocon.databases.databases import Databases
from flocon.databases.own import DATABASES_FILE, OwnDatabases
from flocon.databases.peers import PeersDatabases
from flocon.pacman.privacy import Privacy
from flocon.sources.candidates import Candidates
from flocon.sources.choosing import Choosing
from flocon.sources.for_peers import ForPeers
from flocon.sources.from_mirrors import FromMirrors
from flocon.sources.listed import Listed
from flocon.sources.means import Agents, Means
from flocon.sources.packages import Packages
from flocon.sources.ranking import OwnNode
from flocon.sources.redirecting import Redirecting
from flocon.sources.relaying import Relaying
from flocon.sources.relays import Relays
from flocon.sources.reporter import Reporter
from flocon.sources.signatures import PacmanKeyring, Signatures
from flocon.transfers.transfers import Transfers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from twisted.python.threadpool import ThreadPool

    from flocon.asking.source import Source
    from flocon.books.ledger import Ledger
    from flocon.books.traffic import Traffic
    from flocon.databases.followed import Followed
    from flocon.databases.origins import DatabaseOrigins
    from flocon.databases.telling import OwnState
    from flocon.files import Content
    from flocon.holdings.keeping import Keeping
    from flocon.machine.links import Link
    from flocon.neighbours.neighbourhood import Neighbourhood
    from flocon.neighbours.standing import Standing
    from flocon.pacman.watch import PacmanWatch
    from flocon.parents.parents import Parents
    from flocon.presence.own_announcement import Identity
    from flocon.settings.settings import Settings
    from flocon.store.incoming import Arrivals
    from flocon.transfers.transfer import Transfer


class Desk:
    """Has the parts; ``settings`` gives those in force, of which some change while running.

    ``name`` gives this node's own, which may change.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        settings: Callable[[], Settings],
        identity: Identity,
        name: Callable[[], str],
        pacman: PacmanWatch,
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
        now = settings()
        self._reactor = reactor
        self._settings = settings
        self._pacman = pacman
        #: The caching proxies of this LAN, where there are any.
        self.parents: Parents | None = None
        self.own = OwnNode(identity.node, identity.epoch, now.relay, reactor.seconds())
        self.privacy = Privacy(lambda: pacman.listing, now.peers.private)
        neighbourhood.is_private = self.privacy.keeps
        self.reporter = Reporter(reactor, standing, traffic, ledger, offence)
        self.reporter.unreachable = neighbourhood.unreachable
        self.agents = Agents(reactor, now.proxy, standing.met)
        self.listed = Listed(pacman, neighbourhood)
        self.candidates = Candidates(
            reactor,
            own=self.own,
            pacman=pacman,
            neighbourhood=neighbourhood,
            standing=standing,
            reporter=self.reporter,
        )
        self.candidates.far_owners = lambda: settings().peers.far == "owners"
        self.choosing = choosing = Choosing(reactor, self.candidates, standing, ledger)
        keyring = PacmanKeyring(reactor, pacman)
        self.signatures = Signatures(
            reactor,
            pacman=pacman,
            keyring=keyring,
            candidates=self.candidates,
            agents=self.agents,
            standing=standing,
            reporter=self.reporter,
            traffic=traffic,
        )
        self.means = means = Means(
            reactor,
            reporter=self.reporter,
            agents=self.agents,
            for_strangers=for_strangers,
            keeping=keeping,
            arrivals=arrivals,
        )
        self.precedence = means.precedence
        self.transfers = Transfers(means, sign=self.signatures.find, publish=_publish(keeping))
        self.packages = Packages(self.candidates, choosing, self.transfers, neighbourhood)
        self.from_mirrors = FromMirrors(
            reactor,
            agent=self.agents.mirrors,
            pacman=pacman,
            listed=self.listed,
            candidates=self.candidates,
            choosing=choosing,
            transfers=self.transfers,
        )
        self.redirecting = Redirecting(
            reactor,
            wanted=lambda: settings().transfer == "redirect",
            agent=self.agents.peers,
            pacman=pacman,
            candidates=self.candidates,
            standing=standing,
            transfers=self.transfers,
        )
        self.relaying = Relaying(
            reactor,
            Relays(now.peers.relayed_per_day),
            lambda: ledger.savings.wan_rate,
            lambda: self.precedence.holds_back,
        )
        self.for_peers = ForPeers(
            reactor,
            own=self.own,
            most=lambda: settings().peers.relays,
            listed=self.listed,
            privacy=self.privacy,
            candidates=self.candidates,
            choosing=choosing,
            transfers=self.transfers,
            relaying=self.relaying,
            traffic=traffic,
        )
        self.own_databases = OwnDatabases(
            reactor,
            shared=lambda: settings().databases == "lan",
            pacman=pacman,
            origins=origins,
            remembered=now.store.path / DATABASES_FILE,
        )
        peers = PeersDatabases(
            reactor,
            agent=self.agents.peers,
            neighbourhood=neighbourhood,
            standing=standing,
            keyring=keyring,
        )
        #: The state that this node itself gives to the LAN, if it does.
        self.own_state: OwnState | None = None
        self._followed: Followed | None = None

        def follow() -> Followed:
            # By few nodes alone.
            from flocon.databases.followed import Followed  # noqa: PLC0415
            from flocon.databases.telling import Telling  # noqa: PLC0415

            telling = Telling(
                reactor,
                databases=lambda: settings().databases,
                name=name,
                agent=self.agents.peers,
                neighbourhood=neighbourhood,
                own=lambda: self.own_state,
            )
            return Followed(
                reactor,
                databases=lambda: settings().databases,
                telling=telling,
                agent=self.agents.peers,
                neighbourhood=neighbourhood,
                pacman=pacman,
                transfers=self.transfers,
                own_databases=self.own_databases,
                peers=peers,
                answers=self.databases.answers,
            )

        self._follow = follow
        self._follows = lambda: settings().databases != "mirror"
        self.databases = Databases(
            reactor,
            pacman=pacman,
            transfers=self.transfers,
            mirrors=self.candidates.mirrors_for,
            own=self.own_databases,
            peers=peers,
            followed=self.followed,
        )

    def followed(self) -> Followed | None:
        """Return what gives databases of the state that is followed, None where none is."""
        if not self._follows():
            return None
        if self._followed is None:
            self._followed = self._follow()
        return self._followed

    def look_for_parents(self, links: Sequence[Link]) -> None:
        """Have caching proxies asked as such where the settings or pacman.conf name any.

        ``links`` are this machine's, by which it is known what is on the LAN.
        """
        settings = self._settings()
        if self.parents is None:
            servers = self._pacman.configuration.all_servers
            if not settings.parents and not any(map(tool_of, servers)):
                return
            # On few LANs alone.
            from flocon.node.parenting import make_parents  # noqa: PLC0415

            self.parents = self.candidates.parents = make_parents(
                self._reactor, self._pacman, self.agents, settings.proxy
            )
            self.reporter.parents = self.parents.records
        self.parents.set_near(links=links, networks=settings.peers.networks)
        self.parents.set_named(settings.parents)

    async def signature_of_held(
        self, file_name: str, content: Content, descriptor: int
    ) -> bytes | None:
        """Return the signature of a package that lies here without one; raises a SourceError."""
        found = self._pacman.listing.find(file_name)
        entry = next((one for one in found if one.content == content), None)
        return None if entry is None else await self.signatures.of_held(entry, descriptor)

    def describe_parents(self) -> list[dict[str, Any]]:
        """Return what ``/status.json`` says of caching proxies."""
        return [] if self.parents is None else self.parents.describe()

    def is_parent(self, address: str, place: str) -> bool:
        """Whether an address is that of the caching proxy at ``place``, of any where that is ""."""
        return self.parents is not None and self.parents.is_at(place, address)

    def tell(self) -> Iterator[dict[str, Any]]:
        """Yield what the doctor is to tell of whom is followed, and of caching proxies."""
        followed = self.followed()
        if followed is not None:
            yield from followed.telling.tell()
        if self.parents is not None:
            yield from self.parents.tell()

    def describe_followed(self) -> dict[str, Any] | None:
        """Return what ``/status.json`` says of whom is followed, None where nobody is."""
        followed = self.followed()
        return None if followed is None else followed.telling.describe()

    async def stop(self) -> None:
        self.transfers.stop()
        self.relaying.stop()
        await self.agents.close_idle()


def _publish(keeping: Keeping) -> Callable[[Transfer, bytes | None], Awaitable[bool]]:
    """Return what has a package and its signature kept that arrived."""

    async def publish(transfer: Transfer, signature: bytes | None) -> bool:
        subject = transfer.subject
        assert subject.content is not None  # noqa: S101 - only listed files come here
        return await keeping.publish(
            transfer.incoming,
            subject.file_name,
            subject.content,
            signature,
            spares=transfer.terms.spares,
        )

    return publish
