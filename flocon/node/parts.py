"""The parts of a node, handed to each other: here the rooms meet.

What one must be told by another is handed over as a callable. Nothing is open and nothing runs yet.
"""

from __future__ import annotations

import gc
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flocon.ahead.ahead import AHEAD_FILE, Ahead
from flocon.ahead.coming import Means
from flocon.answering.pace import Pacer
from flocon.answering.visitors import Admission, lan_names, loopback_names
from flocon.asking.agents import peer_agent
from flocon.books.ledger import Ledger
from flocon.books.traffic import Traffic
from flocon.databases.origins import DatabaseOrigins
from flocon.databases.origins import load as load_origins
from flocon.databases.own import DATABASES_FILE
from flocon.faces.control import LARGEST_BODY, Control
from flocon.faces.doors import Doors
from flocon.faces.lan import Lan
from flocon.faces.loopback import Loopback
from flocon.faces.needs import ForPacman, Shelf
from flocon.faces.page import Pages
from flocon.holdings.holdings import Holdings
from flocon.machine.endpoints import hosts_of, ports_of
from flocon.machine.holds import Holds
from flocon.machine.interfaces import InterfaceWatch
from flocon.machine.limits import give_back, open_files
from flocon.machine.metered import MeteredWatch
from flocon.machine.remember import recall
from flocon.machine.shares import Shares, share_out
from flocon.machine.systemd import Supervision
from flocon.machine.users import Users
from flocon.neighbours.inventories import InventoryClient
from flocon.neighbours.knock import Knocker
from flocon.neighbours.neighbourhood import Neighbourhood
from flocon.neighbours.offenders import Offenders
from flocon.neighbours.standing import Standing
from flocon.node import advising
from flocon.node.announcing import Announcer, Naming, announced_ports, system
from flocon.node.desk import Desk
from flocon.node.following import Following, abilities_of
from flocon.node.foreigners import Foreigners
from flocon.node.joining import Joining
from flocon.node.unmirrored import Siting, Unbuilding, Unmirrored, standins
from flocon.operator.changing import Operator
from flocon.operator.reloading import Reloading
from flocon.pacman.watch import PacmanWatch
from flocon.presence.multicast import Multicast
from flocon.presence.namesakes import Namesakes
from flocon.presence.presence import Presence
from flocon.serving.site import LARGEST_BODY as KEPT_OF_FORMS
from flocon.serving.site import Site
from flocon.settings.defaults import host_name
from flocon.settings.settings import LAN_PORT
from flocon.sources.means import PEER_CONNECT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flocon.clients.mirror_contents import MirrorContents
    from flocon.files import Content
    from flocon.machine.ports import Inherited
    from flocon.node.building import Building
    from flocon.node.mirroring import Mirroring
    from flocon.pacman.entries import Entry
    from flocon.settings.settings import Settings
    from flocon.snapshots.whereabouts import Whereabouts


MOST_CONTROL_CONNECTIONS = 16


