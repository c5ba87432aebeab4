"""The only place, with ``desk``, where the rooms meet: a node, put together from its parts.

``core`` decides, ``net`` talks, ``host`` touches the machine; here they are handed to each other.
Children of a MultiService stop in reverse order, so presence comes last and its bye goes first.
"""

from __future__ import annotations

import gc
import os
import platform
import random
import secrets
import signal
import time
from collections import Counter
from dataclasses import fields, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.application.service import MultiService, Service
from twisted.internet import defer
from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.threads import deferToThreadPool

from flocon import __version__
from flocon.core import whom
from flocon.core.database_origins import DatabaseOrigins
from flocon.core.database_origins import load as load_origins
from flocon.core.names import Asked, parse_file_name
from flocon.core.own_announcement import Identity
from flocon.core.presence import Presence
from flocon.core.proxies import read_proxies
from flocon.core.quarantine import Quarantine, is_sound
from flocon.core.quarantine import load as load_records
from flocon.core.shares import ENOUGH, Shares, share_out
from flocon.core.sources import FOR_US
from flocon.core.standing import Standing
from flocon.core.traffic import Traffic
from flocon.core.units import time_text
from flocon.core.visitors import Admission, lan_names, loopback_names
from flocon.database_sources import DATABASES_FILE
from flocon.desk import PEER_CONNECT, Desk
from flocon.errors import ConfigurationError, NotHeld, StoreError, UnknownPeer
from flocon.explain import Explainer
from flocon.health import Health
from flocon.host import journal
from flocon.host.claim import foreign
from flocon.host.clock import steady_clock
from flocon.host.holdings import Holdings
from flocon.host.identity import new_identity, node_identity
from flocon.host.interfaces import InterfaceWatch, impossible, look_at_links
from flocon.host.limits import open_files, raise_open_files
from flocon.host.memory import give_back, share_memory
from flocon.host.metered import MeteredWatch
from flocon.host.pacman import PacmanWatch
from flocon.host.ports import Ports, close, inherited_sockets
from flocon.host.remember import Notebook, recall
from flocon.host.signals import Signals
from flocon.host.store import Store
from flocon.host.systemd import Supervision
from flocon.host.upgrades import pending_upgrades
from flocon.host.users import Users
from flocon.ledger import HERE, Ledger
from flocon.log import logger, show_debug
from flocon.net.accepting import Accepting
from flocon.net.control import Control
from flocon.net.fetch import (
    peer_agent,
)
from flocon.net.holds import Holds
from flocon.net.knock import Knocker
from flocon.net.lan import Lan
from flocon.net.loopback import Loopback
from flocon.net.multicast import Multicast
from flocon.net.neighbourhood import DATABASES, RELAY, Neighbourhood
from flocon.net.pace import Pacer
from flocon.net.page import Pages
from flocon.net.prefetch import Prefetch
from flocon.net.replicate import InventoryClient
from flocon.net.site import Site
from flocon.options import (
    DEFAULT_LAN,
    LAN_PORT,
    LOOPBACK_PORT,
    Options,
    default_control,
    host_name,
    load,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from twisted.internet.defer import Deferred

    from flocon.core.content import Content
    from flocon.core.entries import Entry
    from flocon.core.figures import Figures
    from flocon.core.inventory import Change
    from flocon.core.links import Link
    from flocon.core.listing import Listing
    from flocon.core.messages import Announcement
    from flocon.core.peer import Peer
    from flocon.core.sources import Source
    from flocon.errors import FloconError
    from flocon.host.pacman_configuration import PacmanConfiguration
    from flocon.host.ports import Inherited
    from flocon.net.transfer import Transfer
    from flocon.options import Settings

__all__ = ["Node", "Options", "makeService"]

#: Settings that SIGHUP changes; the others need a restart.
LIVE = ("debug", "relay", "prefetch", "databases", "transfer", "peers")
MOST_CONTROL_CONNECTIONS = 16
#: Seconds until this node takes another id once more, whoever claims to have the same.
RENAMED_FOR = 3_600.0
#: Seconds between two readings of flocon.toml.
RELOAD_PAUSE = 1.0
#: Transfers told of, one by one, in ``/status.json``.
MOST_MOVING = 200


class CannotStart(SystemExit, Exception):  # noqa: N818 - what happened
    """Ends twistd with a sentence and status 1.

    twistd tells the one who waits for its daemon of Exceptions only, and shows no traceback of a
    SystemExit: this is both.
    """


class Node(MultiService):
    """One running flocon."""

    _log = logger()
    #: When flocon.toml was last read, and the call that reads it again.
    _reloaded_at = float("-inf")
    _reloading: Any = None
    #: When this node took another id, and who had the old one.
    _renamed_at = float("-inf")
    _namesake: dict[str, Any] | None = None
    #: Why there is no control socket, and why the settings that were read last are not used.
    _uncontrolled = _unsettled = ""
    #: Whether there is no terminal any more, so that only the log takes whole sentences.
    is_daemon = False
    #: What is being fetched ahead now.
    _ahead: Transfer | None = None

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        reread: Callable[[], Settings] | None = None,
        inherited: Sequence[Inherited] = (),
    ) -> None:
        """``reread`` gives the settings as they are now, for SIGHUP; raises ConfigurationError.

        ``inherited`` are the sockets that systemd holds for this node.
        """
        super().__init__()
        self._listening = Ports(reactor, inherited)
        self._reread = reread or (lambda: settings)
        _set_debug(settings.debug)
        _demand_interfaces(settings)
        self._reactor = reactor
        self._settings = settings
        self._started = 0.0
        self._ports: list[Any] = []
        _demand_own(settings)
        self._identity = Identity(
            node_identity(settings.store.path, settings.name), secrets.token_hex(4), settings.name
        )
        self.traffic = Traffic()
        self.ledger = Ledger(reactor, settings.store.path / "savings.json")
        self._standing = Standing()
        quarantine_file = settings.store.path / "quarantine.json"
        remembered = recall(quarantine_file, is_sound)
        self.quarantine = Quarantine(load_records(remembered, time.time()))
        self._quarantine_notes = Notebook(reactor, quarantine_file)
        origins = DatabaseOrigins(load_origins(recall(settings.store.path / DATABASES_FILE)))
        self._pacman = PacmanWatch(
            reactor,
            settings.pacman_conf,
            self._configuration_changed,
            self._listing_changed,
            own_ports=frozenset([*_ports_of(settings.loopback), *(one.port for one in inherited)]),
            mirrors=settings.mirrors,
            is_peers=origins.is_peers,
        )
        self._holdings = Holdings(
            reactor,
            store=settings.store.path,
            max_size=settings.store.max_size,
            listed=self._listed,
            signature_needed=self._signature_needed,
            changed=self._inventory_changed,
            offered=self._may_offer,
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
            reactor,
            self._presence,
            client,
            held_off=self._held_off,
            listed=self._is_listed,
            relieve=lambda: reactor.callInThread(give_back),
        )
        self.desk = Desk(
            reactor,
            settings=settings,
            identity=self._identity,
            pacman=self._pacman,
            offering=self._holdings.offering,
            opening=self._holdings.opening,
            keeping=self._holdings.keeping,
            arrivals=self._holdings.arrivals,
            for_strangers=self._holdings.threads.for_strangers,
            neighbourhood=self.neighbourhood,
            standing=self._standing,
            traffic=self.traffic,
            ledger=self.ledger,
            offence=self._offence,
            origins=origins,
        )
        self.desk.status = self.status
        self.ledger.changed = self._account
        self._multicast = Multicast(
            reactor,
            self._presence,
            group=settings.presence.group,
            group6=settings.presence.group6,
            port=settings.presence.port,
            on_event=self.neighbourhood.event,
        )
        self.neighbourhood.wake = self._multicast.wake
        self.neighbourhood.namesake = self._met_namesake
        self._interfaces = InterfaceWatch(
            reactor, settings.presence.interfaces, self._links_changed
        )
        shares = share_out(open_files())
        self._lan = self._make_lan(shares)
        self._explainer = Explainer(
            reactor,
            identity=self._identity,
            desk=self.desk,
            pacman=self._pacman,
            neighbourhood=self.neighbourhood,
            presence=self._presence,
            multicast=self._multicast,
            standing=self._standing,
            quarantine=self.quarantine,
            recent=self.ledger.recent,
            lan_port=self._lan_port,
        )
        self._health = Health(
            reactor,
            self._explainer.examine,
            port=next(iter(_ports_of(settings.loopback)), LOOPBACK_PORT),
            pacman_conf=settings.pacman_conf,
        )
        self._loopback = self._make_loopback(shares)
        self._prefetch = Prefetch(
            reactor,
            self._upgrades,
            self._fetch_ahead,
            random.Random().uniform,  # noqa: S311
            settings.store.max_size // 2,
        )
        self._control = Site(reactor, Control(self), most_connections=MOST_CONTROL_CONNECTIONS)
        self._control_port: Any = None
        self._control_path = Path(settings.control or default_control(settings.store.path))
        self._metered = MeteredWatch(reactor, self._metered_changed)
        self._holdings.looking.ready.addCallback(_settle_memory)
        self._supervision = Supervision(reactor, self._status_line)
        self._holds = Holds(reactor)
        self._attach()

    def _attach(self) -> None:
        """Make the parts children, in the order in which they start."""
        self._explainer.tellers.append(self._problems)
        handlers = {
            signal.SIGUSR1: self.log_peers,
            signal.SIGUSR2: self.rejoin,
            signal.SIGHUP: self.reload,
        }
        # Stopped from the last to the first: the bye goes out before anything else ends.
        parts: list[Service] = [
            self._holds,
            self.ledger,
            self._pacman,
            self._holdings,
            self._prefetch,
            Signals(self._reactor, handlers),
            self._multicast,
            self._metered,
            self._interfaces,
            self._supervision,
        ]
        for part in parts:
            part.setServiceParent(self)

    def _make_lan(self, shares: Shares) -> Site:
        """Return the face for peers."""
        reactor, settings = self._reactor, self._settings
        bandwidth = settings.peers.bandwidth
        self._lan_face = Lan(
            self.desk,
            Pacer(reactor, bandwidth) if bandwidth else None,
            Knocker(
                reactor,
                announced=self._announced,
                databases=self._database_times,
                default_port=LAN_PORT,
            ),
            lan_names(settings.name, (*settings.names, host_name())),
        )
        self._admission = Admission(settings.peers.networks)
        return Site(
            reactor,
            self._lan_face,
            most_connections=shares.lan,
            most_per_address=shares.lan_per_address,
            most_per_network=shares.lan_per_network,
            admits=self._admission.admits,
        )

    def _make_loopback(self, shares: Shares) -> Site:
        """Return the face for pacman."""
        pages = Pages(
            self._reactor,
            describe=self._page,
            search=self._explainer.search,
            figures=self._figures,
        )
        loopback = Loopback(
            self.desk,
            self._explainer.questions,
            self.ledger,
            pages,
            names=loopback_names((*self._settings.names, *_hosts_of(self._settings.loopback))),
            admission=Admission(self._settings.loopback_clients),
        )
        self.ledger.busy = lambda: loopback.running
        self._users = Users()
        return Site(
            self._reactor,
            loopback,
            most_connections=shares.loopback,
            most_per_user=shares.loopback_per_user,
            user_of=self._users.user_of,
        )

    def rehearse(self, *, store: bool) -> None:
        """End with a sentence where starting would fail; nothing is kept of what is tried.

        With ``store`` its folder is tried too, by this user.
        """
        try:
            self._listening.rehearse(*self._lan_endpoints())
            self._listening.rehearse(*self._loopback_endpoints())
            if store:
                _try_store(self._settings)
        except ConfigurationError as error:
            raise _cannot_start(error) from None
        except StoreError as error:
            raise _cannot_store(self._settings, error) from None

    def privilegedStartService(self) -> None:
        """Take the ports, before twistd gives up root's rights; end at once where one is taken."""
        try:
            for (endpoints, where), site in (
                (self._lan_endpoints(), self._lan),
                (self._loopback_endpoints(), self._loopback),
            ):
                ports = self._listening.listen(endpoints, site, where)
                for port in ports:
                    Accepting(self._reactor, site.counters).watch(port)
                self._ports += ports
        except ConfigurationError as error:
            raise self._logged(_cannot_start(error)) from None
        self._listening.tell_unused()
        super().privilegedStartService()

    def _lan_endpoints(self) -> tuple[list[list[str]], str]:
        where = self._settings.place("lan", "--lan")
        return [_alternatives(self._settings.lan)], where

    def _loopback_endpoints(self) -> tuple[list[list[str]], str]:
        where = self._settings.place("loopback", "--loopback")
        return [[endpoint] for endpoint in self._settings.loopback], where

    def startService(self) -> None:
        self._started = self._reactor.seconds()
        if not self._ports:
            self.privilegedStartService()
        self._presence.update(self._started, port=self._lan_port())
        self._account()
        try:
            super().startService()
        except StoreError as error:
            raise self._logged(_cannot_store(self._settings, error)) from None
        for name in look_at_links(self._settings.presence.interfaces)["missing"]:
            self._log.warn(
                "there is no interface {name} now; the node waits for it, and is not heard"
                " meanwhile: 'ip address' shows what there is",
                name=name,
            )
        self.neighbourhood.start()
        self._listen_for_control()
        self._log.info(
            "flocon {version} is node {node} as {name}; its store is {store}",
            version=__version__,
            node=self._identity.node,
            name=self._identity.name,
            store=self._settings.store.path,
        )

    def _logged(self, end: CannotStart) -> CannotStart:
        """Have the log tell why a daemon ends: of that twistd hands 100 bytes to the terminal."""
        if self.is_daemon:
            self._log.error("{sentence}", sentence=str(end))
        return end

    def _abilities(self, relays: bool) -> frozenset[str]:
        abilities = {"store"}
        if relays:
            abilities.add(RELAY)
        if self._settings.databases == "lan":
            abilities.add(DATABASES)
        return frozenset(abilities)

    def _met_namesake(self, address: str, said: Announcement) -> None:
        """Another machine has this node's id, as its clone has: one of the two takes another.

        Both find out; the one with the lower epoch it is.
        """
        now = self._reactor.seconds()
        if now < self._renamed_at + RENAMED_FOR:
            return
        renamed = self._identity.epoch < said.epoch
        self._namesake = {
            "address": address,
            "name": said.name,
            "node": said.node,
            "date": _date(time.time()),
            "renamed": renamed,
        }
        if not renamed:
            return
        self._renamed_at = now
        settings = self._settings
        node = new_identity(settings.store.path, settings.name)
        identity = Identity(node, secrets.token_hex(4), settings.name)
        self._identity = self._explainer.identity = identity
        self.desk.node, self.desk.epoch = identity.node, identity.epoch
        self._log.warn(
            "{name} at {address} has this machine's node id, as if both were made of one image;"
            " this one is node {node} from now on",
            name=said.name,
            address=address,
            node=node,
        )
        self._presence.rename(now, identity)
        self._multicast.wake()

    def _links_changed(self, links: list[Link]) -> None:
        gone = _addresses(self._admission.links) - _addresses(links)
        self._admission.links = tuple(links)
        if gone:
            # What is kept open from there is silent: nobody's answers arrive any more.
            defer.Deferred.fromCoroutine(self._close_idle()).addErrback(
                lambda reason: self._log.failure("closing connections failed", reason)
            )
        self._multicast.set_links(links)
        self._metered.link_changed()

    async def _close_idle(self) -> None:
        await self._inventory_pool.closeCachedConnections()
        await self.desk.close_idle()

    def _metered_changed(self, metered: bool) -> None:
        """Fetch nothing for others, and nothing unasked, while the link costs by the byte."""
        self._log.info(
            "the link is {state}; this node {does} for others",
            state="metered" if metered else "not metered any more",
            does="fetches" if self._may_relay() else "does not fetch",
        )
        self._set_relays(self._may_relay())
        self._prefetch_or_rest()

    def _may_relay(self) -> bool:
        return self._settings.relay and not self._metered.metered

    def _prefetch_or_rest(self) -> None:
        """Have what pacman would upgrade fetched in a while, or not, as it is allowed now."""
        if self._settings.prefetch and not self._metered.metered:
            self._prefetch.wake()
        else:
            self._prefetch.rest()

    def _listen_for_control(self) -> None:
        path = self._control_path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            description = f"unix:{quoteStringArgument(str(path))}:mode=660"
            (self._control_port,) = self._listening.listen(
                [[description]], self._control, self._settings.place("control", "control")
            )
        except (ConfigurationError, OSError) as error:
            why = str(error)
            if isinstance(error, OSError):
                why = f"{path.parent}: {error.strerror}"
            self._uncontrolled = why
            self._log.warn(
                "no control socket: {error}; flocon ban, pardon, rejoin and prefetch need one",
                error=why,
            )

    def _announced(self, address: str) -> list[int]:
        """Return the ports that peers at an address announce; a zone has two spellings."""
        host = address.partition("%")[0]
        return [
            peer.port for peer in self._presence.peers() if peer.address.partition("%")[0] == host
        ]

    def _database_times(self) -> dict[str, float]:
        times = self._explainer.database_times()
        return {name: time for name, time in times.items() if not self.desk.privacy.keeps(name)}

    def _lan_port(self) -> int:
        for port in self._ports:
            if port.factory is self._lan:
                return int(getattr(port.getHost(), "port", LAN_PORT))
        return LAN_PORT

    def stopService(self) -> Deferred[None]:
        return defer.Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._reloading is not None:
            self._reloading.cancel()
            self._reloading = None
        # The bye goes out first: from then on nobody asks us, and what ends, ends quietly.
        for part in (self._interfaces, self._multicast):
            await defer.maybeDeferred(part.disownServiceParent)
        if self._control_port is not None:
            self._ports.append(self._control_port)
            self._control_port = None
        for port in self._ports:
            await close(port)
        self._ports.clear()
        self._lan_face.close()
        self._users.close()
        self.neighbourhood.stop()
        self._health.stop()
        await self.desk.stop()
        await self._inventory_pool.closeCachedConnections()
        await defer.maybeDeferred(super().stopService)
        self._log.info("flocon has stopped")

    # What the machine tells

    def _configuration_changed(self, configuration: PacmanConfiguration) -> None:
        self._holdings.looking.set_directories(configuration.cache_directories)
        self._presence.update(
            self._reactor.seconds(), architectures=tuple(configuration.architectures[:8])
        )
        self._multicast.wake()

    def _listing_changed(self, listing: Listing) -> None:
        self._holdings.looking.listing_changed()
        self.desk.able_since = self._reactor.seconds()
        self._announce(listing)
        self._prefetch_or_rest()

    def _announce(self, listing: Listing) -> None:
        """Tell the LAN which databases this machine has, but for private ones."""
        told = [one for one in listing.digests() if not self.desk.privacy.keeps(one[0])]
        self._presence.update(self._reactor.seconds(), databases=tuple(told[:32]))
        self._multicast.wake()

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
        if not self._holdings.arrivals.can_keep(entry.size):
            raise StoreError(entry.file_name, "there is no room to keep it")
        if file is not None:
            transfer = self.desk.package(Asked(entry.repository, "", file), entry, 0)
            self._ahead = transfer
            try:
                await transfer.finished.wait()
            finally:
                self._ahead = None
            self.ledger.fetched_ahead(entry.file_name)

    def prefetch(self) -> Deferred[int]:
        """Fetch now what pacman would upgrade."""
        return self._prefetch.now()

    def _listed(self, file_name: str) -> Sequence[Entry]:
        return self._pacman.listing.find(file_name)

    def _may_offer(self, file_name: str, content: Content) -> bool:
        return self.desk.privacy.allows(file_name, content)

    def _is_listed(self, file_name: str, content: Content) -> bool:
        return any(entry.content == content for entry in self._listed(file_name))

    def _signature_needed(self, file_name: str) -> bool:
        return self._pacman.signature_needed(file_name)

    def _inventory_changed(self, changes: list[Change]) -> None:
        inventory = self._holdings.offering.inventory
        self._presence.inventory_changed(
            self._reactor.seconds(), inventory.generation, len(inventory), changes
        )
        self._multicast.wake()

    def _status_line(self) -> str:
        files, peers = len(self._holdings.offering.inventory), len(self._presence.peers())
        traffic = self.traffic
        lan, wan = traffic.from_peers_bytes >> 20, traffic.from_mirrors_bytes >> 20
        rest = f", {owners} by peers for us" if (owners := traffic.from_owners_bytes >> 20) else ""
        counts = f"{_counted(peers, 'peer')}, {_counted(files, 'package')} held"
        return f"{counts}; {lan} MiB from the LAN, {wan} from mirrors{rest}"

    def _problems(self) -> Iterator[dict[str, Any]]:
        """Tell of what this node lives with and has said in its log, for ``flocon doctor``."""
        told = []
        if self._uncontrolled:
            reason = "flocon ban, pardon, rejoin and prefetch have no socket to come by"
            remedy = "name another place for it: control in /etc/flocon.toml"
            told.append(("control", f"{reason}: {self._uncontrolled}", remedy))
        if self._unsettled:
            reason = f"the settings before are in use: {self._unsettled}"
            told.append(("settings", reason, "mend that, then systemctl reload flocon"))
        for name in read_proxies(os.environ, self._settings.proxy)[1]:
            reason = f"{name} in the node's environment is not used: it names no http proxy"
            remedy = f'mend {name}, or write proxy = "http://HOST:PORT" into /etc/flocon.toml'
            told.append(("proxy", reason, remedy))
        for place in self._listening.unused():
            reason = f"flocon.socket holds {place}, which no setting names: nobody answers there"
            told.append(("socket", reason, "systemctl edit flocon.socket: change ListenStream"))
        for check, reason, remedy in told:
            yield {"check": check, "reason": reason, "remedy": remedy, "wrong": False}

    def reload(self) -> None:
        """Read flocon.toml anew, at most once a second, however often that is asked for.

        pacman's configuration is followed all the time.
        """
        if self._reloading is None:
            now = self._reactor.seconds()
            wait = max(0.0, self._reloaded_at + RELOAD_PAUSE - now)
            self._reloading = self._reactor.callLater(wait, self._reload)

    def _reload(self) -> None:
        self._reloading = None
        self._reloaded_at = self._reactor.seconds()
        self._supervision.reloading()
        try:
            self._unsettled = ""
            self._apply(self._reread())
        except ConfigurationError as error:
            self._unsettled = str(error)
            self._log.warn("the settings stay as they are: {error}", error=error)
        finally:
            # Whatever went wrong: systemd ends a unit that stays at reloading.
            self._supervision.reloaded()

    def _apply(self, settings: Settings) -> None:
        """Take what can be changed while running, and name what cannot."""
        old = self._settings
        fixed = {field.name: getattr(old, field.name) for field in fields(old)} | {
            name: getattr(settings, name) for name in LIVE
        }
        self._settings = self.desk.settings = replace(old, **fixed)
        self._admission.networks = settings.peers.networks
        if settings.peers.private != old.peers.private:
            self.desk.privacy.repositories = frozenset(settings.peers.private)
            self._holdings.looking.listing_changed()
            self._announce(self._pacman.listing)
        self.desk.relaying.relays.a_day = settings.peers.relayed_per_day
        _set_debug(settings.debug)
        self._set_relays(self._may_relay())
        if settings.prefetch != old.prefetch:
            self._prefetch_or_rest()
        waiting = [name for name in fixed if getattr(settings, name) != fixed[name]]
        self._log.info(
            "settings read anew{rest}",
            rest=f"; a restart is needed for: {', '.join(waiting)}" if waiting else "",
        )

    def _set_relays(self, relays: bool) -> None:
        if relays != self.desk.relays:
            self.desk.relays, self.desk.able_since = relays, self._reactor.seconds()
        self._presence.update(self._reactor.seconds(), abilities=self._abilities(relays))
        self._multicast.wake()

    def _held_off(self, peer: Peer) -> bool:
        return self.quarantine.record(peer.node, peer.address, time.time()) is not None

    def _offence(self, source: Source, why: str) -> None:
        record = self.quarantine.offence(source.node, source.label, time.time(), why)
        self._log.warn(
            "{address} is in quarantine for {term}: {why}",
            address=source.label,
            term=time_text(record.until - record.since),
            why=why,
        )
        self._remember_quarantine()

    def _remember_quarantine(self) -> None:
        self._quarantine_notes.write(self.quarantine.dump())

    def ban(self, peer: str) -> str:
        """Never ask ``peer`` (node id, address or name) again; return whom that hit.

        Raises UnknownPeer or AmbiguousPeer where the word means no one peer. A ban is of ids and
        addresses: a peer that changes its name stays banned.
        """
        known = whom.meant(self._presence.peers(), peer)
        for one in known:
            self.quarantine.ban(one.node, one.address, time.time(), "banned by hand")
        self._remember_quarantine()
        return self._said_of(known, f"{_is_or_are(known)} in quarantine for good")

    def pardon(self, peer: str) -> str:
        """Ask ``peer`` (node id, address or name) again; return whom that hit.

        One that is not heard now has no name; its id or address will do. Raises UnknownPeer or
        AmbiguousPeer where the word means no one peer, NotHeld where it was not in quarantine.
        """
        try:
            known = whom.meant(self._presence.peers(), peer)
        except UnknownPeer:
            known = []
            if not whom.is_certain(peer):
                raise
        words = [peer] if whom.is_certain(peer) else []
        words += [word for one in known for word in (one.node, one.address)]
        pardoned = [self.quarantine.pardon(word) for word in dict.fromkeys(words)]
        if not any(pardoned):
            raise NotHeld(peer)
        self._remember_quarantine()
        for one in known:
            self._standing.pardon(one.address)
        return self._said_of(known, "may be asked again", peer)

    def _said_of(self, peers: Sequence[Peer], what: str, otherwise: str = "") -> str:
        count = f"{len(peers)} peers: " if len(peers) > 1 else ""
        sentence = f"{count}{whom.described(peers) or otherwise} {what}"
        self._log.info("by hand: {sentence}", sentence=sentence)
        return sentence

    # What the operator asks

    def log_peers(self) -> None:
        """Write the list of peers to the log."""
        now = self._reactor.seconds()
        peers = sorted(self._presence.peers(), key=lambda peer: (peer.name, peer.node))
        self._log.info("{count}", count=_counted(len(peers), "peer"))
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
                "{address} ({node}) is in quarantine {term}",
                address=record.address,
                node=record.node,
                term=record.described(time.time()),
            )

    def rejoin(self) -> None:
        """Leave and join the group on every interface, and say hello."""
        self._log.info("joining the group anew")
        self._multicast.rejoin()

    def status(self) -> dict[str, Any]:
        """Return what ``/status.json`` says."""
        now = self._reactor.seconds()
        inventory = self._holdings.offering.inventory
        traffic = self.traffic
        return {
            "version": __version__,
            "node": self._identity.node,
            "name": self._identity.name,
            "namesake": self._namesake,
            "control": str(self._control_path) if self._control_port else None,
            "uptime_seconds": round(now - self._started, 1),
            "peers": [self._peer_status(peer, now) for peer in self._presence.peers()],
            "inventory": {
                "files": len(inventory),
                "bytes": inventory.bytes,
                "generation": inventory.generation,
            },
            "traffic": {
                **traffic.describe(),
                "held_here_bytes": sum(self.ledger.given[kind] for kind in HERE),
                "ready_ahead_bytes": self.ledger.given["ahead"],
            },
            "takers": self._takers(),
            "takers_others_bytes": traffic.takers.others_bytes,
            "lan": self._lan_status(),
            "store": {
                "bytes": self._holdings.accounts.size,
                "max_size": self._settings.store.max_size,
            },
            "quarantine": [
                {
                    "node": record.node,
                    "address": record.address,
                    "since": _date(record.since),
                    "until": None if record.banned else _date(record.until),
                    "text": record.described(time.time()),
                    "strikes": record.strikes,
                    "why": record.why,
                }
                for record in self.quarantine.all(time.time())
            ],
            "relays": {
                "running": len(self.desk.relaying.relays),
                "fetched_bytes": self.desk.relaying.relays.fetched_bytes,
                "wasted_bytes": self.desk.relaying.relays.wasted_bytes,
            },
            "answers": dict(traffic.answers),
            "transfers": len(list(self.desk.transfers)),
            "moving": [
                _moving(transfer, now) for transfer in islice(self.desk.transfers, MOST_MOVING)
            ],
            "dropped_datagrams": dict(self._presence.counters),
            "prefetch": {
                "running": self._prefetch.fetching,
                "done": self._prefetch.done,
                "fetched": self._prefetch.fetched,
                "total": self._prefetch.total,
                "bytes": self._prefetch.fetched_bytes + (self._ahead.arrived if self._ahead else 0),
                "total_bytes": self._prefetch.total_bytes,
                "left_out": self._prefetch.left_out,
            },
            "reactor": self._holds.status(),
            **self.ledger.describe(),
        }

    def _lan_status(self) -> dict[str, int]:
        """Return what the LAN as a whole saved in 30 days: this node, and peers as they say it."""
        saved, crossed = self.ledger.month()
        told = [
            peer.savings
            for peer in self._presence.peers()
            if any(peer.savings) and not self._held_off(peer)
        ]
        return {
            "nodes": 1 + len(told),
            "saved_bytes": saved + sum(one[0] << 20 for one in told),
            "crossed_bytes": crossed + sum(one[1] << 20 for one in told),
        }

    def _takers(self) -> list[dict[str, Any]]:
        """Return what each address took from this node, with its peer's name if nobody else has."""
        peers = self._presence.peers()
        bearers = Counter(peer.name for peer in peers)
        names: dict[str, set[str]] = {}
        for peer in peers:
            for address in self._addresses_of(peer):
                names.setdefault(address.partition("%")[0], set()).add(peer.name)
        certain = {
            address: told
            for address, told in names.items()
            if len(told) == 1 and all(bearers[name] == 1 for name in told)
        }
        return [
            {
                "address": address,
                "name": "".join(certain.get(address, ())),
                "peer": address in names,
                "bytes": count,
            }
            for address, count in self.traffic.takers.most_first()
        ]

    def _addresses_of(self, peer: Peer) -> list[str]:
        return [peer.address, *self._presence.elsewhere(peer.node)]

    def _account(self) -> None:
        saved, crossed = self.ledger.month()
        self._presence.account(saved >> 20, crossed >> 20)

    def _page(self) -> dict[str, Any]:
        """Return the status as a person reads it: names for addresses, and how this node is."""
        status, names = self.status(), self._names()
        recent = [
            one.describe() | {"time": _clock(one.at), "whence": _whence(one.source, names)}
            for one in reversed(list(self.ledger.recent))
            if not one.file_name.endswith(".sig")
        ]
        moving = [one | {"whence": _whence(one["source"], names)} for one in status["moving"]]
        receipts = [one | {"time": _clock(one["at"], day=True)} for one in status["receipts"]]
        more = {"recent": recent, "moving": moving, "receipts": receipts}
        return status | more | {"health": self._health.describe()}

    def _names(self) -> dict[str, str]:
        """Return the name of each address that has one to itself: names are chosen by strangers."""
        peers = self._presence.peers()
        places = {(peer.name, peer.address) for peer in peers}
        bearers = Counter(name for name, _ in places)
        named = Counter(address for _, address in places)
        return {
            address: name for name, address in places if bearers[name] == 1 and named[address] == 1
        }

    def _figures(self) -> Figures:
        """Return what ``/metrics`` says."""
        return self.ledger.figures(
            self.status(),
            self._lan_face.counters + self._lan.counters + self.desk.relaying.relays.counters,
        )

    def _peer_status(self, peer: Peer, now: float) -> dict[str, Any]:
        record = self.quarantine.record(peer.node, peer.address, time.time())
        replica = self.neighbourhood.holders.replica(peer.node)
        demoted = self._standing.demoted(peer.address, now)
        return {
            "node": peer.node,
            "name": peer.name,
            "address": peer.address,
            "port": peer.port,
            "architectures": list(peer.architectures),
            "files": peer.files,
            "files_known": replica.files if replica else 0,
            "taken_bytes": sum(map(self.traffic.takers.of, self._addresses_of(peer))),
            "last_heard_seconds": round(self._presence.silence(now, peer), 1),
            "state": "quarantine" if record else "failing" if demoted else "good",
            "quarantine": record.described(time.time()) if record else None,
        }


