"""What follows when something changes: the settings, pacman's files, what is held, the links.

Each change is told to those parts that have to know, and to no others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import defer

from flocon.log import logger, show_debug
from flocon.machine import journal
from flocon.machine.reactor_threads import in_thread
from flocon.machine.users import number_of
from flocon.node.announcing import abilities
from flocon.precedence import ROOT

if TYPE_CHECKING:
    from flocon.holdings.inventory import Change
    from flocon.machine.links import Link
    from flocon.node.parts import Parts
    from flocon.pacman.configuration import PacmanConfiguration
    from flocon.pacman.listing import Listing
    from flocon.presence.own_announcement import Identity
    from flocon.settings.settings import Settings


class Following:
    """``parts`` are complete once the first change comes."""

    _log = logger()

    def __init__(self, reactor: Any, parts: Parts) -> None:
        self._reactor = reactor
        self._parts = parts

    @property
    def _settings(self) -> Settings:
        return self._parts.reloading.settings

    def settings_changed(self, old: Settings, settings: Settings) -> None:
        self._parts.admission.networks = settings.peers.networks
        if settings.peers.private != old.peers.private:
            self._parts.desk.privacy.repositories = frozenset(settings.peers.private)
            self._parts.holdings.looking.listing_changed()
            self._parts.announcer.databases(self._parts.pacman.listing)
        if settings.peers.bandwidth != old.peers.bandwidth:
            self._parts.pacer.bound(settings.peers.bandwidth)
        self._parts.desk.relaying.relays.a_day = settings.peers.relayed_per_day
        self._parts.mirroring.settings_changed(old, settings)
        self._parts.building.settings_changed(old, settings)
        self._parts.joining.settings_changed()
        self._parts.standins.settings_changed(settings)
        self._parts.siting.settings_changed(old, settings)
        self._look_for_parents()
        self._parts.holdings.adopt(settings.store.adopt)
        self._parts.foreign.settings_changed(settings.foreign)
        self._parts.mdns.changed()
        set_debug(settings.debug)
        self._set_relays()
        if settings.prefetch != old.prefetch:
            self._prefetch_or_rest()

    def configuration_changed(self, configuration: PacmanConfiguration) -> None:
        self.own_folders_changed()
        self._look_for_parents()
        self._parts.announcer.architectures(configuration.architectures)
        self._parts.mdns.changed()
        # A user may be known to a server alone, which may be silent: nothing waits for that.
        found = in_thread(self._reactor, number_of, configuration.download_user)
        found.addCallbacks(
            self._set_users, lambda reason: self._log.failure("looking a user up failed", reason)
        )

    def own_folders_changed(self) -> None:
        """Offer what lies in pacman's folders, and what this machine publishes itself."""
        caches = self._parts.pacman.configuration.cache_directories
        self._parts.holdings.looking.set_directories((*caches, *self._parts.joining.folders))

    def _set_users(self, download_user: int | None) -> None:
        own = {ROOT} if download_user is None else {ROOT, download_user}
        self._parts.desk.precedence.set_users(own)

    def listing_changed(self, listing: Listing) -> None:
        self._parts.holdings.looking.listing_changed()
        self._parts.desk.own.able_since = self._reactor.seconds()
        self._parts.announcer.databases(listing)
        self._prefetch_or_rest()

    def inventory_changed(self, changes: list[Change]) -> None:
        offering = self._parts.holdings.offering
        for change in changes:
            if offering.find(change.file_name) is None:
                self._parts.ledger.ahead.gone(change.file_name)
        self._parts.announcer.inventory(offering.inventory, changes)
        self._parts.mirroring.held()
        self._parts.joining.held(changes)

    def links_changed(self, links: list[Link]) -> None:
        before, self._parts.admission.links = self._parts.admission.links, tuple(links)
        self._parts.mirroring.links_changed(tuple(links))
        self._parts.standins.links_changed(tuple(links))
        self._look_for_parents()
        if before and before != tuple(links):
            # What is kept open may be silent: from an address that has gone, or by another way now.
            defer.Deferred.fromCoroutine(self._close_idle()).addErrback(
                lambda reason: self._log.failure("closing connections failed", reason)
            )
        self._parts.multicast.set_links(links)
        self._parts.siting.set_links(links)
        self._parts.foreign.links_changed(tuple(links))
        self._parts.mdns.changed()
        self._parts.metered.link_changed()

    def _look_for_parents(self) -> None:
        self._parts.desk.look_for_parents(self._parts.admission.links)

    async def _close_idle(self) -> None:
        await self._parts.inventory_pool.closeCachedConnections()
        await self._parts.desk.agents.close_idle()

    def metered_changed(self, metered: bool) -> None:
        """Fetch nothing for others, and nothing unasked, while the link costs by the byte."""
        self._log.info(
            "the link is {state}; this node {does} for others",
            state="metered" if metered else "not metered any more",
            does="fetches" if self._may_relay() else "does not fetch",
        )
        self._set_relays()
        self._prefetch_or_rest()

    def metered_known(self) -> None:
        """Begin to fetch ahead, where the link is known now and costs nothing."""
        self._prefetch_or_rest()

    def may_ask(self) -> bool:
        """Whether something may be fetched unasked: not while the link costs by the byte."""
        return self._parts.metered.known and not self._parts.metered.metered

    def _may_relay(self) -> bool:
        return self._settings.relay and not self._parts.metered.metered

    def _prefetch_or_rest(self) -> None:
        free = self._parts.metered.known and not self._parts.metered.metered
        self._parts.ahead.prefetch.allow(self._settings.prefetch if free else "off")
        self._parts.mirroring.allow(metered=not free)
        self._parts.joining.allow(metered=not free)
        self._parts.building.allow(metered=not free)

    def _set_relays(self) -> None:
        relays = self._may_relay()
        own = self._parts.desk.own
        if relays != own.relays:
            own.relays, own.able_since = relays, self._reactor.seconds()
        self._parts.announcer.abilities(
            abilities_of(
                self._settings,
                relays=relays,
                mirror=self._parts.mirroring.gives,
                origin=self._parts.joining.publishes,
            )
        )

    def published(self) -> None:
        """Announce that this node gives the LAN a state, or makes a repository, where it does."""
        self._set_relays()

    def renamed(self, identity: Identity) -> None:
        own = self._parts.desk.own
        own.node, own.epoch = identity.node, identity.epoch
        self._parts.presence.rename(self._reactor.seconds(), identity)
        self._parts.mdns.changed()
        self._parts.multicast.wake()

    def account(self) -> None:
        self._parts.announcer.savings(self._parts.ledger)


def abilities_of(
    settings: Settings, *, relays: bool, mirror: bool = False, origin: bool = False
) -> frozenset[str]:
    """Return what a node with these settings announces that it can do."""
    shares = settings.databases == "lan"
    return abilities(relays=relays, databases=shares, mirror=mirror, origin=origin)


def set_debug(shown: bool) -> None:
    """Let debug lines through, in every log."""
    show_debug(shown)
    journal.show_debug(shown)
