"""Which repositories are read together, and what is known of each such group. Decides only.

Repositories whose servers have a root in common are one group, all of which is read from one mirror
at a time: one that is half a day behind has other packages than the next. Those of somebody else
are a group of their own.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from flocon.asking.addresses import network_location, without_user
from flocon.asking.dates import seconds_of
from flocon.files import is_architecture, is_repository, mirror_root
from flocon.states.generation import (
    LONGEST_SOURCE,
    Generation,
    Where,
    dump,
    load,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from flocon.states.generation import Piece

#: Seconds for which a mirror that is older, or lacks what was there, is left alone; if no other one
#: has been as new for so long, the repository itself has gone back. Two days: some look once a day.
TRUST = 172_800.0
#: Characters of a date that a mirror says.
LONGEST_DATE = 64
#: Digits of ``lastupdate``, which is in seconds since 1970.
MOST_DIGITS = 11


@dataclass(frozen=True, slots=True)
class Group:
    """Repositories that are read from one mirror: their servers by its root, in order to ask.

    A root, and what follows from it, may bear a password.
    """

    mirrors: Mapping[str, Mapping[Where, str]]

    @property
    def wheres(self) -> tuple[Where, ...]:
        return tuple(next(iter(self.mirrors.values())))

    def has_root(self, bare: str) -> bool:
        """Whether one of its mirrors has this root, which is without a password."""
        return any(without_user(root) == bare for root in self.mirrors)

    def __str__(self) -> str:
        return ", ".join(map(str, self.wheres))


def groups_of(mirrored: Mapping[Where, Sequence[str]]) -> list[Group]:
    """Return the groups of what is mirrored, each with the mirrors that all of it has."""
    found: list[dict[str, dict[Where, str]]] = []
    for where, servers in mirrored.items():
        places: dict[str, str] = {}
        for server in servers:
            places.setdefault(_root_of(server, where), server)
        for number, one in enumerate(found):
            common = [root for root in one if root in places]
            if common:
                found[number] = {root: {**one[root], where: places[root]} for root in common}
                break
        else:
            found.append({root: {where: server} for root, server in places.items()})
    return [Group(one) for one in found if one]


def _root_of(server: str, where: Where) -> str:
    """Return what of a server is the mirror's, however it is laid out."""
    if root := mirror_root(server, where.repository):
        return root
    scheme, mark, rest = server.rstrip("/").partition("://")
    place, *parts = rest.split("/")
    while parts and parts[-1] in {"os", *where}:
        parts.pop()
    return scheme + mark + "/".join([place, *parts])


@dataclass(frozen=True, slots=True)
class Known:
    """The state of a group that was read last; ``state.made`` is when it was last found so.

    ``root`` is the mirror's, without a password. ``dates`` are what it said of when each database
    was modified. ``settled`` if a later look found all of it the same: a mirror may say first that
    it has changed, and change then. ``absent`` are those that no mirror has.
    """

    root: str
    state: Generation
    dates: Mapping[Where, str] = field(default_factory=dict)
    settled: bool = False
    absent: frozenset[Where] = frozenset()

    @property
    def newest(self) -> float | None:
        """When the newest database was modified, in seconds since 1970."""
        return newest(self.dates.values())

    def confirmed(self, now: float) -> Known:
        """Return it as found the same again."""
        return replace(self, state=replace(self.state, made=int(now)), settled=True)


def newest(dates: Iterable[str]) -> float | None:
    return max((moment for one in dates if (moment := seconds_of(one)) is not None), default=None)


def read_last_update(data: bytes) -> int | None:
    """Return what a mirror's ``lastupdate`` says; None where that is no time."""
    digits = data.strip()
    if not digits.isdigit() or len(digits) > MOST_DIGITS:
        return None
    return int(digits) or None


def is_unchanged(known: Known | None, said: int | None, wheres: Collection[Where]) -> bool:
    """Whether nothing need be fetched of a mirror that says so of its last update."""
    if known is None or said is None or said != known.state.last_update:
        return False
    return known.settled and all(
        where in known.state.databases or where in known.absent for where in wheres
    )


