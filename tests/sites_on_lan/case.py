"""Eight machines in three networks, a far mirror, and what the tests of this folder have in common.

One machine of each network is named to the others: its name is all that they are told.
"""

from __future__ import annotations

import atexit
import functools
import time
from typing import TYPE_CHECKING, Any

from tests.lan.lan import wait_until
from tests.lan.repository import PythonDatabase, Repository, SigningKey
from tests.lan.test_one_crossing import DELAY, CrossingTestCase, twenty_megabytes
from tests.sites_on_lan.routed import RoutedLan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tests.lan.lan import Host, Node

#: How many machines each network has.
NETWORKS = {1: 3, 2: 3, 3: 2}


class SitesLab:
    """Three networks, and a mirror of 60 packages, 4 KB to 4 MB, that is far from all of them."""

    def __init__(self) -> None:
        self.lan = RoutedLan(NETWORKS)
        atexit.register(self._close)
        self.hosts = [
            self.lan.host(f"n{network}h{at}", f"10.77.{network}.{at}")
            for network, count in NETWORKS.items()
            for at in range(1, count + 1)
        ]
        self.mirror = self.lan.mirror(delay=DELAY)
        self._key = SigningKey(self.lan.folder / "key")
        self._key.make_keyring(self.lan.keyring)
        self.steady = Repository(self.mirror.root, "steady", key=self._key, writer=PythonDatabase())
        self.steady.add(twenty_megabytes("steady"))

    def _close(self) -> None:
        if hasattr(self, "_key"):
            self._key.close()
        self.lan.close()


@functools.cache
def _lab() -> SitesLab:
    return SitesLab()


class SitesCase(CrossingTestCase):
    """A test on the eight machines of the three networks, and half of the packages."""

    def setUp(self) -> None:
        self.need_lan()
        self.sites = _lab()
        self.hosts = self.sites.hosts
        self.mirror = self.sites.mirror
        self.use(self.sites.lan, ["steady"])
        # Thirty packages, 11 MB altogether.
        self.packages = list(self.sites.steady.packages.values())[1::2]

    def of_network(self, network: int) -> list[Host]:
        prefix = f"n{network}h"
        return [host for host in self.hosts if host.name.startswith(prefix)]

    def start_all(
        self, hosts: Sequence[Host] | None = None, *, beat: float = 30.0, **peers: Any
    ) -> list[Node]:
        """Start nodes; the first machine of each network is told the names of the other first ones.

        ``peers`` is what all have in that table besides.
        """
        hosts = self.hosts if hosts is None else hosts
        named = [host.name for host in hosts if host.name.endswith("h1")]
        nodes = []
        for host in hosts:
            static = [name for name in named if name != host.name] if host.name in named else []
            settings = {"peers": {**peers, "static": static}}
            nodes.append(host.start_node(beat=beat, settings=settings))
        for node in nodes:
            node.wait_ready(60)
        return nodes

    def until_known(self, nodes: Iterable[Node], patience: float) -> float:
        """Wait until all these nodes know all others of them, and nobody else; return how long."""
        nodes = list(nodes)
        names = {node.host.name for node in nodes}
        return until(
            lambda: all(set(node.peers()) == names - {node.host.name} for node in nodes),
            patience,
            f"{', '.join(sorted(names))} know each other",
        )


def until(predicate: Callable[[], bool], patience: float, what: str) -> float:
    """Wait for ``predicate``, and return the seconds that it took."""
    began = time.monotonic()
    wait_until(predicate, patience, what, every=0.1)
    return time.monotonic() - began
