"""Finding out whether a peer has moved: its datagrams stay away from where it was connected to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall

    from flocon.presence.presence import Presence

#: Seconds in which a datagram comes on all ways, if it comes.
ALL_WAYS = 0.3
#: Seconds in which one that is still there answers, where it also answers elsewhere.
SILENCE = 1.0
#: Peers of whom that is being waited for.
MOST_DOUBTED = 256


class MovedPeers:
    """Has doubted peers asked where they were and where they are heard, and gives an address up.

    ``look_at`` has a place asked, ``is_silent`` tells whether one that is asked has not answered
    yet, and ``gone`` is called with a place that is given up.
    """

    def __init__(
        self,
        reactor: Any,
        presence: Presence,
        *,
        look_at: Callable[[str, int], None],
        is_silent: Callable[[str, int], bool],
        gone: Callable[[str, int], None],
    ) -> None:
        self._reactor = reactor
        self._presence = presence
        self._look_at = look_at
        self._is_silent = is_silent
        self._gone = gone
        self._doubting: dict[str, IDelayedCall] = {}

    def doubt(self, node: str) -> None:
        """Have a peer asked whether it is still there, where its datagrams stay away."""
        if node not in self._doubting and len(self._doubting) < MOST_DOUBTED:
            self._doubting[node] = self._reactor.callLater(ALL_WAYS, self._is_missed, node)

    def _is_missed(self, node: str) -> None:
        del self._doubting[node]
        peer = self._presence.peer(node)
        if peer is None or not self._presence.is_missed(node):
            return
        # Both at once: who has moved is silent at the old address, and refuses nothing.
        for address in (peer.address, *self._presence.elsewhere(node)):
            self._look_at(address, peer.port)
        call = self._reactor.callLater(SILENCE, self._give_up, node, peer.address, peer.port)
        self._doubting[node] = call

    def _give_up(self, node: str, address: str, port: int) -> None:
        """Give an address up where a peer does not answer any more, if it does elsewhere."""
        del self._doubting[node]
        peer = self._presence.peer(node)
        there = peer is not None and peer.address == address
        if self._is_silent(address, port) and there and self._presence.has_moved(node):
            self._gone(address, port)

    def stop(self) -> None:
        for call in self._doubting.values():
            call.cancel()
        self._doubting.clear()
