"""Networks joined by a router that forwards no multicast, as VLANs are: each a bridge with hosts.

The hosts of network N have addresses 10.77.N.x, the mirror is in network 0, and 10.77.N.254 is the
router, in a namespace of its own. A network can be cut off from it. Hosts know each other's names
by a file of their own, as ``ip netns exec`` lays it over /etc/hosts.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lan.lan import Host, Lan, remove_namespace, run_command

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What iproute2 lays over /etc for whoever runs in a namespace.
_OVERLAYS = Path("/etc/netns")


class RoutedHost(Host):
    """A host in the network that its address names, whose way to the others is the router."""

    lan: RoutedLan

    @property
    def network(self) -> int:
        return int(self.address.split(".")[2])

    def plug(self) -> None:
        super().plug()
        run_command(
            *("ip", "-n", self.lan.bridge, "link", "set", f"p-{self.name}"),
            *("master", bridge_of(self.network)),
        )
        self._route()

    def plug_far(self, delay: float) -> None:
        super().plug_far(delay)
        self._route()

    def link(self, state: str) -> None:
        super().link(state)
        if state == "up":
            self._route()

    def renumber(self, address: str) -> None:
        """Give this host another address of its network, as at the end of a lease."""
        before = self.ip("-4", "-o", "addr", "show", "dev", "eth0", "scope", "global").split()[3]
        self.ip("addr", "del", before, "dev", "eth0")
        self.ip("addr", "add", f"{address}/24", "dev", "eth0")
        self._route()

    def _route(self) -> None:
        # A link that went down took the way with it.
        self.ip("route", "replace", "default", "via", f"10.77.{self.network}.254")


class RoutedLan(Lan):
    """Several networks, and their router."""

    def __init__(self, networks: Iterable[int]) -> None:
        super().__init__()
        self.router = self.bridge.removesuffix("bridge") + "router"
        run_command("ip", "netns", "add", self.router)
        self._in_router("link", "set", "lo", "up")
        run_command("ip", "netns", "exec", self.router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        for network in networks:
            bridge = bridge_of(network)
            run_command("ip", "-n", self.bridge, "link", "add", bridge, "type", "bridge")
            run_command("ip", "-n", self.bridge, "link", "set", bridge, "up")
        self._cut: set[int] = set()
        for network in (0, *networks):
            self._join(network)

    def _join(self, network: int) -> None:
        """Give the router a leg in a network."""
        port = f"r-{network}"
        peer = ("peer", "name", f"leg{network}", "netns", self.router)
        run_command("ip", "-n", self.bridge, "link", "add", port, "type", "veth", *peer)
        run_command(
            "ip", "-n", self.bridge, "link", "set", port, "master", bridge_of(network), "up"
        )
        self._in_router("addr", "add", f"10.77.{network}.254/24", "dev", f"leg{network}")
        self._in_router("link", "set", f"leg{network}", "up")

    def _in_router(self, *arguments: str) -> None:
        run_command("ip", "-n", self.router, *arguments)

    def host(self, name: str, address: str, *, plugged: bool = True) -> Host:
        host = RoutedHost(self, name, address, self.bridge.removesuffix("bridge") + name)
        self.hosts[name] = host
        if plugged:
            host.plug()
        self._name_all()
        return host

    def _name_all(self) -> None:
        """Have every host know all names."""
        lines = [f"{host.address} {host.name}\n" for host in self.hosts.values()]
        text = "".join(["127.0.0.1 localhost\n", *lines])
        for host in self.hosts.values():
            overlay = _OVERLAYS / host.namespace
            overlay.mkdir(parents=True, exist_ok=True)
            (overlay / "hosts").write_text(text)

    def cut(self, network: int) -> None:
        """Cut a network off from all others; its hosts still reach each other."""
        self._in_router("link", "set", f"leg{network}", "down")
        self._cut.add(network)

    def mend(self, network: int) -> None:
        """Join it again."""
        self._in_router("link", "set", f"leg{network}", "up")
        self._cut.discard(network)

    def reset(self) -> None:
        for network in tuple(self._cut):
            self.mend(network)
        super().reset()

    def close(self) -> None:
        remove_namespace(self.router)
        for host in self.hosts.values():
            shutil.rmtree(_OVERLAYS / host.namespace, ignore_errors=True)
        super().close()


def bridge_of(network: int) -> str:
    """Return the bridge of a network; that of network 0 is the LAN's usual one."""
    return f"net{network}" if network else "bridge"
