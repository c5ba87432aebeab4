"""What this machine gives where nothing is set: its name, where the store and the socket lie.

Looks at the environment and at folders; nothing is made here.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from flocon.errors import ConfigurationError
from flocon.settings.settings import SYSTEM_STORE


def host_name() -> str:
    """Return this machine's name as others can read it: a kernel takes any bytes for one."""
    return "".join(one if one.isprintable() else "?" for one in socket.gethostname()) or "?"


def default_store() -> Path:
    """Return systemd's cache folder, the system's own where it can be written, or the user's.

    Raises ConfigurationError where there is none of them.
    """
    if directory := os.environ.get("CACHE_DIRECTORY"):
        return Path(directory.split(":")[0])
    nearest = SYSTEM_STORE if SYSTEM_STORE.exists() else SYSTEM_STORE.parent
    if os.access(nearest, os.W_OK):
        return SYSTEM_STORE
    if directory := os.environ.get("XDG_CACHE_HOME"):
        return Path(directory) / "flocon"
    try:
        return Path.home() / ".cache" / "flocon"
    except RuntimeError:
        problem = f"this user can write neither {nearest} nor a home, having none"
        raise ConfigurationError(
            "flocon, default of --store", problem, "name a folder that it can write"
        ) from None


def default_control(store: Path) -> Path:
    """Return where the control socket lies: systemd's runtime folder, or in the store."""
    if directory := os.environ.get("RUNTIME_DIRECTORY"):
        return Path(directory.split(":")[0]) / "control"
    return store / "control"
