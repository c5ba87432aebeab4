"""What a person calls a state: a snapshot's name, a day, "latest", "3 days behind". Pure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from flocon.books.units import time_text
from flocon.errors import MirrorError
from flocon.states.generation import is_identity, load
from flocon.states.publication import BEHIND, LATEST, LONGEST_BEHIND, SNAPSHOT, Policy

if TYPE_CHECKING:
    from collections.abc import Collection

    from flocon.states.generation import Generation

#: Snapshots that are kept: each is some MB of databases, and the packages that they list.
MOST_SNAPSHOTS = 100
#: The state that was read last, and the one that is given out.
NEWEST, NOW = "latest", "now"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_BEHIND = re.compile(r"([0-9]{1,5}) ?(h|hours?|d|days?|w|weeks?)( behind)?")
_SECONDS = {"h": 3_600, "d": 86_400, "w": 7 * 86_400}
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def is_snapshot_name(text: str) -> bool:
    """Whether a snapshot can be called so: it is a file's name, and no other word for a state."""
    means_another = text in {NEWEST, NOW} or _BEHIND.fullmatch(text) or is_identity(text)
    return _NAME.fullmatch(text) is not None and not means_another


def demand_name(text: str) -> None:
    """Raise MirrorError where no snapshot can be called so."""
    if not is_snapshot_name(text):
        remedy = "use up to 64 letters, digits, '.', '_' and '-', and no word for another state"
        raise MirrorError(f"{text!r} cannot be a snapshot's name", remedy)


def free_name(day: date, taken: Collection[str]) -> str:
    """Return a name of a day that no snapshot has."""
    name, number = day.isoformat(), 1
    while name in taken:
        number += 1
        name = f"{day.isoformat()}-{number}"
    return name


def load_snapshot(name: str, value: Any) -> tuple[Generation, int] | None:
    """Return what was kept under a name, and when; None where that is no snapshot, whole."""
    match value:
        case {"taken": int(taken), "generation": kept} if is_snapshot_name(name):
            generation = load(kept)
            return None if generation is None else (generation, taken)
    return None


def parse_day(text: str, now: float) -> date:
    """Return the day that is meant, none that is still to come; raises MirrorError."""
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        raise MirrorError(f"{text!r} is no day", "write it like 2026-11-01")
    if day > datetime.fromtimestamp(now, UTC).date():
        raise MirrorError(f"{text} is still to come", "name a day that an archive can have")
    return day


def parse_policy(text: str, now: float) -> Policy:
    """Return the policy that is meant, without an end; raises MirrorError."""
    chosen = int(now)
    if text == NEWEST:
        return Policy(LATEST, chosen=chosen)
    if match := _BEHIND.fullmatch(text):
        behind = int(match[1]) * _SECONDS[match[2][0]]
        if not 0 < behind <= LONGEST_BEHIND:
            raise MirrorError(f"{text!r} is no time to lag behind", "use 1 hour to 366 days")
        return Policy(BEHIND, behind=float(behind), chosen=chosen)
    demand_name(text)
    return Policy(SNAPSHOT, name=text, chosen=chosen)


def bounded(policy: Policy, generation: Generation, now: float, hold_at_most: float) -> Policy:
    """Return the policy with its end: ``hold_at_most`` seconds from now, 0 for no bound.

    Raises MirrorError where machines would be without updates for longer than that already.
    """
    if policy.kind == LATEST or not hold_at_most:
        return policy
    if policy.kind == BEHIND:
        if policy.behind <= hold_at_most:
            return policy
        problem = f"machines that are {policy} lack security updates for longer than hold_at_most"
    else:
        age = now - generation.age_from
        if age <= hold_at_most:
            return Policy(SNAPSHOT, policy.name, 0.0, policy.chosen, int(now + hold_at_most))
        problem = f"the state is {time_text(age)} old, and lacks the security updates since"
    remedy = f"at most {time_text(hold_at_most)} are allowed; say --longer if it is meant"
    raise MirrorError(problem, remedy)
