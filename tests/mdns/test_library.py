"""Whether somebody else says that he is this node, as the library tells of records."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface, ip_address
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.links import Link
from flocon.mdns import library as library_module
from flocon.mdns.library import Library, Listener, info_of
from flocon.mdns.services import PACSERVE, Names, Own
from flocon.mdns.sieve import Sieve
from tests.mdns.virtual_loop import run

NAMES = Names("flocon on ada", "ada-flocon")
LINKS = (Link("eth0", 2, (IPv4Interface("10.0.0.1/24"),)),)
A, AAAA, SRV, TXT = 1, 28, 33, 16


class Announced(SynchronousTestCase):
    def setUp(self) -> None:
        own = Own("0123456789abcdef", "89abcdef", "ada", 19432, "arch", ("x86_64", "any"))
        self.info = info_of(PACSERVE, own, NAMES, LINKS)

    def test_each_record_may_be_remembered_for_two_minutes(self) -> None:
        records = [self.info.dns_pointer(), self.info.dns_service(), self.info.dns_text()]
        records += self.info.dns_addresses()
        self.assertEqual({record.ttl for record in records}, {120})

    def test_the_host_is_the_node_s_alone(self) -> None:
        service = self.info.dns_service()
        self.assertEqual((service.server, service.port), ("ada-flocon.local.", 19432))
        self.assertEqual((service.priority, service.weight), (0, 0))

    def test_each_architecture_has_a_string_of_its_own(self) -> None:
        self.assertEqual(
            self.info.dns_text().text,
            b"\x07id=arch\x0barch=x86_64\x08arch=any\x17flocon=0123456789abcdef",
        )


class Links(SynchronousTestCase):
    def test_one_that_was_made_anew_is_left_before_it_is_joined(self) -> None:
        """With the address that it had it is to the library as before, and nothing is heard."""
        asked: list[list[str | int]] = []

        class PlayedZeroconf:
            def __init__(self, **_: object) -> None:
                pass

            async def async_update_interfaces(self, *, interfaces: list[str | int]) -> None:
                asked.append(interfaces)

        self.patch(library_module, "AsyncZeroconf", PlayedZeroconf)
        kept = Link("eth1", 3, (IPv4Interface("10.1.0.1/24"),))
        none: Any = None
        library = Library((*LINKS, kept), Sieve(), heard=none, left=none, clashed=none)
        run(library.be_on((kept, replace(LINKS[0], index=9))))
        self.assertEqual(asked, [["10.1.0.1"], ["10.1.0.1", "10.0.0.1"]])
        del asked[:]
        moved = Link("eth1", 3, (IPv4Interface("10.1.0.7/24"),))
        run(library.be_on((moved, replace(LINKS[0], index=9))))
        self.assertEqual(asked, [["10.1.0.7", "10.0.0.1"]])


class Claims(SynchronousTestCase):
    def setUp(self) -> None:
        self.clashes: list[bool] = []
        self.expected: list[str] = []
        self.listener = Listener(lambda: self.clashes.append(True), self.expected.append)
        self.listener.own(NAMES, ("10.0.0.1",), LINKS)

    def hear(self, kind: int, name: str, *, ttl: int = 120, **data: object) -> None:
        record = SimpleNamespace(type=kind, name=name, ttl=ttl, **data)
        updates: list[Any] = [SimpleNamespace(new=record)]
        zeroconf: Any = None
        self.listener.async_update_records(zeroconf, 0.0, updates)

    def address(self, text: str, name: str = "Ada-Flocon.local.", ttl: int = 120) -> None:
        packed = ip_address(text).packed
        self.hear(A if len(packed) == 4 else AAAA, name, ttl=ttl, address=packed)

    def test_another_address_under_our_name_is_a_claim(self) -> None:
        for text in ("10.0.0.9", "fd00::9"):
            self.address(text)
        self.assertEqual(len(self.clashes), 2)

    def test_our_own_words_are_none(self) -> None:
        self.address("10.0.0.1")
        self.assertEqual(self.clashes, [])

    def test_a_goodbye_is_none(self) -> None:
        self.address("10.0.0.9", ttl=0)
        self.assertEqual(self.clashes, [])

    def test_what_we_said_before_a_change_is_none(self) -> None:
        moved = (Link("eth0", 2, (IPv4Interface("10.0.0.2/24"),)),)
        self.listener.own(NAMES, ("10.0.0.2",), moved)
        self.address("10.0.0.1")
        self.assertEqual(self.clashes, [])

    def test_other_hosts_are_none(self) -> None:
        self.address("10.0.0.9", "grace.local.")
        self.assertEqual(self.clashes, [])

    def test_our_service_on_another_host_is_a_claim(self) -> None:
        self.hear(SRV, NAMES.of(PACSERVE), server="eve.local.")
        self.assertEqual(self.clashes, [True])

    def test_our_own_service_is_none(self) -> None:
        self.hear(SRV, NAMES.of(PACSERVE), server="ada-flocon.local.")
        self.hear(TXT, NAMES.of(PACSERVE))
        self.assertEqual(self.clashes, [])

    def test_before_anything_is_announced_nothing_is_a_claim(self) -> None:
        self.listener.own(None, (), LINKS)
        self.address("10.0.0.9")
        self.hear(SRV, NAMES.of(PACSERVE), server="eve.local.")
        self.assertEqual(self.clashes, [])

    def test_the_host_of_a_service_is_expected(self) -> None:
        self.hear(SRV, f"pacserve on grace.{PACSERVE}", server="grace.local.")
        self.assertEqual(self.expected, ["grace.local."])
