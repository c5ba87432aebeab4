"""Replicas follow what peers say: gaps are mended once, and who is gone holds nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from flocon.core.inventory import Change, Content, Holders, InventoryReader, format_inventory
from flocon.core.messages import Announcement, Kind
from flocon.core.peers import Peer
from flocon.core.presence import Event, Heard, PeerCame, PeerLeft, PeerRestarted
from flocon.core.standing import FIRST_TERM, Standing
from flocon.errors import Unreachable
from flocon.net import neighbourhood as module
from flocon.net.neighbourhood import DATABASES, HEARING, READING, RELAY, Neighbourhood

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
    }
    return Peer(node, **usual | fields)


class FakePresence:
    """Who is there, as the test says."""

    def __init__(self) -> None:
        self.here: dict[str, Peer] = {}

    def peer(self, node: str) -> Peer | None:
        return self.here.get(node)

    def peers(self) -> list[Peer]:
        return list(self.here.values())


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
        self.standing = Standing()
        self.held_off: set[str] = set()
        presence: Any = self.presence
        client: Any = self.client
        self.neighbourhood = Neighbourhood(
            self.clock,
            presence,
            client,
            self.standing,
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

    def leave(self, who: Peer) -> None:
        del self.presence.here[who.node]
        self.tell(PeerLeft(who, "bye"))

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

    def test_one_that_cannot_be_read_is_not_asked_again_at_once(self) -> None:
        a = peer("a")
        self.come(a)
        self.hear(a, 1, 1)
        self.client.answers[-1].errback(Unreachable("a", "x"))
        self.hear(a, 1, 1)
        self.assertEqual(len(self.client.asked), 1)
        self.clock.advance(FIRST_TERM)
        self.hear(a, 1, 1)
        self.assertEqual(len(self.client.asked), 2)

    def test_whatever_else_goes_wrong_is_logged_and_forgotten(self) -> None:
        a = peer("a")
        self.come(a)
        self.hear(a, 1, 1)
        self.client.answers[-1].errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.hear(a, 1, 1)
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
        self.leave(a)
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

    def test_who_restarts_is_read_anew_and_its_failures_are_forgotten(self) -> None:
        a = peer("a")
        self.known(a, 5, change(1))
        self.standing.failed("a", 0.0)
        again = replace(a, epoch="1" * 8)
        self.tell(PeerRestarted(again))
        self.assertHolding(change(1))
        self.assertFalse(self.standing.demoted("a", 0.0))
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
        self.assertEqual((self.client.cancelled, len(self.client.asked)), (1, 2))
        self.client.answer(1, change(2), whole=True, epoch=again.epoch)
        self.settle()
        self.assertHolding(change(2), "a")

    def test_stopping_ends_every_reading(self) -> None:
        for who in (peer("a"), peer("b")):
            self.come(who)
            self.hear(who, 1, 1)
        self.neighbourhood.stop()
        self.assertEqual(self.client.cancelled, 2)


class Asking(NeighbourhoodTestCase):
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
