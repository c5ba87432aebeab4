"""Faces in other tools' places: open where they can be, and nothing where none is wanted."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ServerFactory
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocon.faces.doors import Doors, Side
from flocon.machine.ports import Inherited
from flocon.node.unmirrored import NoStandins
from flocon.serving.site import Site
from flocon.settings.settings import Settings, Store
from flocon.settings.settings import Standins as Endpoints
from flocon.standins.standins import Standins


class Nobody:
    def render(self, request: Any) -> None:
        raise AssertionError(request)


class NoneWanted(SynchronousTestCase):
    def test_it_can_be_told_and_asked_all_that_faces_can(self) -> None:
        # What is set on faces from outside is of no use where there are none.
        public = {name for name in dir(Standins) if not name.startswith("_")}
        self.assertEqual(public - set(dir(NoStandins)), set())
        none = NoStandins()
        self.assertEqual((none.sides, none.describe(), list(none.tell())), ((), [], []))


class Opening(TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.doors = Doors(reactor, Settings(store=Store(path=self.folder)), ())
        self.addCleanup(lambda: Deferred.fromCoroutine(self.doors.close()))
        self.site = Site(reactor, Nobody(), most_connections=1)

    def side(self, *ports: int) -> Side:
        endpoints = tuple(f"tcp:{port}:interface=127.0.0.1" for port in ports)
        return Side("pacredir", self.site, endpoints, "[standins] pacredir")

    def test_a_port_that_is_taken_is_done_without_until_it_is_free(self) -> None:
        other: Any = reactor.listenTCP(0, ServerFactory(), interface="127.0.0.1")
        port = other.getHost().port
        side = self.side(port, 0)
        self.doors.open_sides([side])
        self.assertEqual(len(self.doors.ports_of("pacredir")), 1)
        self.assertIn(f"port {port} is taken", self.doors.missed["pacredir"])

        def freed(_: object) -> None:
            before = self.doors.ports_of("pacredir")
            self.doors.open_sides([side])
            # What is open stays as it is.
            self.assertEqual(self.doors.ports_of("pacredir"), [*before, port])
            self.assertEqual(self.doors.missed, {})

        closing: Deferred[None] = other.stopListening()
        return closing.addCallback(freed)  # type: ignore[return-value]  # trial waits for it

    def test_one_that_is_not_asked_for_is_not_open(self) -> None:
        self.assertEqual(self.doors.ports_of("pacserve"), [])

    def test_what_systemd_holds_is_taken_over(self) -> None:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            held.listen()
            address, port = held.getsockname()
            inherited = Inherited(held.fileno(), socket.AF_INET, address, port)
            self.doors = Doors(reactor, Settings(store=Store(path=self.folder)), [inherited])
            self.doors.open_sides([self.side(port)])
            self.assertEqual(self.doors.ports_of("pacredir"), [port])
            self.assertEqual(self.doors.unheld("pacredir"), [])
            self.assertEqual(self.doors.unused(), [])


class Wanted(SynchronousTestCase):
    def test_each_face_that_has_endpoints_is_one(self) -> None:
        self.assertEqual(Endpoints().faces, [])
        told = Endpoints(pacserve=("tcp:1", "tcp6:1"), pacredir_lan=("tcp:2",))
        self.assertEqual(told.faces, [("tcp:1", "tcp6:1"), ("tcp:2",)])
