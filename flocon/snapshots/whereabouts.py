"""What the command of this machine asks about a state: what it is, and where its packages are.

Answers are JSON's values. A package is on the LAN that this node holds or a peer offers, with the
very content that is meant; nobody is asked for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import task

from flocon.errors import MirrorError
from flocon.files import DIGEST_SIZE, Content, parse_file_name
from flocon.states.generation import dump
from flocon.states.policies import NOW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flocon.holdings.offering import Offering
    from flocon.neighbours.neighbourhood import Neighbourhood
    from flocon.snapshots.snapshots import Snapshots
    from flocon.states.states import States

#: Packages of one question about where they are: its line is bounded by the server, 16 KiB.
MOST_ASKED = 48
#: Names that are told of what machines here hold, and looked at in one go.
MOST_NAMES, SLICE = 100_000, 5_000
HERE, AT_PEERS, NOWHERE = "here", "lan", ""


def tell(
    states: States, snapshots: Snapshots, order: Iterable[str], fields: Mapping[str, str]
) -> dict[str, Any]:
    """Answer ``/generation.json``: the state that a word means, by default the one given out now.

    ``order`` are the repositories in the order in which pacman looks through them.
    """
    name = fields.get("name") or NOW
    try:
        generation = snapshots.find(name)
    except MirrorError as error:
        return {"problem": str(error)}
    present = {where.repository for where in generation.databases}
    in_order = dict.fromkeys([*order, *sorted(present)])
    # Since when it is a state, in seconds since 1970.
    snapshot = states.snapshots.get(name)
    return {
        "name": name,
        "taken": generation.made if snapshot is None else snapshot[1],
        "identity": generation.identity,
        "repositories": [one for one in in_order if one in present],
        "generation": dump(generation),
    }


class Whereabouts:
    """Answers ``/whereabouts.json`` and ``/names.json``, on any node."""

    def __init__(self, reactor: Any, *, offering: Offering, neighbourhood: Neighbourhood) -> None:
        self._reactor = reactor
        self._offering = offering
        self._neighbourhood = neighbourhood

    async def whereabouts(self, fields: Mapping[str, str]) -> dict[str, str] | None:
        """Tell where packages are: file names, each with ``SHA256-SIZE``."""
        asked = {name: _content(text) for name, text in fields.items()}
        if len(asked) > MOST_ASKED or None in asked.values():
            return None
        return {name: self._where(name, one) for name, one in asked.items() if one is not None}

    def _where(self, file_name: str, content: Content) -> str:
        if self._offering.holds(file_name, content):
            return HERE
        return AT_PEERS if self._neighbourhood.is_held(file_name, content) else NOWHERE

    async def names(self, _: Mapping[str, str]) -> dict[str, Any]:
        """Tell which packages, of any version, machines of the LAN hold, by architecture."""
        names: dict[str, set[str]] = {}
        count = 0
        for part in self._held():
            for text in part:
                file = parse_file_name(text)
                if file is not None and count < MOST_NAMES:
                    known = names.setdefault(file.architecture, set())
                    count += file.name not in known
                    known.add(file.name)
            await task.deferLater(self._reactor, 0)
        return {"names": {architecture: sorted(one) for architecture, one in names.items()}}

    def _held(self) -> Iterator[list[str]]:
        """Yield the files that machines of the LAN hold, in slices."""
        own = sorted(self._offering.inventory.names())
        for start in range(0, len(own), SLICE):
            yield own[start : start + SLICE]
        for part in self._neighbourhood.holders.search("", named=1):
            yield [found.file_name for found in part]


def _content(text: str) -> Content | None:
    sha256, _, size = text.partition("-")
    if len(sha256) != 2 * DIGEST_SIZE or not size.isdecimal():
        return None
    try:
        return Content(int(size), bytes.fromhex(sha256))
    except ValueError:
        return None


def written(content: Content) -> str:
    """Return a content as it stands in a question."""
    return f"{content.sha256.hex()}-{content.size}"
