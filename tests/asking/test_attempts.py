"""What came of those that were asked, and who may be asked again."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.attempts import NO_LIMITS, Attempt, Attempts
from flocon.asking.patience import COUNTING
from flocon.asking.source import Origin, Source
from flocon.errors import Broken, Contradicted, Refused, Stalled, Unreachable

PEER, OTHER = (Source(Origin.PEER, key, key, f"http://{key}/x") for key in "ab")
MIRROR = Source(Origin.MIRROR, "m", "m", "http://m/x")
CACHE = Source(Origin.MIRROR, "c", "c", "http://c/x", is_cache=True)
WRONG = Contradicted("a", "wrong")


def attempt(source: Source) -> Attempt:
    return Attempt(source, NO_LIMITS)


class AttemptsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.attempts = Attempts()

    def failed(self) -> list[Source]:
        return [one.source for one in self.attempts.tried]

    def test_those_asked_now_are_told_of_behind_those_that_failed(self) -> None:
        self.attempts.failed(attempt(PEER), Unreachable("a", "gone"))
        told = self.attempts.with_active([attempt(MIRROR)])
        self.assertEqual([one.source for one in told], [PEER, MIRROR])
        self.assertEqual([one.failure is None for one in told], [False, True])

    def test_a_mirrors_bytes_count_at_once_and_a_peers_once_they_are_many(self) -> None:
        self.attempts.came(PEER, COUNTING - 1, 5.0)
        self.assertEqual(self.attempts.with_active([attempt(PEER)])[0].heard, 0.0)
        self.attempts.came(PEER, 1, 6.0)
        self.assertEqual(self.attempts.with_active([attempt(PEER)])[0].heard, 6.0)
        self.attempts.came(MIRROR, 1, 7.0)
        self.assertEqual(self.attempts.with_active([attempt(PEER)])[0].heard, 7.0)

    def test_what_caches_answered_is_no_answer_of_a_mirror(self) -> None:
        self.attempts.failed(attempt(CACHE), Refused("c", 404))
        self.attempts.failed(attempt(MIRROR), Refused("m", 503))
        self.attempts.failed(attempt(MIRROR), Stalled("m", "silent"))
        self.assertEqual(self.attempts.mirror_statuses, [503, None])

    def test_a_mirror_that_works_is_forgiven_its_silence_and_not_its_refusal(self) -> None:
        for failure in (Stalled("m", "silent"), Broken("m", "ended"), Refused("m", 404)):
            self.attempts.failed(attempt(MIRROR), failure)
        self.attempts.failed(attempt(PEER), Stalled("a", "silent"))
        self.attempts.forgive(MIRROR)
        self.assertEqual([type(one.failure) for one in self.attempts.tried], [Refused, Stalled])

    def test_where_peers_may_have_spoilt_it_the_mirror_may_be_asked_again(self) -> None:
        self.assertEqual(self.attempts.distrust([MIRROR, PEER], WRONG), [PEER])
        self.assertEqual(self.failed(), [PEER])

    def test_a_peer_that_failed_already_is_not_told_of_twice(self) -> None:
        self.attempts.failed(attempt(PEER), Broken("a", "ended"))
        self.assertEqual(self.attempts.distrust([PEER, OTHER], WRONG), [OTHER])

    def test_a_mirror_that_failed_already_is_not_asked_again_after_wrong_bytes(self) -> None:
        self.attempts.failed(attempt(MIRROR), Broken("m", "ended"))
        self.assertEqual(self.attempts.distrust([MIRROR], WRONG), [MIRROR])

    def test_the_verdict_is_the_last_failure(self) -> None:
        self.assertIsInstance(self.attempts.verdict("x"), Unreachable)
        self.attempts.failed(attempt(PEER), WRONG)
        self.assertIs(self.attempts.verdict("x"), WRONG)

    def test_one_that_was_slow_is_told_of_and_may_still_be_chosen(self) -> None:
        self.attempts.was_slow(attempt(PEER))
        self.assertEqual([self.attempts.is_slow(one) for one in (PEER, OTHER)], [True, False])
        self.assertEqual((self.failed(), len(self.attempts.helped)), ([], 1))
