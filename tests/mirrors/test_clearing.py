"""When a mirror's store is cleared, of what, and what is said of it."""

from __future__ import annotations

import os
import time
from dataclasses import replace

from twisted.internet.defer import Deferred

from flocon.mirrors.clearing import AGAIN, FIRST, MOST_TOLD, SOON, Clearing
from flocon.mirrors.protection import PINNED, Protection, pins
from flocon.settings.settings import Mirror as MirrorSettings
from tests.holdings.machine import SIGNATURE, HoldingsCase

DAY = 86_400


def name(version: int, of: str = "a") -> str:
    return f"{of}-{version}-1-any.pkg.tar.zst"


class ClearingCase(HoldingsCase):
    """A real store, whose packages have 100 bytes with their signatures, and who clears it."""

    def setUp(self) -> None:
        super().setUp()
        self.settings = MirrorSettings(serve=True, keep=2)
        self.protected: set[str] | None = set()
        # Files have the real time.
        self.machine.wall = time.time()
        self.start()
        shelf = self.machine.holdings.clearing
        self.protection = Protection(shelf.sha256, {"wanted": self.is_wanted})
        self.protection.guards[PINNED] = pins(lambda: self.settings.pins)
        shelf.protect(self.protection)
        self.clearing = Clearing(
            self.machine.reactor,
            settings=lambda: self.settings,
            max_size=1 << 20,
            shelf=shelf,
            protection=self.protection,
            wall=lambda: self.machine.wall,
        )
        self.addCleanup(self.clearing.stop)

    def is_wanted(self, file_name: str, _: bytes) -> bool | None:
        return None if self.protected is None else file_name in self.protected

    def put(self, *names: str) -> None:
        for one in names:
            self.machine.wall += 1
            self.assertTrue(self.machine.publish(one, os.urandom(100 - len(SIGNATURE))))

    def clean(self, *, dry: bool = False) -> str:
        done: Deferred[str] = Deferred.fromCoroutine(self.clearing.clean(dry=dry))
        self.machine.settle()
        return self.successResultOf(done)

    def wait(self, seconds: float) -> None:
        self.machine.reactor.advance(seconds)
        self.machine.settle()

    def stored(self) -> set[str]:
        return {one for one in self.machine.stored() if not one.endswith(".sig")}


class ByHandTests(ClearingCase):
    def test_older_versions_go_and_that_is_said(self) -> None:
        self.put(name(1), name(2), name(3))
        said = self.clean()
        self.assertEqual(self.stored(), {name(2), name(3)})
        self.assertEqual(
            said.splitlines(),
            [
                "1 package removed, 100 B: 1 older than the newest 2 versions",
                "200 B stay, of which 0 B are protected",
            ],
        )
        self.assertEqual(self.clearing.describe()["cleared_bytes"], 100)

    def test_that_there_is_room_again_is_told(self) -> None:
        told: list[int] = []
        self.clearing.freed = lambda: told.append(len(self.stored()))
        self.put(name(1), name(2), name(3))
        self.clean(dry=True)
        self.assertEqual(told, [])
        self.clean()
        self.clean()
        self.assertEqual(told, [2])

    def test_a_dry_run_says_what_would_go_and_why_and_removes_nothing(self) -> None:
        self.settings = replace(self.settings, max_age=30 * DAY)
        self.put(name(1, "old"))
        self.machine.wall += 31 * DAY
        self.put(name(1), name(2), name(3))
        before = self.stored()
        said = self.clean(dry=True)
        old = "1 older than the newest 2 versions"
        self.assertEqual(self.stored(), before)
        self.assertEqual(
            said.splitlines(),
            [
                f"2 packages would go, 200 B: {old}, 1 unused for 30 days",
                "  old-1-1-any.pkg.tar.zst: unused for 30 days",
                "  a-1-1-any.pkg.tar.zst: older than the newest 2 versions",
                "200 B stay, of which 0 B are protected",
            ],
        )

    def test_what_is_too_much_to_read_is_counted(self) -> None:
        self.settings = replace(self.settings, keep=1)
        self.put(*(name(version) for version in range(MOST_TOLD + 3)))
        said = self.clean(dry=True).splitlines()
        self.assertEqual((len(said), said[-2]), (MOST_TOLD + 3, "  and 2 packages more"))

    def test_what_is_protected_stays(self) -> None:
        self.put(name(1), name(2), name(3))
        self.protected = {name(1)}
        self.assertIn("nothing to clear", self.clean())
        self.assertEqual(self.stored(), {name(1), name(2), name(3)})

    def test_as_long_as_it_is_not_known_what_is_protected_all_stays(self) -> None:
        self.put(name(1), name(2), name(3))
        self.protected = None
        self.clean()
        self.assertEqual(len(self.stored()), 3)

    def test_what_is_being_sent_stays(self) -> None:
        self.put(name(1), name(2), name(3))
        held = self.machine.cache.find(name(1))
        assert held is not None
        opened = self.successResultOf(self.machine.cache.open(held))
        self.assertIn("nothing to clear", self.clean())
        opened.close()
        self.clean()
        self.assertEqual(self.stored(), {name(2), name(3)})

    def test_of_what_is_pinned_the_newest_versions_stay_whatever_their_age(self) -> None:
        self.settings = replace(self.settings, max_age=DAY, pins=("a",))
        self.put(name(1), name(2), name(3), name(1, "b"))
        self.machine.wall += 2 * DAY
        self.clean()
        self.assertEqual(self.stored(), {name(2), name(3)})

    def test_what_became_protected_amid_stays(self) -> None:
        self.put(name(1), name(2), name(3))
        self.machine.reactor.pool.hold("_look")
        done: Deferred[str] = Deferred.fromCoroutine(self.clearing.clean(dry=False))
        self.protected = {name(1)}
        self.clearing.changed()
        self.machine.resume()
        self.assertIn("nothing to clear", self.successResultOf(done))
        self.assertIn(name(1), self.stored())


