"""Is it the file that was promised: running size and SHA-256, and the verdict.

hashlib gives the interpreter lock away while it hashes, so ``update`` may run in a thread; one
Verifier is used by one thread at a time.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flocon.files import Content


class Verifier:
    """Hashes a file from its start on; ``position`` is how far it came."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.position = 0

    def update(self, data: bytes | memoryview) -> None:
        self._hash.update(data)
        self.position += len(data)

    def digest(self) -> bytes:
        return self._hash.digest()

    def matches(self, expected: Content) -> bool:
        """Whether what was hashed so far is the whole of ``expected``, and right."""
        return self.position == expected.size and self._hash.digest() == expected.sha256
