"""A node as twistd knows it: what it opens at its start, and in which order it ends.

Its parts and how they belong together are in ``parts``. Children of a MultiService stop in reverse
order, so presence comes last and its bye goes first.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from threading import Timer
from typing import TYPE_CHECKING, Any

from twisted.application.service import MultiService, Service
from twisted.internet import defer

from flocon import __version__
from flocon.errors import ConfigurationError, StoreError
from flocon.log import logger
from flocon.machine.clock import steady_clock
from flocon.machine.interfaces import look_at_links
from flocon.machine.limits import raise_open_files, share_memory
from flocon.machine.ports import inherited_sockets
from flocon.machine.reactor_threads import take_short_turns
from flocon.machine.shares import ENOUGH
from flocon.machine.signals import Signals
from flocon.node.following import set_debug
from flocon.node.parts import Parts
from flocon.node.starting import (
    CannotStart,
    cannot_start,
    cannot_store,
    demand_interfaces,
    demand_own,
    try_files,
    try_store,
)
from flocon.settings.options import Options, load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from twisted.internet.defer import Deferred

    from flocon.machine.ports import Inherited
    from flocon.settings.settings import Settings

__all__ = ["Node", "Options", "makeService"]
#: Seconds that stopping may take: pacman is waited for, peers are told, what is known is written.
LONGEST_END = 10.0


class Node(MultiService):
    """One running flocon."""

    _log = logger()
    #: Whether there is no terminal any more, so that only the log takes whole sentences.
    is_daemon = False
    #: Called when it begins to stop: what is waited for may not answer any more.
    last_resort: Callable[[], None] = staticmethod(lambda: None)

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
        set_debug(settings.debug)
        demand_interfaces(settings)
        demand_own(settings)
        self._reactor = reactor
        self._settings = settings
        self.parts = Parts(reactor, settings, reread or (lambda: settings), inherited)
        self._attach()

    def _attach(self) -> None:
        """Make the parts children, in the order in which they start."""
        handlers = {
            signal.SIGUSR1: self.parts.operator.log_peers,
            signal.SIGUSR2: self.parts.operator.rejoin,
            signal.SIGHUP: self.parts.reloading.ask,
        }
        # Stopped from the last to the first: the bye goes out before anything else ends.
        parts: list[Service] = [
            self.parts.holds,
            self.parts.ledger,
            self.parts.pacman,
            self.parts.holdings,
            self.parts.ahead.prefetch,
            *self.parts.mirroring.services,
            *self.parts.building.services,
            self.parts.joining,
            self.parts.foreign,
            Signals(self._reactor, handlers),
            self.parts.siting,
            self.parts.multicast,
            self.parts.metered,
            self.parts.interfaces,
            self.parts.mdns,
            self.parts.supervision,
        ]
        for part in parts:
            part.setServiceParent(self)

    def rehearse(self, *, store: bool) -> None:
        """End with a sentence where starting would fail; nothing is kept of what is tried.

        With ``store`` its folder is tried too, by this user.
        """
        try:
            self.parts.doors.rehearse()
            if store:
                try_store(self._settings)
        except ConfigurationError as error:
            raise cannot_start(error) from None
        except StoreError as error:
            raise cannot_store(self._settings, error) from None

    def privilegedStartService(self) -> None:
        """Take the ports, before twistd gives up root's rights; end at once where one is taken."""
        try:
            self.parts.doors.open(
                self.parts.lan,
                self.parts.loopback,
                self.parts.mirroring.site,
                self.parts.standins.sides,
            )
        except ConfigurationError as error:
            raise self._logged(cannot_start(error)) from None
        super().privilegedStartService()

    def startService(self) -> None:
        if not self.parts.doors.are_open:
            self.privilegedStartService()
        self.parts.status.start()
        self.parts.presence.update(self._reactor.seconds(), port=self.parts.doors.lan_port)
        self.parts.following.account()
        try:
            super().startService()
        except StoreError as error:
            raise self._logged(cannot_store(self._settings, error)) from None
        for name in look_at_links(self._settings.presence.interfaces)["missing"]:
            self._log.warn(
                "there is no interface {name} now; the node waits for it, and is not heard"
                " meanwhile: 'ip address' shows what there is",
                name=name,
            )
        self.parts.neighbourhood.start()
        self.parts.standins.opened()
        self.parts.doors.open_control(self.parts.control)
        self._log.info(
            "flocon {version} is node {node} as {name}; its store is {store}",
            version=__version__,
            node=self.parts.namesakes.identity.node,
            name=self.parts.namesakes.identity.name,
            store=self._settings.store.path,
        )

    def _logged(self, end: CannotStart) -> CannotStart:
        """Have the log tell why a daemon ends: of that twistd hands 100 bytes to the terminal."""
        if self.is_daemon:
            self._log.error("{sentence}", sentence=str(end))
        return end

    def stopService(self) -> Deferred[None]:
        return defer.Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self.last_resort()
        self.parts.reloading.stop()
        # By mDNS it takes three datagrams: meanwhile all else ends.
        farewell = defer.maybeDeferred(self.parts.mdns.disownServiceParent)
        # The bye goes out first: from then on nobody asks us, and what ends, ends quietly.
        for part in (self.parts.interfaces, self.parts.multicast):
            await defer.maybeDeferred(part.disownServiceParent)
        await self.parts.doors.close()
        await self.parts.loopback_face.leave()
        # What comes on a connection from now on would meet a node of which half has ended.
        self.parts.loopback.end()
        self.parts.mirroring.stop()
        self.parts.standins.stop()
        self.parts.building.stop()
        self.parts.lan_face.close()
        self.parts.users.close()
        self.parts.neighbourhood.stop()
        self.parts.health.stop()
        await self.parts.desk.stop()
        await self.parts.ahead.stop()
        await self.parts.inventory_pool.closeCachedConnections()
        await defer.maybeDeferred(super().stopService)
        await farewell
        self._log.info("flocon has stopped")


def _end_in_time() -> None:
    """Have the process end in time, whichever disk it waits for: all is as after a kill then."""
    timer = Timer(LONGEST_END, os._exit, (1,))
    timer.daemon = True
    with suppress(RuntimeError, MemoryError):
        timer.start()


def makeService(options: Options) -> Node:
    """Return a node for ``twistd flocon`` and ``twist flocon``."""
    from twisted.internet import reactor  # noqa: PLC0415 - twistd installs it first

    share_memory()
    take_short_turns()
    steady_clock(reactor)
    raise_open_files(ENOUGH)
    inherited = inherited_sockets(os.environ, os.getpid())
    node = Node(reactor, options.settings, lambda: load(options.given), inherited)
    node.last_resort = _end_in_time
    twistd: Mapping[str, Any] = options.parent if options.parent is not None else {}
    daemon = "nodaemon" in twistd and not (twistd["nodaemon"] or twistd["debug"])
    if daemon:
        node.is_daemon = True
        try_files(twistd)
    # As another user, only that user can say.
    node.rehearse(store=daemon and twistd["uid"] is None)
    return node
