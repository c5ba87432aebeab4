"""What systemd is told, over a real datagram socket."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.systemd import (
    BEAT_AGAIN,
    STATUS_INTERVAL,
    Notifier,
    Supervision,
    watchdog_interval,
)


class Listening(SynchronousTestCase):
    """systemd's end of the socket."""

    def listen(self, address: str) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.addCleanup(listener.close)
        listener.bind(address)
        return listener

    def setUp(self) -> None:
        # Socket paths are short, a test's own folder is not.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.address = str(Path(folder.name) / "notify")
        self.systemd = self.listen(self.address)

    def received(self) -> list[list[str]]:
        """Return the lines of every datagram since the last call."""
        datagrams = []
        while True:
            try:
                datagrams.append(self.systemd.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return datagrams


class Notifications(Listening):
    def test_one_datagram_carries_every_assignment(self) -> None:
        self.assertTrue(Notifier(self.address).send("READY=1", "STATUS=here"))
        self.assertEqual(self.received(), [["READY=1", "STATUS=here"]])

    def test_an_abstract_socket_is_reached(self) -> None:
        name = f"flocon-test-{os.getpid()}"
        self.systemd = self.listen("\0" + name)
        self.assertTrue(Notifier("@" + name).send("READY=1"))
        self.assertEqual(self.received(), [["READY=1"]])

    def test_without_the_variable_nobody_is_told(self) -> None:
        notifier = Notifier.from_environment({})
        self.assertFalse(notifier.supervised)
        self.assertFalse(notifier.send("READY=1"))

    def test_another_kind_of_address_counts_as_none(self) -> None:
        self.assertFalse(Notifier("vsock:2:1234").supervised)

    def test_a_socket_that_is_gone_is_survived(self) -> None:
        Path(self.address).unlink()
        self.assertFalse(Notifier(self.address).send("READY=1"))

    def test_a_full_queue_does_not_hold_the_reactor(self) -> None:
        notifier = Notifier(self.address)
        for _ in range(2000):
            began = time.monotonic()
            if not notifier.send("STATUS=again"):
                break
        else:
            self.fail("the queue never filled")
        self.assertLess(time.monotonic() - began, 0.5)


class Intervals(SynchronousTestCase):
    def test_half_of_what_systemd_allows(self) -> None:
        self.assertEqual(watchdog_interval({"WATCHDOG_USEC": "60000000"}, 7), 30.0)

    def test_only_the_process_that_is_meant(self) -> None:
        environment = {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"}
        self.assertEqual(watchdog_interval(environment, 7), 0)
        self.assertEqual(watchdog_interval(environment, 8), 30.0)

    def test_nonsense_is_no_watchdog(self) -> None:
        for value in ("", "soon", "-1", "1.5", "٣"):
            self.assertEqual(watchdog_interval({"WATCHDOG_USEC": value}, 7), 0, value)


class Supervising(Listening):
    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.line = "no peers"

    def supervision(self, **environment: str) -> Supervision:
        told = {"NOTIFY_SOCKET": self.address, **environment}
        supervision = Supervision(self.clock, lambda: self.line, told)
        supervision.startService()
        return supervision

    def test_starting_says_ready_and_how_it_is(self) -> None:
        self.supervision()
        self.assertEqual(self.received(), [["READY=1", "STATUS=no peers"]])

    def test_the_watchdog_is_beaten_twice_in_its_time(self) -> None:
        self.supervision(WATCHDOG_USEC="60000000")
        self.received()
        self.clock.pump([1.0] * 60)
        self.assertEqual(self.received(), [["WATCHDOG=1"]] * 2)

    def test_a_beat_that_is_lost_is_made_good_long_before_the_next_one_is_due(self) -> None:
        self.supervision(WATCHDOG_USEC="5000000")
        self.systemd.close()
        Path(self.address).unlink()
        self.clock.advance(2.5)
        self.systemd = self.listen(self.address)
        self.clock.advance(BEAT_AGAIN)
        self.assertEqual(self.received(), [["WATCHDOG=1"]])
        self.clock.advance(2.4)
        self.assertEqual(self.received(), [])
        self.clock.advance(0.1)
        self.assertEqual(self.received(), [["WATCHDOG=1"]])

    def test_a_changed_status_rides_with_the_beat(self) -> None:
        self.supervision(WATCHDOG_USEC="60000000")
        self.received()
        self.line = "3 peers"
        self.clock.advance(30)
        self.assertEqual(self.received(), [["WATCHDOG=1", "STATUS=3 peers"]])

    def test_without_a_watchdog_only_news_is_sent(self) -> None:
        self.supervision()
        self.received()
        self.clock.advance(STATUS_INTERVAL)
        self.assertEqual(self.received(), [])
        self.line = "3 peers"
        self.clock.advance(STATUS_INTERVAL)
        self.assertEqual(self.received(), [["STATUS=3 peers"]])

    def test_news_can_be_told_at_once(self) -> None:
        supervision = self.supervision()
        self.received()
        self.line = "3 peers"
        supervision.tell()
        supervision.tell()
        self.assertEqual(self.received(), [["STATUS=3 peers"]])

    def test_a_reload_begins_with_the_time_and_ends_ready(self) -> None:
        supervision = self.supervision()
        self.received()
        before = time.monotonic_ns() // 1000
        supervision.reloading()
        supervision.reloaded()
        (reloading, since), ready = self.received()
        self.assertEqual((reloading, ready), ("RELOADING=1", ["READY=1"]))
        name, _, value = since.partition("=")
        self.assertEqual(name, "MONOTONIC_USEC")
        self.assertTrue(before <= int(value) <= time.monotonic_ns() // 1000)

    def test_stopping_is_said_and_leaves_no_call_behind(self) -> None:
        supervision = self.supervision(WATCHDOG_USEC="60000000")
        self.received()
        supervision.stopService()
        self.assertEqual(self.received(), [["STOPPING=1", "STATUS=Stopping"]])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_without_systemd_nothing_is_scheduled(self) -> None:
        supervision = Supervision(self.clock, lambda: self.line, {"WATCHDOG_USEC": "60000000"})
        supervision.startService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        supervision.reloading()
        supervision.reloaded()
        supervision.tell()
        supervision.stopService()
        self.assertEqual(self.received(), [])

    def test_a_status_cannot_smuggle_in_another_assignment(self) -> None:
        self.line = "laptop\nSTOPPING=1"
        self.supervision()
        self.assertEqual(self.received(), [["READY=1", "STATUS=laptop STOPPING=1"]])

    def test_a_status_that_fails_does_not_end_the_watchdog(self) -> None:
        def broken() -> str:
            raise ZeroDivisionError

        told = {"NOTIFY_SOCKET": self.address, "WATCHDOG_USEC": "2000000"}
        supervision = Supervision(self.clock, broken, told)
        supervision.startService()
        self.clock.advance(1)
        self.clock.advance(1)
        self.assertEqual(self.received(), [["READY=1"], ["WATCHDOG=1"], ["WATCHDOG=1"]])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)
        supervision.stopService()
