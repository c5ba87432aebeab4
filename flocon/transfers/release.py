"""How many bytes of a growing file may go to pacman now: one pure rule.

pacman cannot take back a byte, and it ends a transfer that brings no byte for 10 s. So a file whose
hash is known beforehand is held back until the hash was found right. When that takes long:

- bytes from a mirror go on as they come (pacman would have trusted them as much), but a reserve;
- bytes from a peer do not go. When pacman has waited for a while, a few KiB are asked of a mirror
  (``KEEP_PATIENT_AFTER``), and those trickle, so that nothing but a mirror's bytes is ever taken
  onto pacman's disk before the whole was verified;
- where no mirror answers at all, a peer's bytes trickle as the last resort: the alternative is that
  pacman fails. They are few, so a wrong file that is found out can still nearly always be
  replaced within the same answer.

A file whose hash nobody told us, as a database, comes from a mirror alone. It is held back as
briefly as any from a mirror, so that one that breaks off is begun anew from another; then it goes
as it comes.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Seconds a mirror's file is held back, so that a small wrong or broken one is replaced unseen.
MIRROR_HOLD = 2.0
#: Seconds after which nothing is held back of what a mirror sent: pacman's patience goes first.
LONGEST_HOLD = 5.0
#: Seconds without a byte after which a mirror is asked for a few, to keep pacman patient.
KEEP_PATIENT_AFTER = 3.0
#: Seconds without a byte after which they trickle; and a peer's, where no mirror answered.
TRICKLE_AFTER = 4.0
LAST_RESORT = 7.5
#: Then one step of bytes each so many seconds. curl, which pacman uses, looks at whole bytes a
#: second averaged over some seconds: 16 bytes in 2 s are well above its limit of 1.
TRICKLE_PERIOD = 2.0
TRICKLE_STEP = 16
#: Bytes of a mirror's that stay back to trickle, should nothing else come: enough for minutes.
RESERVE = 4 << 10
#: What stays back of a file until its hash is right.
TAIL = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """How a file stands, for one reader.

    ``size`` is None until known; ``verifiable`` tells that its hash is known beforehand and
    ``verified`` that it was found right. ``arrived`` and ``from_mirrors`` are how far the bytes
    from the reader's position on are there without a gap, from anywhere and from mirrors alone.
    ``waited`` is seconds since the reader asked, ``idle`` since it was given a byte or asked;
    ``mirror_waited`` is seconds since the mirror that sends now sent its first byte, and
    ``last_resort`` tells that this reader was given a peer's bytes, as nobody else had any.
    """

    size: int | None
    verifiable: bool
    verified: bool
    arrived: int
    from_mirrors: int
    waited: float
    idle: float
    mirror_waited: float = float("inf")
    last_resort: bool = False


def release(progress: Progress, position: int) -> int:
    """Return up to which byte a reader that stands at ``position`` may be served now."""
    if progress.verified:
        return progress.arrived
    # Another mirror, after one that failed, has its own time to be found out.
    held = (
        min(progress.waited, progress.mirror_waited) < MIRROR_HOLD and progress.idle < LONGEST_HOLD
    )
    if not progress.verifiable:
        return position if held else progress.arrived
    limit = position if held else progress.from_mirrors - RESERVE
    if progress.from_mirrors > position:
        if progress.waited >= TRICKLE_AFTER and progress.idle >= TRICKLE_PERIOD:
            limit = max(limit, min(progress.from_mirrors, position + TRICKLE_STEP))
    elif resorts_to_peers(progress):
        limit = max(limit, min(progress.arrived, position + TRICKLE_STEP))
    if progress.size is not None:
        limit = min(limit, progress.size - TAIL)
    return max(limit, position)


def resorts_to_peers(progress: Progress) -> bool:
    """Return whether a peer's unverified bytes may trickle: no mirror gave any for so long."""
    if progress.last_resort:
        return progress.idle >= TRICKLE_PERIOD
    return progress.idle >= LAST_RESORT


def next_release(waited: float, idle: float) -> float:
    """Return in how many seconds time alone may let more go."""
    moments = [MIRROR_HOLD - waited, TRICKLE_AFTER - waited, KEEP_PATIENT_AFTER - idle]
    moments += [TRICKLE_PERIOD - idle, LONGEST_HOLD - idle, LAST_RESORT - idle]
    ahead = [moment for moment in moments if moment > 0]
    return min(ahead, default=TRICKLE_PERIOD)
