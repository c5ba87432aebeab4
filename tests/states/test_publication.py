"""Which state is given out, and since when: by examples, and by all that can happen to it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from flocon.states import publication
from flocon.states.generation import DatabaseFiles, Generation, Piece, Where
from flocon.states.publication import BEHIND, LATEST, SNAPSHOT, Policy, Published, State

DAY = 86_400
NOW = 1_790_000_000


def generation(number: int, made: float = NOW) -> Generation:
    piece = Piece(f"{number:064x}", 100)
    return Generation(int(made), "mirror", {Where("x86_64", "core"): DatabaseFiles(piece)})


A, B, C = (generation(number, NOW + number) for number in (1, 2, 3))


class Publishing(SynchronousTestCase):
    def test_the_first_is_given_since_now(self) -> None:
        state = publication.publish(State(), A.identity, NOW + 0.9)
        self.assertEqual(state.now, Published(A.identity, NOW))

    def test_the_next_is_given_since_later_within_the_same_second_too(self) -> None:
        state = publication.publish(State(), A.identity, NOW)
        state = publication.publish(state, B.identity, NOW)
        self.assertEqual(state.now, Published(B.identity, NOW + 1))

    def test_it_is_given_since_later_where_the_clock_was_set_back(self) -> None:
        state = publication.publish(State(), A.identity, NOW)
        state = publication.publish(state, B.identity, NOW - 10 * DAY)
        self.assertEqual(state.now, Published(B.identity, NOW + 1))

    def test_what_is_given_already_is_not_given_anew(self) -> None:
        state = publication.publish(State(), A.identity, NOW)
        self.assertEqual(publication.publish(state, A.identity, NOW + DAY), state)

    def test_what_waited_waits_no_longer(self) -> None:
        state = publication.wait_for(State(), A.identity, NOW)
        state = publication.publish(state, A.identity, NOW + 1)
        self.assertEqual((state.waiting, state.waiting_since), ("", 0))

    def test_what_waits_goes_on_waiting_where_another_is_given(self) -> None:
        state = publication.wait_for(State(), B.identity, NOW)
        state = publication.publish(state, A.identity, NOW + 1)
        self.assertEqual((state.waiting, state.waiting_since), (B.identity, NOW))

    def test_the_last_few_are_remembered(self) -> None:
        state = State()
        for number in range(10):
            state = publication.publish(state, generation(number).identity, NOW + number)
        identities = [one.identity for one in state.published]
        self.assertEqual(identities, [generation(number).identity for number in (6, 7, 8, 9)])


class Waiting(SynchronousTestCase):
    def due(self, state: State, now: float, *, complete: bool = True, is_complete: bool) -> bool:
        return publication.is_due(
            state, now, complete=complete, within=100, is_complete=lambda: is_complete
        )

    def test_it_is_due_with_all_that_is_wanted_or_when_time_is_up(self) -> None:
        state = publication.publish(State(), A.identity, NOW)
        state = publication.wait_for(state, B.identity, NOW)
        self.assertFalse(self.due(state, NOW + 99, is_complete=False))
        self.assertTrue(self.due(state, NOW + 99, is_complete=True))
        self.assertTrue(self.due(state, NOW + 100, is_complete=False))

    def test_the_first_is_due_at_once(self) -> None:
        state = publication.wait_for(State(), A.identity, NOW)
        self.assertTrue(self.due(state, NOW, is_complete=False))

    def test_it_is_due_at_once_where_what_was_given_is_not_there_any_more(self) -> None:
        state = publication.forget(publication.publish(State(), A.identity, NOW), ())
        state = publication.wait_for(state, B.identity, NOW)
        self.assertTrue(self.due(state, NOW, is_complete=False))

    def test_it_is_due_at_once_where_nothing_is_waited_for(self) -> None:
        state = publication.publish(State(), A.identity, NOW)
        state = publication.wait_for(state, B.identity, NOW)
        self.assertTrue(self.due(state, NOW, complete=False, is_complete=False))

    def test_the_time_runs_from_the_first_that_waited(self) -> None:
        state = publication.publish(State(), A.identity, NOW)
        state = publication.wait_for(state, B.identity, NOW)
        state = publication.wait_for(state, C.identity, NOW + 60)
        self.assertTrue(self.due(state, NOW + 100, is_complete=False))

    def test_the_time_of_one_that_is_not_there_any_more_runs_for_none(self) -> None:
        state = publication.wait_for(State(), B.identity, NOW)
        state = publication.forget(state, (A.identity,))
        state = publication.wait_for(state, C.identity, NOW + 60)
        self.assertEqual(state.waiting_since, NOW + 60)


class Forgetting(SynchronousTestCase):
    def setUp(self) -> None:
        self.state = publication.publish(State(), A.identity, NOW)
        self.state = publication.publish(self.state, B.identity, NOW + 5)

    def test_an_earlier_one_is_never_given_with_its_earlier_second(self) -> None:
        state = publication.forget(self.state, (A.identity,))
        self.assertEqual(state.now, Published("", NOW + 5))

    def test_another_is_given_since_later(self) -> None:
        state = publication.forget(self.state, ())
        state = publication.publish(state, A.identity, NOW - DAY)
        self.assertEqual(state.now, Published(A.identity, NOW + 6))

    def test_what_is_here_stays(self) -> None:
        self.assertEqual(publication.forget(self.state, (A.identity, B.identity)), self.state)


class Choosing(SynchronousTestCase):
    def setUp(self) -> None:
        self.read = [generation(number, NOW + number * DAY) for number in range(5)]
        self.now = NOW + 4 * DAY + 60

    def chosen(self, policy: Policy, **snapshots: Generation) -> str | None:
        return publication.chosen(policy, self.read, snapshots, self.now)

    def test_the_newest(self) -> None:
        self.assertEqual(self.chosen(Policy()), self.read[-1].identity)

    def test_that_of_a_snapshot(self) -> None:
        policy = Policy(SNAPSHOT, "x")
        self.assertEqual(self.chosen(policy, x=C), C.identity)
        self.assertIsNone(self.chosen(policy, y=C))

    def test_the_newest_that_is_so_old(self) -> None:
        policy = Policy(BEHIND, behind=2.0 * DAY)
        self.assertEqual(self.chosen(policy), self.read[2].identity)

    def test_the_oldest_until_one_is_so_old(self) -> None:
        self.assertEqual(self.chosen(Policy(BEHIND, behind=9.0 * DAY)), self.read[0].identity)

    def test_none_where_nothing_was_read(self) -> None:
        for policy in (Policy(), Policy(BEHIND, behind=1.0)):
            self.assertIsNone(publication.chosen(policy, [], {}, NOW))

    def test_it_means_another_by_itself_when_the_next_is_so_old(self) -> None:
        policy = Policy(BEHIND, behind=2.0 * DAY)
        seconds = publication.next_look(policy, self.read, self.now)
        self.assertEqual(seconds, DAY - 60)
        before = publication.chosen(policy, self.read, {}, self.now + DAY - 61)
        after = publication.chosen(policy, self.read, {}, self.now + DAY - 60)
        self.assertEqual((before, after), (self.read[2].identity, self.read[3].identity))

    def test_it_means_the_newest_when_its_time_is_over(self) -> None:
        policy = Policy(SNAPSHOT, "x", until=NOW + 100)
        self.assertEqual(publication.next_look(policy, self.read, NOW + 40), 60)
        self.assertEqual(publication.in_force(policy, NOW + 99), policy)
        self.assertEqual(publication.in_force(policy, NOW + 100).kind, LATEST)

    def test_it_means_the_same_for_good_where_nothing_ends_it(self) -> None:
        for policy in (Policy(), Policy(SNAPSHOT, "x")):
            self.assertIsNone(publication.next_look(policy, self.read, self.now))
            self.assertEqual(publication.in_force(policy, self.now + 1_000 * DAY), policy)


class Keeping(SynchronousTestCase):
    def test_the_last_of_each_day_stays(self) -> None:
        read = [generation(hour, NOW + hour * 3_600) for hour in range(240)]
        stay = publication.kept(read, State(), 3)
        self.assertEqual(len(stay), 3)
        self.assertIn(read[-1].identity, stay)

    def test_as_many_days_stay_as_clients_lag_behind(self) -> None:
        read = [generation(day, NOW + day * DAY) for day in range(100)]
        policy = Policy(BEHIND, behind=50.0 * DAY)
        stay = publication.kept(read, State(policy=policy), 3)
        meant = publication.chosen(policy, read, {}, NOW + 99 * DAY)
        self.assertIn(meant, stay)
        self.assertEqual(meant, read[49].identity)

    def test_what_is_given_out_or_waits_stays_however_old(self) -> None:
        read = [generation(day, NOW + day * DAY) for day in range(100)]
        state = publication.publish(State(), read[0].identity, NOW)
        state = publication.wait_for(state, read[1].identity, NOW)
        self.assertLessEqual({read[0].identity, read[1].identity}, publication.kept(read, state, 3))


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)
SECONDS = st.integers(0, 1 << 37)
STATES = st.builds(
    State,
    published=st.lists(
        st.tuples(st.sampled_from([A, B, C]), SECONDS), max_size=4, unique_by=lambda one: one[1]
    ).map(
        lambda given: tuple(
            Published(one.identity, since) for one, since in sorted(given, key=lambda one: one[1])
        )
    ),
    policy=st.builds(
        Policy,
        st.sampled_from([LATEST, SNAPSHOT, BEHIND]),
        st.text(max_size=64),
        st.floats(0, publication.LONGEST_BEHIND),
        SECONDS,
        SECONDS,
    ),
    waiting=st.sampled_from(["", A.identity, B.identity]),
    waiting_since=SECONDS,
    refreshed=SECONDS,
)


def _with(value: Any, path: tuple[str, ...], new: Any) -> Any:
    """Return JSON's values with another one at a place."""
    if not path:
        return new
    return {**value, path[0]: _with(value[path[0]], path[1:], new)}


