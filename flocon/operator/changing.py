"""What a person changes of a running node: whom it asks, its group, what it fetches ahead."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from flocon.books.units import counted
from flocon.errors import NotHeld, UnknownPeer
from flocon.log import logger
from flocon.operator import whom

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flocon.ahead.ahead import Ahead
    from flocon.neighbours.offenders import Offenders
    from flocon.neighbours.standing import Standing
    from flocon.presence.multicast import Multicast
    from flocon.presence.peer import Peer
    from flocon.presence.presence import Presence


class Operator:
    """What signals and the control socket ask for."""

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        *,
        presence: Presence,
        multicast: Multicast,
        offenders: Offenders,
        standing: Standing,
        ahead: Ahead,
    ) -> None:
        self._reactor = reactor
        self._presence = presence
        self._multicast = multicast
        self._offenders = offenders
        self._standing = standing
        self._ahead = ahead

    def ban(self, peer: str) -> str:
        """Never ask ``peer`` (node id, address or name) again; return whom that hit.

        Raises UnknownPeer or AmbiguousPeer where the word means no one peer. A ban is of ids and
        addresses: a peer that changes its name stays banned.
        """
        known = whom.meant(self._presence.peers(), peer)
        for one in known:
            self._offenders.ban(one)
        self._offenders.remember()
        return self._said_of(known, f"{_is_or_are(known)} in quarantine for good")

    def pardon(self, peer: str) -> str:
        """Ask ``peer`` (node id, address or name) again; return whom that hit.

        One that is not heard now has no name; its id or address will do. Raises UnknownPeer or
        AmbiguousPeer where the word means no one peer, NotHeld where it was not in quarantine.
        """
        try:
            known = whom.meant(self._presence.peers(), peer)
        except UnknownPeer:
            known = []
            if not whom.is_certain(peer):
                raise
        words = [peer] if whom.is_certain(peer) else []
        words += [word for one in known for word in (one.node, one.address)]
        pardon = self._offenders.quarantine.pardon
        pardoned = [pardon(word) for word in dict.fromkeys(words)]
        if not any(pardoned):
            raise NotHeld(peer)
        self._offenders.remember()
        for one in known:
            self._standing.pardon(one.address)
        return self._said_of(known, "may be asked again", peer)

    def _said_of(self, peers: Sequence[Peer], what: str, otherwise: str = "") -> str:
        count = f"{len(peers)} peers: " if len(peers) > 1 else ""
        sentence = f"{count}{whom.described(peers) or otherwise} {what}"
        self._log.info("by hand: {sentence}", sentence=sentence)
        return sentence

    def prefetch(self) -> Deferred[int]:
        """Fetch now what pacman would upgrade; fires with how many packages that are."""
        return Deferred.fromCoroutine(self._ahead.fetch_all())

    def rejoin(self) -> None:
        """Leave and join the group on every interface, and say hello."""
        self._log.info("joining the group anew")
        self._multicast.rejoin()

    def log_peers(self) -> None:
        """Write the list of peers to the log."""
        now = self._reactor.seconds()
        peers = sorted(self._presence.peers(), key=lambda peer: (peer.name, peer.node))
        self._log.info("{count}", count=counted(len(peers), "peer"))
        for peer in peers:
            self._log.info(
                "{name} at {address} port {port}{where}, {architectures}, {files},"
                " heard {silence:.0f} s ago",
                name=peer.name,
                address=peer.address,
                port=peer.port,
                where=" in another network" if peer.far else "",
                architectures="/".join(peer.architectures) or "no architecture",
                files=counted(peer.files, "package"),
                silence=self._presence.silence(now, peer),
            )
        for record in self._offenders.quarantine.all(time.time()):
            self._log.info(
                "{address} ({node}) is in quarantine {term}",
                address=record.address,
                node=record.node,
                term=record.described(time.time()),
            )


def _is_or_are(peers: Sequence[Peer]) -> str:
    return "is" if len(peers) == 1 else "are"
