"""What is said of states and snapshots: sentences for a person, values for JSON. Pure."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from flocon.books.units import counted
from flocon.snapshots.differences import counts, rows
from flocon.states.publication import LATEST, SNAPSHOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flocon.snapshots.differences import Counts, Difference
    from flocon.states.generation import Generation, Where
    from flocon.states.publication import Policy, Published, State

#: Packages that are told of one by one; of what is beyond them the number.
MOST_TOLD = 20_000


def moment(seconds: float) -> str:
    """Return a time since 1970 as this machine's clock shows it."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")


def taken(name: str, generation: Generation, packages: int) -> str:
    repositories = counted(len(generation.databases), "database")
    return (
        f"{name!r} is the state of {moment(generation.age_from)}: {repositories},"
        f" {counted(packages, 'package')} listed; those of them that are here stay until it is"
        " dropped"
    )


def with_substitutes(said: str, substitutes: Sequence[Where]) -> str:
    """Add what an archive has not, and is as it is today."""
    if not substitutes:
        return said
    which = ", ".join(map(str, substitutes))
    return f"{said}; the archive does not have {which}: as in the newest state"


def used(
    policy: Policy, generation: Generation, before: Generation | None, found: Counts | None
) -> str:
    """Tell what the LAN is given from now on, and what becomes of what is installed."""
    of = moment(generation.age_from)
    if policy.kind == LATEST:
        which = f"the newest state, of {of}"
    elif policy.kind == SNAPSHOT:
        which = f"{policy.name!r}, the state of {of}"
    else:
        which = f"what is {policy}, now the state of {of}"
    if before is not None and before.identity == generation.identity:
        sentences = [f"the LAN has {which}, already"]
    else:
        sentences = [f"the LAN is given {which}: each machine has it after its next -Sy"]
        if before is not None:
            sentences += _becomes(found)
    if policy.until:
        sentences.append(
            f"it is held until {moment(policy.until)}, then the newest is given again"
            " (--longer holds it without an end)"
        )
    return ". ".join(one[0].upper() + one[1:] if at else one for at, one in enumerate(sentences))


def _becomes(found: Counts | None) -> list[str]:
    """Say what pacman does with installed packages."""
    back = (
        "'pacman -Syuu' takes installed packages back to it; with -Syu newer ones stay as they are,"
        " and pacman warns of each"
    )
    if found is None:
        return [back]
    if not found.older and not found.rebuilt:
        become = "becomes" if found.newer == 1 else "become"
        return [f"{counted(found.newer, 'package')} {become} newer by 'pacman -Syu'"]
    parts = [f"{found.older} older", f"{found.newer} newer"]
    if found.rebuilt:
        parts.append(f"{found.rebuilt} built otherwise")
    return [f"of its packages {', '.join(parts)} than before: {back}"]


def told_snapshots(
    state: State,
    published: tuple[Generation, Published] | None,
    snapshots: Mapping[str, tuple[Generation, int]],
    read: Sequence[Generation],
) -> dict[str, Any]:
    """Return all states that can be used, and which one is."""
    now = published[0].identity if published is not None else ""
    policy = state.policy
    return {
        "policy": str(policy),
        "held_until": policy.until or None,
        "problem": _problem(policy, snapshots),
        "published": None
        if published is None
        else {**told_generation(published[0]), "since": published[1].since},
        "snapshots": [
            {
                "name": name,
                "taken": taken_at,
                **told_generation(generation),
                "in_use": policy.kind == SNAPSHOT and policy.name == name,
                "published": generation.identity == now,
            }
            for name, (generation, taken_at) in sorted(
                snapshots.items(), key=lambda item: (item[1][0].age_from, item[0])
            )
        ],
        "generations": [{**told_generation(one), "published": one.identity == now} for one in read],
    }


def _problem(policy: Policy, snapshots: Mapping[str, Any]) -> str:
    if policy.kind == SNAPSHOT and policy.name not in snapshots:
        return f"the snapshot {policy.name!r}, which is to be used, is not there any more"
    return ""


def told_generation(generation: Generation) -> dict[str, Any]:
    return {
        "generation": generation.identity,
        "of": generation.age_from,
        "made": generation.made,
        "source": generation.source,
        "repositories": sorted({where.repository for where in generation.databases}),
        "architectures": sorted({where.architecture for where in generation.databases}),
        "bytes": sum(piece.size for piece in set(generation.pieces())),
    }


def told_difference(
    before: Generation, after: Generation, found: Sequence[Difference]
) -> dict[str, Any]:
    """Return what the second state has otherwise: numbers, and packages one by one."""
    number = counts(found)
    told = list(islice(rows(found), MOST_TOLD))
    every = number.older + number.newer + number.rebuilt + number.added + number.removed
    return {
        "before": told_generation(before),
        "after": told_generation(after),
        "older": number.older,
        "newer": number.newer,
        "rebuilt": number.rebuilt,
        "added": number.added,
        "removed": number.removed,
        "only_before": list(map(str, sorted(before.databases.keys() - after.databases.keys()))),
        "only_after": list(map(str, sorted(after.databases.keys() - before.databases.keys()))),
        "packages": [
            {
                "architecture": architecture,
                "repository": repository,
                "name": name,
                "before": old or None,
                "after": new or None,
            }
            for architecture, repository, name, old, new in told
        ],
        "left_out": every - len(told),
    }
