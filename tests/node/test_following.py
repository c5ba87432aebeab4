"""What follows when something changes."""

from __future__ import annotations

from ipaddress import ip_interface
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.links import Link
from flocon.node.following import Following


class Links(SynchronousTestCase):
    def setUp(self) -> None:
        self.closed: list[str] = []
        parts: Any = SimpleNamespace(
            admission=SimpleNamespace(links=()),
            inventory_pool=SimpleNamespace(closeCachedConnections=self.closing("inventories")),
            desk=SimpleNamespace(agents=SimpleNamespace(close_idle=self.closing("files"))),
            multicast=SimpleNamespace(set_links=lambda _: None),
            metered=SimpleNamespace(link_changed=lambda: None),
        )
        self.following = Following(None, parts)

    def closing(self, what: str) -> Any:
        async def close() -> None:
            self.closed.append(what)

        return close

    def change(self, *addresses: str) -> list[str]:
        """Have a link for each of these; return whose idle connections were closed."""
        links = [
            Link(f"eth{number}", number, (ip_interface(address),))
            for number, address in enumerate(addresses)
        ]
        self.closed.clear()
        self.following.links_changed(links)
        return self.closed

    def test_kept_connections_are_closed_whenever_the_way_may_be_another(self) -> None:
        cable, vpn = "10.0.0.1/24", "10.9.0.1/24"
        self.assertEqual(self.change(cable), [])
        for addresses in ((cable, vpn), (vpn,), (), (cable,)):
            had = addresses != (cable,)
            self.assertEqual(self.change(*addresses), ["inventories", "files"] if had else [])

    def test_they_are_kept_while_nothing_has_changed(self) -> None:
        self.change("10.0.0.1/24")
        self.assertEqual(self.change("10.0.0.1/24"), [])
