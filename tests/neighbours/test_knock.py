"""Knocking back: at whom, at which port, how often, and what is believed of an answer."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from flocon.neighbours.knock import (
    BURST,
    BURST_OF_ALL,
    COARSE_TIME,
    MOST_DATABASES,
    Knocked,
    Knocker,
    address_of,
    clock_off,
    read_knock,
)

ASKER = IPv4Address("TCP", "10.0.0.2", 40_000)


class KnockingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.announced: dict[str, list[int]] = {"10.0.0.2": [19432]}
        self.knocker = Knocker(
            self.reactor,
            announced=lambda address: self.announced.get(address, []),
            databases=lambda: {"core": 7_999.0},
            default_port=19432,
            clock=lambda: 77.0,
        )

    def knock(self, client: Any = ASKER, wanted: int | None = None) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.knocker.knock(client, wanted))

    def open(self) -> StringTransport:
        """Accept the connection."""
        *_, factory, _, _ = self.reactor.tcpClients[-1]
        transport = StringTransport()
        factory.buildProtocol(None).makeConnection(transport)
        return transport

    def test_an_open_port_is_told_of_and_left_at_once(self) -> None:
        knocking = self.knock()
        self.assertEqual(self.reactor.tcpClients[-1][:2], ("10.0.0.2", 19432))
        transport = self.open()
        told = self.successResultOf(knocking)
        self.assertEqual(
            told,
            {"port": 19432, "open": True, "heard": True, "time": 60, "databases": {"core": 7_200}},
        )
        self.assertTrue(transport.disconnecting or transport.disconnected)

    def test_a_closed_port_is_told_of(self) -> None:
        knocking = self.knock()
        *_, factory, _, _ = self.reactor.tcpClients[-1]
        factory.clientConnectionFailed(None, Failure(Refused()))
        self.assertFalse(self.successResultOf(knocking)["open"])

    def test_who_is_not_heard_is_knocked_at_at_the_usual_port(self) -> None:
        self.announced.clear()
        knocking = self.knock()
        self.open()
        told = self.successResultOf(knocking)
        self.assertEqual((told["port"], told["heard"]), (19432, False))

    def test_a_port_that_nobody_announced_is_left_alone(self) -> None:
        self.announced["10.0.0.2"] = [20_000, 20_001]
        for wanted, port in ((22, 20_000), (20_001, 20_001), (19432, 19432), (None, 20_000)):
            self.knock(wanted=wanted)
            self.assertEqual(self.reactor.tcpClients[-1][:2], ("10.0.0.2", port))
            self.open()

    def test_nobody_can_have_it_knock_often(self) -> None:
        for _ in range(BURST):
            self.knock()
            self.open()
        self.assertIsNone(self.successResultOf(self.knock()))
        self.assertEqual(len(self.reactor.tcpClients), BURST)
        self.reactor.advance(2)
        self.assertNoResult(self.knock())
        self.open()

    def test_many_addresses_together_cannot_either(self) -> None:
        refused = 0
        for at in range(BURST_OF_ALL + 20):
            knocking = self.knock(IPv4Address("TCP", f"10.0.1.{at}", 1))
            if knocking.called:
                refused += self.successResultOf(knocking) is None
            else:
                self.open()
        self.assertEqual(refused, 20)

    def test_one_ipv6_network_cannot_by_using_many_addresses(self) -> None:
        refused = 0
        for at in range(BURST + 5):
            knocking = self.knock(IPv6Address("TCP", f"2001:db8::{at:x}", 1))
            if knocking.called:
                refused += self.successResultOf(knocking) is None
            else:
                self.open()
        self.assertEqual(refused, 5)


class Clocks(SynchronousTestCase):
    @given(st.floats(0, 1e10), st.floats(-1e4, 1e4), st.floats(0, 5))
    def test_what_is_told_to_the_minute_is_never_taken_for_more(
        self, now: float, ahead: float, took: float
    ) -> None:
        knocked = Knocked(1, True, True, round((now + ahead) / COARSE_TIME) * COARSE_TIME, {})
        off = clock_off(knocked, now - took / 2, now + took / 2)
        self.assertLessEqual(abs(off), abs(ahead) + 0.01)
        self.assertGreaterEqual(abs(off), abs(ahead) - COARSE_TIME - took - 0.01)
        self.assertGreaterEqual(off * ahead, 0)


class AddressTests(SynchronousTestCase):
    def test_addresses_are_those_to_connect_to(self) -> None:
        for host, scope, expected in (
            ("::ffff:10.0.0.2", 0, "10.0.0.2"),
            ("fe80::1", 3, "fe80::1%3"),
            ("fe80::1%eth0", 3, "fe80::1%eth0"),
            ("fd00::1", 0, "fd00::1"),
        ):
            self.assertEqual(address_of(IPv6Address("TCP", host, 1, 0, scope)), expected)
        self.assertEqual(address_of(ASKER), "10.0.0.2")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["port", "open", "heard", "time", "databases", "core"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


class ReadingTests(SynchronousTestCase):
    good: dict[str, Any] = {  # noqa: RUF012 - only read
        "port": 19432,
        "open": False,
        "heard": True,
        "time": 1.5,
        "databases": {"core": 3, "extra": "old", "later": -1},
    }

    def test_an_answer_is_read_without_what_is_impossible_in_it(self) -> None:
        knocked = read_knock(self.good)
        assert knocked is not None
        self.assertEqual((knocked.port, knocked.open, knocked.heard), (19432, False, True))
        self.assertEqual(knocked.databases, {"core": 3.0})

    def test_what_is_no_answer_is_none(self) -> None:
        for key, value in {
            "port": 0,
            "open": "yes",
            "heard": 1,
            "time": -1,
            "databases": {str(at): at for at in range(MOST_DATABASES + 1)},
        }.items():
            self.assertIsNone(read_knock({**self.good, key: value}), key)
            self.assertIsNone(read_knock({k: v for k, v in self.good.items() if k != key}))

    @settings(max_examples=300, deadline=None)
    @given(JSON)
    def test_nothing_a_peer_answers_is_not_survived(self, value: Any) -> None:
        read_knock(value)
        read_knock(json.loads(json.dumps(value)))
