"""Whom a transfer asks next, and how patiently, while pacman waits for it.

The order is the candidates', what follows from those that were tried is ``tried``'s and
``asking.patience``'s; here both are asked, once for each source that is wanted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flocon.asking.attempts import Attempt, Limits
from flocon.asking.patience import PACMAN, peers_come_last
from flocon.asking.source import Origin
from flocon.errors import Contradicted
from flocon.sources.tried import is_lacking, once_more, untried

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flocon.asking.source import Source
    from flocon.books.ledger import Ledger
    from flocon.neighbours.standing import Standing
    from flocon.pacman.entries import Entry
    from flocon.sources.candidates import Candidates

#: Who is slow gets company long before (``asking.patience``): these end what nobody can better.
LIMITS = Limits(first_byte=PACMAN, stall=PACMAN)
#: An owner that is asked for what it fetches already says at once whether it does.
LOOK_LIMITS = Limits(first_byte=0.6, stall=PACMAN)


@dataclass(frozen=True, slots=True)
class Whom:
    """Who may be asked, as ``Choosing.chooser`` says."""

    relays: bool
    looks: bool
    near: bool
    parents: bool


class Choosing:
    """Makes choosers; ``ledger`` learns how long a look-up took."""

    def __init__(
        self, clock: Any, candidates: Candidates, standing: Standing, ledger: Ledger
    ) -> None:
        self.clock = clock
        self.candidates = candidates
        self.standing = standing
        self.ledger = ledger

    def chooser(
        self,
        name: str,
        servers: Sequence[str],
        entry: Entry | None,
        *,
        relays: bool = True,
        looks: bool = False,
        near: bool = False,
        parents: bool = True,
    ) -> Chooser:
        """Return what says whom to ask for a file.

        Mirrors alone without ``entry``, and no owners without ``relays``; where it only ``looks``
        those that have it on its way. ``near`` who has it on the LAN or has it on its way, and
        nobody who would have to fetch it. No caching proxies without ``parents``.
        """
        who = Whom(relays=relays, looks=looks, near=near, parents=parents)
        return Chooser(self, name, servers, entry, who)


class Chooser:
    """Says whom to ask next for one file, as a transfer wants to know it."""

    def __init__(
        self,
        choosing: Choosing,
        name: str,
        servers: Sequence[str],
        entry: Entry | None,
        whom: Whom,
    ) -> None:
        self._choosing = choosing
        self._name = name
        self._servers = servers
        self._entry = entry
        self._whom = whom
        self._began = choosing.clock.seconds()

    def mirrors(self) -> list[Source]:
        """Return the mirrors that may have the file, the best one first."""
        choosing = self._choosing
        now = choosing.clock.seconds()
        mirrors = choosing.candidates.mirrors(self._name, self._servers, now)
        return [one for one in mirrors if self._whom.parents or not one.parent]

    def __call__(self, tried: Sequence[Attempt]) -> Attempt | None:
        if self._whom.near and self._entry is not None:
            near = self._choosing.candidates.near(self._name, self._entry)
            return _attempt(next(untried(near, tried), None), 0.0)
        # Once bytes came, pacman's patience is as it was when the last one did.
        since = max([self._began, *(attempt.heard for attempt in tried)])
        now = self._choosing.clock.seconds()
        failed = [one for one in tried if isinstance(one.failure, Contradicted)]
        contradictions = sum(one.source.origin is Origin.PEER for one in failed)
        order = self._choosing.candidates.all(
            self._name,
            self._servers,
            self._entry,
            relays=self._whom.relays,
            looks=self._whom.looks,
            peers_last=peers_come_last(now - since, contradictions, now - self._began),
            parents=self._whom.parents,
        )
        return self._next(order, tried, now - since)

    def _next(
        self, order: Iterator[Source], tried: Sequence[Attempt], waited: float
    ) -> Attempt | None:
        began = time.perf_counter()
        standing, now = self._choosing.standing, self._choosing.clock.seconds()
        left = untried(order, tried)
        if self._name.endswith(".sig") and is_lacking(tried):
            # A signature that one mirror lacks is not waited for at another that may be dead.
            left = (one for one in left if not standing.demoted(one.key, now))
        source = next(left, None)
        self._choosing.ledger.look_ups.add(time.perf_counter() - began)
        if source is None:
            source = once_more(self.mirrors(), tried, PACMAN - waited)
        return _attempt(source, waited)


def _attempt(source: Source | None, waited: float) -> Attempt | None:
    return None if source is None else Attempt(source, _limits(source, waited))


def _limits(source: Source, waited: float) -> Limits:
    """Return how long a source may take that nobody can better; ``waited`` is pacman's already."""
    if source.only_if_cached:
        return LOOK_LIMITS
    return replace(LIMITS, first_byte=max(1.0, LIMITS.first_byte - waited))
