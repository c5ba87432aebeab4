"""Who offers a newer generation of an own repository, whom to ask, and what was wrong. No I/O.

What a peer says of itself costs it nothing, so who disappointed is left alone for a while, longer
each time, by its address: also under another node's id, and also for another repository. ``now`` is
in seconds. With another key it may be an honest neighbour's repository of the same name: then only
what it has by that name is left alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from flocon.sources.ranking import spread

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Seconds for which who disappointed is left alone; the last one again and again.
PAUSES = (10.0, 60.0, 600.0, 3_600.0)
#: Seconds after the last disappointment with which all is forgotten.
FORGOTTEN_AFTER = 86_400.0
#: What is remembered of that: as many addresses as there are peers, with repositories of each.
MOST_REMEMBERED = 2_048
#: Addresses that are remembered for having had what is right.
MOST_PROVEN = 64
#: Nodes that are named with another key than is trusted, of each repository.
MOST_FOREIGN = 8


@dataclass(frozen=True, slots=True)
class Offer:
    """A peer that says that it has a generation which was ``signed`` then, in Unix seconds."""

    name: str
    node: str
    address: str
    port: int
    signed: int


class Wrong(Enum):
    """What was wrong with an offer.

    AWAY and UNUSABLE are nobody's fault. BEHIND may be that of who sends datagrams in its name.
    With another key (FOREIGN) it is another repository of that name, or its key was replaced: a
    person is told. The others no honest node does: offences.
    """

    AWAY = "it could not be had"
    BEHIND = "it has none that is as new as was announced in its name"
    UNUSABLE = "its key is revoked or has expired, or this machine's clock is wrong"
    FOREIGN = "it is signed by another key"
    UNTOLD = "what it told of it is nothing"
    OTHER = "it is another file than was told"
    FORGED = "it has a wrong signature"
    OLDER = "it is older than it was said to be"
    MIXED = "its list of files is of other packages"

    @property
    def is_offence(self) -> bool:
        return self not in {Wrong.AWAY, Wrong.BEHIND, Wrong.UNUSABLE, Wrong.FOREIGN}


@dataclass(slots=True)
class _Disappointment:
    times: int
    until: float
    last: float


@dataclass(frozen=True, slots=True)
class Foreign:
    """A node that has a repository with another key: its fingerprint, "" where that is not told."""

    address: str
    fingerprint: str
    signed: int


class Offers:
    """Chooses among offers; ``refused`` counts those that were wrong, by what was."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        #: By address, and by address and name for what bore another key.
        self._disappointing: dict[tuple[str, str], _Disappointment] = {}
        self._foreign: dict[str, dict[str, Foreign]] = {}
        #: Those from whom something right came, the last ones, by address and name.
        self._proven: dict[tuple[str, str], None] = {}

    def choose(self, offers: Iterable[Offer], have: int, now: float) -> Offer | None:
        """Return whom to ask next for something newer than ``have``; None where nobody is.

        The newest first; of several that have it each asks another one first. Whoever disappointed
        lately comes behind those that did not, whatever it says that it has; and those of whom
        something right came before come before all others: many that each take their time would
        else keep one from an honest one for as long.
        """
        open_to = [one for one in offers if one.signed > have and not self._is_left_alone(one, now)]
        return max(
            open_to,
            key=lambda one: (
                not any(known.times for known in self._found(one)),
                (one.address, one.name) in self._proven,
                one.signed,
                spread(one.node, f"{one.name} {one.signed}"),
            ),
            default=None,
        )

    def next_try(self, offers: Iterable[Offer], have: int, now: float) -> float | None:
        """Return when somebody may be asked again who is left alone now; None where nobody is."""
        times = [
            max(known.until for known in self._found(one))
            for one in offers
            if one.signed > have and self._is_left_alone(one, now) and not self._is_foreign(one)
        ]
        return min(times, default=None)

    def _is_left_alone(self, offer: Offer, now: float) -> bool:
        return any(now < known.until for known in self._found(offer)) or self._is_foreign(offer)

    def _found(self, offer: Offer) -> list[_Disappointment]:
        """Return what is remembered against an offer."""
        places = (offer.address, ""), (offer.address, offer.name)
        return [self._disappointing[one] for one in places if one in self._disappointing]

    def _is_foreign(self, offer: Offer) -> bool:
        """Whether this very generation, or an earlier one there, is known to bear another key."""
        foreign = self._foreign.get(offer.name, {}).get(offer.address)
        return foreign is not None and foreign.signed >= offer.signed

    def disappointed(self, offer: Offer, wrong: Wrong, now: float, fingerprint: str = "") -> None:
        """Take note that nothing came of an offer."""
        self.refused[wrong.name.lower()] += 1
        if wrong is not Wrong.BEHIND:
            self._proven.pop((offer.address, offer.name), None)
        place = offer.address, ""
        if wrong is Wrong.FOREIGN:
            # It may say every second that it has a newer one: that is no reason to look again.
            self._note_foreign(offer, fingerprint)
            place = offer.address, offer.name
        known = self._disappointing.pop(place, None)
        if known is None or now - known.last > FORGOTTEN_AFTER:
            known = _Disappointment(0, now, now)
        if wrong is Wrong.BEHIND:
            # Else who speaks in its name has it left alone when it does have a newer one.
            known.until = max(known.until, now + PAUSES[0])
        else:
            known.until = now + PAUSES[min(known.times, len(PAUSES) - 1)]
            known.times += 1
        known.last = now
        self._disappointing[place] = known
        while len(self._disappointing) > MOST_REMEMBERED:
            del self._disappointing[next(iter(self._disappointing))]

    def _note_foreign(self, offer: Offer, fingerprint: str) -> None:
        known = self._foreign.setdefault(offer.name, {})
        known.pop(offer.address, None)
        known[offer.address] = Foreign(offer.address, fingerprint, offer.signed)
        while len(known) > MOST_FOREIGN:
            del known[next(iter(known))]

    def foreign(self, name: str) -> list[Foreign]:
        """Return the nodes that have a repository of this name with another key."""
        return list(self._foreign.get(name, {}).values())

    def trust_anew(self, name: str) -> None:
        """Learn that other keys are trusted for a repository: what was foreign may not be."""
        self._foreign.pop(name, None)
        for place in [one for one in self._disappointing if one[1] == name]:
            del self._disappointing[place]

    def came(self, offer: Offer) -> None:
        """Take note that what was offered was right."""
        self._proven.pop((offer.address, offer.name), None)
        self._proven[offer.address, offer.name] = None
        while len(self._proven) > MOST_PROVEN:
            del self._proven[next(iter(self._proven))]
        self._disappointing.pop((offer.address, ""), None)
        self._disappointing.pop((offer.address, offer.name), None)
        self._foreign.get(offer.name, {}).pop(offer.address, None)
