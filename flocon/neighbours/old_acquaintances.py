"""Who was there before this node was restarted, so that they are asked at once what they hold.

What is remembered are their last words. They are believed as a datagram from that address would be:
once what listens there says that it is this node, in that epoch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flocon.datagrams.messages import Kind, decode, encode
from flocon.errors import DatagramError
from flocon.machine.clock import steady
from flocon.machine.remember import Notebook, recall
from flocon.machine.threads import Delay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flocon.datagrams.messages import Announcement
    from flocon.neighbours.replicas import Holders
    from flocon.presence.presence import Presence

#: Those that hold the most are remembered; so many are asked at the same time.
MOST_REMEMBERED = 16
#: Seconds for which others are still read before all of them are written down.
WRITE_AFTER = 5.0


def dump(now: float, said: dict[str, Announcement]) -> dict[str, Any]:
    """Return what is remembered of those at these addresses; ``now`` is since the boot."""
    words = {
        address: encode(replace(one, kind=Kind.BEAT, changes=())).decode()
        for address, one in said.items()
    }
    return {"since_boot": now, "said": words}


def load(now: float, remembered: Any) -> Iterator[tuple[str, Announcement]]:
    """Yield the address and the last words of each; nobody where the machine was started since.

    Then the others may have been too: after a power failure all of them were.
    """
    match remembered:
        case {"since_boot": float(before), "said": dict(said)} if before <= now:
            for address, words in list(said.items())[:MOST_REMEMBERED]:
                try:
                    yield address, decode(str(words).encode())
                except DatagramError:
                    continue


class OldAcquaintances:
    """Those in ``file``; without one nobody is remembered."""

    def __init__(
        self,
        reactor: Any,
        presence: Presence,
        holders: Holders,
        file: Path | None,
        clock: Callable[[], float] = steady,
    ) -> None:
        self._reactor = reactor
        self._presence = presence
        self._holders = holders
        self._file = file
        self._clock = clock
        self._notes = Notebook(reactor, file) if file is not None else None
        self._delay = Delay(reactor, self._write)
        self._written: set[tuple[str, str, str]] = set()

    def recall(self) -> list[tuple[str, int]]:
        """Have presence look for all that are remembered; return where they are asked."""
        if self._file is None:
            return []
        now = self._reactor.seconds()
        return [
            (address, said.port)
            for address, said in load(self._clock(), recall(self._file))
            if self._presence.recall(now, address, said)
        ]

    def note(self) -> None:
        """Write down in a while who is there; something was read."""
        if self._notes is not None:
            self._delay.begin(WRITE_AFTER)

    def _write(self) -> None:
        known = [(self._files(one.node), one) for one in self._presence.peers() if one.proved]
        best = sorted(known, key=lambda one: -one[0])[:MOST_REMEMBERED]
        there = {(one.node, one.epoch, one.address) for files, one in best if files}
        if there == self._written or self._notes is None:
            return
        self._written = there
        words = {one.address: one.said for files, one in best if files and one.said is not None}
        self._notes.write(dump(self._clock(), words))

    def _files(self, node: str) -> int:
        replica = self._holders.replica(node)
        return 0 if replica is None else replica.files

    def stop(self) -> None:
        self._delay.stop()
