"""Other tools' machines over real connections: their doubles on loopback, honest and hostile."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from flocon.asking.agents import foreign_agent
from flocon.foreign.foreign import Foreign
from flocon.foreign.place import Place, Tool
from flocon.foreign.rounds import PATIENCE
from tests.foreign.doubles import Double, PacredirServer
from tests.foreign.groups import PREFIX, Paclan, Pacserve

NAME, SIZE = "gtk++-1:2-1-any.pkg.tar.zst", 1_000
OTHER = "b-1-1-any.pkg.tar.zst"
#: Seconds for what takes a few milliseconds, on a machine that does other things as well.
ENOUGH = 20.0
#: What a busy machine adds to what somebody waits for.
BUSY = 2.0
TOOLS = {PacredirServer: Tool.PACREDIR, Pacserve: Tool.PACSERVE, Paclan: Tool.PACLAN}
reactor: Any = installed


class DoublesTestCase(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        (self.folder / NAME).write_bytes(bytes(SIZE))
        agent, pool = foreign_agent(reactor, PATIENCE)
        self.foreign = Foreign(
            reactor, agent, lambda *_: True, say=lambda _: None, news=lambda: None
        )
        self.addCleanup(pool.closeCachedConnections)
        self.addCleanup(self.foreign.stop)

    async def place(self, kind: type[Double], fault: str = "") -> Double:
        """Start a double, and return it once it counts; its fault begins then."""
        double = kind(self.folder, "127.0.0.1")
        double.start()
        self.addCleanup(double.end)
        place = Place(TOOLS[kind], "127.0.0.1", double.port)
        name = Paclan.identity if kind is Paclan else "named"
        self.foreign.found(place, "setting", name)
        await self.until(lambda: self.state(double) == "good")
        double.fault = fault
        return double

    async def until(self, is_so: Any) -> None:
        ends = time.monotonic() + ENOUGH
        while not is_so():
            self.assertLess(time.monotonic(), ends)
            await deferLater(reactor, 0.01)

    def state(self, double: Double) -> str:
        told = self.foreign.describe(lambda _: "")
        return next((one["state"] for one in told if one["port"] == double.port), "forgotten")

    async def look(self, name: str = NAME, size: int = SIZE) -> list[int]:
        """Look for a file; return at which ports it is."""
        waiting = self.foreign.look(name, size)
        if waiting is not None:
            await waiting
        return [one.port for one in self.foreign.holding(name, size)]


class Honest(DoublesTestCase):
    async def test_each_is_found_to_have_what_it_has(self) -> None:
        for kind in (PacredirServer, Pacserve, Paclan):
            double = await self.place(kind)
            name = f"{kind.__name__.lower()}-1-1-any.pkg.tar.zst"
            (self.folder / name).write_bytes(bytes(SIZE))
            self.assertEqual(await self.look(NAME if kind is Pacserve else name), [double.port])
            self.assertEqual(await self.look(f"not-{name}"), [])
            self.foreign.named("named", [])
            self.foreign.named(Paclan.identity, [])
        self.assertEqual(self.foreign.describe(lambda _: ""), [])

    async def test_connections_are_kept_from_one_question_to_the_next(self) -> None:
        double = await self.place(PacredirServer)
        for number in range(5):
            await self.look(f"p{number}-1-1-any.pkg.tar.zst")
        self.assertEqual(len({one["from"] for one in double.asked[1:]}), 1)

    async def test_a_pacserve_without_listing_is_asked_for_each_file(self) -> None:
        class Silent(Pacserve):
            def listing(self, _: str) -> None:
                return None

        TOOLS[Silent] = Tool.PACSERVE
        double = await self.place(Silent)
        self.assertEqual(await self.look(), [double.port])
        self.assertEqual(double.asked[-1]["said"]["type"], "file check")

    async def test_a_nudge_makes_us_a_peer(self) -> None:
        self.foreign.face(15_678)
        double: Any = await self.place(Pacserve)
        await self.until(lambda: double.dynamic)
        self.assertEqual(double.dynamic, ["http://127.0.0.1:15678/"])
        self.assertEqual(list(self.foreign._looks.prefixes), [PREFIX])


class Hostile(DoublesTestCase):
    async def took(self, waiting: Deferred[Any]) -> float:
        began = time.monotonic()
        await waiting
        return time.monotonic() - began

    async def test_a_silent_one_costs_its_patience_once(self) -> None:
        double = await self.place(PacredirServer, "silent")
        took = await self.took(Deferred.fromCoroutine(self.look()))
        self.assertGreaterEqual(took, PATIENCE - 0.05)
        self.assertLess(took, PATIENCE + BUSY)
        self.assertEqual(self.state(double), "failing")
        self.assertIsNone(self.foreign.look(OTHER, SIZE))

    async def test_nobody_is_followed_elsewhere(self) -> None:
        double = await self.place(PacredirServer, "elsewhere")
        self.assertEqual(await self.look(), [])
        self.assertEqual(self.state(double), "good")

    async def test_a_pacserve_that_names_a_stranger_is_not_believed(self) -> None:
        class Referring(Pacserve):
            def listing(self, _: str) -> None:
                return None

        TOOLS[Referring] = Tool.PACSERVE
        await self.place(Referring, "elsewhere")
        self.assertEqual(await self.look(), [])

    async def test_an_endless_listing_is_cut(self) -> None:
        double = Pacserve(self.folder, "127.0.0.1", fault="huge")
        double.start()
        self.addCleanup(double.end)
        self.foreign.found(Place(Tool.PACSERVE, "127.0.0.1", double.port), "setting", "named")
        await self.until(lambda: self.state(double) == "failing")
        [told] = self.foreign.describe(lambda _: "")
        self.assertTrue(told["why"].startswith("sent more than"), told["why"])

    async def test_who_is_busy_costs_nothing(self) -> None:
        double = await self.place(PacredirServer, "busy")
        self.assertEqual(await self.look(), [])
        self.assertEqual(self.state(double), "good")

    async def test_who_claims_to_have_all_has_what_has_no_size(self) -> None:
        await self.place(PacredirServer, "claims")
        self.assertEqual(await self.look(OTHER), [])
