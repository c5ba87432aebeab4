"""How a peer's inventory is kept up to date from what it announces: one pure rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flocon.holdings.inventory import Change
    from flocon.neighbours.replicas import Replica


@dataclass(frozen=True, slots=True)
class Nothing:
    """The replica is up to date."""


@dataclass(frozen=True, slots=True)
class Apply:
    """These changes bring the replica up to date."""

    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """The peer must be asked: for what changed after ``since``, or (None) for everything.

    ``since`` is what it told itself, so that its answer confirms what datagrams told later.
    """

    since: int | None


def next_step(
    replica: Replica | None,
    generation: int,
    files: int,
    changes: Sequence[Change],
    *,
    reflects: Callable[[], bool] = lambda: True,
) -> Nothing | Apply | Read:
    """Tell what to do about a peer that announced ``generation``, ``files`` and its newest changes.

    The changes are oldest first and end at ``generation``. What a peer answers may be ahead of what
    it has announced; what was announced is not, unless somebody else has announced it. So it is
    asked, too, where the replica does not reflect these changes, though of that generation, and
    what of its files is gone.
    """
    if replica is None:
        return Read(None)
    if replica.generation > generation:
        return Nothing() if replica.generation == replica.read else Read(None)
    behind = generation - replica.generation
    if behind == 0:
        told = replica.generation != replica.read
        if told and (replica.doubts or not reflects()):
            return Read(replica.read)
        return Nothing() if replica.files <= files else Read(None)
    if behind <= len(changes):
        return Apply(tuple(changes[len(changes) - behind :]))
    return Read(replica.read)