def is_older(
    known: Known | None, last_update: int | None, dates: Iterable[str], now: float
) -> bool:
    """Whether a mirror is behind what is known; like is compared with like."""
    if known is None or not 0 <= now - known.state.made < TRUST:
        return False
    if last_update is not None and known.state.last_update is not None:
        return last_update < known.state.last_update
    ours, theirs = known.newest, newest(dates)
    return ours is not None and theirs is not None and theirs < ours


def is_late(
    known: Known | None, where: Where, database: Piece, signature: Piece | None, now: float
) -> bool:
    """Whether a signature, or its lack, cannot be a database's: it was there, or was another's.

    So much can be told without the key; mirrors copy one file after the other.
    """
    if known is None or not 0 <= now - known.state.made < TRUST:
        return False
    before = known.state.databases.get(where)
    if before is None or before.signature is None:
        return False
    return signature is None or (signature == before.signature and database != before.database)


def lacks_too_much(known: Known | None, absent: Collection[Where], now: float) -> bool:
    """Whether a mirror lacks what was there lately, and will most likely be again."""
    if known is None or not 0 <= now - known.state.made < TRUST:
        return False
    return any(where in known.state.databases for where in absent)


def find_known(group: Group, notes: Iterable[Known]) -> Known | None:
    """Return what is known of a group: of another one that has become it what fits.

    What was read of a mirror that the operator does not name any more says nothing of age.
    """
    wheres = set(group.wheres)
    shares = [(len(wheres.intersection(one.state.databases)), one) for one in notes]
    count, found = max(shares, key=lambda share: share[0], default=(0, None))
    if not count or found is None:
        return None
    databases = {where: one for where, one in found.state.databases.items() if where in wheres}
    state = replace(found.state, databases=databases)
    if not group.has_root(found.root):
        state = replace(state, last_update=None, made=0)
    dates = {where: date for where, date in found.dates.items() if where in wheres}
    return replace(found, state=state, dates=dates)


def assemble(parts: Sequence[Known], made: int) -> Generation:
    """Return one generation of the states of all groups, called after the largest of them."""
    main = max(parts, key=lambda one: len(one.state.databases)).state
    databases = {where: one for part in parts for where, one in part.state.databases.items()}
    return Generation(made, main.source, databases, main.last_update)


def with_files_of(state: Generation, before: Generation | None) -> Generation:
    """Return a state with the lists of files that were fetched for the same databases meanwhile."""
    for where, one in () if before is None else before.databases.items():
        now = state.databases.get(where)
        if one.files is None or now is None or now.files is not None:
            continue
        if (now.database, now.signature) == (one.database, one.signature):
            state = state.with_files(where, one.files, one.files_signature)
    return state


def count_news(before: Generation | None, after: Generation) -> int:
    """Return how many databases are others than before."""
    known = (
        Counter()
        if before is None
        else Counter({(where, one.database.sha256): 1 for where, one in before.databases.items()})
    )
    return sum(not known[where, one.database.sha256] for where, one in after.databases.items())


def make_source(root: str) -> str:
    """Return what a mirror is called."""
    return network_location(root)[:LONGEST_SOURCE]


def dump_known(known: Known) -> dict[str, Any]:
    return {
        "root": known.root,
        "state": dump(known.state),
        "dates": [[*where, date] for where, date in known.dates.items()],
        "settled": known.settled,
        "absent": [list(where) for where in sorted(known.absent)],
    }


def load_known(value: Any) -> Known | None:
    """Return what was dumped; None where that is damaged: then all is read anew."""
    match value:
        case {
            "root": str(root),
            "state": dict(state),
            "dates": list(dates),
            "settled": bool(settled),
            "absent": list(absent),
        }:
            generation = load(state)
            dated = {
                Where(one[0], one[1]): one[2]
                for one in dates
                if _are_texts(one, 3) and _is_where(one) and len(one[2]) <= LONGEST_DATE
            }
            gone = {Where(*one) for one in absent if _are_texts(one, 2) and _is_where(one)}
            if generation is not None:
                return Known(root, generation, dated, settled, frozenset(gone))
    return None


def _are_texts(value: Any, length: int) -> bool:
    return isinstance(value, list) and [type(one) for one in value] == [str] * length


def _is_where(value: list[str]) -> bool:
    return is_architecture(value[0]) and is_repository(value[1])
