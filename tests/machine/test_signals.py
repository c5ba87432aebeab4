"""Signals reach the reactor, and only while the service runs."""

from __future__ import annotations

import signal
from functools import partial
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.signals import Signals


class Queue:
    """A reactor that does what it is handed when the test says so."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def callFromThread(self, call: Any, *arguments: Any) -> None:  # noqa: N802
        self.calls.append(partial(call, *arguments))


class Handling(SynchronousTestCase):
    def setUp(self) -> None:
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.reactor = Queue()
        self.received: list[str] = []
        self.signals = Signals(
            self.reactor,
            {
                signal.SIGUSR1: lambda: self.received.append("one"),
                signal.SIGUSR2: lambda: self.received.append("two"),
            },
        )

    def test_each_signal_calls_its_own_handler_from_the_reactor(self) -> None:
        self.signals.startService()
        signal.raise_signal(signal.SIGUSR2)
        signal.raise_signal(signal.SIGUSR1)
        self.assertEqual(self.received, [])
        for call in self.reactor.calls:
            call()
        self.assertEqual(self.received, ["two", "one"])
        self.signals.stopService()

    def test_many_before_the_reactor_comes_to_them_are_one_of_each(self) -> None:
        self.signals.startService()
        for _ in range(100):
            signal.raise_signal(signal.SIGUSR1)
            signal.raise_signal(signal.SIGUSR2)
        for call in self.reactor.calls:
            call()
        self.assertEqual(self.received, ["one", "two"])
        signal.raise_signal(signal.SIGUSR1)
        self.reactor.calls[-1]()
        self.assertEqual(self.received, ["one", "two", "one"])
        self.signals.stopService()

    def test_a_thousand_at_once_are_one_and_a_later_one_is_another(self) -> None:
        self.signals.startService()
        self.addCleanup(self.signals.stopService)
        for _ in range(1_000):
            signal.raise_signal(signal.SIGUSR1)
        self.assertEqual(len(self.reactor.calls), 1)
        self.reactor.calls.pop()()
        signal.raise_signal(signal.SIGUSR1)
        self.reactor.calls.pop()()
        self.assertEqual(self.received, ["one", "one"])

    def test_what_was_installed_before_is_put_back(self) -> None:
        before: list[int] = []
        signal.signal(signal.SIGUSR1, lambda number, _: before.append(number))
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        self.signals.startService()
        self.signals.stopService()
        signal.raise_signal(signal.SIGUSR1)
        self.assertEqual(before, [signal.SIGUSR1])
        self.assertEqual(signal.getsignal(signal.SIGUSR2), signal.SIG_IGN)
        self.assertEqual(self.reactor.calls, [])

    def test_it_can_be_started_again(self) -> None:
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        for _ in range(2):
            self.signals.startService()
            self.assertNotEqual(signal.getsignal(signal.SIGUSR2), signal.SIG_IGN)
            self.signals.stopService()
            self.assertEqual(signal.getsignal(signal.SIGUSR2), signal.SIG_IGN)
