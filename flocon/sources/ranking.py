"""Whom to ask, in which order: pure ranking of holders and mirrors.

A rank is a sorted list, nothing is asked here. Chance enters as the file's name: nodes that know
nothing yet of their holders' speed still spread their files over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from flocon.asking.source import Origin, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flocon.neighbours.standing import Standing


#: Seconds for which a peer's database is as good as a mirror's.
FRESH = 86_400.0
#: Seconds after which whoever owns a file has owned it for longer than its transfer takes.
NEW_OWNER = 600.0
#: A node is here longer than another if it is by so many seconds: hellos take a while.
LONGER = 1.0
#: Seconds there and back to whom another network is as near as this one: another VLAN of the same
#: house is, another house is not.
NEIGHBOURLY = 0.002
#: Seconds of a round trip that nobody measured, to a node of another network.
USUAL_ROUND_TRIP = 0.1
#: Round trips until a file begins to come: of a connection, and of the question.
TRIPS = 2
#: Seconds for which mirrors are tried for a database that a peer has; pacman gives up after 10.
MIRRORS_PATIENCE = 3.0


@dataclass(slots=True)
class OwnNode:
    """What is told of this node now: its id and epoch, and whether it fetches for others.

    ``able_since`` is since when, in the clock's seconds, it fetches what it can now.
    """

    node: str
    epoch: str
    relays: bool
    able_since: float


@dataclass(frozen=True, slots=True)
class Holder:
    """A peer that announced the file: ``near`` if it is on one of our own subnets.

    ``key`` is what ``Standing`` knows it by, its address.
    """

    node: str
    near: bool
    key: str


def spread(node: str, file_name: str) -> int:
    """Return a number that is the same on every node and even over nodes, for one file."""
    return int.from_bytes(blake2b(f"{node}\n{file_name}".encode(), digest_size=8).digest())


def rank_holders(
    holders: Iterable[Holder], file_name: str, standing: Standing, now: float, size: int = 0
) -> list[Holder]:
    """Sort holders of a file of ``size`` bytes, best first.

    Those that failed lately come last; before them those of other networks, but for whoever is as
    near as a neighbour by the round trip; then the one whose link is least shared, by its measured
    throughput over the transfers it would then serve us, or who is done soonest over a long way;
    unmeasured ones count as fast, so that each is tried; nearest subnet first; and evenly by file
    where nothing else decides.
    """

    def merit(holder: Holder) -> tuple[bool, bool, float, bool, int]:
        share = standing.throughput(holder.key) or float("1e12")
        expected = share / (1 + standing.active(holder.key))
        trip = standing.round_trip(holder.key) or USUAL_ROUND_TRIP
        far = not holder.near and trip > NEIGHBOURLY
        return (
            standing.demoted(holder.key, now),
            far,
            TRIPS * trip + size / expected if far else -expected,
            not holder.near,
            -spread(holder.node, file_name),
        )

    return sorted(holders, key=merit)


def rank_mirrors(
    servers: Sequence[str], keys: Sequence[str], standing: Standing, now: float
) -> list[str]:
    """Keep the operator's order, but put mirrors that failed lately last.

    Behind them come those that asked to be left alone, as far as they may be asked at all.
    """
    order = sorted(
        (at for at in range(len(servers)) if standing.may_be_asked(keys[at], now)),
        key=lambda at: (standing.resting(keys[at], now), standing.demoted(keys[at], now), at),
    )
    return [servers[at] for at in order]


def rank_owners(nodes: Iterable[str], file_name: str) -> list[str]:
    """Sort nodes by who owns the file: the highest rendezvous hash first.

    Everyone who knows the same nodes gets the same order; when a node leaves, only the files that
    it owned change their owner (Thaler and Ravishankar, 1998).
    """
    return sorted(nodes, key=lambda node: (spread(node, file_name), node), reverse=True)


def owners_before(ranked: Sequence[str], own_node: str, most: int) -> list[str]:
    """Return which owners to ask before this node turns to the mirrors itself, at most ``most``.

    None where this node is the owner, and none of those behind it: they would ask it.
    """
    position = ranked.index(own_node) if own_node in ranked else len(ranked)
    return list(ranked[: min(position, most)])


def earlier_owners(
    ranked: Sequence[str], own_node: str, since: Mapping[str, float], now: float, most: int
) -> list[str]:
    """Return who may have a file on its way already, since its owner has only just become it.

    ``since`` says from when each node could fetch it: when it was first heard, or got its database.
    This node heard all others after it started itself, and so cannot tell who of them came first.
    """
    if not ranked or now - since[ranked[0]] > NEW_OWNER:
        return []
    first, behind = ranked[0], ranked[1:most]
    if first == own_node:
        return list(behind)
    return [node for node in behind if node != own_node and since[node] + LONGER < since[first]]


@dataclass(frozen=True, slots=True)
class Dated:
    """A peer's database, and when its mirror last changed it (seconds since 1970)."""

    source: Source
    modified: float


def order_for_database(
    mirrors: Sequence[Source], peers: Sequence[Dated], since: float | None, now: float
) -> list[Source]:
    """Say whom to ask for a database, where the operator lets peers answer.

    The newest that a peer has comes first if it is newer than what pacman has (``since``; None:
    pacman wants it in any case) and less than a day old; else only when the mirrors fail. One from
    the future is nobody's: pacman would take none from a mirror until then.
    """
    believed = (one for one in peers if one.modified <= now)
    newest = max(believed, key=lambda one: one.modified, default=None)
    if newest is None:
        return list(mirrors)
    newer = since is None or newest.modified > since
    if newer and now - newest.modified < FRESH:
        return [newest.source, *mirrors]
    return [*mirrors, newest.source]


def without_delay(order: Sequence[Source], waited: float) -> list[Source]:
    """Put the peers first once mirrors have cost ``waited`` seconds, where those are too many."""
    if waited < MIRRORS_PATIENCE:
        return list(order)
    return sorted(order, key=lambda one: one.origin is Origin.MIRROR)


def sample_databases(digests: Sequence[str], most: int) -> list[int]:
    """Choose at most so many peers to ask how new theirs is, by their databases' digests.

    Returns places in ``digests``. One of each digest comes before a second one of any: who has the
    same database has it of the same age.
    """
    seen: dict[str, int] = {}
    turns = []
    for place, digest in enumerate(digests):
        seen[digest] = seen.get(digest, 0) + 1
        turns.append((seen[digest], place))
    return [place for _, place in sorted(turns)[:most]]
