"""What follows when something changes."""

from __future__ import annotations

from ipaddress import ip_interface
from types import SimpleNamespace
from typing import Any, ClassVar

from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.links import Link
from flocon.node import following
from flocon.node.following import Following
from flocon.node.joining import Joining
from flocon.node.unmirrored import NoStandins, Unmirrored
from flocon.pacman.configuration import PacmanConfiguration
from flocon.precedence import MOST_FOR_PEERS, QUIET, Precedence


class Links(SynchronousTestCase):
    def setUp(self) -> None:
        self.closed: list[str] = []
        #: The links by which it was last told what is on the LAN.
        self.near: list[Any] = []
        parts: Any = SimpleNamespace(
            admission=SimpleNamespace(links=()),
            inventory_pool=SimpleNamespace(closeCachedConnections=self.closing("inventories")),
            desk=SimpleNamespace(
                agents=SimpleNamespace(close_idle=self.closing("files")),
                look_for_parents=self.near.append,
            ),
            multicast=SimpleNamespace(set_links=lambda _: None),
            siting=SimpleNamespace(set_links=lambda _: None),
            metered=SimpleNamespace(link_changed=lambda: None),
            mirroring=Unmirrored(),
            foreign=SimpleNamespace(links_changed=lambda _: None),
            mdns=SimpleNamespace(changed=lambda: None),
            standins=NoStandins(),
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

    def test_what_is_on_the_lan_is_told_by_the_links_as_they_are(self) -> None:
        self.change("10.0.0.1/24")
        self.change()
        self.assertEqual([len(links) for links in self.near], [1, 0])


class DownloadUsers(SynchronousTestCase):
    """As whom pacman downloads, by its configuration."""

    USERS: ClassVar = {"alpm": 969, "loader": 1001}

    def setUp(self) -> None:
        self.clock = Clock()
        self.precedence = Precedence(self.clock)
        nothing = SimpleNamespace(set_directories=lambda _: None, architectures=lambda _: None)
        parts: Any = SimpleNamespace(
            holdings=SimpleNamespace(looking=nothing),
            announcer=nothing,
            desk=SimpleNamespace(precedence=self.precedence, look_for_parents=lambda _: None),
            admission=SimpleNamespace(links=()),
            mdns=SimpleNamespace(changed=lambda: None),
            pacman=SimpleNamespace(configuration=PacmanConfiguration()),
        )
        parts.joining = Joining(None, parts)
        self.patch(following, "in_thread", lambda _, call, *given: succeed(call(*given)))
        self.patch(following, "number_of", self.USERS.get)
        self.following = Following(None, parts)

    def holds_back_for_long(self, user: int) -> bool:
        """Whether a request of a user holds back for longer than another's may."""
        with self.precedence.pacman(user):
            for _ in range(round(MOST_FOR_PEERS * 4 / QUIET)):
                stands = self.precedence.stands(self.fail)
                self.precedence.forget(self.fail)
                if not stands:
                    return False
                self.clock.advance(QUIET * 0.9)
        return True

    def assert_pacmans(self, *users: int) -> None:
        for user in (0, *self.USERS.values()):
            self.clock.advance(MOST_FOR_PEERS * 4)
            self.assertEqual(self.holds_back_for_long(user), user in users, user)

    def test_it_is_the_one_that_is_named_or_the_usual_one(self) -> None:
        self.following.configuration_changed(PacmanConfiguration())
        self.assert_pacmans(0, 969)
        self.following.configuration_changed(PacmanConfiguration(download_user="loader"))
        self.assert_pacmans(0, 1001)

    def test_where_there_is_none_root_is_pacmans_alone(self) -> None:
        self.following.configuration_changed(PacmanConfiguration(download_user="nosuch"))
        self.assert_pacmans(0)


class Metered(SynchronousTestCase):
    """What may be fetched unasked, by what a link costs."""

    def test_mirror_and_keeper_are_told_once_the_link_is_known_and_when_it_is_another(
        self,
    ) -> None:
        told: list[bool] = []

        def allow(*, metered: bool) -> None:
            told.append(metered)

        metered = SimpleNamespace(known=False, metered=False)
        parts: Any = SimpleNamespace(
            metered=metered,
            reloading=SimpleNamespace(settings=SimpleNamespace(prefetch="lan", relay=True)),
            ahead=SimpleNamespace(prefetch=SimpleNamespace(allow=lambda _: None)),
            mirroring=SimpleNamespace(allow=allow, gives=False),
            desk=SimpleNamespace(own=SimpleNamespace(relays=True, able_since=0.0)),
            announcer=SimpleNamespace(abilities=lambda _: None),
        )
        parts.joining = Joining(None, parts)
        parts.building = SimpleNamespace(allow=allow)
        self.patch(following, "abilities_of", lambda *_, **__: frozenset())
        changes = Following(Clock(), parts)
        metered.known = True
        changes.metered_known()
        for costs in (True, False):
            metered.metered = costs
            changes.metered_changed(costs)
        self.assertEqual(told, [False, False, True, True, False, False])
