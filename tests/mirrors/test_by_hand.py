"""What ``flocon mirror refresh`` does, and what a mirror does by itself."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet import error
from twisted.internet.defer import Deferred, succeed

from flocon.ahead.coming import Means
from flocon.errors import FloconError
from flocon.mirrors.mirror import Mirror
from flocon.pacman.configuration import PacmanConfiguration
from flocon.states.publication import SNAPSHOT, Policy
from tests.mirrors.test_holding import EmptyShelf
from tests.upstream.reading_case import ONE, ReadingCase
from tests.upstream.web import THEN


class FakePacman:
    """pacman's configuration, and what it is told of databases."""

    def __init__(self, configuration: PacmanConfiguration) -> None:
        self.configuration = configuration
        self.listed: tuple[Any, ...] = ()

        self.reading: Deferred[None] = succeed(None)

    def configured(self) -> Deferred[None]:
        return self.reading

    def mirror(self, databases: tuple[Any, ...]) -> None:
        self.listed = databases


class MirrorCase(ReadingCase):
    roots = (ONE,)

    def setUp(self) -> None:
        super().setUp()
        self.settings = type(self.settings)(serve=True, publish="at once")
        self.web.mirror(ONE, {"core": ["bash"], "extra": ["vim"]})
        self.pacman = FakePacman(self.configuration)
        self.store = Path(self.mktemp())
        self.mirror = Mirror(
            self.clock,
            settings=lambda: self.settings,
            store=self.store,
            pacman=self.pacman,  # type: ignore[arg-type]
            agent=self.web,
            keyring=lambda: self.keyring,  # type: ignore[arg-type, return-value]
            most=1 << 30,
            shelf=EmptyShelf(),
            means=self.make_means(),
        )
        self.mirror.startService()
        self.addCleanup(self.mirror.stopService)

    def make_means(self) -> Means:
        """Return a LAN of which nothing is known yet: nothing is brought."""
        neighbourhood: Any = mock.Mock()
        neighbourhood.acquainted.return_value = Deferred()
        nothing: Any = mock.Mock()
        return Means(nothing, nothing, nothing, nothing, neighbourhood)

    def steer(self, *words: str) -> str:
        return self.done(self.mirror.steering.steer(list(words)))


class ByHand(MirrorCase):
    def test_a_first_state_is_read_and_given(self) -> None:
        at = time.strftime("%Y-%m-%d %H:%M", time.localtime(THEN))
        told = self.steer("refresh")
        self.assertEqual(
            told,
            f"a newer state was read from one: 2 of 2 databases are new (it changed last at {at})",
        )
        self.assertEqual({one.repository for one in self.pacman.listed}, {"core", "extra"})
        self.assertIsNotNone(self.mirror.states.published)

    def test_pacmans_configuration_is_waited_for(self) -> None:
        self.pacman.reading, self.pacman.configuration = Deferred(), PacmanConfiguration()
        refreshing = self.start(self.mirror.steering.steer(["refresh"]))
        self.assertNoResult(refreshing)
        self.pacman.configuration = self.configuration
        self.pacman.reading.callback(None)
        self.assertIn("a newer state was read", self.successResultOf(refreshing))

    def test_where_nothing_is_new_that_is_said(self) -> None:
        self.steer("refresh")
        self.assertIn("one has nothing new", self.steer("refresh"))

    def test_a_state_that_waits_is_not_said_to_be_given(self) -> None:
        self.steer("refresh")
        self.settings = type(self.settings)(serve=True, publish="complete")
        self.web.mirror(
            ONE,
            {"core": ["bash"], "extra": ["vim"]},
            last_update=THEN + 9,
            version="2-1",
            modified=THEN + 9,
        )
        self.assertIn("; clients are given it once what is wanted", self.steer("refresh"))

    def test_where_the_lan_is_held_at_a_snapshot_that_is_said(self) -> None:
        self.steer("refresh")
        self.done(self.mirror.states.keep_snapshot("may", self.mirror.states.read[-1], THEN))
        self.done(self.mirror.states.follow(Policy(SNAPSHOT, "may")))
        self.web.mirror(
            ONE,
            {"core": ["bash"], "extra": ["vim"]},
            last_update=THEN + 9,
            version="2-1",
            modified=THEN + 9,
        )
        self.assertIn("; clients stay with may", self.steer("refresh"))

    def test_a_failure_is_a_sentence(self) -> None:
        self.web.faults[f"{ONE}/lastupdate"] = error.ConnectionRefusedError()
        failure = self.failureResultOf(
            self.start(self.mirror.steering.steer(["refresh"])), FloconError
        )
        self.assertIn("one: refused the connection", str(failure.value))
        self.assertEqual(self.mirror.describe()["problem"], str(failure.value))

    def test_it_is_read_on_a_link_that_costs_too(self) -> None:
        self.mirror.allow(metered=True)
        self.steer("refresh")
        self.assertEqual(len(self.mirror.states.read), 1)


class ByItself(MirrorCase):
    def test_nothing_is_read_before_the_link_is_known(self) -> None:
        self.assertEqual(self.web.asked, [])
        self.mirror.allow(metered=False)
        self.clock.advance(0)
        self.assertIsNotNone(self.mirror.states.published)

    def test_nothing_is_read_on_a_link_that_costs(self) -> None:
        self.mirror.allow(metered=True)
        self.clock.pump([60.0] * 600)
        self.assertEqual(self.web.asked, [])
