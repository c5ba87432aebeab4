"""How ports are taken: what is said of one that cannot be, and what systemd holds for the node."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import (
    IReactorSocket,
    IReactorTCP,
    IStreamServerEndpointStringParser,
)
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactor
from twisted.logger import capturedLogs
from twisted.plugin import getPlugins
from twisted.python.systemd import ListenFDs
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import verify

from flocon.errors import ConfigurationError
from flocon.machine.endpoints import BACKLOG
from flocon.machine.ports import Inherited, Ports, close, inherited_sockets

HERE = "127.0.0.1"


def endpoint(port: int, address: str = HERE) -> list[list[str]]:
    return [[f"tcp:{port}:interface={address}"]]


class PortsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.stack = ExitStack()
        self.addCleanup(self.stack.close)
        self.reactor = MemoryReactor()

    def listening(self, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
        address = HERE if family == socket.AF_INET else "::1"
        return self.stack.enter_context(socket.create_server((address, 0), family=family))

    def inherited(self, one: socket.socket) -> Inherited:
        address, port = one.getsockname()[:2]
        return Inherited(one.fileno(), one.family, address, port)

    def refusal(self, endpoints: list[list[str]], option: str = "flocon: --lan") -> str:
        face = endpoints, option
        return str(self.assertRaises(ConfigurationError, Ports(None).rehearse, face))


class Refusing(PortsCase):
    def test_one_that_is_taken_is_named_in_one_sentence(self) -> None:
        port = self.listening().getsockname()[1]
        self.assertEqual(
            self.refusal(endpoint(port)),
            f"flocon: --lan: port {port} is taken; is another flocon running?",
        )

    def test_where_another_setting_has_it_that_is_named(self) -> None:
        held = self.inherited(self.listening())
        with socket.create_server((HERE, 0)) as one:
            port = one.getsockname()[1]
        for ports, number in ((Ports(None), port), (Ports(None, [held]), held.port)):
            lan, mirror = (endpoint(number), "--lan"), (endpoint(number), "mirror.listen")
            said = str(self.assertRaises(ConfigurationError, ports.rehearse, lan, mirror))
            named = f"mirror.listen: port {number} is that of --lan already"
            self.assertEqual(said, f"{named}; choose another port for one of them")

    def test_a_second_face_does_not_make_good_for_one_that_is_taken(self) -> None:
        # Whoever listens there answers pacman in this node's place.
        port = self.listening().getsockname()[1]
        self.assertIn(f"port {port} is taken", self.refusal([*endpoint(0), *endpoint(port)]))

    def test_another_place_is_no_way_out_where_the_first_is_taken(self) -> None:
        port = self.listening().getsockname()[1]
        self.assertIn("is taken", self.refusal([[*endpoint(port)[0], *endpoint(0)[0]]]))

    def test_an_address_that_is_not_here_is_made_good_by_another(self) -> None:
        away, here = endpoint(0, "192.0.2.1"), endpoint(0)
        Ports(None).rehearse(([*away, *here], "flocon: --lan"))
        Ports(None).rehearse(([[*away[0], *here[0]]], "flocon: --lan"))

    def test_an_address_that_is_not_here_is_named_where_there_is_no_other(self) -> None:
        self.assertIn("Cannot assign requested address", self.refusal(endpoint(0, "192.0.2.1")))

    def test_what_is_no_endpoint_is_a_sentence_whatever_twisted_raises(self) -> None:
        for description in (
            *("nosuch:1", "tcp:x", "tcp:1:nosuch=2", "tcp:99999", "tcp:", "ssl:1"),
            *("fd:x", "tcp:1:interface=no/where"),
        ):
            said = self.refusal([[description]])
            self.assertRegex(said, r"^flocon: --lan: .+; .+", description)
            self.assertIn(description, said)

    def test_systemds_socket_without_systemd_is_a_sentence(self) -> None:
        for rest in ("domain=INET:index=0", "domain=INET:name=lan", "domain=X:index=0", "index=0"):
            said = self.refusal([[f"systemd:{rest}"]])
            self.assertIn("systemd has handed over no socket", said)

    def test_a_rehearsal_keeps_nothing(self) -> None:
        with socket.create_server((HERE, 0)) as one:
            port = one.getsockname()[1]
        for _ in range(2):
            Ports(None).rehearse((endpoint(port), "flocon: --lan"))


class TakingOver(PortsCase):
    def test_the_socket_at_an_endpoints_address_is_taken_over(self) -> None:
        verify.verifyObject(IReactorTCP, self.reactor)
        verify.verifyObject(IReactorSocket, self.reactor)
        held = self.inherited(self.listening())
        factory = Factory()
        Ports(self.reactor, [held]).listen(endpoint(held.port), factory, "flocon: --lan")
        self.assertEqual(self.reactor.tcpServers, [])
        self.assertEqual(self.reactor.adoptedPorts, [(held.descriptor, held.family, factory)])

    def test_any_other_is_bound(self) -> None:
        held = self.inherited(self.listening())
        Ports(self.reactor, [held]).listen(endpoint(held.port + 1), Factory(), "flocon: --lan")
        ((port, _, backlog, address),) = self.reactor.tcpServers
        self.assertEqual((port, backlog, address), (held.port + 1, BACKLOG, HERE))

    def test_what_systemd_holds_is_no_port_that_is_taken(self) -> None:
        held = self.inherited(self.listening())
        Ports(None, [held]).rehearse((endpoint(held.port), "flocon: --lan"))

    def test_what_this_process_alone_listens_on_is_told_where_systemd_holds_others(self) -> None:
        held, other = (self.inherited(self.listening()) for _ in range(2))
        hosts = [IPv4Address("TCP", HERE, one.port) for one in (held, other)]
        ports: list[Any] = [mock.Mock(getHost=lambda host=host: host) for host in hosts]
        ports.append(mock.Mock(getHost=lambda: UNIXAddress("/run/x")))
        self.assertEqual(Ports(self.reactor, [held]).unheld(ports), [f"{HERE}:{other.port}"])
        # By hand nothing is held.
        self.assertEqual(Ports(self.reactor).unheld(ports), [])
        six: Any = mock.Mock(getHost=lambda: IPv6Address("TCP", "::", 15678))
        self.assertEqual(Ports(self.reactor, [held]).unheld([six]), ["[::]:15678"])

    def test_one_that_no_endpoint_names_is_told_of(self) -> None:
        used, unused = (self.inherited(self.listening()) for _ in range(2))
        ports = Ports(self.reactor, [used, unused])
        ports.listen(endpoint(used.port), Factory(), "flocon: --lan")
        with capturedLogs() as events:
            ports.tell_unused()
        self.assertEqual([event["place"] for event in events], [str(unused)])

    def test_one_that_an_endpoint_of_systemds_kind_names_is_none_of_these(self) -> None:
        # The endpoint closes what it has taken over.
        held = self.inherited(self.listening())
        held = replace(held, descriptor=os.dup(held.descriptor))
        parser = next(
            one for one in getPlugins(IStreamServerEndpointStringParser) if one.prefix == "systemd"
        )
        self.patch(parser, "_sddaemon", ListenFDs([held.descriptor], ["lan"]))
        ports = Ports(self.reactor, [held])
        ports.listen([["systemd:domain=INET:name=lan"]], Factory(), "flocon: --lan")
        with capturedLogs() as events:
            ports.tell_unused()
        self.assertEqual(events, [])


class Closing(TestCase):
    """``close``, of real sockets."""

    async def closed(self, *gone: str) -> list[str]:
        """Return what is left of a Unix socket some of whose files somebody took away."""
        # Such a path has 108 bytes at most.
        folder = Path(tempfile.mkdtemp(dir="/tmp"))
        self.addCleanup(shutil.rmtree, folder)
        [port] = Ports(reactor).listen([[f"unix:{folder}/control"]], Factory(), "control")
        for name in gone:
            (folder / name).unlink()
        await close(port)
        self.assertFalse(port.connected)
        return sorted(one.name for one in folder.iterdir())

    async def test_nothing_is_left_of_a_unix_socket(self) -> None:
        self.assertEqual(await self.closed(), [])

    async def test_nor_where_its_file_or_its_lock_was_taken_away(self) -> None:
        for gone in (["control"], ["control.lock"], ["control", "control.lock"]):
            self.assertEqual(await self.closed(*gone), [], gone)

    async def test_a_port_of_tcp_is_free_again(self) -> None:
        [port] = Ports(reactor).listen(endpoint(0), Factory(), "flocon: --lan")
        number = port.getHost().port
        await close(port)
        with socket.create_server((HERE, number)):
            pass


class HandedOver(PortsCase):
    """``inherited_sockets``, on descriptors of this process."""

    def found(self, *sockets: socket.socket, **environment: str) -> list[Inherited]:
        # In a row, as systemd hands them over, and far from those in use.
        first = 900
        for number, one in enumerate(sockets, first):
            os.dup2(one.fileno(), number)
            self.addCleanup(os.close, number)
        return inherited_sockets(environment, os.getpid(), first)

    def test_each_is_found_with_where_it_listens(self) -> None:
        one, two = self.listening(), self.listening(socket.AF_INET6)
        found = self.found(one, two, LISTEN_FDNAMES="flocon.socket:flocon.socket")
        self.assertEqual(
            [(held.descriptor, held.address, held.port) for held in found],
            [(900, *one.getsockname()), (901, *two.getsockname()[:2])],
        )
        self.assertEqual(str(found[1]), f"[::1]:{found[1].port}")

    def test_they_are_not_left_to_programs_that_the_node_runs(self) -> None:
        self.found(self.listening(), LISTEN_FDNAMES="flocon.socket")
        self.assertFalse(os.get_inheritable(900))

    def test_those_of_another_process_are_none(self) -> None:
        one = self.listening()
        self.assertEqual(self.found(one, LISTEN_FDNAMES="x", LISTEN_PID="1"), [])
        self.assertEqual(inherited_sockets({}, os.getpid(), 900), [])

    def test_what_is_no_listening_tcp_socket_is_none(self) -> None:
        local = self.stack.enter_context(socket.socket(socket.AF_UNIX))
        idle = self.stack.enter_context(socket.socket())
        self.assertEqual(self.found(local, idle, LISTEN_FDNAMES="a:b:closed"), [])
