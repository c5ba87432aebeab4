"""How long the reactor was held, with a clock and a poller of the test's own."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.machine.holds import Holds


class Poller:
    """Waits by moving the clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.arguments: list[tuple[Any, ...]] = []
        self.fails: Exception | None = None
        self.registered: list[int] = []

    def poll(self, *arguments: Any) -> list[tuple[int, int]]:
        self.arguments.append(arguments)
        self.clock.now += 100.0
        if self.fails:
            raise self.fails
        return [(1, 2)]

    def register(self, descriptor: int) -> None:
        self.registered.append(descriptor)

    def unregister(self, descriptor: int) -> None:
        self.registered.remove(descriptor)

    def modify(self, descriptor: int) -> None:
        pass

    def close(self) -> str:
        return "closed"


class Clock:
    """Seconds that stand still until moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Reactor:
    """What is wrapped of a reactor."""

    def __init__(self, poller: object) -> None:
        self._poller: Any = poller

    def turn(self, clock: Clock, seconds: float) -> Any:
        """Wait, then be held for so long."""
        result = self._poller.poll(0.5, 7)
        clock.now += seconds
        return result


class HoldsTest(SynchronousTestCase):
    """Held is what lies between two waits."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.poller = Poller(self.clock)
        self.reactor = Reactor(self.poller)
        self.holds = Holds(self.reactor, self.clock)
        self.holds.startService()

    def hold(self, *milliseconds: float) -> None:
        for one in milliseconds:
            self.reactor.turn(self.clock, one / 1_000)
        self.reactor.turn(self.clock, 0)

    def test_waiting_is_no_hold(self) -> None:
        self.hold(0, 0, 0)
        self.assertEqual(self.holds.status(), {"longest_hold_ms": 0.0, "holds_over_50_ms": 0})

    def test_the_longest_hold_stays(self) -> None:
        self.hold(3, 20.5, 7)
        self.assertEqual(self.holds.status(), {"longest_hold_ms": 20.5, "holds_over_50_ms": 0})

    def test_holds_over_50_ms_are_counted(self) -> None:
        self.hold(51, 49, 300)
        self.assertEqual(self.holds.status(), {"longest_hold_ms": 300.0, "holds_over_50_ms": 2})

    def test_a_hold_after_an_interrupted_wait_counts(self) -> None:
        self.poller.fails = InterruptedError()
        self.assertRaises(InterruptedError, self.reactor.turn, self.clock, 0)
        self.poller.fails = None
        self.clock.now += 0.04
        self.hold(0)
        self.assertAlmostEqual(self.holds.longest, 0.04)

    def test_what_is_passed_on_is_passed_on_whole(self) -> None:
        self.assertEqual(self.reactor.turn(self.clock, 0), [(1, 2)])
        self.assertEqual(self.poller.arguments, [(0.5, 7)])
        self.reactor._poller.register(5)
        self.assertEqual(self.poller.registered, [5])
        self.assertEqual(self.reactor._poller.close(), "closed")

    def test_stopping_gives_the_poller_back(self) -> None:
        self.holds.stopService()
        self.assertIs(self.reactor._poller, self.poller)
        self.assertFalse(self.holds.measures)

    def test_nothing_is_claimed_of_a_reactor_without_a_poller(self) -> None:
        holds = Holds(object(), self.clock)
        holds.startService()
        self.assertIsNone(holds.status())
        holds.stopService()
