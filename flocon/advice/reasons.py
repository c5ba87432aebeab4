"""Why a source is asked in its place, or not at all, in words. No sockets, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flocon.asking.source import Source
    from flocon.files import Content
    from flocon.pacman.entries import Entry


def reason(role: str, *, failing: bool) -> str:
    """Return why a source of this role stands where it stands."""
    if failing:
        return "failed lately, so it comes after the others of its kind"
    return {
        "holder": "holds these very bytes",
        "foreign": "is another tool's machine, which said that it has this file",
        "earlier owner": "may be fetching it already, since the owner has only just become it",
        "owner": "fetches what nobody holds, for everybody",
        "parent": "is a caching proxy of this LAN, which comes before owners and mirrors",
        "mirror": "is named in pacman's configuration",
    }[role]


def why_not(
    entry: Entry | None, held: Content | None, *, term: str | None, able: bool, failing: bool
) -> str:
    """Return why a peer that holds ``held`` is not asked for what the databases list as ``entry``.

    ``term`` is its quarantine's, if it is in one; ``able`` says whether it fetches for others.
    """
    if term is not None:
        return f"in quarantine {term}"
    if entry is None:
        return "peers are asked only for what the sync databases list"
    if held is not None and held != entry.content:
        return "holds other bytes under this name than the sync database lists"
    if not able:
        return f"does not hold it, and does not fetch [{entry.repository}] for others"
    if failing:
        return "does not hold it, and failed lately"
    return "does not hold it, and comes behind this node as the one to fetch it"


def answer(told: Mapping[str, Any]) -> str:
    """Return how the file would be answered, in a sentence."""
    if told["here"]:
        return f"this node holds it, in its {told['here']['origin']}"
    if told["arriving"]:
        if told["arriving"]["whole"]:
            return "it has just arrived, and is being kept"
        source = told["arriving"]["source"]
        return f"it is on its way here{f', from {source}' if source else ''}"
    order = [one for one in told["order"] if one["role"] != "earlier owner"]
    if not order:
        return "there is nobody to ask: the answer is an error, and pacman asks its next server"
    first = order[0]
    who = first["name"] or first["address"]
    if not told["listed"]:
        return f"no sync database lists it, so only mirrors are asked: {who} first"
    if first["role"] == "owner":
        return f"nobody holds it: {who} is asked to fetch it for everybody"
    if first["role"] == "parent":
        return f"no node holds it: {who}, a caching proxy of this LAN, is asked first"
    if first["role"] == "foreign":
        return f"no node holds it: {who} at {first['address']} has it, and is asked first"
    if first["role"] == "mirror":
        return f"nobody holds it, and this node fetches it itself: {who} is asked first"
    return f"a peer holds it: {who} is asked first"


def database_answer(repository: str, databases: str, order: Sequence[Source]) -> str:
    """Return how a database would be answered; ``databases`` is that setting of flocon.toml."""
    if databases == "lan":
        return (
            "databases are those of the LAN's state, or the newest of peers and mirrors where no"
            " node gives one, as flocon.toml says"
        )
    mode, _, name = databases.partition(":")
    if mode == "node":
        return f"databases are those of the state that {name} gives the LAN, as flocon.toml says"
    if order:
        return f"databases come from the mirrors: {order[0].label} is asked first"
    return f"no mirror is known for {repository}: the answer is an error"
