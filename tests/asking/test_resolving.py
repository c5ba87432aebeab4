"""Names of mirrors: a silent name server takes a few threads, and nobody else's."""

from __future__ import annotations

import socket
from collections.abc import Callable
from threading import Event
from typing import Any, ClassVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocon.asking import resolving as module
from flocon.asking.resolving import (
    LONG_PATIENCE,
    MOST_SLOW,
    MOST_WAITING,
    PATIENCE,
    SLOW_FOR,
    THREADS,
    Names,
    Sifted,
    is_own,
    look_up,
)


class FakeThread:
    """A thread that runs when the test says so."""

    started: ClassVar[list[FakeThread]] = []

    def __init__(self, target: Callable[..., None], args: tuple[Any, ...], **_: object) -> None:
        self._run = lambda: target(*args)

    def start(self) -> None:
        self.started.append(self)

    def run(self) -> None:
        self.started.remove(self)
        self._run()


class FakeClock(Clock):
    def callFromThread(self, function: Callable[..., Any], *arguments: Any) -> None:  # noqa: N802
        function(*arguments)


class Receiver:
    def __init__(self) -> None:
        self.found: list[tuple[str, int]] = []
        self.complete = 0

    def resolutionBegan(self, resolution: object) -> None:  # noqa: N802
        pass

    def addressResolved(self, address: Any) -> None:  # noqa: N802
        self.found.append((address.host, address.port))

    def resolutionComplete(self) -> None:  # noqa: N802
        self.complete += 1


class NamesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(module, "Thread", FakeThread)
        FakeThread.started = []
        self.clock = FakeClock()
        self.known = {"m": ["10.0.0.1", "fd00::1"]}
        self.names = Names(self.clock, lambda name: self.known[name])

    def test_where_nobody_is_kept_waiting_a_dead_name_server_is_outlasted(self) -> None:
        asked = self.names.addresses("m", LONG_PATIENCE)
        self.clock.advance(2 * PATIENCE)
        self.threads[0].run()
        self.assertEqual(self.successResultOf(asked), self.known["m"])

    def test_a_name_that_takes_longer_than_anybody_waits_is_known_the_next_time(self) -> None:
        """As behind a first name server that is dead, which costs five seconds each time."""
        asked = self.names.addresses("m")
        self.clock.advance(PATIENCE)
        self.assertEqual(self.successResultOf(asked), [])
        self.clock.advance(PATIENCE)
        self.threads[0].run()
        self.assertEqual(self.successResultOf(self.names.addresses("m")), self.known["m"])
        self.assertEqual(self.threads, [])
        self.clock.advance(SLOW_FOR)
        self.names.addresses("m")
        self.threads[0].run()
        self.names.addresses("m")
        self.assertEqual(len(self.threads), 1)

    def test_so_many_slow_names_are_known_and_no_more(self) -> None:
        for number in range(2 * MOST_SLOW):
            self.known[f"m{number}"] = ["10.0.0.1"]
            self.names.addresses(f"m{number}")
            self.clock.advance(PATIENCE)
            self.threads[0].run()
            self.assertLessEqual(len(self.names._slow), MOST_SLOW)

    @property
    def threads(self) -> list[FakeThread]:
        return FakeThread.started

    def test_a_name_has_its_addresses_in_order(self) -> None:
        asked = self.names.addresses("m")
        self.threads[0].run()
        self.assertEqual(self.successResultOf(asked), self.known["m"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_name_that_cannot_be_looked_up_has_none(self) -> None:
        asked = self.names.addresses("nobody")
        self.threads[0].run()
        self.assertEqual(self.successResultOf(asked), [])

    def test_who_asks_for_the_same_shares_one_thread(self) -> None:
        asked = [self.names.addresses("m") for _ in range(50)]
        [thread] = self.threads
        thread.run()
        self.assertEqual([self.successResultOf(one) for one in asked], [self.known["m"]] * 50)

    def test_silence_is_not_waited_for(self) -> None:
        asked = self.names.addresses("m")
        self.clock.advance(PATIENCE)
        self.assertEqual(self.successResultOf(asked), [])
        # Nor is a second thread begun where the first one is still there; its answer counts.
        again = self.names.addresses("m")
        [thread] = self.threads
        thread.run()
        self.assertEqual(self.successResultOf(again), self.known["m"])

    def test_threads_and_those_who_wait_for_them_are_few(self) -> None:
        asked = [self.names.addresses(f"m{at}") for at in range(THREADS + MOST_WAITING + 5)]
        self.assertEqual(len(self.threads), THREADS)
        for one in asked[-5:]:
            self.assertEqual(self.successResultOf(one), [])
        self.assertNoResult(asked[-6])

    def test_a_free_thread_takes_the_next_that_is_still_wanted(self) -> None:
        for at in range(THREADS):
            self.names.addresses(f"slow{at}")
        self.names.addresses("left")
        self.clock.advance(PATIENCE)
        asked = self.names.addresses("m")
        self.threads[0].run()
        self.assertEqual(len(self.threads), THREADS)
        self.threads[-1].run()
        self.assertEqual(self.successResultOf(asked), self.known["m"])

    def test_who_cancels_is_told_so_and_the_others_are_served(self) -> None:
        first, second = self.names.addresses("m"), self.names.addresses("m")
        first.cancel()
        self.failureResultOf(first)
        self.threads[0].run()
        self.assertEqual(self.successResultOf(second), self.known["m"])

    def test_literal_addresses_are_not_looked_up(self) -> None:
        for host in ("10.0.0.1", "::1", "fe80::1%eth0"):
            receiver: Any = Receiver()
            self.names.resolveHostName(receiver, host, 80)
            self.assertEqual((receiver.found, receiver.complete), ([(host, 80)], 1))
        self.assertEqual(self.threads, [])

    def test_as_a_resolver_it_gives_them_to_the_receiver(self) -> None:
        receiver: Any = Receiver()
        self.names.resolveHostName(receiver, "m", 80)
        self.assertEqual(receiver.complete, 0)
        self.threads[0].run()
        self.assertEqual(receiver.found, [("10.0.0.1", 80), ("fd00::1", 80)])
        self.assertEqual(receiver.complete, 1)

    def test_elsewhere_leaves_this_machine_out(self) -> None:
        self.known["m"] = ["10.0.0.1", "127.0.0.1", "10.0.0.2"]
        receiver: Any = Receiver()
        elsewhere = Sifted(self.names, lambda address: address in {"10.0.0.1", "127.0.0.1"})
        elsewhere.resolveHostName(receiver, "m", 80)
        self.threads[0].run()
        self.assertEqual((receiver.found, receiver.complete), ([("10.0.0.2", 80)], 1))


class OwnAddresses(SynchronousTestCase):
    def test_loopback_and_whatever_an_interface_has(self) -> None:
        own = {"127.0.0.1", "127.8.8.8", "::1", "0.0.0.0"}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            try:
                asking.connect(("192.0.2.1", 9))
                own.add(asking.getsockname()[0])
            except OSError:
                pass
        for address in own:
            self.assertTrue(is_own(address), address)

    def test_nobody_elses(self) -> None:
        for address in ("192.0.2.1", "2001:db8::1", "255.255.255.255", "224.0.0.1"):
            self.assertFalse(is_own(address), address)

    def test_the_system_is_asked_and_a_name_that_is_none_has_no_address(self) -> None:
        self.assertIn("127.0.0.1", look_up("localhost"))
        for name in ("", "a" * 300, "\udcff"):
            self.assertEqual(look_up(name), [])


class Threads(TestCase):
    async def test_the_reactors_own_threads_stay_free(self) -> None:
        let_go = Event()
        self.addCleanup(let_go.set)

        def silent(_: str) -> list[str]:
            let_go.wait(10)
            return []

        names = Names(reactor, silent)
        asked: list[Deferred[list[str]]] = [names.addresses(f"m{at}") for at in range(40)]
        self.assertEqual(await deferToThread(lambda: 7).addTimeout(1, reactor), 7)
        let_go.set()
        for one in asked:
            self.assertEqual(await one, [])
        await deferLater(reactor, 0)