def makeService(options: Options) -> Node:
    """Return a node for ``twistd flocon`` and ``twist flocon``."""
    from twisted.internet import reactor  # noqa: PLC0415 - twistd installs it first

    share_memory()
    steady_clock(reactor)
    raise_open_files(ENOUGH)
    inherited = inherited_sockets(os.environ, os.getpid())
    node = Node(reactor, options.settings, lambda: load(options.given), inherited)
    twistd: Mapping[str, Any] = options.parent if options.parent is not None else {}
    daemon = "nodaemon" in twistd and not (twistd["nodaemon"] or twistd["debug"])
    if daemon:
        node.is_daemon = True
        _try_files(twistd)
    # As another user, only that user can say.
    node.rehearse(store=daemon and twistd["uid"] is None)
    return node


def _addresses(links: Sequence[Link]) -> set[str]:
    return {str(one.ip) for link in links for one in link.addresses}


def _try_files(twistd: Mapping[str, Any]) -> None:
    """End with a sentence where twistd, becoming a daemon, would fail to write its own files."""
    own_log = not (twistd["syslog"] or twistd["logger"])
    files = {
        "--logfile": Path(twistd["logfile"] or "twistd.log") if own_log else None,
        "--pidfile": Path(twistd["rundir"], twistd["pidfile"]) if twistd["pidfile"] else None,
    }
    for option, file in files.items():
        place = file if file is None or file.exists() else file.parent
        if place is not None and not os.access(place, os.W_OK):
            problem = f"{file} cannot be written"
            remedy = f"start in a folder of your own, or name another file: twistd {option} FILE"
            raise _cannot_start(ConfigurationError("twistd", problem, remedy))


