"""Replicas follow what peers say: gaps are mended once, and who is gone holds nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from flocon.core.content import Content
from flocon.core.inventory import Change
from flocon.core.inventory_text import InventoryReader, format_inventory
from flocon.core.messages import Announcement, Kind
from flocon.core.peer import Peer
from flocon.core.presence_events import (
    Claimed,
    Doubted,
    Event,
    Heard,
    Namesake,
    PeerCame,
    PeerLeft,
    PeerRestarted,
)
from flocon.core.readings import FIRST_WAIT
from flocon.core.replicas import Holders
from flocon.errors import Unreachable
from flocon.net import neighbourhood as module
from flocon.net.neighbourhood import (
    ALL_WAYS,
    DATABASES,
    FAREWELL,
    HEARING,
    READING,
    RELAY,
    SILENCE,
    Neighbourhood,
)

EPOCH = "0" * 8


def change(number: int, *, held: bool = True) -> Change:
    content = Content(1, number.to_bytes(32))
    return Change(f"p{number}-1-1-any.pkg.tar.zst", content, held)


def peer(node: str, **fields: Any) -> Peer:
    usual: dict[str, Any] = {
        "epoch": EPOCH,
        "name": f"name-{node}",
        "port": 19432,
        "system": "arch",
        "architectures": ("x86_64",),
        "address": f"10.0.0.{ord(node[0])}",
        "generation": 0,
        "files": 0,
        "databases": (),
        "abilities": frozenset(),
        "first_heard": 0.0,
        "able_since": 0.0,
        "last_heard": 0.0,
        "beat": 30.0,
        "proved": True,
    }
    return Peer(node, **usual | fields)


class FakePresence:
    """Who is there, as the test says."""

    def __init__(self) -> None:
        self.here: dict[str, Peer] = {}
        self.missed: set[str] = set()
        self.answers: list[tuple[str, int, str]] = []
        self.silent: list[tuple[str, int]] = []
        #: Where a peer is found, once its address turned out to be none.
        self.next: dict[str, str] = {}
        self.moved: set[str] = set()

    def peer(self, node: str) -> Peer | None:
        return self.here.get(node)

    def peers(self) -> list[Peer]:
        return list(self.here.values())

    def answered(self, now: float, address: str, port: int, epoch: str) -> Peer | None:
        self.answers.append((address, port, epoch))
        return next((one for one in self.at(address, port) if one.epoch == epoch), None)

    def at(self, address: str, port: int) -> list[Peer]:
        return [one for one in self.here.values() if (one.address, one.port) == (address, port)]

    def unanswered(self, now: float, address: str, port: int) -> None:
        self.silent.append((address, port))
        for node, one in self.here.items():
            if one.address == address and node in self.next:
                self.here[node] = replace(one, address=self.next[node])

    def is_missed(self, node: str) -> bool:
        return node in self.missed

    def elsewhere(self, node: str) -> list[str]:
        return [self.next[node]] if node in self.next else []

    def has_moved(self, node: str) -> bool:
        return node in self.moved


class FakeClient:
    """Keeps what was asked; the test answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int | None]] = []
        self.answers: list[Deferred[InventoryReader]] = []
        self.cancelled = 0

    async def read(self, address: str, port: int, since: int | None) -> InventoryReader:
        self.asked.append((address, since))
        self.answers.append(Deferred(self._cancel))
        return await self.answers[-1]

    def _cancel(self, _: object) -> None:
        self.cancelled += 1

    def answer(self, generation: int, *changes: Change, whole: bool, epoch: str = EPOCH) -> None:
        reader = InventoryReader()
        for line in format_inventory(epoch, generation, changes, whole=whole):
            reader.feed(line)
        self.answers[-1].callback(reader)


class NeighbourhoodTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.presence = FakePresence()
        self.client = FakeClient()
        self.held_off: set[str] = set()
        presence: Any = self.presence
        client: Any = self.client
        self.neighbourhood = Neighbourhood(
            self.clock,
            presence,
            client,
            held_off=lambda one: one.node in self.held_off,
            listed=lambda *_: False,
        )
        self.addCleanup(self.finish)

    def finish(self) -> None:
        self.neighbourhood.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def tell(self, event: Event) -> None:
        self.neighbourhood.event(event)

    def come(self, who: Peer) -> None:
        self.presence.here[who.node] = who
        self.tell(PeerCame(who))

    def hear(self, who: Peer, generation: int, files: int, *changes: Change) -> None:
        who = replace(who, generation=generation, files=files)
        if who.node in self.presence.here:
            self.presence.here[who.node] = who
        said = Announcement(
            Kind.BEAT,
            who.node,
            who.epoch,
            1,
            who.name,
            who.port,
            who.system,
            who.architectures,
            who.beat,
            generation,
            files,
            changes=changes,
        )
        self.tell(Heard(who, said))
        self.clock.advance(0)

    def leave(self, who: Peer, reason: Literal["bye", "expired"] = "bye") -> None:
        del self.presence.here[who.node]
        self.tell(PeerLeft(who, reason))

    def settle(self) -> None:
        self.clock.pump([0.0] * 10)

    def known(self, who: Peer, generation: int, *changes: Change) -> None:
        """Let ``who`` come and its inventory be read."""
        self.come(who)
        self.hear(who, generation, len(changes))
        self.client.answer(generation, *changes, whole=True)
        self.settle()

    def log_lines(self) -> list[LogEvent]:
        """Return the list that every line of the log goes into from now on."""
        lines: list[LogEvent] = []
        observer: Any = lines.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        return lines

    def assertHolding(self, one: Change, *nodes: str) -> None:
        found = self.neighbourhood.holding(one.file_name, one.content)
        self.assertEqual([who.node for who in found], list(nodes))


class Acquaintance(NeighbourhoodTestCase):
    """What is asked in a node's first moments waits until it knows who is there."""

    def test_without_peers_it_takes_the_moment_in_which_they_would_have_answered(self) -> None:
        self.neighbourhood.start()
        waiting = self.neighbourhood.acquainted()
        self.clock.advance(HEARING - 0.01)
        self.assertNoResult(waiting)
        self.assertFalse(self.neighbourhood.is_acquainted)
        self.clock.advance(0.01)
        self.successResultOf(waiting)
        self.successResultOf(self.neighbourhood.acquainted())

    def test_the_inventories_of_those_who_answered_are_waited_for(self) -> None:
        self.neighbourhood.start()
        self.come(peer("a"))
        self.hear(peer("a"), 1, 1)
        self.clock.advance(HEARING)
        waiting = self.neighbourhood.acquainted()
        self.assertNoResult(waiting)
        self.client.answer(1, change(1), whole=True)
        self.clock.pump([0.02] * 3)
        self.successResultOf(waiting)
        self.assertHolding(change(1), "a")

    def test_one_whose_inventory_does_not_come_holds_up_nobody_for_long(self) -> None:
        self.neighbourhood.start()
        self.come(peer("a"))
        self.hear(peer("a"), 1, 1)
        self.clock.pump([HEARING, *[0.02] * round(READING / 0.02 + 1)])
        self.successResultOf(self.neighbourhood.acquainted())

    def test_who_waits_when_the_node_stops_is_let_go(self) -> None:
        self.neighbourhood.start()
        waiting = self.neighbourhood.acquainted()
        self.neighbourhood.stop()
        self.successResultOf(waiting)


