"""A mirror for the LAN and its face for machines without a node, put together.

This is imported only where the operator wants one; elsewhere ``unmirrored`` stands in its place.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from flocon.answering.visitors import LOOPBACK_ADDRESSES, Admission, mirror_names
from flocon.clients.mirror import ANSWERS, MirrorFace
from flocon.clients.needs import ForMirror
from flocon.machine.endpoints import hosts_of
from flocon.mirrors.clients import Clients
from flocon.mirrors.describing import describe, tell
from flocon.mirrors.giving import Giving
from flocon.mirrors.mirror import Mirror
from flocon.serving.site import Site
from flocon.settings.defaults import host_name
from flocon.sources.allowances import Allowances
from flocon.sources.client_signatures import ClientSignatures
from flocon.sources.for_clients import ForClients

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from twisted.application.service import Service

    from flocon.machine.links import Link
    from flocon.machine.shares import Shares
    from flocon.node.parts import Parts
    from flocon.settings.settings import Settings
    from flocon.snapshots.importing import Importing


class Mirroring:
    """Has the mirror, what answers machines without a node, and what is fetched for them."""

    def __init__(self, reactor: Any, parts: Parts, settings: Settings, shares: Shares) -> None:
        self._settings = settings
        self._privacy = parts.desk.privacy
        self._pacman = parts.pacman
        desk = parts.desk
        self.mirror = self._mirror = _mirror(reactor, parts, settings)
        #: What other nodes are given of the state.
        self.giving = Giving(self.mirror.states, self._privacy.keeps, self.mirror.with_files)
        self._mirror.clients = self._clients = Clients()
        self.allowances = Allowances(settings.peers.relayed_per_day)
        self.for_clients = ForClients(
            reactor,
            pacman=parts.pacman,
            candidates=desk.candidates,
            choosing=desk.choosing,
            transfers=desk.transfers,
            allowances=self.allowances,
        )
        self.for_clients.fetched = self._fetched
        self.for_clients.is_parent = parts.desk.is_parent
        self._signatures = ClientSignatures(
            reactor,
            candidates=desk.candidates,
            agents=desk.agents,
            signatures=desk.signatures,
            traffic=parts.traffic,
        )
        self.face = MirrorFace(
            ForMirror(
                reactor,
                states=self._mirror.states,
                clients=self._clients,
                offering=parts.holdings.offering,
                opening=parts.holdings.opening,
                transfers=desk.transfers,
                for_clients=self.for_clients,
                signatures=self._signatures,
                precedence=desk.precedence,
                layouts=lambda: settings.mirror.paths,
                allows=self._allows,
                is_ambiguous=self._is_ambiguous,
                asked_for=self._mirror.asked,
                with_files=self._mirror.with_files,
                judged=parts.holdings.judged,
            ),
            mirror_names(
                settings.name, (*settings.names, host_name(), *hosts_of(settings.mirror.listen))
            ),
        )
        self._admission = Admission(settings.mirror.networks)
        self.site = Site(
            reactor,
            self.face,
            most_connections=shares.mirror,
            most_per_address=shares.mirror_per_address,
            most_per_network=shares.mirror_per_network,
            unbounded=LOOPBACK_ADDRESSES,
            admits=self._admission.admits,
            at_once=self.face.at_once,
        )
        self._clients.refusals = self._refusals

    def _refusals(self) -> dict[str, int]:
        counters = self.face.counters + self.site.counters + self.allowances.counters
        return {reason: count for reason, count in counters.items() if reason not in ANSWERS}

    def _allows(self, repository: str) -> bool:
        """Whether a repository is for others: one that is private has to be named for it."""
        named = repository in self._settings.mirror.repositories
        return named or not self._privacy.keeps(repository)

    def _is_ambiguous(self, file_name: str) -> bool:
        """Whether several packages have this name, as those of two architectures may."""
        listing = self._pacman.listing
        entries = (*listing.find(file_name), *listing.mirrored_entries(file_name))
        return len({one.content for one in entries}) > 1

    def _fetched(self, client: str, count: int) -> None:
        self._clients.fetched(client, count, time.time())

    @property
    def services(self) -> tuple[Service, ...]:
        """What is started and stopped with the node."""
        return (self.mirror,)

    @property
    def gives(self) -> bool:
        """Whether there is a state that others can follow."""
        return self.mirror.gives

    def questions(self) -> dict[str, Callable[[Mapping[str, str]], Awaitable[Any]]]:
        """Return what can be asked about the mirror, by path."""
        return self.mirror.steering.questions()

    def commands(self) -> dict[str, Callable[[list[str]], Awaitable[str]]]:
        """Return what a person can have it do, by the first word."""
        return {"mirror": self.mirror.steering.steer, "snapshot": self.mirror.steering.snapshot}

    def status(self) -> dict[str, Any]:
        """Return what ``/status.json`` says of it."""
        return describe(self.mirror)

    def tell(self) -> Iterator[dict[str, Any]]:
        """Yield what the doctor is to tell of it."""
        return tell(self.mirror)

    def held(self) -> None:
        """Learn that what is held here is not what it was."""
        self.mirror.held()

    def allow(self, *, metered: bool) -> None:
        """Learn whether the link costs by the byte."""
        self.mirror.allow(metered=metered)

    def settings_changed(self, old: Settings, settings: Settings) -> None:
        if settings.mirror != old.mirror:
            self.mirror.settings_changed()
        self.giving.forget()
        self.allowances.a_day = settings.peers.relayed_per_day
        self._admission.networks = settings.mirror.networks

    def links_changed(self, links: tuple[Link, ...]) -> None:
        self._admission.links = links

    def stop(self) -> None:
        """Let go of who asks; nothing more is asked for them."""
        self.site.end()
        self._signatures.stop()


def _mirror(reactor: Any, parts: Parts, settings: Settings) -> Mirror:
    """Return the mirror, which the desk is to ask from now on."""
    mirror = Mirror(
        reactor,
        settings=lambda: parts.reloading.settings.mirror,
        store=settings.store.path,
        most=settings.store.max_size,
        shelf=parts.holdings.clearing,
        pacman=parts.pacman,
        agent=parts.desk.agents.mirrors,
        keyring=parts.desk.signatures.keyring,
        means=parts.ahead_means,
    )
    parts.desk.candidates.of_others = mirror.servers
    parts.desk.candidates.of_the_past = mirror.servers_of_the_past
    mirror.published = parts.following.published

    def importing() -> Importing:
        from flocon.node.porting import importing  # noqa: PLC0415 - seldom needed

        return importing(parts, mirror)

    mirror.importing = importing
    return mirror