class Remembering(SynchronousTestCase):
    @given(STATES)
    def test_what_was_dumped_is_loaded(self, state: State) -> None:
        dumped = json.loads(json.dumps(publication.dump(state), allow_nan=False))
        self.assertEqual(publication.load(dumped), state)

    @given(ANY_JSON)
    def test_whatever_was_there_instead_makes_a_state(self, value: Any) -> None:
        self.assertWorks(publication.load(value))

    @given(
        STATES,
        st.sampled_from(
            [
                *((name,) for name in ("published", "policy", "waiting", "waiting_since")),
                *(("policy", name) for name in ("kind", "name", "behind", "chosen", "until")),
            ]
        ),
        ANY_JSON | st.just(float("inf")) | st.just(float("nan")) | st.just(10**30),
    )
    def test_one_damaged_value_makes_a_state(
        self, state: State, path: tuple[str, ...], value: Any
    ) -> None:
        self.assertWorks(publication.load(_with(publication.dump(state), path, value)))

    def assertWorks(self, state: State) -> None:
        """Demand that all can be done with a state that can be done with any."""
        read = [A, B, C]
        json.dumps(publication.dump(state), allow_nan=False)
        str(state.policy)
        publication.kept(read, state, 5)
        publication.chosen(state.policy, read, {}, NOW)
        publication.next_look(state.policy, read, NOW)
        publication.in_force(state.policy, NOW)
        publication.forget(state, {A.identity})
        published = publication.publish(state, C.identity, NOW).now
        assert published is not None
        self.assertEqual(published.identity, C.identity)


