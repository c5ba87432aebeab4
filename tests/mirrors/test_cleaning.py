"""A mirror put together with a real store: what its states and snapshots list stays there."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

from twisted.internet.defer import Deferred, succeed

from flocon.errors import MirrorError
from flocon.mirrors.mirror import Mirror
from flocon.pacman.configuration import PacmanConfiguration
from flocon.settings.settings import Mirror as MirrorSettings
from flocon.states.generation import DatabaseFiles, Generation
from tests.holdings.machine import HoldingsCase
from tests.states.states_case import CORE, database, file_name, keep


class CleaningTests(HoldingsCase):
    def setUp(self) -> None:
        super().setUp()
        # Files have the real time.
        self.machine.wall = time.time()
        self.start()
        self.settings = MirrorSettings(serve=True, keep=1, publish="at once")
        self.mirror = Mirror(
            self.machine.reactor,
            settings=lambda: self.settings,
            store=self.machine.top / "store",
            most=1 << 30,
            shelf=self.machine.holdings.clearing,
            pacman=self.pacman(),
            agent=None,
            keyring=MagicMock(),
            means=MagicMock(),
        )
        self.mirror.startService()
        self.addCleanup(self.mirror.stopService)
        self.machine.settle()
        self.become(a="1-1")

    def pacman(self) -> Any:
        return SimpleNamespace(
            configuration=PacmanConfiguration(),
            configured=lambda: succeed(None),
            mirror=lambda _: None,
        )

    def steer(self, *words: str) -> str:
        steering = self.mirror.steering
        steer = steering.snapshot if words[0] == "snapshot" else steering.steer
        return str(self.machine.result(steer(list(words[1:]))))

    def become(self, **versions: str) -> None:
        """Have another state, and have it given out."""
        piece = keep(self.mirror.archive, database(versions))
        generation = Generation(int(time.time()), "mirror", {CORE: DatabaseFiles(piece)})
        self.machine.result(self.mirror.states.add(generation))
        self.machine.result(self.mirror.settle())

    def put(self, name: str, *versions: str) -> None:
        for version in versions:
            data = f"{name} {version}".encode()
            self.assertTrue(self.machine.publish(file_name(name, version), data))

    def stored(self) -> set[str]:
        return {one for one in self.machine.stored() if not one.endswith(".sig")}

    def left(self, name: str) -> list[str]:
        """Clear, and return which versions of a package are left."""
        self.steer("mirror", "clean")
        versions = (f"{number}-1" for number in range(10))
        return [one[0] for one in versions if file_name(name, one) in self.stored()]

    def test_what_a_state_in_use_lists_stays_beside_the_newest(self) -> None:
        self.put("a", "0-1", "1-1", "2-1", "3-1")
        self.assertEqual(self.left("a"), ["1", "3"])

    def test_a_dry_run_removes_nothing(self) -> None:
        self.put("a", "0-1", "1-1")
        self.assertIn(f"  {file_name('a', '0-1')}: older", self.steer("mirror", "clean", "dry-run"))
        self.assertEqual(len(self.stored()), 2)

    def test_what_a_snapshot_lists_stays_until_it_is_dropped(self) -> None:
        self.put("a", "1-1", "9-1")
        self.steer("snapshot", "take", "before")
        for version in range(2, 8):
            self.become(a=f"{version}-1")
        self.assertEqual(self.left("a"), ["1", "9"])
        self.steer("snapshot", "drop", "before")
        self.assertEqual(self.left("a"), ["9"])

    def test_what_is_pinned_stays_whatever_its_age(self) -> None:
        self.settings = replace(self.settings, max_age=1.0, pins=("b",))
        self.put("b", "1-1", "2-1")
        self.put("c", "1-1")
        assert self.mirror.clearing is not None
        self.mirror.clearing._wall = lambda: time.time() + 86_400
        self.assertEqual((self.left("b"), self.left("c")), (["2"], []))

    def test_what_must_stay_is_told_of(self) -> None:
        self.put("a", "1-1")
        self.steer("mirror", "clean")
        told = self.mirror.describe()["clearing"]
        self.assertEqual((told["protected_bytes"], told["is_over"]), (3 + 2 + 25, False))

    def test_a_mirror_that_has_not_begun_says_so(self) -> None:
        self.patch(self.mirror, "clearing", None)
        work = Deferred.fromCoroutine(self.mirror.steering.steer(["clean"]))
        self.assertIn("not begun yet", str(self.failureResultOf(work, MirrorError).value))
