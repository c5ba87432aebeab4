"""Datagrams through real sockets and Twisted's own ports, on the loopback.

Time and the reactor's loop are the test's. IPv6 multicast needs a real link: tests/lan has that.
"""

from __future__ import annotations

import errno
import random
import socket
from collections import Counter
from dataclasses import replace
from ipaddress import ip_interface
from typing import Any
from unittest.mock import patch

from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from flocon.datagrams.group import GroupProtocol
from flocon.datagrams.membership import Place
from flocon.datagrams.messages import Kind, decode
from flocon.machine.links import Link
from flocon.presence import multicast as module
from flocon.presence.multicast import Multicast
from flocon.presence.own_announcement import Identity
from flocon.presence.presence import Presence
from flocon.presence.presence_events import Event, Heard, PeerCame, PeerLeft
from tests.datagrams.loopback_group import GONE, GROUP, GROUP6, LO, Reactor, free_port


def make_presence(number: int) -> Presence:
    return Presence(
        Identity(f"{number:016x}", "00000001", f"host-{number}"),
        chance=random.Random(number),
        beat=30.0,
        port=19432,
        system="arch",
    )


class MulticastTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.port = free_port()
        self.events: dict[int, list[Event]] = {}

    def make(self, number: int, *, start: bool = True) -> Multicast:
        self.events[number] = []
        node = Multicast(
            self.reactor,
            make_presence(number),
            group=GROUP,
            group6=GROUP6,
            port=self.port,
            on_event=self.events[number].append,
        )
        node.set_links([LO])
        if start:
            node.startService()
            self.addCleanup(self.stop, node)
        return node

    def stop(self, node: Multicast) -> None:
        if node.running:
            closed = node.stopService()
            self.reactor.advance(0)
            self.successResultOf(closed)

    def kill(self, node: Multicast) -> None:
        """Let ``node`` go without a word."""
        node._presence.take_datagrams()
        with patch.object(node._presence, "take_datagrams", return_value=[]):
            self.stop(node)

    def run_for(self, seconds: float) -> None:
        for _ in range(round(seconds * 20)):
            self.reactor.read()
            self.reactor.advance(0.05)
        self.reactor.read()

    def kinds(self, number: int) -> list[str]:
        return [type(event).__name__ for event in self.events[number]]


class MeetingTests(MulticastTestCase):
    def test_two_nodes_of_one_machine_meet_and_part(self) -> None:
        first = self.make(1)
        self.make(2)
        self.run_for(2)
        self.assertEqual(self.kinds(1)[:2], ["PeerCame", "Heard"])
        self.assertEqual(self.kinds(2)[:2], ["PeerCame", "Heard"])
        (came,) = [event for event in self.events[2] if isinstance(event, PeerCame)]
        self.assertEqual((came.peer.name, came.peer.address), ("host-1", "127.0.0.1"))
        first.stopService()
        self.reactor.read()
        last = self.events[2][-1]
        assert isinstance(last, PeerLeft)
        self.assertEqual(last.reason, "bye")

    def test_a_killed_one_is_missed_by_the_timer(self) -> None:
        self.make(1)
        killed = self.make(2)
        self.run_for(2)
        self.kill(killed)
        for _ in range(110):
            self.reactor.read()
            self.reactor.advance(1)
        last = self.events[1][-1]
        assert isinstance(last, PeerLeft)
        self.assertEqual(last.reason, "expired")

    def test_a_link_that_comes_later_is_joined_and_greeted(self) -> None:
        self.make(1)
        late = self.make(2, start=False)
        late.set_links([])
        late.startService()
        self.addCleanup(self.stop, late)
        self.run_for(5)
        self.assertEqual(self.events[1], [])
        late.set_links([LO])
        self.run_for(2)
        self.assertEqual((self.kinds(1)[0], self.kinds(2)[0]), ("PeerCame", "PeerCame"))

    def test_a_hundred_links_are_joined_a_few_in_each_turn_and_greeted_at_the_end(self) -> None:
        node = self.make(1)
        self.run_for(5)
        joined: list[Place] = []
        turns: list[int] = []
        take_steps = node._take_steps

        def join_at(place: Place) -> None:
            joined.append(place)
            node._membership.failed(self.reactor.seconds(), place, "made up")

        def one_turn(most: int) -> None:
            before = len(joined)
            take_steps(most)
            turns.append(len(joined) - before)

        self.patch(node, "_join_at", join_at)
        self.patch(node, "_take_steps", one_turn)
        node.set_links([LO, *(replace(LO, index=1_000 + number) for number in range(100))])
        sent = node._presence._speaker.sequence
        self.assertLess(len(joined), 100)
        self.run_for(1)
        self.assertEqual(len(set(joined)), 100 * len(LO.addresses))
        self.assertLessEqual(max(turns), 32)
        self.run_for(2)
        self.assertGreater(node._presence._speaker.sequence, sent)

    def test_what_presence_was_told_goes_out_after_a_wake(self) -> None:
        self.make(1)
        node = self.make(2)
        self.run_for(3)
        node._presence.update(self.reactor.seconds(), abilities=frozenset({"store"}))
        node.wake()
        self.run_for(0.2)
        last = self.events[1][-1]
        assert isinstance(last, Heard)
        self.assertEqual(last.announcement.abilities, frozenset({"store"}))

    def test_rejoin_says_hello(self) -> None:
        self.make(1)
        node = self.make(2)
        self.run_for(5)
        self.events[1].clear()
        node.rejoin()
        self.reactor.read()
        (heard,) = self.events[1]
        assert isinstance(heard, Heard)
        self.assertIs(heard.announcement.kind, Kind.HELLO)


