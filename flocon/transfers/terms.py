"""On whose behalf a transfer runs, and what follows from that: its pace, and when nobody wants it.

No I/O; seconds.
"""

from __future__ import annotations

#: Seconds a transfer goes on when nobody follows it any more: pacman may come back.
GRACE = 15.0
#: The same for one that was begun for a peer, so that asking and leaving cannot keep the WAN busy.
GRACE_FOR_PEERS = 0.0


class Terms:
    """What a transfer may do, and for whom; ``ahead`` if it was begun before anybody asked."""

    def __init__(self, *, ahead: bool) -> None:
        self.ahead = ahead
        #: The address of the peer for which it was begun: such transfers are counted.
        self.begun_by = ""
        #: Whether this machine wants it ahead, for whomever it was begun.
        self.wanted_here = False
        #: Whether nobody else can follow it: it ends with its reader, unless all of it is there.
        self.alone = False
        #: Whether it comes no faster than somebody takes it.
        self.paced = False
        #: Whether only who has it on the LAN is asked, or has it on its way.
        self.near = False
        #: Whether what the store has used lately stays, even if it cannot be kept then.
        self.spares = False

    @property
    def asked_here(self) -> bool:
        """Whether it was begun because this machine's pacman asked."""
        return not self.begun_by and not self.ahead

    def grace(self, *, verifies: bool, whole: bool) -> float | None:
        """Return for how long it goes on without its last reader; None for as long as it takes.

        That one verified for itself, as a peer does, or not; ``whole`` if all of it is there.
        """
        # What was begun for nobody goes on for nobody, whichever peers come and go.
        if verifies and (self.wanted_here or (self.ahead and not self.begun_by)):
            return None
        if self.alone:
            return GRACE if whole else 0.0
        # Who takes unverified bytes has them before they were looked through here.
        return GRACE_FOR_PEERS if self.begun_by and verifies and not whole else GRACE
