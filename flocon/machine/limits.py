"""How many files this process may have open, and how much memory it may have.

Imported before anything large is: where there is too little memory for that, this can say so.
"""

from __future__ import annotations

import errno
import resource
from contextlib import suppress

#: Bytes of address space without which no node runs, and no command: measured, and a fifth more.
#: Most of a node's is never touched, but belongs to its threads' stacks.
NODES_MEMORY = 128 << 20
COMMANDS_MEMORY = 88 << 20


def demand_memory(least: int) -> None:
    """End with a sentence where this process may have less than ``least`` bytes of memory."""
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most != resource.RLIM_INFINITY and most < least:
        raise SystemExit(
            f"flocon: it may have {most >> 20} MiB of memory here, and needs {least >> 20}; raise"
            " that limit: 'ulimit -v', or LimitAS= of its unit"
        )


def open_files() -> int:
    """Return how many file descriptors this process may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def lacks_descriptors(error: BaseException) -> bool:
    """Whether something failed for want of file descriptors, this process's or the system's.

    That passes, and says nothing of what was to be opened.
    """
    return isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}


def raise_open_files(wanted: int) -> None:
    """Raise the soft limit to ``wanted``, or as far as the hard one lets.

    A shell starts programs with 1,024, for the sake of ``select``, which Twisted does not use here.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
