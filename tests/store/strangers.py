"""Who has a file of ours open."""

from __future__ import annotations

from collections.abc import Callable


class Stranger:
    """Has something open, and closes it when it is cut off."""

    own = False

    def __init__(self) -> None:
        self.cuts = 0
        self.close: Callable[[], None] = lambda: None

    def cut(self) -> None:
        self.cuts += 1
        self.close()
