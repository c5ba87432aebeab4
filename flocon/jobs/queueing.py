"""Which of the queued jobs is next, and what the others wait for. No I/O.

What another one needs is built before it, if it is queued too; and nothing is built whose needs
were never published.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.jobs.watched import Phase, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flocon.jobs.watched import Watched

_COMING = {Phase.QUEUED, Phase.BUILDING, Phase.EXAMINING}


def queued(watched: Mapping[str, Watched]) -> list[Watched]:
    """Return what is to be built, the longest in the queue first."""
    found = [
        one
        for one in watched.values()
        if one.job is not None and one.job.phase is Phase.QUEUED and _is_free(one)
    ]
    return sorted(found, key=lambda one: (one.job.since if one.job else 0.0, one.base))


def following(watched: Mapping[str, Watched], *, free: bool = True) -> Watched | None:
    """Return what is to be built next, None where nothing can be.

    Where the link is not ``free``, that is what somebody has asked for in person.
    """
    there = {base for base, one in watched.items() if one.published is not None}
    coming = _coming(watched, there)
    for one in queued(watched):
        needs = _needed(one)
        asked = one.job is not None and not one.job.unasked
        if (free or asked) and there.issuperset(needs) and coming.isdisjoint(needs):
            return one
    return None


def stages(watched: Mapping[str, Watched]) -> Iterator[tuple[Watched, Stage, tuple[str, ...]]]:
    """Yield each with its stage and the bases that block it, in the order of their names."""
    there = {base for base, one in watched.items() if one.published is not None}
    coming = _coming(watched, there)
    for base, one in sorted(watched.items()):
        blocking = () if base in coming else _needed(one) - there - coming
        yield one, one.stage(is_blocked=bool(blocking)), tuple(sorted(blocking))


def _coming(watched: Mapping[str, Watched], there: set[str]) -> set[str]:
    """Return what will be published by itself if nothing fails.

    What has to wait for itself, by whatever way, does not come.
    """
    waiting = {
        base: one
        for base, one in watched.items()
        if one.job is not None
        and (one.job.phase in _COMING or one.job.again > 0)
        and (_is_free(one) or one.is_at_work)
    }
    coming: set[str] = set()
    while found := {
        base
        for base, one in waiting.items()
        if base not in coming and one.is_at_work | (_needed(one) <= there | coming)
    }:
        coming |= found
    return coming


def _needed(one: Watched) -> set[str]:
    if one.job is None or one.approval is None:
        return set()
    return set(one.approval.needs.bases) - {one.base}


def _is_free(one: Watched) -> bool:
    return not one.on_hold and not one.taken_up
