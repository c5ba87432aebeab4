"""Who is left to ask for a file once some were tried, and who of those is asked once more.

No I/O, and no order of its own: that was decided before. An attempt without a failure is still
running.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from flocon.asking.patience import MOST_PEERS
from flocon.asking.source import Origin
from flocon.errors import Broken, Refused, Stalled, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flocon.asking.source import Source
    from flocon.errors import SourceError

#: How often one mirror is asked for one file, once bytes of it came.
MOST_TRIES = 3
#: Seconds that must be left of pacman's patience for a mirror to be asked again.
LEAST_AGAIN = 1.0
NOT_FOUND = 404


if TYPE_CHECKING:

    class Tried(Protocol):
        """What is to be known of an attempt."""

        @property
        def source(self) -> Source: ...

        @property
        def failure(self) -> SourceError | None: ...


def untried(order: Iterable[Source], tried: Sequence[Tried]) -> Iterator[Source]:
    """Leave out who was asked, and who is being asked, and not too many peers.

    A peer was asked by its address, a mirror by where it has the file: one host can have it in two
    places. Of a host that is being asked, or cannot be connected to, no other place is asked; one
    of a host that was silent comes last.
    """
    asked = {_asked_as(attempt.source) for attempt in tried}
    active = {attempt.source.key for attempt in tried if attempt.failure is None}
    shut = {_door(one.source) for one in tried if isinstance(one.failure, Unreachable)}
    silent = {attempt.source.key for attempt in tried if isinstance(attempt.failure, Stalled)}
    peers = sum(attempt.source.origin is Origin.PEER for attempt in tried)
    last: list[Source] = []
    for source in order:
        if _asked_as(source) in asked or source.key in active or _door(source) in shut:
            continue
        if source.origin is Origin.PEER and peers >= MOST_PEERS:
            continue
        if source.origin is Origin.MIRROR and source.key in silent:
            last.append(source)
        else:
            yield source
    yield from last


def once_more(order: Iterable[Source], tried: Sequence[Tried], left: float) -> Source | None:
    """Return one that was slow, to be asked again with more patience, if there is time.

    ``left`` is in seconds.
    """
    asked = [attempt.source for attempt in tried]
    slow = {one.source for one in tried if isinstance(one.failure, (Stalled, Broken))}
    active = {attempt.source.key for attempt in tried if attempt.failure is None}
    again = [
        one
        for one in order
        if one in slow and one.key not in active and asked.count(one) < MOST_TRIES
    ]
    return min(again, key=asked.count) if again and left > LEAST_AGAIN else None


def is_lacking(tried: Iterable[Tried]) -> bool:
    """Return whether a source answered that it has no such file."""
    return any(is_missing(one.failure) for one in tried)


def is_missing(failure: SourceError | None) -> bool:
    return isinstance(failure, Refused) and failure.status == NOT_FOUND


def _door(source: Source) -> str:
    """Return what is connected to: a host may be up on one port and not on another."""
    return "/".join(source.url.split("/", 3)[:3])


def _asked_as(source: Source) -> tuple[str, bool, bool]:
    place = source.url if source.origin is Origin.MIRROR else source.key
    return place, source.relayed, source.only_if_cached
