"""Files that were handed over, read without moving what whoever handed them over reads with."""

from __future__ import annotations

import io
import os
import stat
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Self

from flocon.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer


class _Handed(io.RawIOBase):
    """A plain file from its beginning, by a descriptor of its own."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = os.dup(descriptor)
        self._at = 0

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer)
        data = os.pread(self._descriptor, len(view), self._at)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


class Handed:
    """All files of one order: open within ``with``."""

    def __init__(self, descriptors: Sequence[int]) -> None:
        """Raise BuildError where one is no plain file: reading it might never end."""
        self._stack = ExitStack()
        self.files: list[IO[bytes]] = []
        for descriptor in descriptors:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                self._stack.close()
                raise BuildError("the builder was handed what is no plain file", "")
            self.files.append(self._stack.enter_context(io.BufferedReader(_Handed(descriptor))))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
