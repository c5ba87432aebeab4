"""What answers a person, and what says how this node is, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.advice.examination import Examination
from flocon.advice.health import Health
from flocon.advice.search import Search
from flocon.advice.why import Why
from flocon.machine.endpoints import ports_of
from flocon.operator.status import Status
from flocon.settings.settings import LOOPBACK_PORT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from flocon.node.parts import Parts


def search(parts: Parts) -> Search:
    """Return what finds packages on the LAN."""
    return Search(
        parts.reactor,
        node=parts.node,
        offering=parts.holdings.offering,
        pacman=parts.pacman,
        neighbourhood=parts.neighbourhood,
        presence=parts.presence,
        foreign=parts.foreign.listings,
    )


def why(parts: Parts) -> Why:
    """Return what says why a package comes from where it does."""
    return Why(
        parts.reactor,
        settings=lambda: parts.reloading.settings,
        offering=parts.holdings.offering,
        listed=parts.desk.listed,
        candidates=parts.desk.candidates,
        transfers=parts.desk.transfers,
        pacman=parts.pacman,
        neighbourhood=parts.neighbourhood,
        presence=parts.presence,
        standing=parts.standing,
        quarantine=parts.offenders.quarantine,
        recent=parts.ledger.recent,
        contents=parts.search.contents,
    )


def examination(parts: Parts) -> Examination:
    """Return what looks at this machine and node for the doctor."""
    return Examination(
        parts.reactor,
        node=parts.node,
        settings=lambda: parts.reloading.settings,
        namesake=lambda: parts.namesakes.told,
        candidates=parts.desk.candidates,
        agents=parts.desk.agents,
        pacman=parts.pacman,
        presence=parts.presence,
        multicast=parts.multicast,
        quarantine=parts.offenders.quarantine,
        lan_port=lambda: parts.doors.lan_port,
        store=parts.holdings.store,
        lanes=parts.holdings.threads.lanes,
    )


def tellers(parts: Parts) -> list[Callable[[], Iterable[Mapping[str, Any]]]]:
    """Return what else tells the doctor what it lives with."""
    return [
        lambda: _problems(parts),
        parts.mirroring.tell,
        parts.building.tell,
        parts.joining.tell,
        parts.foreign.tell,
        parts.mdns.tell,
        parts.desk.tell,
        parts.standins.tell,
        parts.siting.tell,
        parts.holdings.tell,
    ]


def _problems(parts: Parts) -> Iterable[Mapping[str, Any]]:
    from flocon.operator.problems import Problems  # noqa: PLC0415 - seldom asked

    return Problems(parts.doors, parts.reloading).tell()


def health(parts: Parts) -> Health:
    """Return what says in a line whether all is well."""
    return Health(
        parts.reactor,
        parts.examination.examine,
        port=next(iter(ports_of(parts.settings.loopback)), LOOPBACK_PORT),
        pacman_conf=parts.settings.pacman_conf,
    )


def status(parts: Parts) -> Status:
    """Return what says how this node is."""
    return Status(
        parts.reactor,
        namesakes=parts.namesakes,
        doors=parts.doors,
        presence=parts.presence,
        neighbourhood=parts.neighbourhood,
        standing=parts.standing,
        offenders=parts.offenders,
        offering=parts.holdings.offering,
        accounts=parts.holdings.accounts,
        max_size=parts.settings.store.max_size,
        store=parts.holdings.store,
        transfers=parts.desk.transfers,
        relays=parts.desk.relaying.relays,
        ahead=parts.ahead,
        traffic=parts.traffic,
        ledger=parts.ledger,
        health=parts.health,
        holds=parts.holds,
        mirror=parts.mirroring.status,
        builds=parts.building.status,
        own=parts.joining.describe,
        dropped=parts.siting.dropped,
        mdns=parts.mdns.describe,
        followed=parts.desk.describe_followed,
        standins=lambda: parts.standins.describe(),  # noqa: PLW0108 - made later
        parents=parts.desk.describe_parents,
        adopted=parts.holdings.describe_adopted,
        silent=parts.holdings.describe_silent,
        foreign=parts.foreign.describe,
        sites=parts.siting.describe,
        told_by=parts.siting.told_by,
        counters=lambda: (
            parts.lan_face.counters
            + parts.lan.counters
            + parts.desk.relaying.relays.counters
            + parts.foreign.counters
            + parts.siting.counters
        ),
    )


def questions(
    search: Search, why: Why, examination: Examination
) -> dict[str, Callable[[Mapping[str, str]], Awaitable[Any]]]:
    """Return each path that is answered by these."""
    return {
        "/search.json": search.search,
        "/list.json": search.page,
        "/why.json": why.why,
        "/recent.json": why.recent,
        "/doctor.json": examination.examine,
    }
