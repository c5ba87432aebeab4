"""Caching proxies of this LAN, for a node that knows any: put together here."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from flocon.asking.resolving import LONG_PATIENCE, Names
from flocon.parents.agent import ParentAgent
from flocon.parents.parents import Parents
from flocon.sources.means import PEER_CONNECT

if TYPE_CHECKING:
    from flocon.pacman.watch import PacmanWatch
    from flocon.sources.means import Agents


def make_parents(reactor: Any, pacman: PacmanWatch, agents: Agents, proxy: str) -> Parents:
    """Return what knows the parents, and have ``agents`` ask them in their way."""
    names = Names(reactor)
    parents = Parents(
        reactor,
        look_up=partial(names.addresses, patience=LONG_PATIENCE),
        servers=lambda: pacman.configuration.all_servers,
    )
    agents.parents = ParentAgent(
        reactor,
        PEER_CONNECT,
        names=names,
        is_near=lambda address: bool(parents.near([address])),
        environment=os.environ,
        proxy=proxy,
    )
    return parents
