"""Faces in the places of other tools, put together: imported only where the operator wants one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.answering.visitors import Admission, lan_names, loopback_names
from flocon.machine.endpoints import hosts_of
from flocon.serving.accepting import Admitting
from flocon.settings.defaults import host_name
from flocon.standins.elsewhere import Elsewhere
from flocon.standins.needs import ForPacredir, ForPacserve
from flocon.standins.pacredir import PacredirFace
from flocon.standins.pacredir_lan import PacredirLanFace
from flocon.standins.pacserve import PacserveFace
from flocon.standins.questions import LARGEST_QUESTION
from flocon.standins.standins import PACREDIR, PACREDIR_LAN, PACSERVE, Standin, Standins

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flocon.machine.shares import Shares
    from flocon.node.parts import Parts


def standing_in(reactor: Any, parts: Parts, shares: Shares) -> Standins:
    """Return the faces that the settings name."""
    return Standins(
        reactor,
        tuple(_faces(reactor, parts)),
        settings=parts.settings,
        shares=shares,
        doors=parts.doors,
        user_of=parts.users.user_of,
        told=parts.foreign.face,
    )


def _faces(reactor: Any, parts: Parts) -> Iterator[Standin]:
    told = parts.settings.standins
    if told.pacserve:
        face = _pacserve(reactor, parts)
        yield Standin(PACSERVE, face, told.pacserve, LARGEST_QUESTION, close=face.close)
    if told.pacredir:
        # As on 19433, each may need its sources' connections, too.
        yield Standin(PACREDIR, _pacredir(parts), told.pacredir, cost=2)
    if told.pacredir_lan:
        yield Standin(PACREDIR_LAN, PacredirLanFace(parts.lan_face), told.pacredir_lan)


def _admitting(parts: Parts, endpoints: tuple[str, ...]) -> Admitting:
    """Return what knows this machine, and the networks that may ask as it does."""
    names = loopback_names((*parts.settings.names, *hosts_of(endpoints)))
    return Admitting(names, Admission(parts.settings.loopback_clients))


def _pacredir(parts: Parts) -> PacredirFace:
    return PacredirFace(
        ForPacredir(
            pacman=parts.loopback_face,
            offering=parts.holdings.offering,
            settled=parts.desk.listed.settled,
            listed=lambda file_name: parts.pacman.listing.find(file_name),  # noqa: PLW0108 - it is replaced
            architectures=lambda: parts.pacman.configuration.architectures,
        ),
        _admitting(parts, parts.settings.standins.pacredir),
    )


def _pacserve(reactor: Any, parts: Parts) -> PacserveFace:
    settings, keeps = parts.settings, parts.desk.privacy.keeps
    endpoints = settings.standins.pacserve
    elsewhere = Elsewhere(
        reactor,
        listing=lambda: parts.pacman.listing,
        keeps=keeps,
        candidates=parts.desk.candidates,
        standing=parts.standing,
        peer=parts.presence.peer,
        known_at=parts.foreign.known_at,
    )
    return PacserveFace(
        ForPacserve(
            reactor,
            pacman=parts.loopback_face,
            lan=parts.lan_face,
            offering=parts.holdings.offering,
            listed=elsewhere.listed,
            keeps=keeps,
            holder=elsewhere.holder,
            elsewhere=elsewhere.foreign,
            mirrors=parts.desk.candidates.servers,
            nudged=parts.foreign.nudged,
            identity=parts.foreign.identity,
        ),
        _admitting(parts, endpoints),
        lan_names(settings.name, (*settings.names, host_name(), *hosts_of(endpoints))),
    )
