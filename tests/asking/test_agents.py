"""How peers are connected to, and how their addresses stand in a URL."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import URI

from flocon.asking import agents as module
from flocon.asking.agents import literal_host
from flocon.connections.answers import MirrorPool


class Addresses(SynchronousTestCase):
    def test_an_ipv6_zone_is_escaped(self) -> None:
        self.assertEqual(literal_host("10.0.0.1"), "10.0.0.1")
        self.assertEqual(literal_host("fe80::1%eth0"), "[fe80::1%25eth0]")

    def test_peers_are_connected_to_by_literal_address_and_zone(self) -> None:
        endpoints = module._PeerEndpoints(self, 0.5)
        made: Any = endpoints.endpointForURI(URI.fromBytes(b"http://[fe80::1%25eth0]:19432/x"))
        found = made._endpoint
        self.assertEqual((found._host, found._port), ("fe80::1%eth0", 19432))


class OtherTools(SynchronousTestCase):
    def test_their_answers_may_end_without_a_length(self) -> None:
        _, pool = module.foreign_agent(Clock(), 0.5)
        self.assertIsInstance(pool, MirrorPool)