def _try_store(settings: Settings) -> None:
    """Raise StoreError where the store cannot be written, or another node has it."""
    store = Store(settings.store.path)
    store.open()
    problem = store.problem
    store.close()
    if problem:
        place, _, reason = problem.rpartition(": ")
        raise StoreError(place, f"{reason}; name a folder that this user can write with --store")


def _cannot_start(error: FloconError | str) -> CannotStart:
    sentence = str(error)
    named = sentence.startswith(("flocon", "twistd"))
    return CannotStart(sentence if named else f"flocon: {sentence}")


def _cannot_store(settings: Settings, problem: object) -> CannotStart:
    return _cannot_start(f"{settings.place('store.path', '--store')}: {problem}")


def _demand_interfaces(settings: Settings) -> None:
    """End where what is to be present on can be neither an interface nor an address."""
    if nowhere := impossible(settings.presence.interfaces):
        problem = f"{nowhere[0]!r} can be neither an interface nor an address"
        remedy = "write a name or an address that 'ip address' shows"
        where = settings.place("presence.interfaces", "--interface")
        raise _cannot_start(ConfigurationError(where, problem, remedy))


def _demand_own(settings: Settings) -> None:
    """End, before anything is written, where somebody else's things lie at the store's place."""
    refusal = foreign(settings.store.path)
    if refusal is not None:
        raise _cannot_store(settings, refusal)


