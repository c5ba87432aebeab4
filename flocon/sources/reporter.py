"""What is noted of each source that was asked: its speed, its bytes, its failures, its lies.

Who is asked next follows from it, but is not decided here: see ``neighbours.standing``,
``neighbours.doubts`` and ``strangers``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.asking.source import Origin
from flocon.errors import Broken, Refused, Unreachable
from flocon.log import logger
from flocon.neighbours.doubts import Doubts
from flocon.sources.strangers import MOST_OF_PROVED, PROVING_RATE, Strangers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flocon.asking.source import Source
    from flocon.books.ledger import Ledger
    from flocon.books.traffic import Traffic
    from flocon.errors import SourceError
    from flocon.neighbours.standing import Standing
    from flocon.parents.records import Records

#: Owners that may disappoint at once before those that have given nothing are left out.
MOST_OWNERS_BORNE = 9


class Reporter:
    """Takes note of how sources did."""

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        standing: Standing,
        traffic: Traffic,
        ledger: Ledger,
        offence: Callable[[Source, str], None],
    ) -> None:
        self._reactor = reactor
        self._ledger = ledger
        self._standing = standing
        self._traffic = traffic
        self._offence = offence
        self._doubts = Doubts()
        self._strangers = Strangers()
        self._proved = Strangers(MOST_OF_PROVED)
        #: Owners, which may be slow as the WAN is: without them it is crossed more than once.
        self._owners = Strangers(MOST_OWNERS_BORNE)
        #: Told of each peer, and its address, that could not be connected to.
        self.unreachable: Callable[[str, str], None] = lambda *_: None
        #: How caching proxies did, where there are any.
        self.parents: Records | None = None
        #: Told of each of other tools' machines, its bytes, and its failure if it is to blame.
        self.foreign: Callable[[Source, int, SourceError | None], None] = lambda *_: None

    def began(self, source: Source) -> None:
        self._standing.began(source.key, self._reactor.seconds())
        self._ledger.began(source.came)

    def ended(self, source: Source, size: int, seconds: float, failure: SourceError | None) -> None:
        self.left(source, size, seconds)
        if source.parent and self.parents is not None and failure is not None:
            if isinstance(failure, Refused):
                self.parents.lacked(source.key, seconds, self._reactor.seconds())
            else:
                self.parents.failed(source.key, failure.detail)
        if failure is None:
            self._standing.succeeded(source.key, size, seconds)
            if source.origin is Origin.PEER and not source.relayed:
                # An owner is as fast as a WAN that all share.
                self._strangers.gave(size, seconds, self._reactor.seconds())
        elif isinstance(failure, Refused):
            self.refused(source, failure)
        elif _is_at_fault(source, size, failure):
            self._failed(source)
        if source.tool:
            blamed = failure is not None and not isinstance(failure, Refused)
            self.foreign(source, size, failure if blamed else None)
        elif isinstance(failure, Unreachable) and source.origin is Origin.PEER:
            self.unreachable(source.node, source.label)

    def refused(self, source: Source, failure: Refused) -> None:
        """Leave a mirror alone that asked for it; a peer that is busy is asked less anyhow."""
        if failure.retry_after is not None and source.origin is Origin.MIRROR:
            self._standing.rest(source.key, failure.retry_after, self._reactor.seconds())

    def left(self, source: Source, size: int, seconds: float) -> None:
        """Take note of what came of a source that nothing more was wanted of."""
        self._standing.ended(source.key)
        self._ledger.ended(source.came, size, seconds)
        self.took(source, size)

    def took(self, source: Source, size: int) -> None:
        self._traffic.take(source.came, size)
        if source.parent and self.parents is not None:
            self.parents.gave(source.key, size)

    def sent_elsewhere(self, parent: Source, answering: Source) -> None:
        """Count what is on its way from a parent as coming from where that sent to."""
        self._ledger.ended(parent.came, 0, 0.0)
        self._ledger.began(answering.came)
        if self.parents is not None:
            self.parents.of(parent.key).sent_elsewhere += 1

    def led_back(self, parent: Source) -> None:
        """Leave a parent alone that leads to a node."""
        if self.parents is not None:
            self.parents.led_back(parent.key, self._reactor.seconds())

    def slow(self, source: Source) -> None:
        """Have a source that another had to help asked after others for a while."""
        self._failed(source)

    def _failed(self, source: Source) -> None:
        now = self._reactor.seconds()
        # What was asked of it together, as pacman asks for five files, fails together.
        paid = self._standing.demoted(source.key, now)
        self._standing.failed(source.key, now)
        if paid:
            return
        if source.relayed:
            self._owners.disappointed(now)
        elif source.origin is Origin.PEER:
            self._strangers.disappointed(now)
            if self._has_proved(source.key):
                self._proved.disappointed(now)

    def _has_proved(self, key: str) -> bool:
        """Whether a peer has given something at a fair rate."""
        return self._standing.throughput(key) >= PROVING_RATE

    def owners_come_first(self, now: float) -> bool:
        """Whether owners that have proved nothing are asked at all."""
        return self._owners.come_first(now)

    def comes_first(self, key: str, now: float) -> bool:
        """Whether a peer is asked before the mirrors, as far as it is for all together."""
        return (self._proved if self._has_proved(key) else self._strangers).come_first(now)

    def contradicted(self, file_name: str, contributors: Sequence[Source]) -> None:
        self._log.warn(
            "wrong bytes for {file} from {sources}; they are fetched elsewhere",
            file=file_name,
            sources=", ".join(map(str, contributors)),
        )
        now, parents = self._reactor.seconds(), self.parents
        alone = len(contributors) == 1
        is_known_to_lie = False
        for source in contributors:
            self._failed(source)
            if source.parent and parents is not None:
                parents.was_wrong(source.key, file_name, now, alone=alone)
                is_known_to_lie |= parents.has_lied(source.key, now)
        peers = [source for source in contributors if source.origin is Origin.PEER]
        for peer in peers:
            # Of several it cannot be told which one it was; and an owner passes on what a mirror
            # sent. But not time and again, and not beside a parent that did it before.
            beyond_doubt = alone and not peer.relayed
            if beyond_doubt or (not is_known_to_lie and self._doubts.note(peer.key, now)):
                self._offence(peer, f"wrong bytes for {file_name}")


def _is_at_fault(source: Source, size: int, failure: SourceError) -> bool:
    """Whether a failure tells of a source that is slow or gone, and not of one file only.

    Who lacks a file, or is busy, is a good source all the same; so is an owner that ends before
    the first byte, since no mirror of its own had the file. Were owners pushed back for that,
    nodes would no longer agree on who owns what, and would fetch files twice.
    """
    if isinstance(failure, Refused):
        return False
    return not (source.relayed and size == 0 and isinstance(failure, Broken))
