"""Whom mDNS tells of: nodes that the group may not reach. Anybody can announce anything. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flocon.datagrams.messages import Announcement, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flocon.mdns.services import Found
    from flocon.sites.correspondents import Place

_NODE, _EPOCH = re.compile(r"[0-9a-f]{16}"), re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class Hint:
    """A node that somebody announces by mDNS, at an address and the TCP port of its face."""

    place: Place
    node: str
    epoch: str

    def said(self) -> Announcement:
        """Return what would be said of it, numbered as nothing is that a node says."""
        return Announcement(
            Kind.BEAT, self.node, self.epoch, 0, self.node, self.place[1], "-", (), 30.0, 0, 0
        )


def hints(found: Iterable[Found]) -> list[Hint]:
    """Return whom mDNS tells of, each at its addresses that have no zone.

    There are four at most, and which of them leads there from another network nobody knows before.
    """
    told = []
    for one in found:
        node, epoch = (next(iter(one.values(key)), "") for key in ("node", "epoch"))
        if _NODE.fullmatch(node) and _EPOCH.fullmatch(epoch):
            told += [
                Hint((address, one.port), node, epoch)
                for address in one.addresses
                if "%" not in address
            ]
    return told
