"""How many files this process may have open, and how much memory it may have and gives back.

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
#: From malloc.h: what glibc is asked to do with memory, and no other C library.
_M_ARENA_MAX = -8


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


class NoThread(OSError):  # noqa: N818 - a state of this machine, and a passing one
    """No thread could be begun: Python's reason."""

    def __init__(self, reason: object) -> None:
        super().__init__(errno.EAGAIN, str(reason) or "there is no memory for a thread")


def lacks_descriptors(error: BaseException) -> bool:
    """Whether something failed for want of file descriptors, this process's or the system's.

    Or for want of a thread. That passes, and says nothing of what was to be opened.
    """
    if isinstance(error, NoThread):
        return True
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


def share_memory() -> None:
    """Have threads to come take memory from where all do; else each gets a heap of its own.

    Reading a large database leaves 2 MB behind in one. They hardly wait for each other: the
    interpreter's lock lets one of them at a time ask for memory anyway.
    """
    import ctypes  # noqa: PLC0415 - see above

    option = getattr(ctypes.CDLL(None), "mallopt", None)
    if option is not None:
        option(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Return what is free to the system: glibc keeps it otherwise, some 10 MB after a database."""
    import ctypes  # noqa: PLC0415 - see above

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
