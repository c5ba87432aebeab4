"""What a file is, whatever it is called: its size and its SHA-256."""

from __future__ import annotations

from dataclasses import dataclass

#: The bytes of a raw SHA-256.
DIGEST_SIZE = 32
#: No package is larger: a mirror's largest today are below 4 GiB.
LARGEST_FILE = 1 << 40


@dataclass(frozen=True, slots=True)
class Content:
    """What identifies a file: its size in bytes and its raw SHA-256."""

    size: int
    sha256: bytes
