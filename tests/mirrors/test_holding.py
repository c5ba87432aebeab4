"""A mirror whose state is held: until when, and over a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

from twisted.internet.defer import Deferred, succeed

from flocon.mirrors.mirror import Mirror
from flocon.mirrors.settling import LOOK_AGAIN
from flocon.pacman.configuration import PacmanConfiguration
from flocon.settings.settings import Mirror as MirrorSettings
from tests.states.states_case import DAY, StatesTestCase


class EmptyShelf:
    """A store without a package."""

    def protect(
        self, protects: Callable[[str], bool], now: Callable[[str], bool] | None = None
    ) -> None:
        """Have nothing stay."""

    def sha256(self, _: str) -> None:
        """Know nothing."""

    def stored(self) -> list[Any]:
        return []

    async def remove(self, names: Iterable[str]) -> list[str]:
        return list(names)


class HoldingTestCase(StatesTestCase):
    def begin(self) -> None:
        self.states_of_a_mirror()

    def states_of_a_mirror(self) -> None:
        """Start a node; no mirror is asked."""
        self.mirror = Mirror(
            self.reactor,
            settings=lambda: MirrorSettings(serve=True, publish="at once"),
            store=self.folder,
            most=1 << 30,
            shelf=EmptyShelf(),
            pacman=self.pacman(),
            agent=None,
            keyring=MagicMock(),
            # Nothing is read and nothing brought: the link is not known to be free.
            means=MagicMock(),
        )
        self.states = self.mirror.states
        self.archive = self.mirror.archive
        self.mirror.startService()
        self.addCleanup(self.mirror.stopService)

    def pacman(self) -> Any:
        return SimpleNamespace(
            configuration=PacmanConfiguration(),
            configured=lambda: succeed(None),
            mirror=lambda _: None,
        )

    def restart(self) -> None:
        self.mirror.stopService()
        self.states_of_a_mirror()

    def steer(self, *words: str) -> str:
        return str(self.done(self.mirror.steering.snapshot(list(words))))

    def wait(self, seconds: float) -> None:
        """Let time go by, on the clock and for what waits."""
        while seconds > 0:
            step = min(seconds, 600.0)
            self.now += step
            self.reactor.advance(step)
            seconds -= step

    @property
    def given(self) -> str | None:
        published = self.states.published
        return None if published is None else published[0].identity


class Holding(HoldingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.old = self.publish(core={"a": "1-1"})
        self.steer("take", "before")
        self.now += DAY
        self.new = self.publish(core={"a": "2-1"})

    def test_it_is_given_until_its_time_is_over_and_the_newest_then(self) -> None:
        self.steer("use", "before")
        self.wait(30 * DAY - 1)
        self.assertEqual(self.given, self.old.identity)
        self.wait(LOOK_AGAIN + 10)
        self.assertEqual(self.given, self.new.identity)
        self.assertEqual(str(self.states.state.policy), "latest")

    def test_what_is_read_meanwhile_is_not_given(self) -> None:
        self.steer("use", "before")
        self.now += DAY
        self.read(core={"a": "3-1"})
        self.done(self.mirror.settle())
        self.assertEqual(self.given, self.old.identity)

    def test_it_is_given_after_a_restart_without_a_mirror_to_ask(self) -> None:
        self.steer("use", "before")
        since = self.states.state.now
        self.restart()
        self.assertEqual(self.states.state.now, since)
        self.assertEqual(self.mirror.steering._mirror.snapshots.describe()["policy"], "before")

    def test_its_time_is_over_while_the_node_is_down_too(self) -> None:
        self.steer("use", "before")
        self.mirror.stopService()
        self.now += 31 * DAY
        self.states_of_a_mirror()
        self.assertEqual(self.given, self.new.identity)

    def test_what_is_so_many_days_behind_moves_on_by_itself(self) -> None:
        self.steer("use", "1 day behind")
        self.assertEqual(self.given, self.old.identity)
        self.wait(DAY + LOOK_AGAIN)
        self.assertEqual(self.given, self.new.identity)

    def test_a_snapshot_that_is_lost_leaves_the_lan_with_the_state_that_it_has(self) -> None:
        self.steer("use", "before")
        self.mirror.stopService()
        (self.folder / "mirror" / "snapshots" / "before.json").unlink()
        self.states_of_a_mirror()
        self.assertEqual(self.given, self.old.identity)
        told = self.done(self.mirror.steering.snapshots({}))
        self.assertIn("'before', which is to be used, is not there", told["problem"])

    def test_what_was_chosen_under_another_policy_is_not_given_any_more(self) -> None:
        policy = self.states.state.policy
        self.steer("use", "before")
        self.done(self.states.wait_for(self.new.identity, policy))
        self.done(self.states.publish(self.new.identity, policy))
        self.assertEqual((self.given, self.states.state.waiting), (self.old.identity, ""))

    def test_nothing_waits_once_the_node_has_stopped(self) -> None:
        self.steer("use", "before")
        self.mirror.stopService()
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class Words(HoldingTestCase):
    """What comes by the control socket, and what is answered."""

    def test_what_is_none_of_a_snapshots_is_refused(self) -> None:
        for words in ([], ["take", "x", "of"], ["use"], ["drop"], ["list"], ["use", "x", "y"]):
            self.assertIn("nothing of a snapshot", self.why_not(*words))

    def why_not(self, *words: str) -> str:
        failure = self.failureResultOf(
            Deferred.fromCoroutine(self.mirror.steering.snapshot(list(words)))
        )
        return str(failure.value)

    def test_a_question_is_answered_with_why_it_cannot_be(self) -> None:
        told = self.done(self.mirror.steering.difference({"before": "x", "after": "now"}))
        self.assertIn("no snapshot 'x'", told["refused"])
        self.assertIsNone(self.done(self.mirror.steering.difference({"before": "x"})))
