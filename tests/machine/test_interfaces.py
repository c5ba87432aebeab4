"""Which links this machine has, asked for real, and when they are told."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any
from unittest.mock import patch

import ifaddr
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.machine import interfaces as module
from flocon.machine.interfaces import InterfaceWatch, impossible, list_links, look_at_links
from flocon.machine.links import Link

LO = Link("lo", 1, (ip_interface("127.0.0.1/8"),))
UP = module.IFF_UP | module.IFF_RUNNING
CABLE = ifaddr.Adapter(
    "eth0",
    "eth0",
    [
        ifaddr.IP(("fe80::5", 0, 2), 64, "eth0"),
        ifaddr.IP("10.0.0.5", 24, "eth0"),
        ifaddr.IP(("fd00::5", 0, 0), 64, "eth0"),
    ],
    index=2,
)
LOOPBACK = ifaddr.Adapter(
    "lo", "lo", [ifaddr.IP("127.0.0.1", 8, "lo"), ifaddr.IP(("::1", 0, 0), 128, "lo")], index=1
)
TUNNEL = ifaddr.Adapter("tun0", "tun0", [ifaddr.IP("10.8.0.2", 32, "tun0")], index=9)


class LookTests(SynchronousTestCase):
    """Which interfaces are there, and which are connected."""

    def look(self, *wanted: str, **flags: int) -> dict[str, list[str]]:
        known = {
            "eth0": UP | module.IFF_MULTICAST,
            "lo": UP | module.IFF_LOOPBACK,
            "tun0": UP,
            **flags,
        }
        every = [CABLE, LOOPBACK, TUNNEL]
        with (
            patch.object(ifaddr, "get_adapters", lambda **_: every),
            patch.object(module, "_flags", lambda _, name: known[name]),
        ):
            return look_at_links(wanted)

    def test_a_cable_that_is_in_and_one_that_is_not(self) -> None:
        self.assertEqual(self.look(), {"missing": [], "running": ["eth0"], "silent": []})
        unplugged = module.IFF_UP | module.IFF_MULTICAST
        self.assertEqual(self.look(eth0=unplugged)["silent"], ["eth0"])
        self.assertEqual(self.look(eth0=unplugged)["running"], [])

    def test_what_is_wanted_is_found_by_name_and_by_address(self) -> None:
        for word in ("eth0", "10.0.0.5", "fd00:0::5"):
            self.assertEqual(self.look(word)["running"], ["eth0"], word)
        self.assertEqual(self.look("127.0.0.1")["running"], ["lo"])

    def test_what_is_not_there_is_missing(self) -> None:
        told = self.look("eth9", "10.0.0.9", "lo")
        self.assertEqual(told, {"missing": ["eth9", "10.0.0.9"], "running": ["lo"], "silent": []})


class ListTests(SynchronousTestCase):
    def list_with(
        self, wanted: Sequence[str] = (), *, flags: dict[str, int] | None = None, inet6: str = ""
    ) -> list[Link]:
        known = {
            "eth0": UP | module.IFF_MULTICAST,
            "lo": UP | module.IFF_LOOPBACK,
            "tun0": UP,
            **(flags or {}),
        }
        file = Path(self.mktemp())
        file.write_text(inet6)
        with (
            patch.object(ifaddr, "get_adapters", lambda: [CABLE, LOOPBACK, TUNNEL]),
            patch.object(module, "_flags", lambda _, name: known[name]),
            patch.object(module, "_PROC_IF_INET6", file),
        ):
            return list_links(wanted)

    def test_which_addresses_pass(self) -> None:
        rows = (("01", "fd000001"), ("20", "fd000002"), ("80", "fd000003"), ("c0", "fd000004"))
        file = Path(self.mktemp())
        file.write_text("".join(f"{one}{'0' * 24} 02 40 00 {flags} eth0\n" for flags, one in rows))
        with patch.object(module, "_PROC_IF_INET6", file):
            self.assertEqual(module.passing_addresses(), {"fd00:1::", "fd00:2::"})

    def named(self, wanted: Sequence[str] = (), **flags: int) -> dict[str, list[str]]:
        links = self.list_with(wanted, flags=flags)
        return {link.name: [str(one.ip) for one in link.addresses] for link in links}

    def test_takes_what_carries_multicast_with_all_its_addresses(self) -> None:
        self.assertEqual(self.named(), {"eth0": ["10.0.0.5", "fd00::5", "fe80::5"]})

    def test_a_link_that_is_down_or_has_no_carrier_is_none(self) -> None:
        self.assertEqual(self.named(eth0=module.IFF_MULTICAST), {})
        self.assertEqual(self.named(eth0=module.IFF_MULTICAST | module.IFF_UP), {})

    def test_a_name_selects_its_interface(self) -> None:
        self.assertEqual(list(self.named(["eth0"])), ["eth0"])
        self.assertEqual(list(self.named(["tun0", "lo"])), ["lo", "tun0"])

    def test_an_address_selects_exactly_itself(self) -> None:
        self.assertEqual(self.named(["127.0.0.1"]), {"lo": ["127.0.0.1"]})
        self.assertEqual(self.named(["fe80::5%eth0"]), {"eth0": ["fe80::5"]})

    def test_what_is_not_there_yet_is_left_out(self) -> None:
        self.assertEqual(self.named(["wlan0", "10.0.0.77"]), {})

    def test_an_ipv6_address_still_being_checked_is_left_out(self) -> None:
        packed = ip_address("fe80::5").packed.hex()
        (link,) = self.list_with(inet6=f"{packed} 02 40 20 c0     eth0\n")
        self.assertEqual([str(one.ip) for one in link.addresses], ["10.0.0.5", "fd00::5"])
        (link,) = self.list_with(inet6=f"{packed} 02 40 20 80     eth0\n")
        self.assertEqual(len(link.addresses), 3)

    def test_the_loopback_of_this_machine_is_found(self) -> None:
        self.assertEqual(list_links(["127.0.0.1"]), [LO])

    def test_no_loopback_is_found_unasked(self) -> None:
        self.assertNotIn("lo", [link.name for link in list_links()])


class ImpossibleTests(SynchronousTestCase):
    def test_tells_what_can_be_neither_a_name_nor_an_address(self) -> None:
        wrong = ["", "a b", "a/b", "an-interface-name", ".", "..", "eth0:1", "1.2.3.4/24"]
        right = ["eth0", "enp0s31f6", "br-0a1b2c", "10.0.0.5", "::1", "fe80::1%eth0", "wlan0.1"]
        self.assertEqual(impossible([*wrong, *right]), wrong)


class Reactor(Clock):
    """A Clock that keeps its readers."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:  # noqa: N802 - Twisted's name
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:  # noqa: N802 - Twisted's name
        self.readers.remove(reader)


class WatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.links: list[Link] = [LO]
        self.looks = 0
        self.told: list[list[Link]] = []
        self.watch = InterfaceWatch(self.reactor, ["lo"], self.told.append, look=self.look)
        self.addCleanup(self.stop)

    def stop(self) -> None:
        if self.watch.running:
            self.watch.stopService()

    def look(self, wanted: Sequence[str]) -> list[Link]:
        self.assertEqual(wanted, ("lo",))
        self.looks += 1
        return list(self.links)

    def stir(self) -> None:
        (reader,) = self.reactor.readers
        reader._changed()

    def test_tells_the_links_while_starting(self) -> None:
        self.watch.startService()
        self.assertEqual(self.told, [[LO]])

    def test_looks_a_moment_after_the_kernel_told_something(self) -> None:
        self.watch.startService()
        self.links = []
        for _ in range(9):
            self.stir()
        self.reactor.advance(0.19)
        self.assertEqual((self.looks, self.told), (1, [[LO]]))
        self.reactor.advance(0.02)
        self.assertEqual((self.looks, self.told), (2, [[LO], []]))

    def test_tells_only_what_differs(self) -> None:
        self.watch.startService()
        self.stir()
        self.reactor.advance(1)
        self.assertEqual((self.looks, self.told), (2, [[LO]]))

    def test_does_not_look_while_nothing_happens(self) -> None:
        self.watch.startService()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_leaves_nothing_behind(self) -> None:
        self.watch.startService()
        self.stir()
        (reader,) = self.reactor.readers
        self.watch.stopService()
        self.assertEqual((self.reactor.getDelayedCalls(), self.reactor.readers), ([], []))
        self.assertEqual(reader.fileno(), -1)

    def test_polls_where_netlink_cannot_be_opened(self) -> None:
        with patch.object(module, "_Netlink", side_effect=OSError(93, "no netlink")):
            self.watch.startService()
        self.assertEqual(self.told, [[LO]])
        self.links = []
        self.reactor.advance(10)
        self.reactor.advance(10)
        self.assertEqual((self.looks, self.told), (3, [[LO], []]))

    def test_survives_a_list_that_cannot_be_read(self) -> None:
        self.watch.startService()
        with patch.object(self.watch, "_look", side_effect=OSError(12, "no memory")):
            self.watch.check()
        self.watch.check()
        self.assertEqual(self.told, [[LO]])


class NetlinkTests(SynchronousTestCase):
    def test_is_bound_to_the_three_groups_and_reads_all_that_is_there(self) -> None:
        told: list[None] = []
        netlink = module._Netlink(lambda: told.append(None))
        self.addCleanup(netlink.close)
        groups = netlink._socket.getsockname()[1]
        self.assertEqual(groups, 0x111)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
            self.assertNotEqual(kernel.fileno(), netlink.fileno())
        netlink.doRead()
        self.assertEqual(len(told), 1)
        self.assertTrue(os.get_blocking(netlink.fileno()) is False)
