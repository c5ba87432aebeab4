"""A node that gives an older generation of an own repository out as a newer one.

Run as twistd is; but for that it is a node as any other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from twisted.scripts.twistd import run

from flocon.joined import told
from flocon.joined.giving import Giving

if TYPE_CHECKING:
    from flocon.joined.told import Generation

#: Seconds by which what it has is newer, as it says.
LATER = 100_000

_announced, _dump = Giving.announced, told.dump


def announced(self: Giving) -> tuple[tuple[str, int], ...]:
    return tuple((name, signed + LATER) for name, signed in _announced(self))


def dump(generation: Generation) -> bytes:
    return _dump(replace(generation, signed=generation.signed + LATER))


def main() -> None:
    Giving.announced = announced  # type: ignore[method-assign]
    told.dump = dump
    run()


if __name__ == "__main__":
    main()
