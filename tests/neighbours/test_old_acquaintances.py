"""Who was there before a restart: remembered, asked at once, and believed once it answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.datagrams.messages import Announcement, Kind
from flocon.machine.remember import recall, remember
from flocon.neighbours.acquaintance import HEARING
from flocon.neighbours.neighbourhood import Neighbourhood
from flocon.neighbours.old_acquaintances import (
    MOST_REMEMBERED,
    WRITE_AFTER,
    OldAcquaintances,
    dump,
    load,
)
from flocon.neighbours.replicas import Holders
from tests.datagrams.test_messages import REST
from tests.neighbours.fakes import EPOCH, FakePresence, NeighbourhoodTestCase, change, peer

ADDRESS = "10.0.0.97"


def words(node: int = 1) -> Announcement:
    return replace(REST, kind=Kind.BEAT, node=f"{node:016x}", epoch=EPOCH, changes=())


class Remembering(SynchronousTestCase):
    def test_what_is_written_is_read_again(self) -> None:
        said = {ADDRESS: words(1), "fe80::1%eth0": words(2)}
        self.assertEqual(dict(load(8.0, dump(7.0, said))), said)

    def test_no_changes_are_remembered_and_no_hello(self) -> None:
        (read,) = load(8.0, dump(7.0, {ADDRESS: replace(words(), kind=Kind.HELLO)}))
        self.assertEqual(read, (ADDRESS, words()))

    def test_nobody_is_after_the_machine_was_started_anew(self) -> None:
        self.assertEqual(list(load(6.0, dump(7.0, {ADDRESS: words()}))), [])

    def test_what_is_damaged_is_passed_over(self) -> None:
        good = dump(7.0, {ADDRESS: words()})
        several: list[Any] = [None, [], {}, {"since_boot": 1.0}, {"since_boot": "1", "said": {}}]
        for damaged in several:
            self.assertEqual(list(load(8.0, damaged)), [], damaged)
        good["said"]["10.0.0.98"] = "nonsense"
        good["said"]["10.0.0.99"] = ["nonsense"]
        self.assertEqual(list(load(8.0, good)), [(ADDRESS, words())])

    def test_no_more_than_a_few_are_recalled(self) -> None:
        many = {f"10.0.0.{number}": words(number) for number in range(MOST_REMEMBERED + 3)}
        self.assertEqual(len(list(load(8.0, dump(7.0, many)))), MOST_REMEMBERED)


class Writing(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.presence = FakePresence()
        self.holders = Holders()
        self.file = Path(self.mktemp())
        presence: Any = self.presence
        self.old = OldAcquaintances(
            self.clock, presence, self.holders, self.file, clock=lambda: 7.0
        )
        self.written: list[Any] = []
        notes: Any = self.old._notes
        self.patch(notes, "write", self.written.append)
        self.addCleanup(self.old.stop)

    def come(self, number: int, files: int, **fields: Any) -> None:
        said = words(number)
        one = peer(said.node, said=said, address=f"10.0.0.{number}", **fields)
        self.presence.here[said.node] = one
        self.holders.replace(said.node, 1, [change(file) for file in range(files)])

    def note(self) -> dict[str, Any]:
        """Note, and return the addresses that are written down."""
        self.old.note()
        self.clock.advance(WRITE_AFTER)
        said: dict[str, Any] = self.written[-1]["said"] if self.written else {}
        return said

    def test_those_who_answered_and_hold_something_are_written_down(self) -> None:
        self.come(1, 2)
        self.come(2, 0)
        self.come(3, 2, proved=False)
        self.assertEqual(list(self.note()), ["10.0.0.1"])

    def test_those_who_hold_the_most_are(self) -> None:
        for number in range(1, MOST_REMEMBERED + 2):
            self.come(number, number)
        self.assertEqual(len(self.note()), MOST_REMEMBERED)
        self.assertNotIn("10.0.0.1", self.note())

    def test_nothing_is_written_where_nobody_came_or_went(self) -> None:
        self.come(1, 2)
        self.note()
        self.note()
        self.assertEqual(len(self.written), 1)
        self.come(2, 2)
        self.note()
        self.assertEqual(len(self.written), 2)

    def test_what_was_noted_many_times_is_written_once(self) -> None:
        self.come(1, 2)
        for _ in range(100):
            self.old.note()
        self.clock.advance(WRITE_AFTER)
        self.assertEqual(len(self.written), 1)

    def test_one_that_stops_writes_nothing_later(self) -> None:
        self.old.note()
        self.old.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Starting(NeighbourhoodTestCase):
    """A neighbourhood that knows who was there before."""

    def setUp(self) -> None:
        super().setUp()
        self.recalled: list[tuple[str, Announcement]] = []
        self.near = True
        self.presence.recall = self.recall  # type: ignore[attr-defined]
        file = Path(self.mktemp())
        remember(file, dump(0.0, {ADDRESS: words()}))
        self.assertIsNotNone(recall(file))
        self.neighbourhood.stop()
        presence: Any = self.presence
        client: Any = self.client
        self.neighbourhood = Neighbourhood(
            self.clock,
            presence,
            client,
            held_off=lambda _: False,
            listed=lambda *_: False,
            remembered=file,
        )

    def recall(self, _: float, address: str, said: Announcement) -> bool:
        self.recalled.append((address, said))
        return self.near

    def test_presence_is_asked_about_each(self) -> None:
        self.neighbourhood.start()
        self.assertEqual(self.recalled, [(ADDRESS, words())])

    def test_one_that_is_not_there_now_may_be_asked_again_soon(self) -> None:
        # It answered a while ago; a stranger that does not would be left alone for longer.
        self.neighbourhood.start()
        self.assertIn((ADDRESS, words().port), self.neighbourhood._readings._readings._proved)

    def test_who_waits_for_what_it_holds_is_let_go_as_soon_as_that_is_known(self) -> None:
        self.neighbourhood.start()
        one, other = change(1), change(2)
        waiting = self.neighbourhood.holder_known(one.file_name, one.content)
        others = self.neighbourhood.holder_known(other.file_name, other.content)
        self.known(peer("a"), 1, one)
        self.successResultOf(waiting)
        self.assertNoResult(others)
        self.successResultOf(self.neighbourhood.holder_known(one.file_name, one.content))
        self.clock.pump([HEARING, 0.02, 0.02])
        self.successResultOf(others)
