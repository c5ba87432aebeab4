"""How many bytes of a growing file may go to pacman now: one pure rule.

pacman cannot take back a byte, and it ends a transfer that brings no byte for 10 s. So a file whose
hash is known beforehand is held back until the hash was found right. When that takes long:

- bytes from a mirror go on as they come (pacman would have trusted them as much), all but a tail;
- bytes from a peer trickle: a few a second keep pacman patient, and a wrong file that is found out
  can then nearly always be replaced within the same answer, since what pacman has is a small
  prefix, and the loopback makes up for the wait in no time.

A file whose hash nobody told us, as a database, comes from a mirror alone. It is held back as
briefly as any from a mirror, so that one that breaks off is begun anew from another; then it goes
as it comes.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Seconds a mirror's file is held back, so that a small wrong or broken one is replaced unseen.
MIRROR_HOLD = 2.0
#: Seconds a peer's file is held back; pacman gives up after 10, and may have waited for a database.
PEER_HOLD = 6.0
#: Then one step of bytes each so many seconds. curl, which pacman uses, looks at whole bytes a
#: second averaged over some seconds: 16 bytes in 2 s are well above its limit of 1.
TRICKLE_PERIOD = 2.0
TRICKLE_STEP = 16
#: What stays back of a mirror's file until its hash is right.
TAIL = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """How a file stands, for one reader.

    ``size`` is None until known; ``verifiable`` tells that its hash is known beforehand and
    ``verified`` that it was found right. ``arrived`` and ``from_mirrors`` are how far the bytes
    from the reader's position on are there without a gap, from anywhere and from mirrors alone.
    ``waited`` is seconds since the reader asked, ``start`` where it began to read;
    ``mirror_waited`` is seconds since the mirror that sends now sent its first byte.
    """

    size: int | None
    verifiable: bool
    verified: bool
    arrived: int
    from_mirrors: int
    waited: float
    start: int = 0
    mirror_waited: float = float("inf")


def release(progress: Progress, position: int) -> int:
    """Return up to which byte a reader that stands at ``position`` may be served now."""
    if progress.verified:
        return progress.arrived
    # Another mirror, after one that failed, has its own time to be found out.
    held = min(progress.waited, progress.mirror_waited) < MIRROR_HOLD
    if not progress.verifiable:
        return position if held else progress.arrived
    limit = position if held else progress.from_mirrors
    if progress.waited >= PEER_HOLD:
        steps = 1 + int((progress.waited - PEER_HOLD) / TRICKLE_PERIOD)
        limit = max(limit, min(progress.arrived, progress.start + steps * TRICKLE_STEP))
    if progress.size is not None:
        limit = min(limit, progress.size - TAIL)
    return max(limit, position)


def next_release(waited: float) -> float:
    """Return when, in seconds since the reader asked, time alone lets more go."""
    if waited < MIRROR_HOLD:
        return MIRROR_HOLD
    if waited < PEER_HOLD:
        return PEER_HOLD
    return PEER_HOLD + TRICKLE_PERIOD * (1 + int((waited - PEER_HOLD) / TRICKLE_PERIOD))
