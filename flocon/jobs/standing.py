"""What was built stands on libraries of our own packages: where these change, it is built again.

A package that provides ``libfoo.so=1-64`` today and ``libfoo.so=2-64`` tomorrow leaves those that
were linked to the first one without a library. No I/O.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flocon.jobs import passing
from flocon.jobs.watched import Candidate, Failing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from flocon.jobs.watched import Watched

#: Libraries on which one recipe's packages can stand.
MOST_LIBRARIES = 500
_LIBRARY = ".so="


def is_library(provided: str) -> bool:
    """Whether what a package provides is a library of a version, as makepkg writes it."""
    return _LIBRARY in provided


def libraries(
    names: Iterable[str], provided: Mapping[str, Collection[str]]
) -> tuple[tuple[str, str], ...]:
    """Return the libraries of packages, each with the package that has it."""
    pairs = [(name, one) for name in names for one in sorted(provided.get(name, ()))]
    return tuple(pairs[:MOST_LIBRARIES])


def missed(one: Watched, provided: Mapping[str, Collection[str]]) -> tuple[str, str] | None:
    """Return a library with which it was built, and that its package has no more.

    ``provided`` are the libraries of each of our own packages, also of those that have none.
    """
    for name, library in one.published.stands_on if one.published else ():
        if name in provided and library not in provided[name]:
            return name, library
    return None


def rebuilt(
    one: Watched, provided: Mapping[str, Collection[str]], auto: str, now: float
) -> Watched:
    """Return it queued once more where it misses a library; as it is, where it does not.

    The text was approved, and so was that of what it stands on; where ``auto`` is "never", a person
    is asked all the same.
    """
    lacking = missed(one, provided)
    approval = one.approval
    if lacking is None or approval is None or one.job or one.on_hold or one.taken_up:
        return one
    reason = f"{lacking[0]} has no {lacking[1]} any more, with which it was built"
    if auto != "never":
        queued = passing.again(one, now)
        assert queued.job is not None  # noqa: S101 - that is what it is
        return replace(queued, job=replace(queued.job, reasons=(reason,), unasked=True))
    if one.candidate or (one.refused and one.refused.commit == approval.commit):
        return one
    waiting = Candidate(
        approval.commit,
        approval.version,
        now,
        (Failing("auto", f'the settings say auto = "never", and {reason}'),),
        needs=approval.needs,
        maintainers=approval.maintainers,
    )
    return passing.seen(one, waiting)
