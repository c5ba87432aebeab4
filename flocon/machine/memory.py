"""What glibc is asked to do with memory; where the C library is another one, nothing."""

from __future__ import annotations

import ctypes

#: From malloc.h.
_M_ARENA_MAX = -8


def share_memory() -> None:
    """Have threads to come take memory from where all do; else each gets a heap of its own.

    Reading a large database leaves 2 MB behind in one. They hardly wait for each other: the
    interpreter's lock lets one of them at a time ask for memory anyway.
    """
    option = getattr(ctypes.CDLL(None), "mallopt", None)
    if option is not None:
        option(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Return what is free to the system: glibc keeps it otherwise, some 10 MB after a database."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
