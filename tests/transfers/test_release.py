"""How many bytes may go to pacman: what must hold whatever the numbers are, and the plan."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.transfers.release import (
    KEEP_PATIENT_AFTER,
    LAST_RESORT,
    LONGEST_HOLD,
    MIRROR_HOLD,
    RESERVE,
    TRICKLE_AFTER,
    TRICKLE_PERIOD,
    TRICKLE_STEP,
    Progress,
    next_release,
    release,
)

SIZE = 1_000_000
FROM_PEER = Progress(
    size=SIZE, verifiable=True, verified=False, arrived=600_000, from_mirrors=0, waited=0, idle=0
)


def after(progress: Progress, seconds: float) -> Progress:
    """Return how it stands for a reader that has waited so long and was given nothing."""
    return replace(progress, waited=seconds, idle=seconds)


FROM_MIRROR = replace(FROM_PEER, from_mirrors=600_000)


@st.composite
def standings(draw: st.DrawFn) -> tuple[Progress, int]:
    """Return a possible progress of an unverified file, and a reader's position."""
    size = draw(st.integers(1, 20_000))
    position = draw(st.integers(0, size - 1))
    arrived = draw(st.integers(position, size))
    from_mirrors = draw(st.integers(position, arrived))
    waited = draw(st.floats(0, 120))
    idle = draw(st.floats(0, waited))
    known = draw(st.booleans())
    progress = Progress(
        size=size if known or arrived == size else None,
        verifiable=True,
        verified=False,
        arrived=arrived,
        from_mirrors=from_mirrors,
        waited=waited,
        idle=idle,
        last_resort=draw(st.booleans()),
    )
    return progress, position


class Always(SynchronousTestCase):
    @settings(max_examples=300, deadline=None)
    @given(standings())
    def test_never_beyond_what_arrived_nor_back(self, standing: tuple[Progress, int]) -> None:
        progress, position = standing
        for one in (
            progress,
            replace(progress, verified=True),
            replace(progress, verifiable=False),
        ):
            self.assertTrue(position <= release(one, position) <= one.arrived)

    @settings(max_examples=300, deadline=None)
    @given(standings())
    def test_never_the_last_byte_before_the_hash_was_right(
        self, standing: tuple[Progress, int]
    ) -> None:
        progress, position = standing
        if progress.size is not None:
            self.assertLess(release(progress, position), progress.size)

    @settings(max_examples=300, deadline=None)
    @given(standings(), st.floats(0, 60))
    def test_waiting_never_takes_anything_back(
        self, standing: tuple[Progress, int], more: float
    ) -> None:
        progress, position = standing
        later = replace(progress, waited=progress.waited + more, idle=progress.idle + more)
        self.assertLessEqual(release(progress, position), release(later, position))

    @settings(max_examples=300, deadline=None)
    @given(standings())
    def test_a_verified_file_goes_as_far_as_it_is_there(
        self, standing: tuple[Progress, int]
    ) -> None:
        progress, position = standing
        self.assertEqual(release(replace(progress, verified=True), position), progress.arrived)

    @settings(max_examples=300, deadline=None)
    @given(standings())
    def test_nothing_of_a_peers_goes_while_a_mirror_may_still_answer(
        self, standing: tuple[Progress, int]
    ) -> None:
        progress, position = standing
        if progress.idle < LAST_RESORT and not progress.last_resort:
            mirrors = max(position, progress.from_mirrors)
            self.assertLessEqual(release(progress, position), mirrors)

    @settings(max_examples=200, deadline=None)
    @given(st.floats(0, 10_000), st.floats(0, 10_000))
    def test_the_next_release_is_soon(self, waited: float, idle: float) -> None:
        due = next_release(waited, min(waited, idle))
        self.assertGreater(due, 0)
        self.assertLessEqual(due, max(TRICKLE_PERIOD, LAST_RESORT - LONGEST_HOLD))

    @settings(max_examples=200, deadline=None)
    @given(st.floats(0, 1_000), st.floats(0, 1_000))
    def test_nothing_changes_before_the_next_release(self, waited: float, idle: float) -> None:
        idle = min(waited, idle)
        just_before = next_release(waited, idle) * 0.999
        for one in (FROM_PEER, FROM_MIRROR):
            early = replace(one, waited=waited, idle=idle)
            late = replace(one, waited=waited + just_before, idle=idle + just_before)
            self.assertEqual(release(early, 0), release(late, 0))


