"""Watched recipes for tests, in the stages that they are wanted in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flocon.jobs import passing
from flocon.jobs.watched import AUR, Candidate, Needs, Origin, Phase, Published, Watched

NOW = 1_000_000.0


def commit(digit: str) -> str:
    """Return a commit of one digit."""
    return digit * 40


def watched(base: str = "tool", **more: Any) -> Watched:
    """Return a recipe that was just added, and makes one package of its own name."""
    return Watched(base, Origin(AUR, base), (base,), (f"{base}=1-1",), NOW, **more)


def waiting(base: str = "tool", digit: str = "a", *needs: str, **more: Any) -> Watched:
    """Return one of which a commit waits for a person."""
    candidate = Candidate(commit(digit), "1-1", NOW, needs=Needs(needs), **more)
    return passing.seen(watched(base), candidate)


def queued(base: str = "tool", *needs: str, since: float = NOW) -> Watched:
    """Return one that was approved."""
    return passing.approved(waiting(base, "a", *needs), "alice", since)


def published(base: str = "tool", version: str = "1-1") -> Watched:
    """Return one of which a package is offered."""
    one = passing.begun(queued(base), "job", NOW)
    return passing.published(passing.built(one, NOW), version, NOW)


def again(one: Watched, *needs: str, since: float = NOW) -> Watched:
    """Return one that is published, with another commit of it in the queue."""
    candidate = Candidate(commit("b"), "2-1", NOW, needs=Needs(needs))
    return passing.approved(passing.seen(one, candidate), "alice", since)


def in_phase(one: Watched, phase: Phase) -> Watched:
    assert one.job is not None
    return replace(one, job=replace(one.job, phase=phase, name="job"))


__all__ = [
    "NOW", "Published", "again", "commit", "in_phase", "published", "queued", "waiting", "watched",
]  # fmt: skip
