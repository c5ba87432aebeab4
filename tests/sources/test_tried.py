"""Who is asked after some were tried, and who of those once more."""

from __future__ import annotations

from dataclasses import dataclass, replace

from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.patience import MOST_PEERS
from flocon.asking.source import Origin, Source
from flocon.errors import Broken, Refused, SourceError, Stalled, Unreachable
from flocon.sources.tried import LEAST_AGAIN, MOST_TRIES, once_more, untried


def mirror(name: str) -> Source:
    return Source(Origin.MIRROR, name, name, f"http://{name}/x")


def peer(number: int) -> Source:
    return Source(Origin.PEER, f"10.0.0.{number}", "p", f"http://10.0.0.{number}/pkg/x")


A, B = mirror("a"), mirror("b")
#: Another place of one host.
ALSO_A = replace(A, url="http://a/archive/x")
SLOW = Stalled("m", "is slow")


@dataclass(frozen=True)
class Attempt:
    source: Source
    failure: SourceError | None = None


class Untried(SynchronousTestCase):
    def test_neither_who_failed_nor_who_is_being_asked(self) -> None:
        tried = [Attempt(A, Refused("a", 404)), Attempt(peer(1))]
        self.assertEqual(list(untried([peer(1), A, B], tried)), [B])

    def test_one_host_that_lacks_it_in_one_place_may_have_it_in_another(self) -> None:
        for failure in (Refused("a", 404), Broken("a", "has 1 bytes instead of 2")):
            self.assertEqual(list(untried([A, ALSO_A, B], [Attempt(A, failure)])), [ALSO_A, B])

    def test_one_host_is_asked_in_one_place_at_a_time(self) -> None:
        self.assertEqual(list(untried([A, ALSO_A, B], [Attempt(A)])), [B])
        self.assertIsNone(once_more([A, ALSO_A], [Attempt(A, SLOW), Attempt(ALSO_A)], 9.0))

    def test_one_host_that_is_silent_is_asked_in_another_place_last(self) -> None:
        self.assertEqual(list(untried([A, ALSO_A, B], [Attempt(A, SLOW)])), [B, ALSO_A])

    def test_one_that_cannot_be_reached_is_not_in_any_place(self) -> None:
        gone = Unreachable("a", "refused")
        other_port = replace(A, url="https://a/x")
        found = untried([A, ALSO_A, other_port, B], [Attempt(A, gone)])
        self.assertEqual(list(found), [other_port, B])

    def test_so_many_peers_and_no_more(self) -> None:
        tried = [Attempt(peer(number), SLOW) for number in range(MOST_PEERS)]
        self.assertEqual(list(untried([peer(99), A], tried)), [A])
        self.assertEqual(list(untried([peer(99), A], tried[1:])), [peer(99), A])


class OnceMore(SynchronousTestCase):
    def test_one_that_was_slow_or_broke_off_and_is_not_being_asked(self) -> None:
        self.assertEqual(once_more([A, B], [Attempt(A, SLOW), Attempt(B)], 9.0), A)
        self.assertEqual(once_more([A], [Attempt(A, Broken("a", "broke off"))], 9.0), A)
        self.assertIsNone(once_more([A], [Attempt(A, SLOW), Attempt(A)], 9.0))

    def test_not_one_that_lacks_it_or_is_gone(self) -> None:
        for failure in (Refused("a", 404), Unreachable("a", "refused")):
            self.assertIsNone(once_more([A], [Attempt(A, failure)], 9.0))

    def test_the_one_that_was_asked_less_often(self) -> None:
        tried = [Attempt(A, SLOW), Attempt(B, SLOW), Attempt(A, SLOW)]
        self.assertEqual(once_more([A, B], tried, 9.0), B)

    def test_so_often_and_no_more(self) -> None:
        self.assertIsNone(once_more([A], [Attempt(A, SLOW)] * MOST_TRIES, 9.0))

    def test_only_while_there_is_time(self) -> None:
        self.assertIsNone(once_more([A], [Attempt(A, SLOW)], LEAST_AGAIN))
