"""What stands for the mirror, the keeper, faces of other tools, or far nodes, where none is.

It knows nothing and says so; far nodes may come to be known while the node runs.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet import defer

from flocon.errors import BuildError, MirrorError
from flocon.presence.presence_events import Told

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from twisted.internet.defer import Deferred

    from flocon.machine.links import Link
    from flocon.machine.shares import Shares
    from flocon.mdns.services import Found
    from flocon.node.parts import Parts
    from flocon.presence.presence_events import Event
    from flocon.settings.settings import Settings
    from flocon.sites.far_nodes import FarNodes
    from flocon.standins.standins import Standins


#: What ``/builds.json`` says where nothing is built.
NOTHING: Mapping[str, Any] = {
    "used": False,
    "problem": "",
    "polled": 0.0,
    "next_poll": 0.0,
    "metered": False,
    "repository": "",
    "running": None,
    "waiting": 0,
    "watched": [],
}


class Unmirrored:
    """Is asked and told what ``Mirroring`` is, and has none of it."""

    services = ()
    mirror = site = giving = None
    gives = False

    def questions(self) -> dict[str, Callable[[Mapping[str, str]], Awaitable[Any]]]:
        """Return the answers to what is asked about a mirror, by path."""
        refused = {"refused": str(_none())}
        problem = "this node is no mirror for the LAN; ask where that runs"
        return {
            "/mirror.json": _always({"serves": False, "problem": ""}),
            "/snapshots.json": _always(refused),
            "/snapshots/diff.json": _always(refused),
            "/generation.json": _always({"problem": problem}),
        }

    def commands(self) -> dict[str, Callable[[list[str]], Awaitable[str]]]:
        """Return what refuses the words of a person, by the first one."""
        return {"mirror": _refuse, "snapshot": _refuse}

    def status(self) -> None:
        """Say nothing in ``/status.json``."""

    def tell(self) -> tuple[()]:
        return ()

    def held(self) -> None:
        """Nothing is wanted here."""

    def allow(self, *, metered: bool) -> None:
        """Nothing is read here."""

    def settings_changed(self, old: Settings, settings: Settings) -> None:
        """Nothing is done by them here; to become a mirror needs a restart."""

    def links_changed(self, links: tuple[Link, ...]) -> None:
        """Nobody is let in here."""

    def stop(self) -> None:
        """Nothing runs here."""


class Unbuilding:
    """Is asked and told what ``Building`` is, and has none of it."""

    services = ()
    keeper = None

    def questions(self) -> dict[str, Callable[[Mapping[str, str]], Awaitable[Any]]]:
        """Return the answers to what is asked about builds, by path."""
        return {"/builds.json": _nothing}

    async def steer(self, words: list[str], who: str, body: bytes = b"") -> str:
        """Refuse the words of a person."""
        problem = "this node builds nothing"
        remedy = (
            "'systemctl enable --now flocon-sign.socket flocon-build.socket' starts what signs and"
            " builds; then restart the node"
        )
        raise BuildError(problem, remedy)

    def status(self) -> None:
        """Say nothing in ``/status.json``."""

    async def look(self) -> None:
        """Ask no builder what it can."""

    def tell(self) -> tuple[()]:
        return ()

    def allow(self, *, metered: bool) -> None:
        """Nothing is asked for here."""

    def settings_changed(self, old: Settings, settings: Settings) -> None:
        """Nothing is done by them here; to build something needs a restart."""

    def stop(self) -> None:
        """Nothing runs here."""


class NoStandins:
    """Is asked and told what ``Standins`` is, and has none of them."""

    sides = ()

    def opened(self) -> None:
        """Nobody is to be told of a face."""

    def describe(self) -> list[dict[str, Any]]:
        """Say nothing in ``/status.json``."""
        return []

    def tell(self) -> tuple[()]:
        return ()

    def settings_changed(self, settings: Settings) -> None:
        """Nothing is done by them here; to open a face needs a restart."""

    def links_changed(self, links: tuple[Link, ...]) -> None:
        """Nobody is let in here."""

    def stop(self) -> None:
        """Nothing is open here."""


def standins(reactor: Any, parts: Parts, shares: Shares) -> Standins | NoStandins:
    """Return the faces in other tools' places, where there are to be any."""
    if not parts.settings.standins.faces:
        return NoStandins()
    from flocon.node.standing_in import standing_in  # noqa: PLC0415 - by few nodes alone

    return standing_in(reactor, parts, shares)


