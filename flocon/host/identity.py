"""Which node this is, across restarts: a random token in the store, seasoned with the name."""

from __future__ import annotations

import contextlib
import re
import secrets
from hashlib import blake2b
from typing import TYPE_CHECKING

from flocon.host.beneath import read_small, write_small

if TYPE_CHECKING:
    from pathlib import Path

_TOKEN = re.compile(r"[0-9a-f]{32}")
_LARGEST = 1_000


def node_identity(folder: Path, name: str) -> str:
    """Return 16 hexadecimal digits, the same after a restart where ``folder`` can be written.

    The host's name is mixed in so that two machines cloned from one image differ.
    """
    file = folder / "node"
    token = ""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        token = read_small(file, _LARGEST).decode("ascii").strip()
    if not _TOKEN.fullmatch(token):
        token = secrets.token_hex(16)
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            write_small(file, f"{token}\n".encode(), 0o644)
    return blake2b(f"{token}\n{name}".encode(), digest_size=8).hexdigest()
