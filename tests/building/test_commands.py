"""What runs behind a recipe's wall, and with what around it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from flocon.building.commands import environment
from flocon.building.orders import read_order
from tests.building.case import PACKAGE, JobCase, recipe
from tests.building.test_orders import WHOLE

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


class ProcessorTests(SynchronousTestCase):
    def flags(self, processors: int, gibibytes: int) -> str:
        bounds = {**WHOLE["bounds"], "memory": gibibytes << 30}
        order = read_order({**WHOLE, "bounds": bounds}, 3)
        found = environment(order, "builder", proxy=0, rights=True, processors=processors)
        return found["MAKEFLAGS"]

    def test_a_build_uses_all_of_them(self) -> None:
        self.assertEqual(self.flags(8, 16), "-j8")

    def test_no_more_than_there_is_memory_for(self) -> None:
        self.assertEqual(self.flags(16, 3), "-j3")
        self.assertEqual(self.flags(16, 1), "-j1")


class BuildingTests(JobCase):
    def test_make_is_told_of_all_processors_behind_the_wall(self) -> Deferred[None]:
        say = 'build() { mkdir -p "$startdir/found"; echo "$MAKEFLAGS" >"$startdir/found/text"; }'

        async def go() -> None:
            done = await self.build(recipe(say + PACKAGE), bounds={"memory": 64 << 30})
            self.assertEqual(done.result, "built", done.log)
            self.assertEqual(done.found(), f"-j{len(os.sched_getaffinity(0))}\n")

        return self.do(go())

    def test_a_recipe_cannot_say_that_there_is_no_wall(self) -> Deferred[None]:
        # All that is looked at in the end, from its first byte on.
        forged = "echo; printf 'bwrap: %-65529s' no; exit 1\n"

        async def go() -> None:
            done = await self.build(recipe(forged + PACKAGE))
            self.assertEqual(done.result, "failed", done.log[:200])
            self.assertTrue(done.log.startswith("==> Behind the wall\n"), done.log[:200])

        return self.do(go())