class Siting(Service):
    """Has the nodes of other networks, once the operator names some or somebody tells of one.

    ``parts`` are complete once it is started.
    """

    def __init__(self, reactor: Any, parts: Parts) -> None:
        self._reactor = reactor
        self._parts = parts
        self._far: FarNodes | None = None
        self._links: tuple[Link, ...] = ()

    def startService(self) -> None:
        super().startService()
        self._parts.multicast.said = self._said
        self._parts.admission.also = self._admits
        self._parts.mdns.nodes_changed = self._found
        peers = self._parts.reloading.settings.peers
        if peers.static or peers.networks:
            self._begin()

    def stopService(self) -> Deferred[Any]:
        super().stopService()
        far = self._far
        return defer.succeed(None) if far is None else defer.maybeDeferred(far.stopService)

    def _begin(self) -> FarNodes:
        if self._far is None:
            from flocon.sites.far_nodes import far_nodes  # noqa: PLC0415 - by few nodes alone

            parts, peers = self._parts, self._parts.reloading.settings.peers
            port = parts.settings.presence.port
            self._far = far_nodes(
                self._reactor, parts.presence, parts.multicast, parts.inventory_agent, port
            )
            self._far.use(peers.static, peers.networks)
            self._far.set_links(self._links)
            self._far.startService()
        return self._far

    def event(self, event: Event) -> None:
        """Hand on what presence tells."""
        self._parts.neighbourhood.event(event)
        if self._far is not None:
            self._far.event(event)
        elif isinstance(event, Told) and self.running:
            self._begin().event(event)

    def _said(self, datagram: bytes) -> None:
        if self._far is not None:
            self._far.said(datagram)

    def _found(self, found: tuple[Found, ...]) -> None:
        if self.running and (found or self._far is not None):
            self._begin().found(found)

    def set_links(self, links: Sequence[Link]) -> None:
        self._links = tuple(links)
        if self._far is not None:
            self._far.set_links(links)

    def settings_changed(self, old: Settings, settings: Settings) -> None:
        new = settings.peers
        before = old.peers.static, old.peers.networks
        if self.running and (new.static, new.networks) != before:
            self._begin().use(new.static, new.networks)

    def _admits(self, address: str) -> bool:
        return self._far is not None and self._far.sites.admits(address)

    def told_by(self, node: str) -> str:
        """Return the id of who told of a far node, "" where it did so itself."""
        return "" if self._far is None else self._far.sites.told_by(node)

    def dropped(self) -> Counter[str]:
        """Return what was dropped of what far nodes said, and was said of them, by reason."""
        return Counter() if self._far is None else self._far.sites.counters

    @property
    def counters(self) -> Counter[str]:
        """How many datagrams were sent to far nodes, and told of them."""
        sent = Counter() if self._far is None else self._far.sent
        return Counter({f"far {to}": count for to, count in sent.items()})

    def describe(self) -> list[dict[str, Any]]:
        """Return how each name stands that the operator gave, see ``sites.telling``."""
        return [] if self._far is None else self._far.describe()

    def tell(self) -> Iterator[dict[str, Any]]:
        """Yield what the doctor is to tell of them."""
        return iter(()) if self._far is None else self._far.tell()


def _none() -> MirrorError:
    problem = "this node is no mirror for the LAN"
    return MirrorError(problem, "set serve = true in [mirror] of flocon.toml, and restart")


def _always(told: dict[str, Any]) -> Callable[[Mapping[str, str]], Awaitable[dict[str, Any]]]:
    async def answer(_: Mapping[str, str]) -> dict[str, Any]:
        return dict(told)

    return answer


async def _refuse(_: list[str]) -> str:
    raise _none()


async def _nothing(_: Mapping[str, str]) -> dict[str, Any]:
    return dict(NOTHING)