class Parts:
    """All parts of one node; ``reread`` gives the settings as they are now."""

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        reread: Callable[[], Settings],
        inherited: Sequence[Inherited],
    ) -> None:
        self.reactor = self._reactor = reactor
        self.settings = self._settings = settings
        self.following = Following(reactor, self)
        self.joining = Joining(reactor, self)
        self.siting = Siting(reactor, self)
        self.foreign = Foreigners(reactor, self)
        self.mdns = Naming(reactor, self)
        self.supervision = Supervision(reactor, lambda: self.status.line())  # noqa: PLW0108 - later
        self.reloading = Reloading(
            reactor, settings, reread, self.following.settings_changed, self.supervision
        )
        self.doors = Doors(reactor, settings, inherited)
        self.namesakes = Namesakes(reactor, settings.store.path, settings.name)
        self.traffic = Traffic()
        self.ledger = Ledger(reactor, settings.store.path / "savings.json")
        self.standing = Standing()
        self.offenders = Offenders(reactor, settings.store.path / "quarantine.json")
        self.metered = MeteredWatch(reactor, self.following.metered_changed)
        self.metered.found_out = self.following.metered_known
        self.holds = Holds(reactor)
        mirror_ports = ports_of(settings.mirror.listen) if settings.mirror.serve else ()
        others = (settings.loopback, *settings.standins.faces)
        own_ports = (*mirror_ports, *(port for one in others for port in ports_of(one)))
        self._make_holdings([*own_ports, *(one.port for one in inherited)])
        self._make_presence()
        self._make_desk()
        faces = len(settings.standins.faces)
        shares = share_out(open_files(), mirror=settings.mirror.serve, standins=faces)
        self.mirroring = self._make_mirror(shares)
        self.desk.own_state = self.mirroring.giving
        self.holdings.offering.others_changed = self.mirroring.held
        self.building = self._make_building()
        self.lan = self._make_lan(shares)
        self.search = advising.search(self)
        self.why = advising.why(self)
        self.examination = advising.examination(self)
        self.health = advising.health(self)
        self.status = advising.status(self)
        self.loopback = self._make_loopback(shares)
        self.standins = standins(reactor, self, shares)
        self._make_operator()
        self.examination.tellers += advising.tellers(self)
        self.examination.lookers.append(self.building.look)

    def _make_holdings(self, own_ports: Sequence[int]) -> None:
        """Make what reads this machine: pacman's files, and the packages that are here."""
        reactor, settings = self._reactor, self._settings
        self._origins = DatabaseOrigins(load_origins(recall(settings.store.path / DATABASES_FILE)))
        self.pacman = PacmanWatch(
            reactor,
            settings.pacman_conf,
            self.following.configuration_changed,
            self.following.listing_changed,
            own_ports=frozenset(own_ports),
            mirrors=settings.mirrors,
            is_peers=self._origins.is_peers,
        )
        self.holdings = Holdings(
            reactor,
            store=settings.store.path,
            max_size=settings.store.max_size,
            adopt=settings.store.adopt,
            listed=self._listed,
            signature_needed=self.pacman.signature_needed,
            changed=self.following.inventory_changed,
            offered=self._may_offer,
        )
        self.holdings.looking.ready.addCallback(_settle_memory)

    def _make_presence(self) -> None:
        """Make what hears who is there, and learns what they hold."""
        reactor, presence = self._reactor, self._settings.presence
        self.presence = Presence(
            self.namesakes.identity,
            chance=random.Random(),  # noqa: S311 - spreads datagrams, guards nothing
            beat=presence.beat,
            port=LAN_PORT,
            system=system(),
            abilities=abilities_of(self._settings, relays=self._settings.relay),
        )
        agent, self.inventory_pool = peer_agent(reactor, PEER_CONNECT, self.standing.met)
        self.inventory_agent = agent
        self.neighbourhood = Neighbourhood(
            reactor,
            self.presence,
            InventoryClient(reactor, agent, lambda address: not self.admission.is_near(address)),
            held_off=self.offenders.holds_off,
            listed=self._is_listed,
            # Once what has read it is gone as well.
            relieve=lambda: reactor.callLater(1.0, reactor.callInThread, give_back),
            remembered=self._settings.store.path / "neighbours.json",
        )
        self.multicast = Multicast(
            reactor,
            self.presence,
            group=presence.group,
            group6=presence.group6,
            port=presence.port,
            on_event=self.siting.event,
        )
        self.neighbourhood.wake = self.multicast.wake
        self.neighbourhood.namesake = self.namesakes.met
        self.namesakes.renamed = self.following.renamed
        self.interfaces = InterfaceWatch(reactor, presence.interfaces, self.following.links_changed)

    def _make_desk(self) -> None:
        """Make what finds out whom to ask."""
        self.desk = Desk(
            self._reactor,
            settings=lambda: self.reloading.settings,
            identity=self.namesakes.identity,
            name=lambda: self.namesakes.identity.name,
            pacman=self.pacman,
            keeping=self.holdings.keeping,
            arrivals=self.holdings.arrivals,
            for_strangers=self.holdings.threads.for_strangers,
            neighbourhood=self.neighbourhood,
            standing=self.standing,
            traffic=self.traffic,
            ledger=self.ledger,
            offence=self.offenders.offence,
            origins=self._origins,
        )
        self.announcer = Announcer(self._reactor, self.presence, self.multicast, self.desk.privacy)
        self.holdings.fetch_signatures(self.desk.signature_of_held, self.following.may_ask)
        self.ledger.changed = self.following.account
        self.ahead_means = Means(
            self.holdings.arrivals,
            self.holdings.offering,
            self.desk.packages,
            self.desk.transfers,
            self.neighbourhood,
        )
        self.ahead = Ahead(
            self._reactor,
            self.ahead_means,
            pacman=self.pacman,
            pacman_conf=self._settings.pacman_conf,
            ledger=self.ledger,
            most=self._settings.store.max_size // 2,
            file=self._settings.store.path / AHEAD_FILE,
        )

    def _make_mirror(self, shares: Shares) -> Mirroring | Unmirrored:
        """Return what gives clients without a node the LAN's state, where it is to."""
        if not self.settings.mirror.serve:
            return Unmirrored()
        from flocon.node.mirroring import Mirroring  # noqa: PLC0415 - by few nodes alone

        return Mirroring(self._reactor, self, self.settings, shares)

    def _make_building(self) -> Building | Unbuilding:
        """Return what has recipes built, where there is a builder, or something was built."""
        build = self.settings.build
        if not Path(build.builder).exists() and not build.state.exists():
            return Unbuilding()
        from flocon.node.building import Building  # noqa: PLC0415 - by few nodes alone

        return Building(self._reactor, self, self.settings)

    def _whereabouts(self) -> Whereabouts:
        from flocon.node.porting import whereabouts  # noqa: PLC0415 - few nodes ever need it

        return whereabouts(self)

    def _contents(self, parts: ForPacman) -> MirrorContents:
        from flocon.node.porting import contents  # noqa: PLC0415 - as above

        return contents(self, parts)

    def _make_lan(self, shares: Shares) -> Site:
        """Return the face for peers."""
        reactor, settings = self._reactor, self._settings
        self.pacer = Pacer(reactor, settings.peers.bandwidth)
        self.lan_face = Lan(
            Shelf(
                reactor,
                traffic=self.traffic,
                own=self.desk.own,
                offering=self.holdings.offering,
                opening=self.holdings.opening,
                privacy=self.desk.privacy,
                databases=self.desk.own_databases,
                states=self.mirroring.giving,
                for_peers=self.desk.for_peers,
                transfers=self.desk.transfers,
                precedence=self.desk.precedence,
                crowd=shares.unhurried(),
                own_repositories=lambda: self.joining.giving,
            ),
            self.pacer,
            Knocker(
                reactor,
                announced=lambda address: announced_ports(self.presence.peers(), address),
                databases=self._database_times,
                default_port=LAN_PORT,
            ),
            lan_names(settings.name, (*settings.names, host_name())),
        )
        self.admission = Admission(settings.peers.networks)
        self.desk.for_peers.is_near = self.admission.is_near
        return Site(
            reactor,
            self.lan_face,
            most_connections=shares.lan,
            most_per_address=shares.lan_per_address,
            most_per_network=shares.lan_per_network,
            admits=self.admission.admits,
            at_once=self.lan_face.at_once,
        )

    def _make_loopback(self, shares: Shares) -> Site:
        """Return the face for pacman."""
        settings = self._settings
        status, search = self.status, self.search
        pages = Pages(
            self._reactor,
            describe=status.page,
            search=search.search,
            listing=search.page,
            figures=status.figures,
        )
        parts = ForPacman(
            self._reactor,
            traffic=self.traffic,
            listed=self.desk.listed,
            offering=self.holdings.offering,
            opening=self.holdings.opening,
            packages=self.desk.packages,
            redirecting=self.desk.redirecting,
            transfers=self.desk.transfers,
            signatures=self.desk.signatures,
            databases=self.desk.databases,
            from_mirrors=self.desk.from_mirrors,
            precedence=self.desk.precedence,
            status=self.status.describe,
        )
        self.loopback_face = Loopback(
            parts,
            {
                **advising.questions(self.search, self.why, self.examination),
                **self.mirroring.questions(),
                **self.building.questions(),
                **self.joining.questions(),
                "/whereabouts.json": lambda fields: self._whereabouts().whereabouts(fields),
                "/names.json": lambda fields: self._whereabouts().names(fields),
            },
            self.ledger,
            pages,
            names=loopback_names((*settings.names, *hosts_of(settings.loopback))),
            admission=Admission(settings.loopback_clients),
        )
        self.loopback_face.contents = lambda: self._contents(parts)
        self.ledger.busy = lambda: self.loopback_face.running
        self.users = Users()
        return Site(
            self._reactor,
            self.loopback_face,
            most_connections=shares.loopback,
            most_per_user=shares.loopback_per_user,
            user_of=self.users.user_of,
            at_once=self.loopback_face.at_once,
            # A decision comes as a small form.
            kept=KEPT_OF_FORMS if self.building.keeper is not None else 0,
        )

    def _make_operator(self) -> None:
        self.operator = Operator(
            self._reactor,
            presence=self.presence,
            multicast=self.multicast,
            offenders=self.offenders,
            standing=self.standing,
            ahead=self.ahead,
        )
        self.control = Site(
            self._reactor,
            Control(
                self.operator,
                self.loopback_face.forget_answers,
                {**self.mirroring.commands(), **self.joining.commands()},
                {"build": self.building.steer},
            ),
            most_connections=MOST_CONTROL_CONNECTIONS,
            kept=LARGEST_BODY if self.building.keeper is not None else 0,
        )

    def node(self) -> str:
        return self.namesakes.identity.node

    def _database_times(self) -> dict[str, float]:
        times = self.examination.database_times()
        return {name: time for name, time in times.items() if not self.desk.privacy.keeps(name)}

    def _listed(self, file_name: str) -> Sequence[Entry]:
        listing = self.pacman.listing
        return (*listing.find(file_name), *listing.mirrored_entries(file_name))

    def _may_offer(self, file_name: str, content: Content) -> bool:
        return self.desk.privacy.allows(file_name, content)

    def _is_listed(self, file_name: str, content: Content) -> bool:
        return any(entry.content == content for entry in self._listed(file_name))


def _settle_memory(_: None) -> None:
    """Keep what will stay out of the garbage collector's rounds: one took 60 ms.

    A round of its own beforehand would take as long; little of what it finds is garbage.
    """
    gc.freeze()
