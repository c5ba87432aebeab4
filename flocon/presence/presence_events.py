"""What presence tells: who came, restarted, left or said something, and who is to be looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from flocon.datagrams.messages import Announcement
    from flocon.presence.peer import Peer


@dataclass(frozen=True, slots=True)
class PeerCame:
    """A peer not known before; its inventory is to be read."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class PeerRestarted:
    """A known peer has a new epoch; its inventory is to be read anew."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class PeerLeft:
    """A peer said bye, was silent for three of its beats, or made room for another.

    ``peer`` is what it was.
    """

    peer: Peer
    reason: Literal["bye", "expired", "replaced"]


@dataclass(frozen=True, slots=True)
class Heard:
    """A peer said something new; follows PeerCame and PeerRestarted too."""

    peer: Peer
    announcement: Announcement


@dataclass(frozen=True, slots=True)
class Proved:
    """A peer has answered that had not before, or is only where it had not been asked first."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class Told:
    """What a neighbour at ``address`` tells of a node of another network, not read yet."""

    address: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Claimed:
    """What listens there is to be asked which node it is: ``answered`` or ``unanswered``."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Doubted:
    """A peer was heard somewhere else, and may have moved."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class Namesake:
    """Another machine speaks as this very node: two of one image, or a stranger."""

    address: str
    announcement: Announcement


Event = PeerCame | PeerRestarted | PeerLeft | Heard | Proved | Told | Claimed | Doubted | Namesake
