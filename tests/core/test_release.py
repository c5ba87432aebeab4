"""How many bytes may go to pacman: what must hold whatever the numbers are, and the plan."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.core.release import (
    MIRROR_HOLD,
    PEER_HOLD,
    TRICKLE_PERIOD,
    TRICKLE_STEP,
    Progress,
    next_release,
    release,
)

SIZE = 1_000_000
FROM_PEER = Progress(
    size=SIZE, verifiable=True, verified=False, arrived=600_000, from_mirrors=0, waited=0.0
)
FROM_MIRROR = replace(FROM_PEER, from_mirrors=600_000)


@st.composite
def standings(draw: st.DrawFn) -> tuple[Progress, int]:
    """Return a possible progress of an unverified file, and a reader's position."""
    size = draw(st.integers(1, 2_000))
    start = draw(st.integers(0, size - 1))
    position = draw(st.integers(start, size - 1))
    arrived = draw(st.integers(position, size))
    from_mirrors = draw(st.integers(position, arrived))
    waited = draw(st.floats(0, 120))
    known = draw(st.booleans())
    progress = Progress(
        size=size if known or arrived == size else None,
        verifiable=True,
        verified=False,
        arrived=arrived,
        from_mirrors=from_mirrors,
        waited=waited,
        start=start,
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
        later = replace(progress, waited=progress.waited + more)
        self.assertLessEqual(release(progress, position), release(later, position))

    @settings(max_examples=300, deadline=None)
    @given(standings())
    def test_a_verified_file_goes_as_far_as_it_is_there(
        self, standing: tuple[Progress, int]
    ) -> None:
        progress, position = standing
        self.assertEqual(release(replace(progress, verified=True), position), progress.arrived)

    @settings(max_examples=200, deadline=None)
    @given(st.floats(0, 10_000))
    def test_the_next_release_lies_ahead_and_soon(self, waited: float) -> None:
        due = next_release(waited)
        self.assertGreater(due, waited)
        self.assertLessEqual(due - waited, max(MIRROR_HOLD, PEER_HOLD - MIRROR_HOLD))

    @settings(max_examples=200, deadline=None)
    @given(st.floats(0, 1_000))
    def test_nothing_changes_before_the_next_release(self, waited: float) -> None:
        due = next_release(waited)
        # The middle of two neighbouring numbers is one of them.
        just_before = min((waited + due) / 2, math.nextafter(due, 0))
        for one in (FROM_PEER, FROM_MIRROR):
            self.assertEqual(
                release(replace(one, waited=waited), 0),
                release(replace(one, waited=just_before), 0),
            )


class FromAMirror(SynchronousTestCase):
    def test_a_listed_file_is_held_for_a_moment(self) -> None:
        self.assertEqual(release(replace(FROM_MIRROR, waited=MIRROR_HOLD - 0.1), 0), 0)

    def test_then_it_goes_as_it_comes(self) -> None:
        self.assertEqual(release(replace(FROM_MIRROR, waited=MIRROR_HOLD), 0), 600_000)

    def test_all_but_the_tail(self) -> None:
        whole = replace(FROM_MIRROR, arrived=SIZE, from_mirrors=SIZE, waited=60.0)
        self.assertEqual(release(whole, 0), SIZE - 1)

    def test_up_to_where_a_peer_began(self) -> None:
        mixed = replace(FROM_MIRROR, from_mirrors=1_000, waited=3.0)
        self.assertEqual(release(mixed, 0), 1_000)

    def test_one_that_nobody_can_verify_goes_as_it_comes_after_a_moment(self) -> None:
        unknown = replace(FROM_MIRROR, verifiable=False, size=None)
        self.assertEqual(release(replace(unknown, waited=MIRROR_HOLD - 0.1), 0), 0)
        self.assertEqual(release(replace(unknown, waited=MIRROR_HOLD), 0), 600_000)

    def test_a_second_mirror_is_held_back_anew(self) -> None:
        late = replace(FROM_MIRROR, waited=MIRROR_HOLD + 1, mirror_waited=MIRROR_HOLD - 0.1)
        for one in (late, replace(late, verifiable=False)):
            self.assertEqual(release(one, 0), 0)
            self.assertEqual(release(replace(one, mirror_waited=MIRROR_HOLD), 0), 600_000)


class FromAPeer(SynchronousTestCase):
    def test_nothing_goes_while_pacman_is_patient_anyway(self) -> None:
        self.assertEqual(release(replace(FROM_PEER, waited=PEER_HOLD - 0.1), 0), 0)

    def test_then_a_few_bytes_each_period(self) -> None:
        for periods in range(4):
            waited = PEER_HOLD + periods * TRICKLE_PERIOD
            expected = (1 + periods) * TRICKLE_STEP
            self.assertEqual(release(replace(FROM_PEER, waited=waited), 0), expected)

    def test_the_trickle_begins_where_the_reader_does(self) -> None:
        resumed = replace(FROM_PEER, waited=PEER_HOLD, start=500_000)
        self.assertEqual(release(resumed, 500_000), 500_000 + TRICKLE_STEP)

    def test_what_a_mirror_gave_is_no_less_than_the_trickle(self) -> None:
        mixed = replace(FROM_PEER, from_mirrors=5, waited=PEER_HOLD)
        self.assertEqual(release(mixed, 0), TRICKLE_STEP)