class Reading(NeighbourhoodTestCase):
    def test_a_newcomers_inventory_is_read_whole_and_once(self) -> None:
        a = peer("a")
        self.come(a)
        self.hear(a, 2, 2)
        self.hear(a, 2, 2)
        self.assertEqual(self.client.asked, [(a.address, None)])
        self.client.answer(2, change(1), change(2), whole=True)
        self.settle()
        self.assertHolding(change(1), "a")
        self.hear(a, 2, 2)
        self.assertEqual(len(self.client.asked), 1)

    def test_changes_that_are_told_are_taken_without_asking(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.hear(a, 3, 1, change(1, held=False), change(2))
        self.assertHolding(change(1))
        self.assertHolding(change(2), "a")
        self.assertEqual(len(self.client.asked), 1)

    def test_a_gap_is_mended_by_what_changed_since(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.hear(a, 4, 3, change(4))
        self.hear(a, 5, 4, change(5))
        self.assertEqual(self.client.asked[1:], [(a.address, 1)])
        self.client.answer(5, change(2), change(3), change(4), change(5), whole=False)
        self.settle()
        for number in (1, 2, 3, 4, 5):
            self.assertHolding(change(number), "a")

    def test_a_whole_answer_to_a_gap_replaces_what_was_known(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.hear(a, 9_000, 1)
        self.client.answer(9_000, change(2), whole=True)
        self.settle()
        self.assertHolding(change(1))
        self.assertHolding(change(2), "a")

    def test_changes_since_another_generation_than_known_are_discarded(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.hear(a, 4, 3)
        self.hear(a, 2, 2, change(9))
        self.client.answer(4, change(2), whole=False)
        self.settle()
        self.assertHolding(change(2))
        self.assertHolding(change(9), "a")

    def test_an_inventory_of_another_start_is_discarded(self) -> None:
        a = peer("a")
        self.come(a)
        self.hear(a, 1, 1)
        self.client.answer(1, change(1), whole=True, epoch="f" * 8)
        self.settle()
        self.assertHolding(change(1))
        self.hear(a, 1, 1)
        self.assertEqual(len(self.client.asked), 2)

    def test_a_long_inventory_is_taken_in_slices(self) -> None:
        self.patch(module, "SLICE", 2)
        a = peer("a")
        self.come(a)
        self.hear(a, 5, 5)
        self.client.answer(5, *map(change, range(5)), whole=True)
        self.assertHolding(change(1), "a")
        self.assertHolding(change(4))
        self.clock.advance(0)
        self.clock.advance(0)
        self.assertHolding(change(4), "a")
        self.settle()
        replica = self.neighbourhood.holders.replica("a")
        self.assertEqual((replica.generation, replica.files) if replica else None, (5, 5))

    def test_what_was_announced_meanwhile_is_read_at_once(self) -> None:
        a = peer("a")
        self.come(a)
        self.hear(a, 700, 700)
        self.hear(a, 706, 706)
        self.assertEqual(len(self.client.asked), 1)
        self.client.answer(700, change(1), whole=True)
        self.settle()
        self.assertEqual(self.client.asked, [(a.address, None), (a.address, 700)])
        self.client.answer(706, change(2), whole=False)
        self.settle()
        self.assertHolding(change(2), "a")

    def test_what_it_answered_ahead_of_its_datagrams_is_not_read_again(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.hear(a, 20, 20, change(20))
        self.client.answer(250, *map(change, range(2, 20)), whole=False)
        self.settle()
        for generation in range(30, 250, 10):
            self.hear(a, generation, generation, change(generation))
        self.hear(a, 251, 251, change(251))
        self.assertEqual(len(self.client.asked), 2)
        self.assertHolding(change(251), "a")

    def test_a_generation_made_up_is_asked_for_seldom(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        for number in range(600):
            self.hear(a, (1 << 53) - 1 - number, 1)
            if self.client.answers[-1].called == 0:
                self.client.answer(1, whole=False)
            self.clock.advance(0.1)
        self.assertLess(len(self.client.asked), 1 + 10 + 60 * 0.5 + 2)
        self.hear(a, 2, 2, change(2))
        self.assertHolding(change(2), "a")

    def test_one_that_cannot_be_read_is_not_asked_again_at_once(self) -> None:
        a = peer("a")
        self.come(a)
        self.hear(a, 1, 1)
        self.client.answers[-1].errback(Unreachable("a", "x"))
        self.hear(a, 1, 1)
        self.assertEqual(len(self.client.asked), 1)
        self.clock.advance(FIRST_WAIT)
        self.assertEqual(len(self.client.asked), 2)

    def test_whatever_else_goes_wrong_is_logged_and_forgotten(self) -> None:
        a = peer("a")
        self.come(a)
        self.hear(a, 1, 1)
        self.client.answers[-1].errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.hear(a, 1, 1)
        self.clock.advance(FIRST_WAIT)
        self.assertEqual(len(self.client.asked), 2)


class Crowds(NeighbourhoodTestCase):
    def test_one_more_than_are_kept_is_left_out_and_not_read_at_each_beat(self) -> None:
        self.neighbourhood.holders = Holders(most_holders=1)
        self.known(peer("a"), 1, change(1))
        surplus = peer("b")
        self.known(surplus, 1, change(1))
        self.assertHolding(change(1), "a")
        asked = len(self.client.asked)
        for generation in range(1, 20):
            self.hear(surplus, generation, 1)
        self.assertEqual(len(self.client.asked), asked)
        self.assertEqual(self.neighbourhood.holders.overflowed, 1)

    def test_what_was_held_before_a_reading_is_cleared_too(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.hear(a, 9, 1)
        self.client.answer(9, change(2), whole=True)
        self.settle()
        self.assertEqual(len(self.neighbourhood.holders), 1)

    def test_peers_by_the_hundred_write_no_line_each(self) -> None:
        lines = self.log_lines()
        for at in range(5_000):
            who = peer(f"a{at}")
            self.come(who)
            self.leave(who)
        self.assertEqual(len(lines), module.LINE_BURST)
        self.clock.advance(2 / module.LINE_RATE)
        self.come(peer("b"))
        self.assertEqual(
            formatEvent(lines[-2]), f"{10_000 - module.LINE_BURST} more peers came or left"
        )
        self.assertEqual(formatEvent(lines[-1]), "name-b at 10.0.0.98 is here")


class Leaving(NeighbourhoodTestCase):
    def test_who_leaves_holds_nothing_at_once(self) -> None:
        a, b = peer("a"), peer("b")
        self.known(a, 1, change(1))
        self.known(b, 1, change(1))
        self.leave(a)
        self.assertHolding(change(1), "b")

    def test_what_it_held_is_cleared_a_slice_at_a_time(self) -> None:
        a = peer("a")
        self.known(a, 3, *map(change, range(3)))
        holders = self.neighbourhood.holders
        sweep = holders.sweep
        self.patch(holders, "sweep", lambda: sweep(1))
        self.leave(a, "expired")
        self.assertEqual(len(holders), 3)
        self.clock.advance(0)
        self.assertEqual(len(holders), 2)
        self.clock.advance(0.01)
        self.assertEqual(len(holders), 1)
        self.clock.pump([0.01] * 5)
        self.assertEqual((len(holders), self.clock.getDelayedCalls()), (0, []))

    def test_who_leaves_is_not_read_to_the_end(self) -> None:
        a = peer("a")
        self.come(a)
        self.hear(a, 1, 1)
        self.leave(a)
        self.assertEqual(self.client.cancelled, 1)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_who_restarts_is_read_anew(self) -> None:
        a = peer("a")
        self.known(a, 5, change(1))
        again = replace(a, epoch="1" * 8)
        self.tell(PeerRestarted(again))
        self.assertHolding(change(1))
        self.hear(again, 1, 1)
        self.client.answer(1, change(2), whole=True, epoch=again.epoch)
        self.settle()
        self.assertHolding(change(2), "a")

    def test_who_restarts_while_it_is_read_is_read_once_more(self) -> None:
        a = peer("a")
        self.come(a)
        self.hear(a, 1, 1)
        again = replace(a, epoch="1" * 8)
        self.tell(PeerRestarted(again))
        self.hear(again, 1, 1)
        self.client.answer(1, change(1), whole=True)
        self.settle()
        self.assertHolding(change(1))
        self.assertEqual(len(self.client.asked), 2)
        self.client.answer(1, change(2), whole=True, epoch=again.epoch)
        self.settle()
        self.assertHolding(change(2), "a")

    def test_what_it_held_is_kept_for_a_moment_after_its_bye(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.leave(a)
        self.clock.advance(FAREWELL - 1)
        self.come(replace(a, proved=False))
        self.hear(a, 1, 1)
        self.assertHolding(change(1), "a")
        self.clock.advance(FAREWELL)
        self.assertHolding(change(1), "a")
        self.assertEqual(self.client.asked, [(a.address, None), (a.address, 1)])

    def test_but_not_if_it_has_restarted(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.leave(a)
        self.come(replace(a, epoch="1" * 8))
        self.assertHolding(change(1))

    def test_what_it_held_is_forgotten_after_that(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.leave(a)
        self.clock.advance(FAREWELL)
        self.settle()
        self.assertIsNone(self.neighbourhood.holders.replica("a"))

    def test_stopping_ends_every_reading(self) -> None:
        for who in (peer("a"), peer("b")):
            self.come(who)
            self.hear(who, 1, 1)
        self.neighbourhood.stop()
        self.assertEqual(self.client.cancelled, 2)


class Asking(NeighbourhoodTestCase):
    def test_nobody_is_asked_of_whom_only_a_datagram_has_told(self) -> None:
        able = {"databases": (("core", "0"),), "abilities": frozenset({RELAY, DATABASES})}
        self.come(peer("a", proved=False, **able))
        self.assertEqual(self.neighbourhood.able("core"), [])
        self.assertEqual(self.neighbourhood.sharing("core"), [])

    def nodes(self, found: list[Peer]) -> list[str]:
        return [who.node for who in found]

    def test_another_content_of_the_same_name_is_not_held(self) -> None:
        self.known(peer("a"), 1, change(1))
        self.assertHolding(replace(change(1), content=change(2).content))

    def test_who_is_held_off_is_left_out_of_every_answer(self) -> None:
        able = {"databases": (("core", "0"),), "abilities": frozenset({RELAY, DATABASES})}
        for node in ("a", "b"):
            self.known(peer(node, **able), 1, change(1))
        self.held_off.add("a")
        self.assertHolding(change(1), "b")
        self.assertEqual(self.nodes(self.neighbourhood.able("core")), ["b"])
        self.assertEqual(self.nodes(self.neighbourhood.sharing("core")), ["b"])
        self.held_off.clear()
        self.assertHolding(change(1), "a", "b")

    def test_only_who_relays_and_knows_the_repository_fetches_for_others(self) -> None:
        relay = frozenset({RELAY})
        self.come(peer("a", databases=(("core", "0"),), abilities=relay))
        self.come(peer("b", databases=(("core", "0"),)))
        self.come(peer("c", databases=(("extra", "0"),), abilities=relay))
        self.assertEqual(self.nodes(self.neighbourhood.able("core")), ["a"])

    def test_only_who_shares_databases_and_has_this_one_is_asked_for_it(self) -> None:
        sharing = frozenset({DATABASES})
        self.come(peer("a", databases=(("core", "0"),), abilities=sharing))
        self.come(peer("b", databases=(("core", "0"),), abilities=frozenset({RELAY})))
        self.come(peer("c", databases=(("extra", "0"),), abilities=sharing))
        self.assertEqual(self.nodes(self.neighbourhood.sharing("core")), ["a"])


class Looking(NeighbourhoodTestCase):
    """What a datagram says is looked up where it says that somebody is, and seldom."""

    def test_what_an_address_answers_is_told_to_presence(self) -> None:
        a = peer("a")
        self.known(a, 1, change(1))
        self.assertEqual(self.presence.answers, [(a.address, a.port, a.epoch)])

    def test_a_claim_is_looked_up_by_what_changed_since(self) -> None:
        a = peer("a")
        self.known(a, 5, change(1))
        self.tell(Claimed(a.address, a.port))
        self.clock.advance(0)
        self.assertEqual(self.client.asked[-1], (a.address, 5))
        self.client.answer(5, whole=False, epoch="f" * 8)
        self.assertEqual(self.presence.answers[-1], (a.address, a.port, "f" * 8))
        self.assertHolding(change(1), "a")

    def test_nobody_has_a_third_machine_connected_to_often(self) -> None:
        for number in range(232):
            who = peer(f"a{number}", port=9100)
            self.come(who)
            self.hear(who, 1, 1)
            if not self.client.answers[-1].called:
                self.client.answers[-1].errback(Unreachable("a", "refused"))
            self.clock.advance(0.5)
            if number % 2:
                self.leave(who)
        self.assertLessEqual(len(self.client.asked), 3)

    def test_nor_a_thousand_machines_each_once(self) -> None:
        for number in range(1_000):
            who = peer(f"a{number}", address=f"10.1.{number // 250}.{number % 250}")
            self.come(who)
            self.hear(who, 1, 1)
            for answer in self.client.answers:
                if not answer.called:
                    answer.errback(Unreachable("a", "refused"))
            self.clock.advance(0.01)
        self.assertLessEqual(len(self.client.asked), 128 + 10 + 16)

    def test_a_peer_heard_somewhere_else_is_looked_for_where_it_was(self) -> None:
        a = peer("a")
        self.known(a, 5, change(1))
        self.tell(Doubted(a))
        self.presence.missed.add("a")
        self.clock.advance(ALL_WAYS)
        self.clock.advance(0)
        self.assertEqual(self.client.asked[-1], (a.address, 5))
        self.presence.next["a"] = "10.0.9.9"
        self.client.answers[-1].errback(Unreachable("a", "no route"))
        self.clock.advance(0)
        self.assertEqual(self.presence.silent, [(a.address, a.port)])
        self.assertEqual(self.client.asked[-1], ("10.0.9.9", 5))

    def doubt(self) -> Peer:
        """Have a peer missed at its address, and asked there and where it was heard instead."""
        a = peer("a")
        self.known(a, 5, change(1))
        self.tell(Doubted(a))
        self.presence.missed.add("a")
        self.presence.next["a"] = "10.0.9.9"
        self.clock.advance(ALL_WAYS)
        self.clock.advance(0)
        asked = [address for address, _ in self.client.asked[1:]]
        self.assertCountEqual(asked, [a.address, "10.0.9.9"])
        return a

    def test_one_that_is_silent_there_is_found_where_it_answers(self) -> None:
        a = self.doubt()
        self.presence.moved.add("a")
        self.clock.advance(SILENCE)
        self.assertEqual(self.presence.silent, [(a.address, a.port)])
        self.assertEqual(self.client.cancelled, 1)
        found = self.neighbourhood.holding(change(1).file_name, change(1).content)
        self.assertEqual([one.address for one in found], ["10.0.9.9"])

    def test_one_that_answers_there_stays_there_whoever_claims_its_name(self) -> None:
        self.doubt()
        self.presence.moved.add("a")
        place = [address for address, _ in self.client.asked].index("10.0.0.97", 1)
        reader = InventoryReader()
        for line in format_inventory(EPOCH, 5, (), whole=False):
            reader.feed(line)
        self.client.answers[place].callback(reader)
        self.clock.advance(SILENCE)
        self.assertEqual(self.presence.silent, [])

    def test_so_does_one_that_answers_nowhere_yet(self) -> None:
        self.doubt()
        self.clock.advance(SILENCE)
        self.assertEqual(self.presence.silent, [])

    def test_one_that_is_heard_there_as_well_is_not(self) -> None:
        a = peer("a")
        self.known(a, 5, change(1))
        self.tell(Doubted(a))
        self.clock.advance(ALL_WAYS)
        self.clock.advance(0)
        self.assertEqual(len(self.client.asked), 1)

    def test_one_that_could_not_be_connected_to_is_asked_at_its_next_address(self) -> None:
        a = peer("a")
        self.known(a, 5, change(1))
        self.presence.next["a"] = "10.0.9.9"
        self.neighbourhood.unreachable("a", a.address)
        found = self.neighbourhood.holding(change(1).file_name, change(1).content)
        self.assertEqual([one.address for one in found], ["10.0.9.9"])
        self.clock.advance(0)
        self.assertEqual(self.client.asked[-1], ("10.0.9.9", 5))

    def test_one_that_has_no_other_stays_where_it_is(self) -> None:
        a = peer("a")
        self.known(a, 5, change(1))
        self.neighbourhood.unreachable("a", a.address)
        self.clock.advance(0)
        self.assertEqual(len(self.client.asked), 1)
        self.assertHolding(change(1), "a")

    def test_another_machine_with_this_nodes_id_is_believed_once_it_answers_so(self) -> None:
        told: list[str] = []
        self.neighbourhood.namesake = lambda address, said: told.append(f"{address} {said.epoch}")
        other = Announcement(Kind.BEAT, "0" * 16, "b" * 8, 1, "twin", 19432, "arch", (), 30.0, 7, 7)
        for epoch in ("c" * 8, "b" * 8):
            self.tell(Namesake("10.0.0.5", other))
            self.clock.advance(20)
            self.client.answer(7, whole=False, epoch=epoch)
        self.assertEqual(told, ["10.0.0.5 " + "b" * 8])
