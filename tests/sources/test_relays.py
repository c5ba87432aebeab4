"""What strangers can have the WAN carry for nobody, over time and by address."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.sources.relays import (
    ASKERS_A_DAY,
    BUFFERED,
    DAY,
    LEAST_RATE,
    LEAST_RELAYS,
    LEAVING,
    MOST_ASKERS,
    SIP,
    WINDOW,
    Debts,
    Relay,
    Relays,
)

#: 200 Mbit/s.
LINK = 25_000_000.0
MOST = 16
MINUTE = 60.0


class Debt(SynchronousTestCase):
    def test_time_pays_it_off(self) -> None:
        debts = Debts(3)
        debts.add("a", 100, 0.0, 2.0)
        self.assertEqual(debts.level("a", 20.0, 2.0), 60)
        debts.add("a", 40, 30.0, 2.0)
        self.assertEqual(debts.level("a", 30.0, 2.0), 80)
        self.assertEqual(debts.level("a", 100.0, 2.0), 0)
        self.assertEqual((debts.level("b", 0.0, 2.0), len(debts)), (0, 0))

    @given(st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers(1, 50)), max_size=60))
    def test_the_table_is_bounded_and_keeps_the_largest(self, added: list[tuple[str, int]]) -> None:
        debts = Debts(3)
        debts.add("large", 1e9, 0.0, 1.0)
        for key, amount in added:
            debts.add(key, amount, 0.0, 1.0)
        self.assertLessEqual(len(debts), 3)
        self.assertEqual(debts.level("large", 0.0, 1.0), 1e9)


class Admitting(SynchronousTestCase):
    def setUp(self) -> None:
        self.relays = Relays()

    def admits(self, asker: str = "10.0.0.9", now: float = 0.0) -> bool:
        return self.relays.admits(now, asker, MOST, LINK)

    def fetch(self, asker: str, now: float, arrived: int, taken: int, whole: bool = True) -> None:
        relay = self.relays.begin(asker)
        self.relays.look(now, relay, arrived, taken)
        self.relays.arrived(relay, left=not whole)
        self.relays.end(now, relay, LINK)

    def test_one_asker_leaves_half_to_the_others(self) -> None:
        while self.admits("10.0.0.1"):
            self.relays.begin("10.0.0.1")
        self.assertEqual(len(self.relays), MOST // 2)
        while self.admits("10.0.0.2"):
            self.relays.begin("10.0.0.2")
        self.assertEqual(len(self.relays), MOST)
        self.assertFalse(self.admits("10.0.0.3"))

    def test_what_nobody_waits_for_keeps_out_nothing_that_somebody_does(self) -> None:
        while self.relays.admits(0.0, "10.0.0.1", MOST, LINK, unhurried=True):
            self.relays.begin("10.0.0.1").paced = True
        # One asker leaves three quarters to the others.
        self.assertEqual(len(self.relays), MOST // 4)
        for at in range(MOST):
            self.assertTrue(self.admits(f"10.0.1.{at}"))
            self.relays.begin(f"10.0.1.{at}")
        self.assertFalse(self.admits("10.0.2.0"))
        # But what somebody waits for keeps it out.
        self.assertFalse(self.relays.admits(0.0, "10.0.2.0", MOST, LINK, unhurried=True))

    def test_of_one_ipv6_network_all_are_one_asker(self) -> None:
        for at in range(MOST):
            if self.relays.admits(0.0, f"fd00::{at:x}", MOST, LINK, unhurried=True):
                self.relays.begin(f"fd00::{at:x}").paced = True
        self.assertEqual(len(self.relays), MOST // 4)

    def test_a_slow_link_has_fewer_at_once_and_one_of_unknown_speed_has_not(self) -> None:
        for rate, most in ((1_250_000.0, 12), (1_000.0, LEAST_RELAYS), (0.0, MOST)):
            relays = Relays()
            for at in range(MOST):
                if relays.admits(0.0, f"10.0.0.{at}", MOST, rate):
                    relays.begin(f"10.0.0.{at}")
            self.assertEqual(len(relays), most)

    def test_who_still_reads_what_has_arrived_keeps_nobody_from_asking(self) -> None:
        for _ in range(3 * MOST):
            self.assertTrue(self.admits())
            self.relays.arrived(self.relays.begin("10.0.0.9"), left=False)

    def test_a_file_that_no_mirror_has_costs_its_asker_nothing(self) -> None:
        for _ in range(100):
            self.fetch("10.0.0.9", 0.0, 0, 0)
        self.assertTrue(self.admits())

    def test_who_takes_what_it_asked_for_owes_nothing(self) -> None:
        for at in range(1_000):
            self.fetch("10.0.0.9", float(at), 100 << 20, 100 << 20)
            self.assertTrue(self.admits(now=float(at)))
        self.assertEqual(self.relays.wasted_bytes, 0)
        self.assertEqual(self.relays.fetched_bytes, 1_000 * (100 << 20))

    def test_who_leaves_is_in_debt_and_nobody_else_is(self) -> None:
        self.fetch("10.0.0.9", 0.0, 8_500_000, 0, whole=False)
        self.assertFalse(self.admits("10.0.0.9"))
        self.assertTrue(self.admits("10.0.0.8"))
        self.assertTrue(self.admits("10.0.0.9", now=MINUTE))
        self.assertEqual(self.relays.wasted_bytes, 8_500_000)

    def test_addresses_by_the_hundred_are_in_debt_together(self) -> None:
        for at in range(3):
            self.fetch(f"10.0.0.{at}", 0.0, 10_000_000, 0)
        self.assertFalse(self.admits("10.0.1.1"))

    def test_an_ipv6_network_has_one_account(self) -> None:
        self.fetch("2001:db8::1", 0.0, 8_500_000, 0)
        self.assertFalse(self.admits("2001:db8::2"))
        self.assertTrue(self.admits("2001:db8:0:1::2"))

    def test_what_this_machines_pacman_wants_too_is_for_somebody(self) -> None:
        relay = self.relays.begin("10.0.0.9")
        self.relays.look(0.0, relay, 50_000_000, 0, shared=True)
        self.relays.judge(relay)
        self.relays.judge(relay)
        self.assertEqual(self.relays.excessive(0.0, LINK), [])
        self.relays.end(0.0, relay, LINK)
        self.assertTrue(self.admits())

    def test_to_end_a_second_time_costs_nothing(self) -> None:
        relay = self.relays.begin("10.0.0.9")
        self.relays.look(0.0, relay, 5, 0)
        for _ in range(3):
            self.relays.end(0.0, relay, LINK)
        self.assertEqual(self.relays.wasted_bytes, 5)

    def test_a_day_has_its_bound_for_one_and_for_all(self) -> None:
        self.relays.a_day = 1_000
        self.fetch("10.0.0.1", 0.0, 1_000, 1_000)
        self.assertFalse(self.admits("10.0.0.1"))
        for at in range(2, ASKERS_A_DAY + 1):
            self.assertTrue(self.admits(f"10.0.0.{at}"))
            self.fetch(f"10.0.0.{at}", 0.0, 1_000, 1_000)
        self.assertFalse(self.admits("10.0.0.99"))
        self.assertEqual(self.relays.counters, {"relays of a day": 2})
        self.assertTrue(self.admits("10.0.0.1", now=DAY / 2))

    def test_what_is_remembered_of_askers_is_bounded(self) -> None:
        self.relays.a_day = 1 << 40
        for at in range(2 * MOST_ASKERS):
            self.fetch(f"10.0.{at // 256}.{at % 256}", 0.0, 100, 0)
        for debts in (self.relays._wasted, self.relays._fetched):
            self.assertLessEqual(len(debts), MOST_ASKERS)


class Sipping(SynchronousTestCase):
    def setUp(self) -> None:
        self.relays = Relays()

    def test_a_slow_reader_that_takes_steadily_is_left_alone(self) -> None:
        relay = self.relays.begin("10.0.0.9")
        for at in range(1, 200):
            self.relays.look(at / 4, relay, at * 6_000_000, at * 6_000_000 // (SIP - 1))
            self.relays.judge(relay)
            self.assertEqual(self.relays.excessive(at / 4, LINK), [])

    def test_one_that_takes_nothing_is_ended_once_much_has_arrived(self) -> None:
        relay, honest = self.relays.begin("10.0.0.9"), self.relays.begin("10.0.0.8")
        for at in range(1, 10):
            self.relays.look(at / 4, honest, at * 3_000_000, at * 3_000_000)
            self.relays.look(at / 4, relay, at * 3_000_000, 100)
            self.relays.judge(honest)
            self.relays.judge(relay)
            if ended := self.relays.excessive(at / 4, LINK):
                break
        self.assertEqual(ended, [relay])
        self.assertLessEqual(relay.arrived, LINK)

    def test_what_stands_still_while_nobody_waits_for_it_is_not_sipped(self) -> None:
        relays = [self.relays.begin("10.0.0.9") for _ in range(4)]
        for relay in relays:
            relay.paced = True
        for at in range(100):
            for relay in relays:
                self.relays.look(at / 4, relay, 400_000, 100_000)
                self.relays.judge(relay)
            self.assertEqual(self.relays.excessive(at / 4, LINK / 10), [])
        # Once somebody waits, it is as any other.
        relays[0].paced = False
        self.relays.judge(relays[0])
        self.relays.judge(relays[0])
        self.assertTrue(relays[0].sips)

    def test_many_that_sip_are_ended_as_far_as_needed_the_largest_first(self) -> None:
        relays = [self.relays.begin(f"10.0.0.{at}") for at in range(6)]
        for at, relay in enumerate(relays):
            self.relays.look(1.0, relay, (at + 1) * 1_000_000, 0)
            self.relays.judge(relay)
            self.relays.judge(relay)
        self.assertEqual(self.relays.excessive(1.0, LINK), relays[-1:-3:-1])

    def test_what_its_machine_took_by_itself_is_not_taken_by_who_then_sips(self) -> None:
        """Sixteen at 10 Mbit/s: at first each takes all that comes, and nobody reads it."""
        link = 1_250_000.0
        relays = [self.relays.begin(f"10.0.0.{at % 2}") for at in range(16)]
        now = arrived = 0.0
        while not (ended := self.relays.excessive(now, link)):
            now += 0.25
            arrived += link * 0.25 / len(relays)
            for relay in relays:
                self.relays.look(now, relay, int(arrived), min(int(arrived), BUFFERED))
                self.relays.judge(relay)
        self.assertGreater(len(ended), 1)
        # What has come by then is a thirtieth of a minute.
        self.assertLessEqual(now, MINUTE / 30)

    def test_who_pauses_for_a_moment_is_left_alone(self) -> None:
        relay = self.relays.begin("10.0.0.9")
        for at in range(1, 40):
            taken = at * 6_000_000 if at % 2 else relay.taken
            self.relays.look(at / 4, relay, at * 6_000_000, taken)
            self.relays.judge(relay)
            self.assertEqual(self.relays.excessive(at / 4, LINK), [])

    def test_a_begun_anew_file_counts_twice(self) -> None:
        relay = self.relays.begin("10.0.0.9")
        self.relays.look(0.0, relay, 900, 0)
        self.relays.look(0.0, relay, 100, 0)
        self.assertEqual(self.relays.fetched_bytes, 1_000)


class _Attack:
    """Asks again at once whenever it may; ``takes`` is the part it reads of what arrives."""

    def __init__(self, askers: int, takes: float, stays: float, size: int) -> None:
        self.relays = Relays()
        self.takes, self.stays, self.size = takes, stays, size
        self.askers = [f"10.0.0.{at}" for at in range(askers)]
        self.running: dict[Relay, float] = {}
        self.carried = 0.0

    def run(self, seconds: float, step: float = 0.25) -> float:
        """Return the part of the link that carried bytes for nobody."""
        now = 0.0
        while now < seconds:
            for asker in self.askers:
                while self.relays.admits(now, asker, MOST, LINK):
                    self.running[self.relays.begin(asker)] = now
            now += step
            self._arrive(now, LINK * step)
            for relay in self.relays.excessive(now, LINK):
                self._end(relay, now)
            for relay, since in list(self.running.items()):
                if now - since >= self.stays:
                    self._end(relay, now)
        wasted = self.relays.wasted_bytes + sum(relay.lead for relay in self.running)
        return (wasted + self.carried) / (LINK * seconds)

    def _arrive(self, now: float, amount: float) -> None:
        for relay in self.running:
            arrived = min(self.size, relay.arrived + int(amount / len(self.running)))
            self.relays.look(now, relay, arrived, int(arrived * self.takes))
            self.relays.judge(relay)

    def _end(self, relay: Relay, now: float) -> None:
        del self.running[relay]
        whole = relay.arrived >= self.size
        # What was on its way.
        self.carried += 0 if whole else LEAVING * LINK
        self.relays.arrived(relay, left=not whole)
        self.relays.end(now, relay, LINK)


class Attacks(SynchronousTestCase):
    @settings(max_examples=200, deadline=None)
    @given(
        st.integers(1, 40),
        st.sampled_from([0.0, 0.01, 0.1]),
        st.sampled_from([0.0, 0.5, 2.0, 30.0]),
        st.sampled_from([300_000, 5_000_000, 140_000_000]),
    )
    def test_of_a_minute_at_most_a_twentieth_is_for_nobody(
        self, askers: int, takes: float, stays: float, size: int
    ) -> None:
        self.assertLessEqual(_Attack(askers, takes, stays, size).run(MINUTE), 0.05)

    def test_of_an_hour_less(self) -> None:
        self.assertLessEqual(_Attack(40, 0.0, 0.0, 140_000_000).run(3_600.0, 1.0), 0.03)


class InTheWay(SynchronousTestCase):
    """Which of those that nobody waits for makes room for another one."""

    def setUp(self) -> None:
        self.relays = Relays()
        self.running = [self.relays.begin(f"10.0.0.{at // 4}") for at in range(MOST)]
        for relay in self.running:
            relay.paced = True

    def run_for(self, seconds: float, *rates: float, stands: bool = False, lead: int = 1) -> None:
        """Have what lies there be taken at these bytes a second, the last for all the rest."""
        for step in range(round(seconds * 4) + 1):
            for at, relay in enumerate(self.running):
                taken = int(step / 4 * rates[min(at, len(rates) - 1)])
                self.relays.look(step / 4, relay, taken + lead, taken)
                self.relays.measure(step / 4, relay, stands=stands)

    def in_the_way(self, asker: str = "10.0.0.9") -> Relay | None:
        return self.relays.in_the_way(WINDOW, asker, MOST, LINK)

    def test_the_slowest_one_makes_room(self) -> None:
        self.run_for(WINDOW, 5_000, 20_000, 4_000, 1 << 20)
        self.assertIs(self.in_the_way(), self.running[2])

    def test_and_gives_its_place_to_one_other(self) -> None:
        self.run_for(WINDOW, 5_000, 1 << 20)
        slowest = self.in_the_way()
        assert slowest is not None
        self.relays.give_up(slowest)
        self.assertTrue(self.relays.admits(WINDOW, "10.0.0.9", MOST, LINK, unhurried=True))
        self.relays.begin("10.0.0.9").paced = True
        self.assertIsNone(self.in_the_way("10.0.0.8"))
        self.assertFalse(self.relays.admits(WINDOW, "10.0.0.8", MOST, LINK, unhurried=True))
        self.assertEqual(self.relays.counters["relays too slow"], 1)

    def test_none_does_that_is_taken_as_fast_as_a_link_brings_it(self) -> None:
        self.run_for(WINDOW, LEAST_RATE)
        self.assertIsNone(self.in_the_way())

    def test_nor_one_of_which_nothing_lies_there(self) -> None:
        self.run_for(WINDOW * 2, 100, lead=0)
        self.assertIsNone(self.in_the_way())

    def test_nor_one_that_stands_still_for_others(self) -> None:
        self.run_for(WINDOW * 2, 0, stands=True)
        self.assertIsNone(self.in_the_way())

    def test_nor_one_that_has_just_begun(self) -> None:
        self.run_for(WINDOW / 2, 0)
        self.assertIsNone(self.in_the_way())

    def test_nor_one_for_which_somebody_waits_or_this_machine(self) -> None:
        self.run_for(WINDOW, 0)
        for relay in self.running[::2]:
            relay.paced = False
        for relay in self.running[1::2]:
            relay.shared = True
        self.assertIsNone(self.in_the_way())

    def test_nor_any_while_there_are_places(self) -> None:
        self.run_for(WINDOW, 0)
        self.relays.arrived(self.running[0], left=False)
        self.assertIsNone(self.in_the_way())

    def test_who_has_its_part_gets_no_place_of_anothers(self) -> None:
        self.run_for(WINDOW, *[1 << 20] * 4, 0)
        self.assertIsNone(self.in_the_way(self.running[0].asker))
