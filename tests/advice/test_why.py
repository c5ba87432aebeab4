"""Why a file comes from where it comes, where a thousand peers could have been meant."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from flocon.advice.search import MOST_FILES, ROWS
from flocon.advice.why import Why
from flocon.asking.source import Origin, Source
from flocon.files import Content
from flocon.neighbours.standing import Standing
from flocon.pacman.entries import Entry
from tests.advice.turns import TURN, Turns

NAME = "a-1-1-any.pkg.tar.zst"
ENTRY = Entry("core", NAME, "a", "1-1", 10, bytes(32))
OTHER = Content(11, bytes([1]) * 32)


def peer(number: int) -> Any:
    one = mock.Mock(node=f"n{number}", address=f"10.0.{number // 250}.{number % 250}")
    one.name = f"made{number:04}"
    return one


class Crowded(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Turns()
        self.looked_up = 0
        self.peers = [peer(number) for number in range(MOST_FILES + 524)]
        self.order: list[Source] = []
        self.neighbourhood: Any = mock.Mock(able=mock.Mock(return_value=self.peers[:3]))
        listed: Any = mock.Mock(settled=lambda: succeed(None), acquainted=lambda _: succeed(None))
        listed.entry.return_value = ENTRY
        pacman: Any = mock.Mock()
        pacman.listing.find.return_value = [ENTRY]
        self.why = Why(
            self.clock,
            settings=mock.Mock(),
            offering=mock.Mock(find=lambda _: None),
            listed=listed,
            candidates=mock.Mock(order=lambda *_: self.order),
            transfers=mock.Mock(find=lambda *_: None),
            pacman=pacman,
            neighbourhood=self.neighbourhood,
            presence=mock.Mock(peers=lambda: self.peers, peer=lambda _: None),
            standing=Standing(),
            quarantine=mock.Mock(record=self.record),
            recent=mock.Mock(of=lambda *_: []),
            contents=lambda _: succeed({"n5": OTHER}),
        )

    def record(self, *_: Any) -> None:
        self.looked_up += 1

    def ask(self) -> dict[str, Any]:
        asking = Deferred.fromCoroutine(self.why.why({"file": NAME}))
        while not asking.called:
            before = self.looked_up
            self.clock.advance(TURN)
            self.assertLessEqual(self.looked_up - before, ROWS)
        told = self.successResultOf(asking)
        assert told is not None
        return told

    def test_who_is_not_asked_is_told_within_bounds_and_in_slices(self) -> None:
        told = self.ask()
        self.assertEqual((len(told["left_out"]), told["more_left_out"]), (MOST_FILES, 524))
        self.assertEqual(self.looked_up, MOST_FILES)

    def test_who_fetches_for_others_is_found_out_once(self) -> None:
        told = self.ask()
        self.neighbourhood.able.assert_called_once_with("core")
        reasons = [one["why"] for one in told["left_out"]]
        self.assertIn("comes behind this node", reasons[0])
        self.assertIn("does not fetch [core]", reasons[3])
        self.assertIn("other bytes", reasons[5])

    def test_so_is_who_is_asked(self) -> None:
        self.order = [
            Source(Origin.PEER, one.address, one.address, "http://x/", node=one.node)
            for one in self.peers
        ]
        told = self.ask()
        self.assertEqual((len(told["order"]), told["more_in_order"]), (MOST_FILES, 524))
        self.assertEqual((told["left_out"], told["more_left_out"]), ([], 0))

    def test_another_tools_machine_is_asked_for_and_named(self) -> None:
        looked: list[str] = []

        def look_up(name: str, _: Content) -> Deferred[None]:
            looked.append(name)
            self.order = [
                Source(Origin.PEER, "10.0.0.7", "10.0.0.7", "http://10.0.0.7/x", tool="pacredir")
            ]
            return succeed(None)

        self.why.look_up = look_up
        told = self.ask()
        self.assertEqual(looked, [NAME])
        [first] = told["order"]
        self.assertEqual((first["role"], first["name"]), ("foreign", "pacredir"))
        self.assertEqual(
            told["answer"], "no node holds it: pacredir at 10.0.0.7 has it, and is asked first"
        )
