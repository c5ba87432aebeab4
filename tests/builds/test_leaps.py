"""What waits for time does so by a clock that nobody sets."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from flocon.builds.leaps import LEAST, Leaps, moved
from flocon.jobs.watched import AUR, Candidate, Job, Origin, Phase, Watched
from tests.builds.test_keeper import run
from tests.builds.world import BEGINNING, DAY, WorldTestCase

YEARS = 1_000 * DAY


class LeapsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.wall, self.steady = 1_000.0, 10.0
        self.leaps = Leaps(lambda: self.wall, lambda: self.steady)

    def test_time_that_passes_is_no_leap(self) -> None:
        self.wall, self.steady = self.wall + YEARS, self.steady + YEARS
        self.assertEqual(self.leaps.take(), 0.0)

    def test_a_clock_that_is_set_is_one_once(self) -> None:
        for by in (DAY, -3 * DAY):
            self.wall += by
            self.assertEqual(self.leaps.take(), by)
            self.assertEqual(self.leaps.take(), 0.0)

    def test_many_small_ones_are_one(self) -> None:
        total = 0.0
        for _ in range(10):
            self.wall += LEAST / 4
            total += self.leaps.take()
        self.assertEqual(total, 2 * LEAST)

    def test_what_is_never_stays_never(self) -> None:
        one = Watched("tool", Origin(AUR, "tool"), candidate=Candidate("c", "1-1", 50.0))
        there = moved(replace(one, job=Job(Phase.FAILED, 50.0)), DAY)
        assert there.candidate is not None
        assert there.job is not None
        self.assertEqual((there.candidate.matures, there.job.again, there.heads_asked), (0, 0, 0))
        self.assertEqual(there.candidate.seen, 50.0 + DAY)
        self.assertEqual(there.job.since, 50.0)

    def test_nothing_comes_before_the_beginning(self) -> None:
        candidate = Candidate("c", "1-1", 50.0, matures=60.0)
        there = moved(Watched("tool", Origin(AUR, "tool"), candidate=candidate), -DAY).candidate
        assert there is not None
        self.assertEqual((there.seen, there.matures), (0.0, 1.0))


class WaitingTests(WorldTestCase):
    async def waiting(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.aur.push("tool", "2-1")
        await self.poll(after=3_600)
        self.assertEqual(self.stage("tool"), "waits for time")

    @run
    async def test_a_clock_set_ahead_shortens_no_waiting(self) -> None:
        await self.waiting()
        self.set_clock(3 * DAY)
        await self.poll()
        self.assertEqual(self.stage("tool"), "waits for time")
        await self.poll(after=1.9 * DAY)
        self.assertEqual(self.stage("tool"), "waits for time")
        await self.poll(after=0.2 * DAY)
        await self.until(("tool", "published"))

    @run
    async def test_nor_does_one_that_was_wrong_and_is_set_right(self) -> None:
        self.now -= YEARS
        await self.waiting()
        self.set_clock(YEARS)
        await self.keeper._ripen()
        self.assertEqual(self.stage("tool"), "waits for time")
        candidate = self.one("tool").candidate
        assert candidate is not None
        self.assertGreater(candidate.seen, BEGINNING - DAY)

    @run
    async def test_a_machine_that_starts_with_a_wrong_clock_waits_by_the_aurs(self) -> None:
        self.aur.says_time = lambda: self.now - self.set_by
        await self.waiting()
        # It was off, and its clock went on: nothing here tells by how much too far.
        self.set_clock(3 * DAY)
        await self.restart()
        await self.begun()
        await self.poll(after=3_600)
        self.assertEqual(self.stage("tool"), "waits for time")
        # It is set right by the network, and what was noted in the right time is moved with it.
        self.set_clock(-3 * DAY)
        await self.poll(after=3_600)
        self.assertEqual(self.stage("tool"), "waits for time")
        await self.poll(after=1.8 * DAY)
        self.assertEqual(self.stage("tool"), "waits for time")
        await self.poll(after=0.2 * DAY)
        await self.until(("tool", "published"))

    @run
    async def test_an_aur_whose_clock_stands_still_approves_nothing_sooner(self) -> None:
        await self.waiting()
        for said in (1.0, BEGINNING, self.now + 900 * DAY):
            self.aur.says_time = lambda said=said: said  # type: ignore[misc]
            await self.poll(after=0.6 * DAY)
            self.assertEqual(self.stage("tool"), "waits for time")
        self.aur.says_time = lambda: self.now
        await self.poll(after=0.4 * DAY)
        await self.until(("tool", "published"))

    @run
    async def test_a_clock_set_back_lengthens_none(self) -> None:
        await self.waiting()
        self.set_clock(-YEARS)
        await self.poll(after=1.5 * DAY)
        self.assertEqual(self.stage("tool"), "waits for time")
        # What the AUR says of it is in times to come now, and counts as a day later.
        await self.poll(after=1.6 * DAY)
        await self.until(("tool", "published"))

    @run
    async def test_who_took_over_does_not_do_so_long_ago_by_it(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        await self.poll(after=60)
        self.aur.change("tool", maintainer="mallory")
        await self.poll(after=60)
        before = self.keeper.memory.taken_over("tool")
        self.assertGreater(before, 0.0)
        self.set_clock(40 * DAY)
        await self.poll()
        self.assertEqual(self.keeper.memory.taken_over("tool"), before + 40 * DAY)