class LifeTests(MulticastTestCase):
    def test_has_one_delayed_call_and_leaves_none_behind(self) -> None:
        node = self.make(1)
        for _ in range(50):
            self.run_for(1)
            node.wake()
            self.assertEqual(len(self.reactor.getDelayedCalls()), 1)
        self.stop(node)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.reactor.readers, [])

    def test_what_one_turn_read_is_told_together_in_the_next(self) -> None:
        node, other = self.make(1), self.make(2)
        self.run_for(5)
        self.events[1].clear()
        other.rejoin()
        [port] = [member.transport for member in node._members.values()]
        port.doRead()
        node._set_timer()
        self.assertEqual(self.events[1], [])
        [call] = [call for call in self.reactor.getDelayedCalls() if call is node._alarm.pending]
        self.assertEqual(call.getTime(), self.reactor.seconds())
        self.reactor.advance(0)
        self.assertEqual(self.kinds(1), ["Heard"])

    def test_a_flood_on_one_link_leaves_the_others_their_share(self) -> None:
        node = self.make(1)
        [member] = node._members.values()
        with patch.dict(node._members, {(0, 4): member}):  # a second place to share with
            node._allow_reading()
        with patch.object(member, "_received") as received:
            for _ in range(100):
                member.send(b"")
            member.transport.doRead()
        self.assertEqual(received.call_count, module._MOST_AT_ONCE // 2)

    def test_stopping_ends_once_the_sockets_are_closed(self) -> None:
        node = self.make(1)
        [member] = node._members.values()
        handle = member.transport.getHandle()
        stopped = node.stopService()
        self.assertNoResult(stopped)
        self.reactor.advance(0)
        self.successResultOf(stopped)
        self.assertEqual(handle.fileno(), -1)

    def test_can_be_started_again(self) -> None:
        node = self.make(1)
        self.stop(node)
        node.startService()
        self.make(2)
        self.run_for(2)
        self.assertIn("PeerCame", self.kinds(1))

    def test_the_bye_is_out_when_stop_returns(self) -> None:
        node = self.make(1)
        heard: list[bytes] = []
        listener = GroupProtocol(
            Place(LO, 4),
            GROUP,
            self.port,
            received=lambda *it: heard.append(it[2]),
            lost=lambda _: None,
            counters=Counter(),
        )
        listener.listen(self.reactor)
        self.addCleanup(self.reactor.advance, 0)
        self.addCleanup(listener.leave)
        node.stopService()
        listener.transport.doRead()
        self.assertEqual([decode(one).kind for one in heard], [Kind.BYE])

    def test_a_listener_that_fails_costs_only_its_event(self) -> None:
        node = self.make(1)
        failing = iter([True])

        def listen(event: Event) -> None:
            if next(failing, False):
                raise RuntimeError("once")
            self.events[1].append(event)

        node._on_event = listen
        self.make(2)
        self.run_for(2)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.kinds(1)[0], "Heard")

    def test_a_listener_may_talk_back(self) -> None:
        node = self.make(1)

        def listen(event: Event) -> None:
            self.events[1].append(event)
            if isinstance(event, PeerCame):
                node._presence.update(self.reactor.seconds(), abilities=frozenset({"relay"}))
                node.wake()

        node._on_event = listen
        self.make(2)
        self.run_for(2)
        last = self.events[2][-1]
        assert isinstance(last, Heard)
        self.assertEqual(last.announcement.abilities, frozenset({"relay"}))

    def test_an_error_of_ours_does_not_cost_the_socket(self) -> None:
        node = self.make(1)
        with patch.object(node._presence, "receive", side_effect=RuntimeError("ours")):
            self.make(2)
            self.run_for(1.5)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertGreater(node.counters["failed"], 1)
        self.run_for(40)
        self.assertIn("PeerCame", self.kinds(1))


