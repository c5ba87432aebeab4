"""What is asked upstream of a new commit is bounded, in number and in time."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.builds.judging import LONGEST_ASKED, MOST_REFERENCES, Judging
from flocon.errors import Unreachable
from flocon.recipes.references import Reference

ASKED = [Reference(f"https://e.org/{at}", "v1") for at in range(MOST_REFERENCES + 5)]


class Confirming(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.takes = Clock(), 0.0
        self.asked: list[str] = []
        self.away: set[str] = set()

    async def reaches(self, source: str, name: str) -> bool:
        self.asked.append(source)
        self.clock.advance(self.takes)
        if source in self.away:
            raise Unreachable("e.org", "is away")
        return name == "v1"

    def confirmed(self, asked: list[Reference]) -> list[Reference]:
        nothing: Any = None
        judging = Judging(
            self.clock,
            self,  # type: ignore[arg-type]  # as much of it as is asked
            settings=nothing,
            taken_over=nothing,
            now=nothing,
        )
        return self.successResultOf(Deferred.fromCoroutine(judging._confirmed(asked)))

    def test_as_many_as_may_be_are_asked(self) -> None:
        self.assertEqual(self.confirmed(ASKED), ASKED[:MOST_REFERENCES])

    def test_who_is_away_confirms_nothing_and_keeps_nobody_from_it(self) -> None:
        self.away = {ASKED[0].source}
        self.assertEqual(self.confirmed(ASKED[:3]), ASKED[1:3])

    def test_those_that_take_long_end_it(self) -> None:
        self.takes = LONGEST_ASKED / 2.5
        self.assertEqual(self.confirmed(ASKED), ASKED[:3])

    def test_a_branch_is_asked_for_as_one(self) -> None:
        self.confirmed([Reference("https://e.org/x", "v1", is_branch=True)])
        self.assertEqual(self.asked, ["git+https://e.org/x#branch=v1"])
