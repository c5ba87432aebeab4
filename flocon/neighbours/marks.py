"""Which of very many files somebody holds, in eight bytes for each and without its name."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from hashlib import blake2b

_SIZE = 8


class Marks:
    """A set of keys, of each of which a short digest is kept, in order.

    Two keys with one digest are taken for the same: one in 2 ** 64, or made so by whoever announces
    them, who could as well announce both.
    """

    def __init__(self) -> None:
        self._digests = array("Q")

    def __len__(self) -> int:
        return len(self._digests)

    def __contains__(self, key: bytes) -> bool:
        return self._find(key)[2]

    def add(self, key: bytes) -> bool:
        """Put ``key`` in; return whether it is new."""
        place, digest, known = self._find(key)
        if not known:
            self._digests.insert(place, digest)
        return not known

    def discard(self, key: bytes) -> bool:
        """Take ``key`` out; return whether it was in."""
        place, _, known = self._find(key)
        if known:
            del self._digests[place]
        return known

    def _find(self, key: bytes) -> tuple[int, int, bool]:
        digest = int.from_bytes(blake2b(key, digest_size=_SIZE).digest())
        place = bisect_left(self._digests, digest)
        return place, digest, place < len(self._digests) and self._digests[place] == digest
