"""What a person is told of own repositories: how each stands, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.books.units import time_text
from flocon.joined.keys import shown
from flocon.joined.told import time_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from flocon.joined.known import Known
    from flocon.joined.repositories import OwnRepositories

#: Seconds before a key expires in which that is told, and after which a key is an old one.
SOON, OLD = 60 * 86_400.0, 5 * 365 * 86_400.0

#: Packages, and sets of repositories, that are named at once.
_MOST_TOLD = 5


def describe(
    repositories: OwnRepositories, copies: Callable[[str], Mapping[str, int]]
) -> list[dict[str, Any]]:
    """Return what ``/own.json`` says of each; times in Unix seconds, 0 for never."""
    return [
        _described(known, repositories, copies)
        for known in sorted(repositories.known.values(), key=lambda one: one.name)
    ]


def _described(
    known: Known, repositories: OwnRepositories, copies: Callable[[str], Mapping[str, int]]
) -> dict[str, Any]:
    generation, trusted = known.generation, known.trusted
    return {
        "name": known.name,
        "publishes": trusted.publishes,
        "joined": trusted.joined,
        "keys": list(trusted.fingerprints),
        "signed": 0 if generation is None else generation.signed,
        "sequence": 0 if generation is None else generation.sequence,
        "fingerprint": "" if generation is None else generation.fingerprint,
        "packages": 0 if known.database is None else len(known.database),
        "from": known.source,
        "copies": dict(copies(known.name)),
        "problem": known.problem,
        "foreign": [
            {"address": one.address, "fingerprint": one.fingerprint, "signed": one.signed}
            for one in repositories.offers.foreign(known.name)
        ],
    }


def tell(repositories: OwnRepositories, now: float) -> Iterator[dict[str, Any]]:
    """Yield what is wrong, as the doctor's ``tellers`` do; ``now`` in Unix seconds."""
    for name, problem in sorted(repositories.problems.items()):
        remedy = f"join it again: 'flocon repo join {name}' as root"
        yield _said(f"the own repository {name} is not taken: {problem}", remedy)
    for known in sorted(repositories.known.values(), key=lambda one: one.name):
        yield from _tell_of(known, repositories)
        yield from _tell_of_key(known, now)
    yield from _tell_of_same_packages(repositories)


def _tell_of_same_packages(repositories: OwnRepositories) -> Iterator[dict[str, Any]]:
    """Tell where two machines build the same package: one hides the other's, be it newer or not."""
    makers: dict[str, list[str]] = {}
    for known in repositories.known.values():
        entries = () if known.database is None else known.database.entries.values()
        for name in {one.name for one in entries}:
            makers.setdefault(name, []).append(known.name)
    together: dict[tuple[str, ...], list[str]] = {}
    for name, of in makers.items():
        if len(of) > 1:
            together.setdefault(tuple(sorted(of)), []).append(name)
    for owners, names in sorted(together.items())[:_MOST_TOLD]:
        some = ", ".join(sorted(names)[:_MOST_TOLD])
        some += f" and {len(names) - _MOST_TOLD} more" if len(names) > _MOST_TOLD else ""
        yield _said(
            f"{some}: in the own repositories {' and '.join(owners)}; pacman takes what the one has"
            " whose section in pacman.conf comes first, also where the other's is newer",
            "have it built on one machine: 'flocon build remove NAME' and 'flocon repo remove NAME'"
            " on the other",
            wrong=False,
        )


def _tell_of(known: Known, repositories: OwnRepositories) -> Iterator[dict[str, Any]]:
    foreign = repositories.offers.foreign(known.name)
    newer = [one for one in foreign if one.signed > known.newest]
    if newer:
        one = newer[0]
        by = f"the key {shown(one.fingerprint)}" if one.fingerprint else "another key"
        problem = (
            f"{one.address} has the own repository {known.name} signed by {by}, which is not"
            " trusted here, so nothing of it is taken"
        )
        remedy = (
            "if its key was replaced, compare the fingerprint where it is made ('flocon repo key'),"
            f" then run 'flocon repo join {known.name}' as root; else another"
            " repository has this name, and one of them should get another"
        )
        yield _said(problem, remedy)
    if not known.problem:
        return
    if known.trusted.publishes:
        remedy = (
            f"if its key was replaced, run 'flocon repo join {known.name}' as root here, too; else"
            " see 'flocon repo list'"
        )
        yield _said(f"{known.name}: {known.problem}", remedy)
    elif known.generation is None:
        remedy = (
            f"start the node of the machine that makes {known.name}, and see what 'flocon doctor'"
            " says there"
        )
        yield _said(f"nothing of the own repository {known.name} is here: {known.problem}", remedy)


def _tell_of_key(known: Known, now: float) -> Iterator[dict[str, Any]]:
    """Tell of the key in use, by which the newest generation is signed."""
    using = known.generation.fingerprint if known.generation else ""
    for key in known.trusted.keys:
        if key.fingerprint != using:
            continue
        remedy = f"where {known.name} is made: 'flocon repo key --replace', then as it says"
        if key.expires and now >= key.expires:
            problem = f"the key of the own repository {known.name} has expired"
            yield _said(f"{problem} {time_of(key.expires)}: pacman refuses what it signs", remedy)
        elif key.expires and key.expires - now < SOON:
            problem = f"the key of the own repository {known.name} expires"
            yield _said(f"{problem} in {time_text(key.expires - now)}", remedy, wrong=False)
        elif known.trusted.publishes and now - key.made > OLD:
            age = time_text(now - key.made)
            yield _said(f"the key of {known.name} was made {age} ago", remedy, wrong=False)


def database_answer(repositories: OwnRepositories, name: str) -> str:
    """Return how the database of a repository would be answered, "" where it is not trusted."""
    known = repositories.known.get(name)
    if known is None:
        return ""
    if known.generation is None:
        return f"{name} is an own repository, of which nothing is here: the answer is an error"
    signed = time_of(known.generation.signed)
    return (
        f"{name} is an own repository: its newest generation is given, which was signed {signed}"
        f" and came from {known.source}"
    )


def _said(reason: str, remedy: str, *, wrong: bool = True) -> dict[str, Any]:
    return {"check": "own repositories", "wrong": wrong, "reason": reason, "remedy": remedy}
