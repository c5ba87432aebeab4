"""Which peers the operator means by a word, where names are chosen by strangers.

An id and an address are believed, since a datagram came from there; a name is anybody's. So a word
that is an id or an address means nobody by name, and a name that is heard from several addresses
means nobody until the operator chooses.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING

from flocon.errors import AmbiguousPeer, UnknownPeer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flocon.presence.peer import Peer

#: Peers of one name that a sentence tells apart; a stranger may call a thousand so.
MOST_TOLD = 8
_NODE = re.compile(r"[0-9a-f]{16}")


def meant(peers: Iterable[Peer], word: str) -> list[Peer]:
    """Return the peers of this id, at this address, or of this name at one address.

    Raises UnknownPeer where there is none, and AmbiguousPeer where a name is that of several.
    """
    known = list(peers)
    for found in (
        [peer for peer in known if peer.node == word],
        [peer for peer in known if peer.address == word],
    ):
        if found:
            return found
    named = [] if is_certain(word) else [peer for peer in known if peer.name == word]
    if not named:
        raise UnknownPeer(word)
    if len({peer.address for peer in named}) > 1:
        raise AmbiguousPeer(word, [f"{peer.address} ({peer.node})" for peer in _in_order(named)])
    return named


def is_certain(word: str) -> bool:
    """Whether a word has the shape of an id or an address, and so never stands for a name."""
    if _NODE.fullmatch(word):
        return True
    try:
        ip_address(word)
    except ValueError:
        return False
    return True


def described(peers: Sequence[Peer]) -> str:
    """Return who they are in words, few of many."""
    told = [f"{peer.name} at {peer.address} ({peer.node})" for peer in _in_order(peers)[:MOST_TOLD]]
    left = len(peers) - len(told)
    return ", ".join(told) + (f" and {left} more" if left else "")


def _in_order(peers: Iterable[Peer]) -> list[Peer]:
    return sorted(peers, key=lambda peer: (peer.address, peer.node))
