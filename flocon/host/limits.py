"""How many files this process may have open."""

from __future__ import annotations

import resource
from contextlib import suppress


def open_files() -> int:
    """Return how many file descriptors this process may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def raise_open_files(wanted: int) -> None:
    """Raise the soft limit to ``wanted``, or as far as the hard one lets.

    A shell starts programs with 1,024, for the sake of ``select``, which Twisted does not use here.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
