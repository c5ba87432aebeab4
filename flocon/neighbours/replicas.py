"""What every peer holds, so that asking who holds a file sends no packet.

One table for all of them, from content to a bit mask of peers. No peer is asked here:
``neighbourhood`` feeds it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flocon.neighbours.marks import Marks
from flocon.presence.presence import MOST_HOLDERS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from flocon.files import Content
    from flocon.holdings.inventory import Change
    from flocon.neighbours.searching import Found, Table

#: One peer's files; a NAS that keeps every version of everything holds less.
MOST_FILES_OF_A_PEER = 100_000
#: Distinct files of all peers together, and what their rows may take, but for those that the sync
#: databases here list: made-up files keep no useful one out.
MOST_FILES = 400_000
MOST_BYTES = 64 << 20
#: What the rows of one address may take, some 12,000; whatever else it holds, and is not listed
#: here, is only marked, in eight bytes: it is found by its name and content, but not by a search.
MOST_BYTES_OF_AN_ADDRESS = 3 << 20
#: Files of all peers together that are only marked.
MOST_MARKS = 1_000_000
#: Files that a datagram alone says are gone, of one peer and of all.
MOST_DOUBTS_OF_A_PEER, MOST_DOUBTS = 1_000, 20_000
#: What a row takes beside its name and digest: of the table, and as objects.
ROW = 160
#: Bits beyond one for each of them: for those that left, until a sweep has cleared theirs.
SPARE_BITS = 512


_Key = bytes


@dataclass(frozen=True, slots=True)
class Replica:
    """How well one peer's inventory is known here: its generation, how many files and bytes.

    ``read`` is the generation that the peer itself gave when it was last asked; what is later was
    told by datagrams. ``account`` is the address that was asked. ``doubts`` of its files are gone
    by what a datagram alone says; they count no more.
    """

    generation: int
    files: int
    bytes: int
    read: int = field(default=0, compare=False)
    account: str = field(default="", compare=False)
    doubts: int = field(default=0, compare=False)


@dataclass(slots=True)
class _Account:
    """What all peers of one address take: bytes of rows, and files that are only marked."""

    peers: int = 0
    rows: int = 0
    marks: int = 0


@dataclass(slots=True)
class _Peer:
    """Its rows take ``rows`` bytes; what else it holds is marked."""

    bit: int
    place: str
    account: _Account
    generation: int = 0
    files: int = 0
    bytes: int = 0
    read: int = 0
    rows: int = 0
    marks: Marks = field(default_factory=Marks)
    #: What a datagram alone says is gone: keys of the table, and sizes.
    doubts: dict[_Key, int] = field(default_factory=dict)


class Holders:
    """Which peers hold which content: one table for all of them, bounded.

    A key is the file name followed by the raw SHA-256; the value is a bit mask of peers. A peer
    that leaves is only masked out; ``sweep`` later takes its bits out of the table, a slice a
    call, so that no call takes long.
    """

    def __init__(
        self,
        most_files: int = MOST_FILES,
        most_holders: int = MOST_HOLDERS,
        *,
        listed: Callable[[str, Content], bool] = lambda *_: False,
    ) -> None:
        """Begin empty; ``listed`` tells of a file whether a sync database here lists it."""
        self._listed = listed
        self._most_files = most_files
        self._most_holders = most_holders
        self._masks: dict[bytes, int] = {}
        self._sizes: dict[bytes, int] = {}
        self._peers: dict[str, _Peer] = {}
        self._by_bit: dict[int, str] = {}
        self._accounts: dict[str, _Account] = {}
        #: Peers of whose files some are only marked, and how many such there are of all.
        self._marked: dict[str, _Peer] = {}
        self._marks = 0
        self._doubts = 0
        #: What all rows take; they go later than the peers that had them.
        self._rows = 0
        self._live = 0
        self._stale = 0
        self._free_bits = list(range(most_holders + SPARE_BITS - 1, -1, -1))
        self._sweeping: Iterator[None] | None = None
        #: Files, and peers, that were not noted because a bound was reached.
        self.overflowed = 0

    def __len__(self) -> int:
        return len(self._masks)

    @property
    def full(self) -> bool:
        """Whether only files that are listed here find room."""
        return len(self._masks) >= self._most_files or self._rows >= MOST_BYTES

    def replica(self, peer: str) -> Replica | None:
        """Return what is known of ``peer``'s inventory, or None where nothing was read yet."""
        known = self._peers.get(peer)
        if known is None:
            return None
        doubts = len(known.doubts)
        return Replica(
            known.generation,
            known.files - doubts,
            max(0, known.bytes - sum(known.doubts.values())),
            known.read,
            known.place,
            doubts,
        )

    def replace(
        self, peer: str, generation: int, changes: Iterable[Change], *, account: str = ""
    ) -> None:
        """Take the whole inventory of ``peer`` as read at ``generation``.

        One peer more than are kept is left out: it has no replica then. All peers of one
        ``account``, an address, have the room of one.
        """
        self.forget(peer)
        if len(self._peers) >= self._most_holders:
            self.overflowed += 1
            return
        if not self._free_bits:
            # All at once, and only where nobody swept in time.
            self.sweep_all()
        bit = self._free_bits.pop()
        self._by_bit[bit] = peer
        self._live |= 1 << bit
        known = _Peer(bit, account, self._accounts.setdefault(account, _Account()))
        known.account.peers += 1
        self._peers[peer] = known
        self.apply(peer, generation, changes, read=True)

    def apply(
        self, peer: str, generation: int, changes: Iterable[Change], *, read: bool = False
    ) -> None:
        """Take ``changes`` that bring ``peer``'s replica to ``generation``.

        ``read``: they are its own answer to the question what changed since it was read, and not
        from a datagram. By that alone nothing is taken from it: what is gone by a datagram is still
        found where nobody else has it.
        """
        known = self._peers.get(peer)
        if known is None:
            return
        for change in changes:
            key = change.file_name.encode("ascii") + change.content.sha256
            if change.held:
                self._believe(known, key)
                self._add(known, key, change)
            elif read:
                self._drop(known, key, change)
            else:
                self._doubt(known, key, change)
        if known.marks:
            self._marked[peer] = known
        known.generation = generation
        if read:
            known.read = generation
            self._forget_doubts(known)

    def reflects(self, peer: str, changes: Sequence[Change]) -> bool:
        """Whether what is known of ``peer`` is what it is after these changes, its newest."""
        known = self._peers[peer]
        last = {one.file_name.encode("ascii") + one.content.sha256: one.held for one in changes}
        return all(
            held == (self._has(known, key) and key not in known.doubts)
            for key, held in last.items()
        )

    def _has(self, known: _Peer, key: bytes) -> bool:
        return bool(self._masks.get(key, 0) & 1 << known.bit) or key in known.marks

    def _doubt(self, known: _Peer, key: bytes, change: Change) -> None:
        if key in known.doubts or not self._has(known, key):
            return
        if len(known.doubts) >= MOST_DOUBTS_OF_A_PEER or self._doubts >= MOST_DOUBTS:
            self.overflowed += 1
            return
        known.doubts[key] = self._sizes.get(key, change.content.size)
        self._doubts += 1

    def _forget_doubts(self, known: _Peer) -> None:
        self._doubts -= len(known.doubts)
        known.doubts.clear()

    def _believe(self, known: _Peer, key: bytes) -> None:
        if known.doubts.pop(key, None) is not None:
            self._doubts -= 1

    def _add(self, known: _Peer, key: bytes, change: Change) -> None:
        mask = self._masks.get(key)
        if mask is None:
            if not self._spares_room(known) and not self._listed(change.file_name, change.content):
                self._mark(known, key, change)
                return
            mask = 0
            self._sizes[key] = change.content.size
            self._rows += _row(key)
        bit = 1 << known.bit
        if not mask & bit:
            self._unmark(known, key, change)
            self._masks[key] = mask | bit
            known.files += 1
            # What the first told, so that taking it off again leaves nothing.
            known.bytes += self._sizes[key]
            known.rows += _row(key)
            known.account.rows += _row(key)

    def _spares_room(self, known: _Peer) -> bool:
        """Whether a peer's file gets a row though nobody here may ever ask for it."""
        return (
            not self.full
            and known.files < MOST_FILES_OF_A_PEER
            and known.account.rows < MOST_BYTES_OF_AN_ADDRESS
        )

    def _mark(self, known: _Peer, key: bytes, change: Change) -> None:
        enough = max(known.files, known.account.marks) >= MOST_FILES_OF_A_PEER
        if enough or self._marks >= MOST_MARKS:
            self.overflowed += 1
        elif known.marks.add(key):
            self._marks += 1
            known.account.marks += 1
            known.files += 1
            known.bytes += change.content.size

    def _unmark(self, known: _Peer, key: bytes, change: Change) -> None:
        if known.marks.discard(key):
            self._marks -= 1
            known.account.marks -= 1
            known.files -= 1
            known.bytes = max(0, known.bytes - change.content.size)

    def _drop(self, known: _Peer, key: bytes, change: Change) -> None:
        mask = self._masks.get(key, 0)
        bit = 1 << known.bit
        if not mask & bit:
            self._unmark(known, key, change)
            return
        known.files -= 1
        known.bytes -= self._sizes[key]
        known.rows -= _row(key)
        known.account.rows -= _row(key)
        if mask == bit:
            self._delete(key)
        else:
            self._masks[key] = mask ^ bit

    def _delete(self, key: bytes) -> None:
        del self._masks[key], self._sizes[key]
        self._rows -= _row(key)

    def forget(self, peer: str) -> None:
        """Count ``peer`` as holding nothing any more."""
        known = self._peers.pop(peer, None)
        if known is not None:
            del self._by_bit[known.bit]
            self._live &= ~(1 << known.bit)
            self._stale |= 1 << known.bit
            self._marked.pop(peer, None)
            self._marks -= len(known.marks)
            self._forget_doubts(known)
            known.account.marks -= len(known.marks)
            known.account.rows -= known.rows
            known.account.peers -= 1
            if not known.account.peers:
                del self._accounts[known.place]

    def sweep(self, entries: int = 20_000) -> bool:
        """Clear up to ``entries`` rows of peers that left; return whether any work remains."""
        if self._sweeping is None:
            if not self._stale:
                return False
            self._sweeping = self._sweep(entries)
        if next(self._sweeping, StopIteration) is StopIteration:
            self._sweeping = None
        return self._sweeping is not None or self._stale != 0

    def sweep_all(self) -> None:
        while self.sweep():
            pass

    def _sweep(self, entries: int) -> Iterator[None]:
        stale = self._stale
        # A snapshot: keys come and go between two slices.
        keys = list(self._masks)
        for start in range(0, len(keys), entries):
            for key in keys[start : start + entries]:
                mask = self._masks.get(key)
                if mask is None or not mask & stale:
                    continue
                if rest := mask & ~stale:
                    self._masks[key] = rest
                else:
                    self._delete(key)
            yield
        if len(keys) > 2 * len(self._masks):
            # A table keeps the room that it once had.
            self._masks, self._sizes = dict(self._masks), dict(self._sizes)
        self._stale &= ~stale
        self._free_bits.extend(bit for bit in bits(stale) if bit not in self._by_bit)

    def holding(self, file_name: str, content: Content) -> list[str]:
        """Return the peers that announced this very content under this name.

        Those are left out that have it no more by what a datagram says, where others have it.
        """
        key = file_name.encode("ascii") + content.sha256
        found = list(self._announcing(key))
        return [peer for peer in found if key not in self._peers[peer].doubts] or found

    def is_held(self, file_name: str, content: Content, may: Callable[[str], bool]) -> bool:
        """Return whether any of ``holding`` may be asked; where the first may, no other is seen."""
        key = file_name.encode("ascii") + content.sha256
        sure = doubted = False
        for peer in self._announcing(key):
            if key in self._peers[peer].doubts:
                doubted = doubted or may(peer)
            elif may(peer):
                return True
            else:
                sure = True
        return doubted and not sure

    def _announcing(self, key: bytes) -> Iterator[str]:
        yield from (self._by_bit[bit] for bit in bits(self._masks.get(key, 0) & self._live))
        yield from (peer for peer, known in self._marked.items() if key in known.marks)

    def packages(self, peers: Collection[str], most: int) -> Iterator[dict[str, set[str]]]:
        """Yield names of packages that these peers hold, ``most`` of each, as ``searching`` does.

        What is only marked has no name.
        """
        from flocon.neighbours.searching import packages  # noqa: PLC0415 - a mirror alone asks

        return packages(self.table(), set(peers), most)

    def search(self, fragment: str, **bounds: int) -> Iterator[list[Found]]:
        """Yield each file whose name contains ``fragment``, as ``searching`` does."""
        # Only a person ever searches.
        from flocon.neighbours.searching import search  # noqa: PLC0415

        return search(self.table(), fragment, **bounds)

    def table(self) -> Table:
        """Return what ``searching`` looks through."""
        from flocon.neighbours.searching import Table  # noqa: PLC0415

        doubts = ((known.bit, known.doubts) for known in self._peers.values() if known.doubts)
        return Table(self._masks, self._sizes, self._by_bit, lambda: self._live, doubts)


def bits(mask: int) -> Iterator[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def _row(key: bytes) -> int:
    """Return what a row takes in memory, about."""
    return ROW + len(key)
