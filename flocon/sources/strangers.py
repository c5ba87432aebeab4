"""How many peers that have proved nothing yet may disappoint before the others come first.

Whoever has many addresses has as many first chances, and each costs pacman a moment: a second of
silence, or a file that comes just fast enough. One address pays for what it did by its standing;
all together pay here. Once they have disappointed too often, who has given nothing at a fair rate
yet is asked after the mirrors, but for a try now and then, so that honest newcomers get theirs. Who
has may have done so in order to be asked: those have a measure of their own, as theirs is seldom
needed. No I/O; ``now`` is in seconds.
"""

from __future__ import annotations

from flocon.asking.patience import USUAL_RATE

#: Disappointments that are borne at once, and seconds until a further one is.
MOST = 4
MOST_OF_PROVED = 8
EVERY = 10.0
#: Bytes per second that a peer has given that has proved something.
PROVING_RATE = USUAL_RATE
#: Seconds that a file must have taken to be a disappointment.
LONG = 0.5


class Strangers:
    """Whether peers that have proved nothing, or those that have, come before the mirrors."""

    def __init__(self, most: int = MOST) -> None:
        self._most = self._borne = float(most)
        self._at = 0.0

    def _pass(self, now: float) -> None:
        self._borne = min(self._most, self._borne + max(0.0, now - self._at) / EVERY)
        self._at = now

    def disappointed(self, now: float) -> None:
        """Note a peer that had to be helped, failed, or sent what was wrong."""
        self._pass(now)
        self._borne = max(0.0, self._borne - 1.0)

    def gave(self, size: int, seconds: float, now: float) -> None:
        """Note what a peer gave: so slowly that it was no help is a disappointment too."""
        if seconds > LONG and size < PROVING_RATE * seconds:
            self.disappointed(now)

    def come_first(self, now: float) -> bool:
        """Whether one of them may be asked before the mirrors."""
        self._pass(now)
        return self._borne >= 1.0
