"""Which state the LAN is given, and since when: decides only, reads nothing.

A client asks for what is newer than it has. So the second since which a generation is published
only ever grows, also when the state goes back to an older one: a client takes that at its next -Sy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flocon.states.generation import LATEST_SECOND, is_identity

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from flocon.states.generation import Generation

LATEST, SNAPSHOT, BEHIND = "latest", "snapshot", "behind"
LONGEST_NAME = 64
#: Seconds by which a state can lag behind: a year. Each day of it is a generation that stays.
LONGEST_BEHIND = 366 * 86_400


@dataclass(frozen=True, slots=True)
class Policy:
    """Which generation is to be given out, since ``chosen`` (seconds since 1970).

    The newest (``LATEST``), that of the snapshot ``name``, or the one of ``behind`` seconds ago.
    From ``until`` on it is the newest again; 0 where nothing ends it.
    """

    kind: str = LATEST
    name: str = ""
    behind: float = 0.0
    chosen: int = 0
    until: int = 0

    def __str__(self) -> str:
        if self.kind == SNAPSHOT:
            return self.name
        return f"{self.behind / 86_400:g} days behind" if self.kind == BEHIND else "latest"


@dataclass(frozen=True, slots=True)
class Published:
    """A generation that is given out; ``since`` is its ``Last-Modified``, seconds since 1970."""

    identity: str
    since: int


@dataclass(frozen=True, slots=True)
class State:
    """What is remembered over a restart.

    ``published`` are the generations that were given out, the newest last and the only one that is
    given now; the others are for who got a database of theirs and asks for its signature.
    ``waiting`` is the one that is to be next, since ``waiting_since``; "" where there is none.
    ``refreshed`` is when a mirror was last read to its end.
    """

    published: tuple[Published, ...] = ()
    policy: Policy = Policy()
    waiting: str = ""
    waiting_since: int = 0
    refreshed: int = 0

    @property
    def now(self) -> Published | None:
        return self.published[-1] if self.published else None


#: Publications that are remembered: a client that got a database asks for its signature at once.
MOST_PUBLISHED = 4


def publish(state: State, identity: str, now: float) -> State:
    """Return the state in which a generation is given out from now on, if it is not already."""
    current = state.now
    if current is not None and current.identity == identity:
        return replace(state, waiting="", waiting_since=0) if state.waiting == identity else state
    since = int(now) if current is None else max(int(now), current.since + 1)
    published = (*state.published, Published(identity, since))[-MOST_PUBLISHED:]
    waiting = "" if state.waiting == identity else state.waiting
    return replace(
        state,
        published=published,
        waiting=waiting,
        waiting_since=state.waiting_since if waiting else 0,
    )


def wait_for(state: State, identity: str, now: float) -> State:
    """Return the state in which a generation is to be the next; its time runs from the first."""
    since = state.waiting_since if state.waiting else int(now)
    return replace(state, waiting=identity, waiting_since=since)


def follow(state: State, policy: Policy) -> State:
    """Return the state in which another policy says what is given out."""
    return replace(state, policy=policy, waiting="", waiting_since=0)


def use(state: State, policy: Policy, identity: str, now: float) -> State:
    """Return the state in which a policy is followed, and what it means is given out, at once."""
    return publish(follow(state, policy), identity, now)


def stop_waiting(state: State) -> State:
    """Return the state in which nothing is to be the next: what is meant is given out."""
    return replace(state, waiting="", waiting_since=0)


def in_force(policy: Policy, now: float) -> Policy:
    """Return the policy, or the newest where its time is over."""
    return Policy(chosen=policy.until) if 0 < policy.until <= now else policy


def next_look(policy: Policy, generations: Sequence[Generation], now: float) -> float | None:
    """Return the seconds until the policy means another generation by itself; None for never.

    ``generations`` are those that were read, the oldest first.
    """
    moments = [float(policy.until)] if policy.until else []
    if policy.kind == BEHIND:
        moments += [one.made + policy.behind for one in generations]
    return min((moment - now for moment in moments if moment > now), default=None)


def refreshed(state: State, now: float) -> State:
    """Return the state in which a mirror has just been read to its end."""
    return replace(state, refreshed=int(now))


def forget(state: State, known: Collection[str]) -> State:
    """Return the state without the generations that are not here any more.

    Since when the last one was published stays: another one is published later than that, and
    until then none is given, least of all an earlier one with its earlier second.
    """
    published = tuple(one for one in state.published if one.identity in known)
    if state.now is not None and state.now not in published:
        published = (*published, replace(state.now, identity=""))
    if state.waiting in known:
        return replace(state, published=published)
    return replace(state, published=published, waiting="", waiting_since=0)


def added(generations: Sequence[Generation], newest: Generation) -> list[Generation]:
    """Return the generations (the oldest first) with one that was read now, behind all others.

    The same still is as old as it was, also for who is to lag behind. Where the clock was set back
    the mirror may tell a later time; otherwise those that seem to be of later were made before.
    """
    before = [one for one in generations if one.identity != newest.identity]
    last = generations[-1] if generations else None
    if last is not None and last.identity == newest.identity:
        newest = replace(newest, made=last.made)
    elif last is not None and newest.made <= last.made < (newest.last_update or 0):
        newest = replace(newest, made=newest.last_update or 0)
    read = [newest]
    for one in reversed(before):
        after = read[-1].made
        read.append(replace(one, made=after - 1) if one.made > after else one)
    return read[::-1]


def kept(generations: Sequence[Generation], state: State, most: int) -> set[str]:
    """Return which of those that were read (the oldest first) stay.

    What is or was lately given out, what waits, the newest, and the last one of each day.
    """
    days = {one.made // 86_400: one.identity for one in generations}
    stay = {one.identity for one in state.published} | {state.waiting}
    if state.policy.kind == BEHIND:
        most = max(most, int(min(state.policy.behind, LONGEST_BEHIND) // 86_400) + 2)
    stay.update(list(days.values())[-most:])
    return stay & {one.identity for one in generations}


def chosen(
    policy: Policy,
    generations: Sequence[Generation],
    snapshots: Mapping[str, Generation],
    now: float,
) -> str | None:
    """Return the identity of the generation that the policy means; None where it means none.

    ``generations`` are those that were read, the oldest first. Behind by some days is the newest of
    those that are so old, and until one is, the oldest.
    """
    if policy.kind == SNAPSHOT:
        snapshot = snapshots.get(policy.name)
        return None if snapshot is None else snapshot.identity
    if not generations:
        return None
    if policy.kind == LATEST:
        return generations[-1].identity
    old = [one for one in generations if one.made <= now - policy.behind]
    return (old[-1] if old else generations[0]).identity


def is_due(
    state: State,
    now: float,
    *,
    complete: bool,
    within: float,
    is_complete: Callable[[], bool],
) -> bool:
    """Return whether what is waiting may be published: it has all that is wanted, or time is up."""
    if not state.waiting:
        return False
    if not complete or state.now is None or not state.now.identity:
        return True
    # A clock that was set back tells nothing of how long it waits.
    return not 0 <= now - state.waiting_since < within or is_complete()


def dump(state: State) -> dict[str, Any]:
    return {
        "published": [[one.identity, one.since] for one in state.published],
        "policy": {
            "kind": state.policy.kind,
            "name": state.policy.name,
            "behind": state.policy.behind,
            "chosen": state.policy.chosen,
            "until": state.policy.until,
        },
        "waiting": state.waiting,
        "waiting_since": state.waiting_since,
        "refreshed": state.refreshed,
    }


def load(value: Any) -> State:
    """Return the state that was dumped; what is damaged of it is as at the beginning."""
    if not isinstance(value, dict):
        return State()
    published = value.get("published")
    known = [
        Published(one[0], one[1])
        for one in (published if isinstance(published, list) else [])
        if isinstance(one, list)
        and [type(part) for part in one] == [str, int]
        and (is_identity(one[0]) or not one[0])
        and _is_second(one[1])
    ]
    match value:
        case {
            "waiting": str(waiting),
            "waiting_since": int(since),
            "refreshed": int(refreshed),
        } if (not waiting or is_identity(waiting)) and _is_second(since) and _is_second(refreshed):
            pass
        case _:
            waiting, since, refreshed = "", 0, 0
    ordered = tuple(sorted(known, key=lambda one: one.since))[-MOST_PUBLISHED:]
    return State(ordered, _load_policy(value.get("policy")), waiting, since, refreshed)


def _load_policy(value: Any) -> Policy:
    match value:
        case {
            "kind": str(kind),
            "name": str(name),
            "behind": (int() | float()) as behind,
            "chosen": int(chosen),
            "until": int(until),
        } if (
            kind in {LATEST, SNAPSHOT, BEHIND}
            and len(name) <= LONGEST_NAME
            and 0 <= behind <= LONGEST_BEHIND
            and _is_second(chosen)
            and _is_second(until)
        ):
            return Policy(kind, name, float(behind), chosen, until)
    return Policy()


def _is_second(value: int) -> bool:
    return 0 <= value <= LATEST_SECOND
