"""Who this node is, and what it does when another machine says that it is the same.

That is so with two machines that were made of one image.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flocon.log import logger
from flocon.presence.identity import new_identity, node_identity
from flocon.presence.own_announcement import Identity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flocon.datagrams.messages import Announcement

#: Seconds until this node takes another id once more, whoever claims to have the same.
RENAMED_FOR = 3_600.0


class Namesakes:
    """Holds this node's identity; ``renamed`` is called with another one."""

    _log = logger()

    def __init__(self, reactor: Any, store: Path, name: str) -> None:
        self._reactor = reactor
        self._store = store
        self._name = name
        self.identity = Identity(node_identity(store, name), secrets.token_hex(4), name)
        self.renamed: Callable[[Identity], None] = lambda _: None
        #: Who had the same id last, for ``/status.json``.
        self.told: dict[str, Any] | None = None
        self._renamed_at = float("-inf")

    def met(self, address: str, said: Announcement) -> None:
        """Another machine has this node's id, as its clone has: one of the two takes another.

        Both find out; the one with the lower epoch it is.
        """
        now = self._reactor.seconds()
        if now < self._renamed_at + RENAMED_FOR:
            return
        gives_way = self.identity.epoch < said.epoch
        self.told = {
            "address": address,
            "name": said.name,
            "node": said.node,
            "date": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds"),
            "renamed": gives_way,
        }
        if not gives_way:
            return
        self._renamed_at = now
        node = new_identity(self._store, self._name)
        self.identity = Identity(node, secrets.token_hex(4), self._name)
        self._log.warn(
            "{name} at {address} has this machine's node id, as if both were made of one image;"
            " this one is node {node} from now on",
            name=said.name,
            address=address,
            node=node,
        )
        self.renamed(self.identity)
