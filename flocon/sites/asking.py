"""Asks a place in which epoch the node is that listens there: the first line of its inventory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flocon.asking.agents import literal_host
from flocon.asking.attempts import Limits
from flocon.asking.fetch import Wanted, fetch
from flocon.asking.in_time import in_time
from flocon.errors import Broken, SourceError, Stalled

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.web.iweb import IAgent

    from flocon.asking.answer import Head

#: Who answers at all does so in a turn of its reactor.
LIMITS = Limits(first_byte=2.0, stall=2.0)
PATIENCE = 4.0
#: Longer than the first line of any inventory.
LONGEST_LINE = 80
_LINE = re.compile(rb"flocon-inventory 1 ([0-9a-f]{8}) [0-9]{1,16} [a-z]{1,16}\n")


class _FirstLine:
    """A sink for the first line; what comes after it is not read."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._begin = b""
        self.epoch: str | None = None

    def begin(self, head: Head) -> None:
        """Take any length: little of it is read."""

    def write(self, position: int, data: bytes) -> None:
        if self.epoch is not None:
            return
        self._begin += data[: LONGEST_LINE - len(self._begin)]
        match = _LINE.match(self._begin)
        if match is not None:
            self.epoch = match[1].decode("ascii")
        elif b"\n" in self._begin or len(self._begin) >= LONGEST_LINE:
            raise Broken(self._source, "sent no inventory")
        if position + len(data) > LONGEST_LINE and self.epoch is not None:
            # More than was asked for: it is another epoch's, and the epoch is what matters.
            raise Broken(self._source, "sent more than its epoch")


async def ask_epoch(
    agent: IAgent, clock: IReactorTime, place: tuple[str, int], since: int
) -> str | None:
    """Return the epoch of the node at an address and port; None where none answers.

    ``since`` is its generation as was told, so that the answer is short.
    """
    address, port = place
    sink = _FirstLine(address)
    url = f"http://{literal_host(address)}:{port}/inventory?since={since}"
    asking = fetch(agent, clock, Wanted(url, address), sink, LIMITS)
    late = Stalled(address, f"no answer within {PATIENCE:g} s")
    try:
        await in_time(clock, PATIENCE, asking, late)
    except SourceError:
        return sink.epoch
    return sink.epoch
