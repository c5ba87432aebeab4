"""What this node is to the others that could fetch a file: one of them, or none. Values only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class OwnNode:
    """What is told of this node now: its id and epoch, and whether it fetches for others.

    ``able_since`` is since when, in the clock's seconds, it fetches what it can now.
    """

    node: str
    epoch: str
    relays: bool
    able_since: float
