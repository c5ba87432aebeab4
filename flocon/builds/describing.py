"""What is told of builds: to pages and programs, as JSON's values. No I/O."""

from __future__ import annotations

from functools import cmp_to_key
from typing import TYPE_CHECKING, Any

from flocon.jobs.queueing import stages
from flocon.jobs.watched import Stage
from flocon.pacman.versions import compare_versions

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from flocon.jobs.watched import Watched

#: Stages in which a person has to do something.
WAITING = frozenset({Stage.WAITS, Stage.HELD})


def describe_watched(
    watched: Mapping[str, Watched], offered: Mapping[str, Collection[str]] | None = None
) -> list[dict[str, Any]]:
    """Return what is told of each recipe, in the order of their names.

    ``offered`` are the versions of their packages that are published now, by base; None where that
    is not known.
    """
    return [_describe(one, stage, blocking, offered) for one, stage, blocking in stages(watched)]


def _offered(one: Watched, offered: Mapping[str, Collection[str]] | None) -> str:
    """Return the version that is published: that signed last, if nobody took it back."""
    signed = one.published.version if one.published else ""
    if not signed or offered is None:
        return signed
    older = [it for it in offered.get(one.base, ()) if compare_versions(it, signed) < 0]
    if older or one.base not in offered:
        return min(older, key=cmp_to_key(compare_versions), default="")
    return signed


def _describe(
    one: Watched,
    stage: Stage,
    blocking: tuple[str, ...],
    offered: Mapping[str, Collection[str]] | None,
) -> dict[str, Any]:
    approval, published, job = one.approval, one.published, one.job
    signed, now = published.version if published else "", _offered(one, offered)
    notes = []
    if now != signed:
        back = f"went back to {now} from {signed}" if now else f"has {signed} no more"
        notes.append(f"the repository {back}")
    return {
        "base": one.base,
        "names": list(one.names),
        "origin": {"kind": one.origin.kind, "place": one.origin.place},
        "stage": stage.value,
        "reasons": list(one.reasons()),
        "commit": one.commit,
        "version": "" if signed != now and one.version == signed else one.version,
        "approved": approval
        and {
            "commit": approval.commit,
            "version": approval.version,
            "by": approval.by,
            "when": approval.when,
        },
        "published": published and {"version": now, "when": published.when},
        "waits_until": one.candidate.matures if one.candidate else 0.0,
        "again": job.again if job else 0.0,
        "since": _since(one),
        "wanted_by": list(one.wanted_by),
        "blocked_by": list(blocking),
        "notes": [*notes, *one.notes],
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
