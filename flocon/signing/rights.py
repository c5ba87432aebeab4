"""Who may have the signer do what. No I/O: the kernel says who asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flocon.signing.requests import Publish, ShowKey, ShowList

if TYPE_CHECKING:
    from flocon.signing.requests import Request

ROOT = 0
#: What the node may ask for: what it tells others, and to have published what was built for it.
_OF_NODE = (ShowKey, ShowList, Publish)


@dataclass(frozen=True, slots=True)
class Rights:
    """Users by number: the signer's own, those of nodes, and whoever else may say all."""

    own: int
    nodes: frozenset[int] = frozenset()
    commanders: frozenset[int] = frozenset()

    def permit(self, user: int, request: Request) -> bool:
        """Whether a user may ask for this."""
        if user in {ROOT, self.own} or user in self.commanders:
            return True
        return user in self.nodes and isinstance(request, _OF_NODE)