class Publication(RuleBasedStateMachine):
    """All that can happen to a state; clients ask now and then, and remember what they got."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State()
        self.read: list[Generation] = []
        self.snapshots: dict[str, Generation] = {}
        self.now = float(NOW)
        #: What a client has that asks at each step, and one that asks now and then.
        self.eager: Published | None = None
        self.slow: Published | None = None
        #: All that was ever given, by its second.
        self.given: dict[int, str] = {}

    @property
    def known(self) -> dict[str, Generation]:
        every = [*self.read, *self.snapshots.values()]
        return {one.identity: one for one in every}

    @rule(number=st.integers(0, 6))
    def a_mirror_is_read(self, number: int) -> None:
        made = generation(number, self.now)
        others = [one for one in self.read if one.identity != made.identity]
        self.read = sorted([*others, made], key=lambda one: one.made)
        self.state = publication.refreshed(self.state, self.now)

    @rule(number=st.integers(0, 6))
    def another_is_given_at_once(self, number: int) -> None:
        self.a_mirror_is_read(number)
        identity = generation(number).identity
        self.state = publication.use(self.state, Policy(), identity, self.now)

    @rule(seconds=st.sampled_from([0.4, 3_600.0, float(DAY), 31.0 * DAY, -3.0, -2.0 * DAY]))
    def time_goes_by_or_is_set(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.state.now is not None and self.state.now.identity in self.known)
    @rule(name=st.sampled_from("xyz"))
    def a_snapshot_is_taken(self, name: str) -> None:
        assert self.state.now is not None
        self.snapshots[name] = self.known[self.state.now.identity]

    @rule(name=st.sampled_from("xyz"))
    def a_snapshot_is_used(self, name: str) -> None:
        if name in self.snapshots:
            until = int(self.now) + 30 * DAY
            policy = Policy(SNAPSHOT, name, chosen=int(self.now), until=until)
            self.state = publication.use(
                self.state, policy, self.snapshots[name].identity, self.now
            )

    @rule(days=st.integers(1, 5))
    def clients_lag_behind(self, days: int) -> None:
        self.state = publication.follow(self.state, Policy(BEHIND, behind=float(days * DAY)))

    @rule(complete=st.booleans(), is_complete=st.booleans())
    def it_settles(self, complete: bool, is_complete: bool) -> None:
        policy = publication.in_force(self.state.policy, self.now)
        if policy != self.state.policy:
            self.state = publication.follow(self.state, policy)
        meant = publication.chosen(policy, self.read, self.snapshots, self.now)
        if meant is None:
            return
        if self.state.now is not None and self.state.now.identity == meant:
            self.state = publication.stop_waiting(self.state)
            return
        self.state = publication.wait_for(self.state, meant, self.now)
        if publication.is_due(
            self.state,
            self.now,
            complete=complete,
            within=DAY,
            is_complete=lambda: is_complete,
        ):
            self.state = publication.publish(self.state, meant, self.now)

    @rule()
    def old_ones_go(self) -> None:
        kept = publication.kept(self.read, self.state, 2)
        self.read = [one for one in self.read if one.identity in kept]

    @rule(lost=st.integers(0, 6))
    def a_file_is_lost_and_the_node_starts_anew(self, lost: int) -> None:
        identity = generation(lost).identity
        self.read = [one for one in self.read if one.identity != identity]
        self.snapshots = {
            name: one for name, one in self.snapshots.items() if one.identity != identity
        }
        dumped = json.loads(json.dumps(publication.dump(self.state)))
        self.state = publication.forget(publication.load(dumped), set(self.known))

    def _ask(self, has: Published | None) -> Published | None:
        """Return what a client has after its -Sy: it takes what is newer than it has."""
        now = self.state.now
        if now is None or not now.identity:
            return has
        return now if has is None or now.since > has.since else has

    @rule()
    def a_slow_client_asks(self) -> None:
        self.slow = self._ask(self.slow)

    @invariant()
    def who_asks_has_what_is_given(self) -> None:
        self.eager = self._ask(self.eager)
        now = self.state.now
        if now is not None and now.identity:
            assert self.eager == now
            assert self._ask(self.slow) == now

    @invariant()
    def one_second_is_one_state(self) -> None:
        now = self.state.now
        if now is not None and now.identity:
            assert self.given.setdefault(now.since, now.identity) == now.identity

    @invariant()
    def what_is_given_or_waits_is_here(self) -> None:
        kept = publication.kept(self.read, self.state, 1)
        here = {*kept, *(one.identity for one in self.snapshots.values())}
        now = self.state.now
        for identity in (now.identity if now is not None else "", self.state.waiting):
            if identity in self.known:
                assert identity in here

    @invariant()
    def few_are_remembered(self) -> None:
        assert len(self.state.published) <= publication.MOST_PUBLISHED + 1
        seconds = [one.since for one in self.state.published]
        assert seconds == sorted(set(seconds))


class Machine(SynchronousTestCase):
    def test_whatever_happens_each_client_has_what_is_given_after_its_next_question(self) -> None:
        run_state_machine_as_test(
            Publication, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
        )
