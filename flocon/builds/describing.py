"""What is told of builds: to pages and programs, as JSON's values. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.jobs.queueing import stages
from flocon.jobs.watched import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flocon.jobs.watched import Watched

#: Stages in which a person has to do something.
WAITING = frozenset({Stage.WAITS, Stage.HELD})


def describe_watched(watched: Mapping[str, Watched]) -> list[dict[str, Any]]:
    """Return what is told of each recipe, in the order of their names."""
    return [_describe(one, stage, blocking) for one, stage, blocking in stages(watched)]


def _describe(one: Watched, stage: Stage, blocking: tuple[str, ...]) -> dict[str, Any]:
    approval, published, job = one.approval, one.published, one.job
    return {
        "base": one.base,
        "names": list(one.names),
        "origin": {"kind": one.origin.kind, "place": one.origin.place},
        "stage": stage.value,
        "reasons": list(one.reasons()),
        "commit": one.commit,
        "version": one.version,
        "approved": approval
        and {
            "commit": approval.commit,
            "version": approval.version,
            "by": approval.by,
            "when": approval.when,
        },
        "published": published and {"version": published.version, "when": published.when},
        "waits_until": one.candidate.matures if one.candidate else 0.0,
        "again": job.again if job else 0.0,
        "since": _since(one),
        "wanted_by": list(one.wanted_by),
        "blocked_by": list(blocking),
        "notes": list(one.notes),
        "notice": one.notice,
    }


def _since(one: Watched) -> float:
    """Return since when it is in its stage."""
    if one.job is not None and one.is_at_work:
        return one.job.since
    if one.candidate is not None:
        return one.candidate.seen
    if one.job is not None:
        return one.job.since
    return one.published.when if one.published else one.since


def waiting(rows: list[dict[str, Any]]) -> int:
    """Return how many recipes wait for a person."""
    return sum(row["stage"] in WAITING for row in rows)


def line_of(one: Watched, said: str) -> str:
    """Return a line about a recipe that was just added."""
    return f"{one.base}: {said}"