def _moving(transfer: Transfer, now: float) -> dict[str, Any]:
    """Return what ``/status.json`` says of a file on its way; its rate is that since it began."""
    seconds = now - transfer.since
    rate = transfer.arrived / seconds if seconds > 0 else 0.0
    left = None
    if transfer.size is not None and rate > 0:
        left = round((transfer.size - transfer.arrived) / rate, 1)
    return {
        "file": transfer.subject.file_name,
        "bytes": transfer.arrived,
        "size": transfer.size,
        "bytes_per_second": round(rate),
        "seconds_left": left,
        "source": str(transfer.source) if transfer.source else "",
    }


def _clock(seconds: float, *, day: bool = False) -> str:
    form = "%Y-%m-%d %H:%M" if day else "%H:%M:%S"
    return time.strftime(form, time.localtime(seconds))


def _whence(source: str, names: Mapping[str, str]) -> str:
    """Return a source with the peer's name in the place of its address."""
    kind, _, place = source.partition(" ")
    if kind != "peer":
        return source
    address = place.removesuffix(FOR_US)
    return place.replace(address, names.get(address, address), 1)


def _set_debug(shown: bool) -> None:
    show_debug(shown)
    journal.show_debug(shown)


def _alternatives(endpoint: str) -> list[str]:
    """Return what to listen on instead where the machine has no IPv6."""
    return [endpoint, f"tcp:{LAN_PORT}"] if endpoint == DEFAULT_LAN else [endpoint]


def _hosts_of(endpoints: Sequence[str]) -> list[str]:
    """Return the addresses and names of interfaces that endpoint descriptions give."""
    hosts = []
    for endpoint in endpoints:
        # A colon within a value is escaped.
        parts = endpoint.replace("\\:", "\0").split(":")
        hosts += [part[10:].replace("\0", ":") for part in parts if part.startswith("interface=")]
    return hosts


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
    """Keep what will stay out of the garbage collector's rounds: one took 60 ms.

    A round of its own beforehand would take as long; little of what it finds is garbage.
    """
    gc.freeze()


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _is_or_are(peers: Sequence[Peer]) -> str:
    return "is" if len(peers) == 1 else "are"


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("ID", "linux")
    except OSError:
        return "linux"
