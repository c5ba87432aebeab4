"""How long it takes to say whom to ask, with as many other tools' machines as are ever known."""

from __future__ import annotations

import time
from typing import Any
from unittest import mock

from twisted.internet.task import Clock

from flocon.foreign.foreign import Foreign
from flocon.foreign.place import Place, Tool
from flocon.foreign.places import MOST_PLACES
from flocon.pacman.entries import Entry
from flocon.sources.places import foreign_source
from tests.sources.test_candidates import MIRROR, CandidatesTestCase

#: Look-ups that are measured, and packages that each machine lists.
COUNT, LISTED = 2_000, 600
#: Seconds that 99 of 100 take at most.
P99 = 0.001


class LookUps(CandidatesTestCase):
    def setUp(self) -> None:
        super().setUp()
        agent: Any = mock.Mock()
        foreign = Foreign(Clock(), agent, lambda *_: True, say=lambda _: None, news=lambda: None)
        self.addCleanup(foreign.stop)
        files = {f"p{number}-1-1-any.pkg.tar.zst": 10 for number in range(LISTED)}
        for number in range(MOST_PLACES):
            place = Place(Tool.PACSERVE, f"10.0.0.{number}", 15_678)
            foreign._places.heard(place, "multicast", "", 0.0)
            foreign._places.answered(place, 0.0)
            foreign._places.listed(place, files, 0.0)
        self.candidates.foreign = lambda entry: [
            foreign_source(place, entry.file_name)
            for place in foreign.holding(entry.file_name, entry.size)
        ]

    def slowest(self, size: int) -> float:
        """Return what 99 of 100 look-ups took at most of this thread's time."""
        took = []
        for number in range(COUNT):
            name = f"p{number % LISTED}-1-1-any.pkg.tar.zst"
            entry = Entry("core", name, "p", "1-1", size, bytes(32))
            began = time.thread_time()
            next(self.candidates.all(name, (MIRROR,), entry))
            took.append(time.thread_time() - began)
        return sorted(took)[COUNT * 99 // 100]

    def test_what_a_node_holds_is_looked_up_at_once(self) -> None:
        self.neighbourhood.holding.return_value = [mock.Mock(node="n", address="10.0.1.1", port=1)]
        self.assertLess(self.slowest(10), P99)

    def test_so_is_what_nobody_has(self) -> None:
        self.assertLess(self.slowest(11), P99)