class FromAMirror(SynchronousTestCase):
    def test_a_listed_file_is_held_for_a_moment(self) -> None:
        self.assertEqual(release(after(FROM_MIRROR, MIRROR_HOLD - 0.1), 0), 0)

    def test_then_it_goes_as_it_comes_but_for_a_reserve(self) -> None:
        self.assertEqual(release(after(FROM_MIRROR, MIRROR_HOLD), 0), 600_000 - RESERVE)

    def test_the_reserve_trickles_when_nothing_else_comes(self) -> None:
        position = 600_000 - RESERVE
        for idle, expected in ((TRICKLE_PERIOD - 0.1, 0), (TRICKLE_PERIOD, TRICKLE_STEP)):
            waiting = replace(FROM_MIRROR, waited=60.0, idle=idle)
            self.assertEqual(release(waiting, position), position + expected)

    def test_all_but_the_tail(self) -> None:
        whole = after(replace(FROM_MIRROR, arrived=SIZE, from_mirrors=SIZE), 60.0)
        self.assertEqual(release(whole, SIZE - 2), SIZE - 1)
        self.assertEqual(release(whole, SIZE - 1), SIZE - 1)

    def test_up_to_where_a_peer_began(self) -> None:
        mixed = after(replace(FROM_MIRROR, from_mirrors=RESERVE + 1_000), 3.0)
        self.assertEqual(release(mixed, 0), 1_000)

    def test_one_that_nobody_can_verify_goes_as_it_comes_after_a_moment(self) -> None:
        unknown = replace(FROM_MIRROR, verifiable=False, size=None)
        self.assertEqual(release(after(unknown, MIRROR_HOLD - 0.1), 0), 0)
        self.assertEqual(release(after(unknown, MIRROR_HOLD), 0), 600_000)

    def test_a_second_mirror_is_held_back_anew(self) -> None:
        late = replace(after(FROM_MIRROR, MIRROR_HOLD + 1), mirror_waited=MIRROR_HOLD - 0.1)
        self.assertEqual(release(late, 0), 0)
        self.assertEqual(release(replace(late, mirror_waited=MIRROR_HOLD), 0), 600_000 - RESERVE)
        unknown = replace(late, verifiable=False)
        self.assertEqual(release(unknown, 0), 0)
        self.assertEqual(release(replace(unknown, mirror_waited=MIRROR_HOLD), 0), 600_000)

    def test_a_mirror_that_answers_late_is_not_held_back(self) -> None:
        late = replace(after(FROM_MIRROR, LONGEST_HOLD), mirror_waited=0.1)
        self.assertEqual(release(late, 0), 600_000 - RESERVE)


class FromAPeer(SynchronousTestCase):
    def test_nothing_of_it_goes_while_pacman_is_patient(self) -> None:
        self.assertEqual(release(after(FROM_PEER, LAST_RESORT - 0.1), 0), 0)

    def test_a_mirrors_few_bytes_trickle_meanwhile(self) -> None:
        kept = replace(FROM_PEER, from_mirrors=RESERVE)
        self.assertLess(KEEP_PATIENT_AFTER, TRICKLE_AFTER)
        self.assertEqual(release(after(kept, TRICKLE_AFTER - 0.1), 0), 0)
        self.assertEqual(release(after(kept, TRICKLE_AFTER), 0), TRICKLE_STEP)

    def test_and_go_on_one_step_each_period(self) -> None:
        kept = replace(FROM_PEER, from_mirrors=RESERVE, waited=9.0)
        for idle, step in ((TRICKLE_PERIOD - 0.1, 0), (TRICKLE_PERIOD, TRICKLE_STEP)):
            self.assertEqual(release(replace(kept, idle=idle), 160), 160 + step)

    def test_as_the_last_resort_its_own_trickle(self) -> None:
        self.assertEqual(release(after(FROM_PEER, LAST_RESORT), 0), TRICKLE_STEP)
        later = replace(FROM_PEER, waited=LAST_RESORT + 3, idle=TRICKLE_PERIOD, last_resort=True)
        self.assertEqual(release(later, TRICKLE_STEP), 2 * TRICKLE_STEP)

    def test_the_trickle_begins_where_the_reader_does(self) -> None:
        self.assertEqual(release(after(FROM_PEER, LAST_RESORT), 500_000), 500_000 + TRICKLE_STEP)
