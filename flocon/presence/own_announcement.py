"""What this node says of itself, and which changes of its inventory it has not told yet."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypedDict

from flocon.datagrams.messages import MOST_CLAIMED, Announcement, Kind, check, room_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flocon.holdings.inventory import Change

#: More than a few seconds' worth is told as a new generation only: peers ask for the rest by HTTP.
MOST_PENDING = 256


@dataclass(frozen=True, slots=True)
class Identity:
    """What a node is from start to stop: 16 and 8 hexadecimal digits, and its host's name."""

    node: str
    epoch: str
    name: str


class Profile(TypedDict, total=False):
    """What a node may come to say anew of itself."""

    port: int
    system: str
    architectures: tuple[str, ...]
    databases: tuple[tuple[str, str], ...]
    abilities: frozenset[str]
    own: tuple[tuple[str, int], ...]
    addresses: tuple[str, ...]
    generation: int
    files: int


class OwnAnnouncement:
    """Keeps ``said``, what the next datagram says but for its kind, number and beat.

    Raises DatagramError for an identity or a profile that cannot be announced.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        beat: float,
        port: int,
        system: str,
        architectures: tuple[str, ...],
        databases: tuple[tuple[str, str], ...],
        abilities: frozenset[str],
    ) -> None:
        self.said = Announcement(
            Kind.BEAT,
            identity.node,
            identity.epoch,
            1,
            identity.name,
            port,
            system,
            architectures,
            beat,
            0,
            0,
            databases,
            abilities,
        )
        check(self.said)
        # What was not told yet: the changes after the generation of ``said``, and the files then.
        self._pending: deque[Change] = deque()
        #: Whether the next datagram tells of a generation without the changes that led to it:
        #: those that come until then would mend nobody's gap.
        self._in_gap = False
        self._files = 0

    @property
    def has_more(self) -> bool:
        """Whether there are changes that were not told yet."""
        return bool(self._pending)

    def rename(self, identity: Identity) -> None:
        own = replace(self.said, node=identity.node, epoch=identity.epoch, name=identity.name)
        check(own)
        self.said = own

    def account(self, saved: int, crossed: int) -> None:
        """Say what the LAN saved this node, in MiB, as far as that can be said."""
        savings = min(saved, MOST_CLAIMED), min(crossed, MOST_CLAIMED)
        self.said = replace(self.said, savings=savings)

    def update(self, given: Profile) -> bool:
        """Say this from now on; return whether it is anything new."""
        told = "generation" in given
        if "files" in given and not told:
            given = {**given, "generation": self.said.generation + len(self._pending)}
        own = replace(self.said, **given)
        check(own)
        if told or "files" in given:
            self._pending.clear()
            self._files = own.files
        if own == self.said:
            return False
        self.said = own
        return True

    def inventory_changed(
        self, generation: int, files: int, changes: Iterable[Change], *, in_parts: bool
    ) -> bool:
        """Take ``changes`` that led to ``generation``; return whether it is another one.

        Not ``in_parts``, or where they do not follow or are too many, they are told of by the
        generation alone.
        """
        told = self.said.generation + len(self._pending)
        if not self._in_gap:
            self._pending.extend(changes)
        self._files = files
        following = generation == self.said.generation + len(self._pending)
        if not in_parts or not following or len(self._pending) > MOST_PENDING:
            self._skip_pending(generation)
        return generation != told

    def _skip_pending(self, generation: int) -> None:
        self._pending.clear()
        self._in_gap = True
        self.said = replace(self.said, generation=generation, files=self._files)

    def with_changes(self, said: Announcement) -> Announcement:
        """Return ``said`` with the oldest changes not yet told, as many as fit; they are told."""
        if not self._pending:
            return said
        # Digits that the generation and the number of files may grow by are allowed for: there can
        # be more in between than before and afterwards.
        last = self.said.generation + len(self._pending)
        most = max(self._files, said.files + len(self._pending))
        room = room_for(replace(said, generation=last, files=most), self._pending)
        if not room:
            self._skip_pending(last)
            return replace(said, generation=last, files=self._files)
        changes = tuple(self._pending.popleft() for _ in range(room))
        generation = said.generation + room
        files = self._files - sum(1 if one.held else -1 for one in self._pending)
        self.said = replace(self.said, generation=generation, files=max(0, files))
        return replace(said, generation=generation, files=self.said.files, changes=changes)

    def end_gap(self) -> None:
        """Note that a datagram goes out, which tells of the generation that there is now."""
        self._in_gap = False
