"""What is told, to whom and how fast."""

from __future__ import annotations

import random
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from flocon.datagrams.messages import Announcement, Kind
from flocon.sites.correspondents import Place
from flocon.sites.introducing import BURST, RATE, Tellings
from tests.datagrams.test_messages import REST, change

FAR: Place = ("10.9.0.1", 19432)


def said(number: int = 1, sequence: int = 1, **fields: object) -> Announcement:
    return replace(REST, node=f"{number:016x}", sequence=sequence, **fields)  # type: ignore[arg-type]


class TellingsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.everybody = [("10.0.0.9", said(9))]
        self.tellings = Tellings(random.Random(1), lambda _: self.everybody)

    def told(self, now: float) -> list[tuple[Place | None, str, int]]:
        return [(to, one.node[-1:], one.sequence) for to, _, one in self.tellings.take(now)]

    def test_a_correspondent_is_told_at_once(self) -> None:
        self.tellings.tell(5, FAR, "10.0.0.1", said())
        self.assertEqual(self.told(5), [(FAR, "1", 1)])
        self.assertEqual(self.told(6), [])

    def test_the_group_a_moment_later_unless_another_one_tells_it_first(self) -> None:
        self.tellings.tell(5, None, "10.9.0.1", said())
        self.tellings.tell(5, None, "10.9.0.2", said(2, 7))
        self.assertEqual(self.told(5), [])
        self.tellings.said_by_others("10.9.0.2", said(2, 7))
        self.assertEqual(self.told(5.1), [(None, "1", 1)])

    def test_nobody_hushes_it_up_by_what_is_not_the_same(self) -> None:
        self.tellings.tell(5, None, "10.9.0.1", said(1, 8))
        others = [said(1, 7), said(1, 9), replace(said(1, 8), epoch="0badc0de")]
        others += [replace(said(1, 8), generation=999), replace(said(1, 8), kind=Kind.BYE)]
        for one in others:
            self.tellings.said_by_others("10.9.0.1", one)
        self.tellings.said_by_others("10.99.0.7", said(1, 8))
        self.assertEqual(self.told(5.1), [(None, "1", 8)])

    def test_one_listener_is_told_so_much_at_once_and_so_much_per_second(self) -> None:
        for number in range(200):
            self.tellings.tell(0, FAR, "10.0.0.1", said(number))
        self.assertEqual(len(self.told(0)), BURST)
        self.assertEqual(len(self.told(1)), RATE)
        deadline = self.tellings.deadline(1)
        assert deadline is not None
        self.assertAlmostEqual(deadline, 1 + 1 / RATE)

    def test_of_a_node_that_waits_the_newest_is_told_with_the_changes_of_both(self) -> None:
        first = said(1, 1, generation=11, changes=(change(1),))
        second = said(1, 2, generation=13, changes=(change(2), change(3)))
        for one in (first, second):
            self.tellings.tell(0, FAR, "10.0.0.1", one)
        [(_, _, told)] = self.tellings.take(0)
        self.assertEqual((told.sequence, told.generation), (2, 13))
        self.assertEqual(told.changes, (change(1), change(2), change(3)))

    def test_changes_that_do_not_follow_on_each_other_are_not_joined(self) -> None:
        first = said(1, 1, generation=11, changes=(change(1),))
        second = said(1, 2, generation=20, changes=(change(2),))
        for one in (first, second):
            self.tellings.tell(0, FAR, "10.0.0.1", one)
        [(_, _, told)] = self.tellings.take(0)
        self.assertEqual(told.changes, (change(2),))

    def test_a_bye_takes_the_place_of_what_waits(self) -> None:
        self.tellings.tell(0, None, "10.9.0.1", said(1, 1))
        self.tellings.tell(0, None, "10.9.0.1", said(1, 2, kind=Kind.BYE))
        self.assertEqual([one.kind for _, _, one in self.tellings.take(1)], [Kind.BYE])

    def test_all_are_told_again_seldom_however_often_that_is_asked_for(self) -> None:
        told = 0
        for tenth in range(100):
            self.tellings.tell_all(tenth / 10, FAR, 0.2)
            told += len(self.told(tenth / 10))
        self.assertLessEqual(told, 5)
        self.assertGreaterEqual(told, 4)

    def test_a_listener_that_is_gone_is_told_nothing(self) -> None:
        self.tellings.tell(0, FAR, "10.0.0.1", said())
        self.tellings.tell_all(0, FAR, 0.2)
        self.tellings.forget(FAR)
        self.assertEqual((self.told(1), self.tellings.deadline(1)), ([], None))
