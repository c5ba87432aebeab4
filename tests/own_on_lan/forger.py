"""A node that has packages, and gives others of the same size out under their names and sums.

Run as twistd is; but for that it is a node as any other.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from twisted.scripts.twistd import run

from flocon.answering.held import InMemory, send_opened
from flocon.faces import lan

if TYPE_CHECKING:
    from twisted.web.http import Request


class _Another(InMemory):
    """What is sent instead."""

    reads = None

    def lend(self, _: Any) -> None:
        """Have it sent to whoever asks."""


async def send_another(request: Request, opened: Any, *words: Any, **more: Any) -> None:
    data = bytearray(os.pread(opened.fileno(), opened.size, 0))
    opened.close()
    # Its head stays a package's.
    data[len(data) // 2] ^= 0xFF
    await send_opened(request, _Another(bytes(data), opened.modified), *words, **more)


def main() -> None:
    lan.send_opened = send_another  # type: ignore[attr-defined]
    run()


if __name__ == "__main__":
    main()
