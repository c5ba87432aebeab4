"""Which node this is, across restarts: a random token in the store, seasoned with the name."""

from __future__ import annotations

import contextlib
import re
import secrets
from hashlib import blake2b
from typing import TYPE_CHECKING

from flocon.machine.beneath import read_small, write_small

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
        return new_identity(folder, name)
    return _identity(token, name)


def new_identity(folder: Path, name: str) -> str:
    """Forget which node this was, and return which one it is from now on.

    Two machines that were made of one image have one token, and may have one name.
    """
    token = secrets.token_hex(16)
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        write_small(folder / "node", f"{token}\n".encode(), 0o644)
    return _identity(token, name)


def _identity(token: str, name: str) -> str:
    text = f"{token}\n{name}".encode("utf-8", "backslashreplace")
    return blake2b(text, digest_size=8).hexdigest()