class FailureTests(MulticastTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.logged: list[str] = []
        observer: Any = self.observe
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def observe(self, event: LogEvent) -> None:
        self.logged.append(formatEvent(event))

    def test_a_port_that_another_program_keeps_is_said_once_and_joined_when_it_is_free(
        self,
    ) -> None:
        self.make(1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            port = self.port = free_port()
            other.bind(("", port))
            node = self.make(2)
            for _ in range(60):
                self.reactor.advance(1)
            node.set_links([LO])
        said = [text for text in self.logged if f"port {port}" in text and "Cannot join" in text]
        self.assertEqual(len(said), 1)
        self.assertIn("Address already in use", said[0])
        self.run_for(6)
        self.assertIn("Joined the IPv4 group on lo after all", self.logged)
        self.make(3)
        self.run_for(2)
        self.assertIn("PeerCame", self.kinds(2))

    def test_an_ip_version_without_sockets_does_not_keep_the_other_from_serving(self) -> None:
        opened = socket.socket

        def refuse(family: int, *rest: Any) -> socket.socket:
            if family is socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported")
            return opened(family, *rest)

        both = Link("lo", 1, (*LO.addresses, ip_interface("::1/128")))
        with patch("flocon.datagrams.group.socket.socket", refuse):
            node = self.make(1, start=False)
            node.set_links([both])
            node.startService()
            self.addCleanup(self.stop, node)
        self.assertEqual(sum("Cannot join the IPv6" in text for text in self.logged), 1)
        self.make(2)
        self.run_for(2)
        self.assertIn("PeerCame", self.kinds(1))

    def test_a_socket_that_the_reactor_gave_up_is_replaced(self) -> None:
        node = self.make(1)
        [member] = node._members.values()
        self.reactor.removeReader(member.transport)
        member.transport.connectionLost(Failure(OSError(errno.EIO, "gone")))
        self.assertEqual(node._members, {})
        self.run_for(6)
        self.make(2)
        self.run_for(2)
        self.assertIn("PeerCame", self.kinds(1))

    def test_a_join_that_fails_is_said_once_and_tried_every_five_seconds(self) -> None:
        node = self.make(1)
        tries = []
        listen = GroupProtocol.listen

        def count(member: GroupProtocol, reactor: Any) -> None:
            if member.place == Place(GONE, 4):
                tries.append(self.reactor.seconds())
            listen(member, reactor)

        with patch.object(GroupProtocol, "listen", count):
            node.set_links([LO, GONE])
            for _ in range(1000):
                self.reactor.advance(1)
        self.assertEqual(tries, [5.0 * number for number in range(181)])
        said = [text for text in self.logged if "IPv4 group on gone0" in text]
        self.assertEqual(len(said), 1)
        self.assertIn("No such device", said[0])
