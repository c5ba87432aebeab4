"""Which groups are joined on which link, and when to try again. Sockets are ``multicast``'s.

The shell reports the links and how each join went, and does the steps it is given::

    membership.links_changed(now, links)
    for step in membership.take_steps():     # a Leave, or a Join to answer with
        membership.joined(step.place)        # ... or with
        membership.failed(now, step.place, reason)

A join that fails is tried every 5 s for 15 minutes and told once; then it waits for ``rejoin`` or
for any change of the links.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flocon.machine.links import Link

RETRY_EVERY = 5.0
RETRY_FOR = 15 * 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """A link and one IP version that has an address on it."""

    link: Link
    version: Literal[4, 6]


@dataclass(frozen=True, slots=True)
class Join:
    """Join the group at ``place`` (a membership that exists there is as good)."""

    place: Place


@dataclass(frozen=True, slots=True)
class Leave:
    """Leave the group at ``place``, which may be gone already."""

    place: Place


@dataclass(frozen=True, slots=True)
class JoinFailed:
    """Said once for a place until a join there succeeds or is asked for again."""

    place: Place
    reason: str


@dataclass(frozen=True, slots=True)
class JoinMended:
    """A join that had failed has succeeded."""

    place: Place


_Key = tuple[int, int]


@dataclass(slots=True)
class _State:
    place: Place
    joined: bool = False
    #: The failure was told.
    told: bool = False
    retry_at: float | None = None
    give_up_at: float | None = None


class Membership:
    """The memberships of one node: at most one per link and IP version."""

    def __init__(self, versions: Iterable[Literal[4, 6]] = (4, 6)) -> None:
        #: The IP versions that can be joined; ``links_changed`` heeds a change of it.
        self.versions = tuple(versions)
        self._states: dict[_Key, _State] = {}
        self._steps: list[Join | Leave] = []
        self._events: list[JoinFailed | JoinMended] = []

    def places(self) -> list[Place]:
        """Return where the group is joined."""
        return [state.place for state in self._states.values() if state.joined]

    def take_steps(self) -> list[Join | Leave]:
        """Return what is to be done now, in order, and forget it."""
        steps, self._steps = self._steps, []
        return steps

    def take_events(self) -> list[JoinFailed | JoinMended]:
        """Return what the operator should know, and forget it."""
        events, self._events = self._events, []
        return events

    def deadline(self) -> float | None:
        """Return when ``tick`` is to be called, None where nothing is to be retried."""
        times = [state.retry_at for state in self._states.values() if state.retry_at is not None]
        return min(times, default=None)

    def links_changed(self, now: float, links: Sequence[Link]) -> None:
        """Take the links that there are; leave, join and try again accordingly."""
        wanted = {
            (link.index, version): Place(link, version)
            for link in links
            for version in self.versions
            if link.of_family(version)
        }
        changed = wanted != {key: state.place for key, state in self._states.items()}
        for key in [key for key in self._states if key not in wanted]:
            self._steps.append(Leave(self._states.pop(key).place))
        for key, place in wanted.items():
            state = self._states.get(key)
            if state is None:
                state = self._states[key] = _State(place)
                self._try(state)
            elif _moved(state.place, place):
                self._steps.append(Leave(state.place))
                state.place = place
                self._try(state)
            else:
                state.place = place
                if changed and not state.joined:
                    self._try(state)

    def rejoin(self, now: float) -> None:
        """Leave and join again everywhere; a failure is told again."""
        for state in self._states.values():
            state.told = False
            self._steps.append(Leave(state.place))
            self._try(state)

    def leave(self) -> None:
        """Leave everywhere."""
        for state in self._states.values():
            self._steps.append(Leave(state.place))
        self._states.clear()

    def tick(self, now: float) -> None:
        """Try again what is due."""
        for state in self._states.values():
            if state.retry_at is not None and state.retry_at <= now:
                state.retry_at = None
                self._steps.append(Join(state.place))

    def joined(self, place: Place) -> None:
        """Note that the join at ``place`` succeeded."""
        state = self._states.get(_key(place))
        if state is None:
            return
        if state.told:
            self._events.append(JoinMended(place))
        state.joined = True
        state.told = False
        state.retry_at = state.give_up_at = None

    def failed(self, now: float, place: Place, reason: str) -> None:
        """Note that the join at ``place`` failed; ``reason`` is the system's."""
        state = self._states.get(_key(place))
        if state is None:
            return
        state.joined = False
        if not state.told:
            state.told = True
            self._events.append(JoinFailed(place, reason))
        if state.give_up_at is None:
            state.give_up_at = now + RETRY_FOR
        retry_at = now + RETRY_EVERY
        state.retry_at = retry_at if retry_at <= state.give_up_at else None

    def _try(self, state: _State) -> None:
        state.joined = False
        state.retry_at = state.give_up_at = None
        self._steps.append(Join(state.place))


def _key(place: Place) -> _Key:
    return place.link.index, place.version


def _moved(before: Place, after: Place) -> bool:
    """Whether a membership is better made anew: the address it was made by has changed."""
    return before.version == 4 and before.link.of_family(4) != after.link.of_family(4)  # noqa: PLR2004 - IPv4
