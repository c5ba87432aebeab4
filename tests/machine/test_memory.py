"""What glibc is asked; and a C library that knows none of it is left alone."""

from __future__ import annotations

import ctypes
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.limits import give_back, share_memory


class MemoryTests(SynchronousTestCase):
    def test_glibc_is_asked_for_one_heap_and_to_trim_it(self) -> None:
        library = mock.Mock(spec_set=["mallopt", "malloc_trim"])
        with mock.patch.object(ctypes, "CDLL", return_value=library):
            share_memory()
            give_back()
        # malloc.h: #define M_ARENA_MAX -8
        library.mallopt.assert_called_once_with(-8, 1)
        library.malloc_trim.assert_called_once_with(0)

    def test_another_library_is_left_alone(self) -> None:
        with mock.patch.object(ctypes, "CDLL", return_value=object()):
            share_memory()
            give_back()

    def test_the_real_one_takes_it(self) -> None:
        give_back()
