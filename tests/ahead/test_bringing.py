"""Packages are fetched ahead several at a time, and counted."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.ahead.bringing import AT_ONCE, FROM_MIRRORS_AT_ONCE, FURTHEST, Bringing
from flocon.ahead.wishes import RETRY, Once, Wishes
from flocon.errors import Unreachable
from flocon.pacman.entries import Entry
from tests.ahead.wanting import FakeAround, entry


class BringingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.around = FakeAround()
        self.wishes = Wishes(1 << 20, Once())
        self.ended = 0
        self.bringing = Bringing(self.clock, self.around, self.wishes, self.end)

    def end(self, _: bool) -> None:
        self.ended += 1

    def want(self, *names: str, at_peers: bool = True) -> None:
        """Want these, the first one first."""
        wanted = [(entry(name, 100 - at), False) for at, name in enumerate(names)]
        self.wishes.want(wanted)
        if at_peers:
            self.around.at_peers.update(names)

    def take(self, *, unasked: bool = True, mirrors: bool = False) -> None:
        now = self.clock.seconds()
        look = self.wishes.look(now, self.around, unasked=unasked, mirrors=mirrors)
        self.bringing.take(filter(None, look))

    def counts(self) -> tuple[int, int, int]:
        return self.bringing.fetched, self.bringing.done, self.bringing.total

    def test_several_come_at_a_time_and_the_next_one_when_one_is_here(self) -> None:
        self.want(*"abcdef")
        self.take()
        self.assertEqual(self.around.names, list("abcd"))
        self.assertEqual(AT_ONCE, 4)
        self.around.end("b")
        self.assertEqual(self.around.names, list("abcde"))

    def test_mirrors_are_asked_for_fewer_at_a_time(self) -> None:
        self.want(*"abcdef", at_peers=False)
        self.around.at_peers = {"e"}
        self.take(mirrors=True)
        self.assertEqual(self.around.names, ["a", "b", "e"])
        self.assertEqual(FROM_MIRRORS_AT_ONCE, 2)
        self.around.end("a")
        self.assertEqual(self.around.names, ["a", "b", "e", "c"])

    def test_for_one_that_peers_hold_the_queue_is_not_looked_through_without_end(self) -> None:
        names = [f"a{at}" for at in range(FURTHEST + 10)]
        self.want(*names, at_peers=False)
        asked: list[str] = []

        def is_at_peers(entry: Entry) -> bool:
            asked.append(entry.name)
            return False

        self.take(mirrors=True)
        self.around.is_at_peers = is_at_peers  # type: ignore[method-assign]
        self.around.end("a0")
        self.assertLess(len(asked), FURTHEST + 5)

    def test_what_is_fetched_already_is_not_begun_again(self) -> None:
        self.want(*"ab")
        self.take()
        self.take()
        self.assertEqual(self.around.names, ["a", "b"])
        self.assertEqual(self.counts(), (0, 0, 2))

    def test_packages_and_their_bytes_are_counted(self) -> None:
        self.want(*"ab")
        self.take()
        self.assertEqual((self.bringing.fetched_bytes, self.bringing.total_bytes), (0, 199))
        self.around.end("a")
        self.assertEqual((self.bringing.fetched_bytes, self.bringing.total_bytes), (100, 199))
        self.assertEqual(self.counts(), (1, 1, 2))
        self.assertTrue(self.bringing)
        self.around.end("b")
        self.assertFalse(self.bringing)
        self.assertEqual(self.counts(), (2, 2, 2))
        self.assertEqual(self.ended, 2)

    def test_they_are_counted_anew_once_all_were_there(self) -> None:
        self.want("a")
        self.take()
        self.around.end("a")
        self.want(*"bc")
        self.take()
        self.assertEqual(self.counts(), (0, 0, 2))

    def test_one_that_cannot_be_had_does_not_stop_the_others(self) -> None:
        self.want(*"abcde")
        self.take()
        self.around.fail("a", Unreachable("m", "x"))
        self.assertEqual(self.around.names, list("abcde"))
        self.assertEqual(self.counts(), (0, 1, 5))
        self.assertEqual(self.wishes.next_try(0.0), RETRY)

    def test_who_has_nothing_on_its_way_costs_no_attempt(self) -> None:
        self.want("a", at_peers=False)
        self.around.owners = True
        self.take()
        self.assertEqual(self.around.fetched, [("a", False, False)])
        self.around.fail("a", Unreachable("a", "nobody to ask"))
        self.assertEqual(self.counts(), (0, 0, 0))
        self.assertIsNone(self.wishes.next_try(0.0))
        self.take()
        self.assertEqual(self.around.names, ["a"])
        self.around.at_peers = {"a"}
        self.take()
        self.assertEqual(self.around.names, ["a", "a"])

    def test_one_that_a_person_asks_for_meanwhile_is_tried_as_that_person_wants(self) -> None:
        self.want("a", at_peers=False)
        self.around.owners = True
        self.take()
        self.wishes.ask(self.around)
        self.take()
        self.around.fail("a", Unreachable("a", "nobody to ask"))
        self.assertTrue(self.bringing)
        self.take()
        self.assertEqual(self.around.fetched[-1][1:], (True, True))
        self.around.end("a")
        self.assertEqual(self.counts(), (1, 1, 1))

    def test_what_somebody_else_gave_up_is_still_counted_with_the_others(
        self,
    ) -> None:
        self.want("a", "b")
        self.take()
        self.around.fail("b", CancelledError())
        self.around.end("a")
        self.assertTrue(self.bringing)
        self.take()
        self.around.end("b")
        self.assertEqual(self.counts(), (2, 2, 2))
        self.assertFalse(self.bringing)

    def test_and_is_counted_no_more_where_it_is_not_due_any_more(self) -> None:
        self.want("a", "b")
        self.take()
        self.around.fail("b", CancelledError())
        self.around.end("a")
        self.around.here.add("b")
        self.take()
        self.assertEqual(self.counts(), (1, 1, 1))
        self.assertFalse(self.bringing)

    def test_nor_where_nothing_is_to_come_that_nobody_asked_for(self) -> None:
        self.want("a")
        self.take()
        self.around.fail("a", CancelledError())
        self.bringing.rest()
        self.assertEqual(self.counts(), (0, 0, 0))
        self.assertFalse(self.bringing)

    def test_hundreds_that_fail_at_once_are_no_matter(self) -> None:
        async def fetch(one: Entry, **_: bool) -> None:
            raise Unreachable(one.name, "x")

        self.around.fetch = fetch  # type: ignore[assignment, method-assign]
        self.wishes.want((entry(f"a{at}", 1), False) for at in range(3_000))
        self.take(mirrors=True)
        self.assertEqual(self.counts(), (0, 3_000, 3_000))

    def test_at_rest_only_what_was_asked_for_goes_on(self) -> None:
        self.want(*"abcdef")
        self.wishes.ask(self.around)
        self.want(*"abcdefgh")
        self.take()
        self.around.end(*"abc")
        self.bringing.rest()
        self.around.end(*"d")
        self.assertEqual(self.around.names, list("abcdefg"))
        self.assertEqual([one.name for one in self.bringing], ["e", "f"])
        self.assertIsNone(self.wishes.next_try(0.0))

    def test_at_its_end_all_of_it_is_let_go(self) -> None:
        self.want(*"abcdef")
        self.wishes.ask(self.around)
        self.take()
        gone = list(self.around.fetches.values())
        self.bringing.rest(asked=True)
        self.assertFalse(self.bringing)
        for one in gone:
            # Nobody waits for it any more.
            one.addErrback(lambda reason: reason.trap(CancelledError))
            self.assertTrue(one.called)

    def test_what_nobody_expected_is_logged(self) -> None:
        self.want("a")
        self.take()
        self.around.fail("a", ZeroDivisionError())
        self.assertFalse(self.bringing)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
