"""The lines of the log that tell who comes and goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.datagrams.buckets import Bucket
from flocon.log import logger

if TYPE_CHECKING:
    from flocon.presence.peer import Peer

#: Lines for who comes and goes: per second in the long run, and at once (a LAN that starts). One
#: machine can make up a thousand peers; of a large LAN that starts the rest is told in one line.
LINE_RATE, LINE_BURST = 0.2, 60


class ComingAndGoing:
    """Writes a line for each, unless somebody makes up peers by the hundred."""

    _log = logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._lines = Bucket(LINE_RATE, LINE_BURST)
        self._unsaid = 0

    def came(self, peer: Peer) -> None:
        self._tell("{name} at {address} is here", name=peer.name, address=peer.address)

    def left(self, peer: Peer, reason: str) -> None:
        self._tell(
            "{name} at {address} has gone ({reason})",
            name=peer.name,
            address=peer.address,
            reason=reason,
        )

    def _tell(self, line: str, **fields: str) -> None:
        # What was not said is a line of its own.
        if not self._lines.take(self._reactor.seconds(), 2 if self._unsaid else 1):
            self._unsaid += 1
            return
        if self._unsaid:
            self._log.info("{count} more peers came or left", count=self._unsaid)
            self._unsaid = 0
        self._log.info(line, **fields)
