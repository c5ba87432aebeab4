"""What peers say, and a table that hears it."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from flocon.datagrams.messages import Announcement, Kind
from flocon.presence.peer import Peer
from flocon.presence.peers import Peers
from tests.datagrams.test_messages import REST

CABLE, RADIO, GLOBAL, LOCAL = "10.0.0.7", "10.0.1.7", "fd00::7", "fe80::7%eth0"
OTHER_LOCAL = "fe80::8%eth0"


def said(
    sequence: int = 1,
    *,
    node: int = 7,
    epoch: int = 1,
    beat: float = 30.0,
    kind: Kind = Kind.BEAT,
    port: int = REST.port,
) -> Announcement:
    return replace(
        REST,
        kind=kind,
        node=f"{node:016x}",
        epoch=f"{epoch:08x}",
        sequence=sequence,
        beat=beat,
        generation=sequence * 10,
        port=port,
    )


NODE, EPOCH = said().node, said().epoch


class PeersTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.peers = Peers()

    def hear(self, now: float, address: str, announcement: Announcement) -> str:
        return self.peers.hear(now, address, announcement).value

    def peer(self) -> Peer:
        peer = self.peers.get(NODE)
        assert peer is not None
        return peer