class RoomTests(ClearingCase):
    def test_what_must_stay_and_takes_too_much_is_told_once_and_nothing_is_lost(self) -> None:
        self.put(name(1), name(2))
        self.protected = {name(1), name(2)}
        self.clearing._max_size = 150
        said = self.clean()
        self.clean()
        problem = "what this mirror must keep takes 200 B, more than the store's 150 B"
        self.assertIn(problem, said)
        self.assertEqual([one["problem"] for one in self.warnings.events], [problem])
        self.assertEqual([one["reason"] for one in self.clearing.tell()], [problem])
        self.assertTrue(self.clearing.describe()["is_over"])
        self.assertEqual(self.stored(), {name(1), name(2)})

    def test_once_it_fits_again_nothing_is_told(self) -> None:
        self.put(name(1), name(2))
        self.protected = {name(1), name(2)}
        self.clearing._max_size = 150
        self.clean()
        self.protected = set()
        self.clearing.changed()
        self.clean()
        self.assertEqual(self.stored(), {name(2)})
        self.assertEqual(list(self.clearing.tell()), [])


class ByItselfTests(ClearingCase):
    def setUp(self) -> None:
        super().setUp()
        self.put(name(1), name(2), name(3))

    def test_it_is_cleared_some_minutes_after_the_start(self) -> None:
        self.clearing.start()
        self.clearing.changed()
        self.wait(FIRST - 1)
        self.assertEqual(len(self.stored()), 3)
        self.wait(1)
        self.assertEqual(len(self.stored()), 2)

    def test_and_soon_after_a_change(self) -> None:
        self.protected = {name(1)}
        self.clearing.start()
        self.wait(FIRST)
        self.assertEqual(len(self.stored()), 3)
        self.protected = set()
        self.clearing.changed()
        self.wait(SOON)
        self.assertEqual(len(self.stored()), 2)

    def test_and_now_and_then(self) -> None:
        self.clearing.start()
        self.wait(FIRST)
        self.put(name(4))
        self.wait(AGAIN)
        self.assertEqual(self.stored(), {name(3), name(4)})

    def test_never_after_the_end(self) -> None:
        self.clearing.start()
        self.successResultOf(self.clearing.stop())
        self.clearing.changed()
        self.wait(FIRST + AGAIN)
        self.assertEqual(len(self.stored()), 3)
