"""Whose state of databases is followed, and what of it pacman has already. Decides only, no I/O.

A node whose databases are ``node:NAME`` follows the node of that name, or at that address, and
nobody else's; one whose are ``lan`` whichever node gives a state to the LAN. What pacman has is
known by its content where that can be told, and by the date that it was given otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from flocon.asking.dates import taken_from
from flocon.settings.settings import NODE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flocon.databases.lan_state import StateFile
    from flocon.presence.peer import Peer

LAN = "lan"
#: Hex digits of a SHA-256 by which pacman's databases are known, see ``Database.digest``.
_DIGEST_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Place:
    """Where a state is told: a peer's LAN face, or this node itself (no ``address``)."""

    name: str
    address: str = ""
    port: int = 0
    node: str = ""

    @property
    def is_own(self) -> bool:
        return not self.address

    def __str__(self) -> str:
        return f"{self.name} ({self.address})" if self.address != self.name else self.name


def named(databases: str) -> str:
    """Return the name or address of the one node that is followed, "" where none is named."""
    return databases.removeprefix(NODE) if databases.startswith(NODE) else ""


def follows(databases: str) -> bool:
    """Whether a state of the LAN is followed at all."""
    return databases == LAN or bool(named(databases))


def meant(databases: str, mirrors: Iterable[Peer], own: Place | None, port: int) -> Sequence[Place]:
    """Return the nodes that are meant, of the peers that give a state and this one, if it does.

    An address is meant though nobody is heard there: it is asked on ``port``.
    """
    places = [Place(one.name, one.address, one.port, one.node) for one in mirrors]
    name = named(databases)
    if not name:
        told = sorted(places, key=lambda one: (one.name, one.address))
        return ([] if own is None else [own]) + told if databases == LAN else []
    found = [one for one in places if _is_called(one, name)]
    if own is not None and _is_called(own, name):
        found.append(own)
    address = _address(name)
    if not found and address:
        return [Place(name, address, port)]
    return found


def followed(databases: str, places: Sequence[Place]) -> Place | None:
    """Return whose state is followed of those that are meant: nobody's where one name is two's."""
    if named(databases) and len(places) > 1:
        return None
    return places[0] if places else None


def _is_called(place: Place, name: str) -> bool:
    if place.name.casefold() == name.casefold():
        return True
    address = _address(name)
    return bool(address) and _address(place.address) == address


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return ""


def is_had(
    file: StateFile,
    since: int,
    have: float | None,
    *,
    own: tuple[float, str] | None,
    given: Mapping[int, str],
) -> bool:
    """Return whether who asks has this very file of a state that was published at ``since``.

    ``have`` is the date that it said, None where it wants the file in any case. ``own`` are date
    and digest of pacman's own copy, ``given`` the SHA-256 of what was given with which date.
    """
    if have is None:
        return False
    second = int(have)
    if own is not None and int(own[0]) == second:
        return own[1] == file.sha256[:_DIGEST_LENGTH]
    if second in given:
        return given[second] == file.sha256
    return second == since


def date_to_give(since: int, have: float | None, now: float) -> int | None:
    """Return the date with which who has one of ``have`` takes a file published at ``since``.

    pacman takes nothing that is no newer than what it has, and this may be an older state. None
    where only a date to come would do: without any pacman takes it, and dates it by the moment.
    """
    date = taken_from(since, have)
    return date if date <= now else None
