"""Who is asked whether it is there: within bounds, whatever is told."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from twisted.trial.unittest import SynchronousTestCase

from flocon.datagrams.messages import Announcement
from flocon.sites.candidates import (
    ALL_BURST,
    ALL_RATE,
    FORGOTTEN_AFTER,
    MOST_ASKED,
    MOST_ASKED_OF_ONE,
    MOST_TOLD,
    MOST_WITNESSES,
    TELLER_BURST,
    TELLER_RATE,
    Candidates,
    Proof,
)
from tests.datagrams.test_messages import REST

PORT = 19432


def said(number: int, *, epoch: int = 1, sequence: int = 1) -> Announcement:
    return replace(REST, node=f"{number:016x}", epoch=f"{epoch:08x}", sequence=sequence)


def place(number: int) -> tuple[str, int]:
    return f"10.9.{number >> 8}.{number & 255}", PORT


class CandidatesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.candidates = Candidates()

    def keep(self, number: int, *, now: float = 0, teller: str = "t", pause: float = 0) -> bool:
        return self.candidates.keep(
            now, place(number), said(number), teller, by_group=True, witness=teller, pause=pause
        )

    def begun(self, now: float) -> list[tuple[str, int]]:
        return [one.place for one in self.candidates.begin(now)]

    def test_few_who_tell_of_many_keep_nobody_out(self) -> None:
        for number in range(MOST_TOLD):
            self.assertTrue(self.keep(number, teller=f"liar {number % 3}"))
        kept = [self.keep(MOST_TOLD + number, teller="honest") for number in range(300)]
        self.assertEqual(sum(kept), MOST_TOLD // 4)
        self.assertEqual(len(self.candidates), MOST_TOLD)
        self.assertEqual(self.candidates.told_by("honest"), MOST_TOLD // 4)

    def move(self, number: int, *, teller: str = "t", now: float = 0) -> None:
        """Tell that one and the same node is at another place now."""
        one = said(7, sequence=number + 1)
        self.candidates.keep(
            now, place(number), one, teller, by_group=True, witness=teller, pause=0
        )

    def test_where_a_node_was_before_is_not_asked_once_who_told_tells_of_another_place(
        self,
    ) -> None:
        self.move(0, teller="other")
        for number in range(100):
            self.move(number)
        self.assertEqual(self.begun(0), [place(0), place(99)])
        self.assertEqual(len(self.candidates), 2)

    def test_where_nobody_was_is_not_asked_anew_because_of_that(self) -> None:
        self.move(1)
        self.begun(0)
        self.candidates.ended(0, place(1), None)
        self.move(2)
        self.assertEqual(self.begun(1), [place(2)])
        self.candidates.ended(1, place(2), None)
        self.candidates.keep(
            1, place(1), said(7, sequence=9), "t", by_group=True, witness="t", pause=0
        )
        self.assertEqual(self.begun(1), [])
        self.assertEqual(self.begun(3), [place(1)])

    def test_those_of_which_nobody_tells_any_more_keep_nobody_out(self) -> None:
        for number in range(MOST_TOLD):
            self.move(number, teller=f"liar {number}")
            self.candidates._at[place(number)].failed = 1
            self.candidates._at[place(number)].words.clear()
        self.assertTrue(self.keep(MOST_TOLD))
        self.assertEqual(len(self.candidates), MOST_TOLD)

    def test_nobody_makes_room_for_more_of_its_own(self) -> None:
        for number in range(MOST_TOLD):
            self.keep(number, teller="one")
        self.assertFalse(self.keep(MOST_TOLD, teller="one"))

    def test_one_is_asked_once_its_pause_is_over(self) -> None:
        self.keep(1, pause=0.7)
        self.assertEqual(self.begun(0.6), [])
        self.assertEqual(self.candidates.deadline(0.6), 0.7)
        self.assertEqual(self.begun(0.7), [place(1)])
        self.assertEqual(self.begun(60), [])

    def test_the_epoch_that_was_told_proves_it(self) -> None:
        self.keep(1)
        self.begun(0)
        proved = self.candidates.ended(0.1, place(1), said(1).epoch)
        assert proved is not None
        self.assertEqual(proved.said.node, said(1).node)
        self.assertFalse(self.candidates.has_beside(place(1)[0]))

    def test_another_epoch_or_no_answer_proves_nothing_and_it_waits_longer_each_time(self) -> None:
        self.keep(1)
        now, tries = 0.0, []
        for answer in ("ffffffff", None, None, None):
            self.assertEqual(self.begun(now), [place(1)])
            tries.append(now)
            self.assertIsNone(self.candidates.ended(now, place(1), answer))
            deadline = self.candidates.deadline(now)
            assert deadline is not None
            now = deadline
        self.assertEqual(tries, [0, 2, 10, 42])

    def test_an_answer_nobody_asked_for_proves_nothing(self) -> None:
        self.keep(1)
        self.assertIsNone(self.candidates.ended(0, place(1), said(1).epoch))

    def test_one_that_is_not_told_of_any_more_is_forgotten(self) -> None:
        self.keep(1)
        self.candidates.forget_old(FORGOTTEN_AFTER - 1)
        self.assertEqual(len(self.candidates), 1)
        self.candidates.forget_old(FORGOTTEN_AFTER)
        self.assertEqual(len(self.candidates), 0)

    def test_one_whose_only_teller_left_is_forgotten_but_not_that_it_failed(self) -> None:
        self.keep(1)
        self.keep(2)
        self.begun(0)
        self.candidates.ended(0, place(1), None)
        self.candidates.ended(0, place(2), said(2).epoch)
        self.keep(3)
        self.candidates.forget_teller("t")
        self.assertEqual([one.place for one in self.candidates], [place(1)])

    def test_tries_of_one_teller_do_not_cost_another_ones(self) -> None:
        for number in range(100):
            self.keep(number, teller="flood")
        now = 0.0
        for _ in range(50):
            for one in self.begun(now):
                self.candidates.ended(now, one, None)
        self.keep(200, teller="honest")
        self.assertEqual(self.begun(now), [place(200)])

    def test_many_of_one_teller_keep_nobody_elses_waiting(self) -> None:
        for witness in range(8):
            for number in range(30):
                self.keep(1_000 * witness + number, teller=f"flood {witness}")
        now = 0.0
        for _ in range(200):
            for one in self.begun(now):
                self.candidates.ended(now, one, None)
            now += 1
        self.keep(9_000, now=now, teller="honest")
        self.assertIn(place(9_000), self.begun(now) + self.begun(now + 1))

    def test_many_liars_do_not_use_up_what_those_leave_whose_tries_succeed(self) -> None:
        for number in range(12 * 50):
            self.keep(number, teller=f"liar {number % 12}")
        now = 0.0
        while now < 300:
            now += 0.5
            for one in self.candidates.begin(now):
                self.candidates.ended(now, one.place, None)
        honest = {place(number) for number in range(2_000, 2_050)}
        for number in range(2_000, 2_050):
            self.keep(number, now=now, teller="honest")
        while now < 315:
            now += 0.1
            for one in self.candidates.begin(now):
                is_there = one.place in honest
                self.candidates.ended(now, one.place, f"{1:08x}" if is_there else None)
        self.assertEqual(self.candidates.told_by("honest"), 0)

    def test_one_that_tells_of_many_who_are_silent_leaves_room_to_ask_others(self) -> None:
        for number in range(100):
            self.keep(number, teller="flood")
        self.assertEqual(len(self.begun(0)), MOST_ASKED_OF_ONE)
        self.assertIsNone(self.candidates.deadline(1))
        self.keep(200, teller="honest")
        self.assertEqual(self.begun(1), [place(200)])


class Witnesses(SynchronousTestCase):
    """Several tell of one place, and one of them lies."""

    def setUp(self) -> None:
        self.candidates = Candidates()

    def tell(self, witness: str, told: Announcement, now: float = 0, number: int = 1) -> bool:
        return self.candidates.keep(
            now, place(number), told, witness, by_group=True, witness=witness, pause=0
        )

    def proof(self, now: float, epoch: str) -> Proof | None:
        self.assertEqual([one.place for one in self.candidates.begin(now)], [place(1)])
        return self.candidates.ended(now, place(1), epoch)

    def test_what_a_liar_tells_of_it_undoes_nothing(self) -> None:
        self.tell("honest", said(1))
        for sequence in range(1, 50):
            self.tell("liar", said(1, epoch=2, sequence=sequence))
            self.tell("liar", said(3, epoch=sequence, sequence=sequence))
        proof = self.proof(0, said(1).epoch)
        assert proof is not None
        self.assertEqual((proof.said, proof.by_group), (said(1), {"honest"}))

    def test_nor_does_another_name_that_it_gives_it(self) -> None:
        self.tell("liar", replace(said(7), epoch=said(1).epoch))
        self.tell("honest", said(1))
        self.tell("other", said(1, sequence=5))
        proof = self.proof(0, said(1).epoch)
        assert proof is not None
        self.assertEqual((proof.said, proof.by_group), (said(1, sequence=5), {"honest", "other"}))

    def test_what_it_says_itself_counts_more_than_what_all_others_say(self) -> None:
        for number in range(9):
            self.tell(f"liar {number}", replace(said(7), epoch=said(1).epoch))
        self.candidates.keep(0, place(1), said(1), "", by_group=False, witness="", pause=0)
        proof = self.proof(0, said(1).epoch)
        assert proof is not None
        self.assertEqual(proof.said, said(1))

    def test_who_has_spent_all_does_not_pay_for_what_others_tell_too(self) -> None:
        for number in range(100, 300):
            self.tell("0 liar", said(number), number=number)
        now = 0.0
        for _ in range(10):
            for one in self.candidates.begin(now):
                self.candidates.ended(now, one.place, None)
        self.tell("honest", said(1))
        self.tell("0 liar", said(1))
        proof = self.proof(now, said(1).epoch)
        assert proof is not None

    def test_the_words_of_so_many_are_kept_and_its_own_always(self) -> None:
        for number in range(MOST_WITNESSES):
            self.assertTrue(self.tell(f"{number}", said(number + 9, epoch=9)))
        self.assertFalse(self.tell("one more", said(1)))
        self.candidates.keep(0, place(1), said(1), "", by_group=False, witness="", pause=0)
        proof = self.proof(0, said(1).epoch)
        assert proof is not None
        self.assertEqual(proof.said, said(1))

    def test_with_nobody_left_who_tells_of_it_it_is_not_asked(self) -> None:
        self.tell("t", said(1))
        self.assertIsNone(self.proof(0, "0badc0de"))
        self.candidates.forget_teller("t")
        self.assertEqual((self.candidates.begin(60), self.candidates.deadline(60)), ([], None))
        self.assertTrue(self.candidates.has_place(place(1)))


class Bounds(RuleBasedStateMachine):
    """Somebody tells of thousands of places, at which nobody is."""

    def __init__(self) -> None:
        super().__init__()
        self.candidates = Candidates()
        self.now = 0.0
        self.tries: dict[str, int] = {}
        self.running: list[tuple[str, int]] = []

    @rule(first=st.integers(0, 4_000), count=st.integers(1, 400), teller=st.sampled_from("abc"))
    def tell(self, first: int, count: int, teller: str) -> None:
        for number in range(first, first + count):
            self.candidates.keep(
                self.now,
                place(number),
                said(number),
                teller,
                by_group=False,
                witness=teller,
                pause=0.1,
            )

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def begin(self) -> None:
        for one in self.candidates.begin(self.now):
            self.tries[one.payer] = self.tries.get(one.payer, 0) + 1
            self.running.append(one.place)

    @rule(late=st.booleans())
    def fail(self, late: bool) -> None:
        for one in self.running:
            self.candidates.ended(self.now, one, "0badc0de" if late else None)
        self.running.clear()

    @rule(teller=st.sampled_from("abc"))
    def leave(self, teller: str) -> None:
        self.candidates.forget_teller(teller)
        self.candidates.forget_old(self.now)

    @invariant()
    def it_keeps_to_its_bounds(self) -> None:
        assert len(self.candidates) <= MOST_TOLD
        assert sum(one.asked for one in self.candidates) <= MOST_ASKED
        assert len(self.candidates._askers) <= len(self.candidates)
        assert sum(self.tries.values()) <= ALL_BURST + self.now * ALL_RATE + 1
        for tries in self.tries.values():
            assert tries <= TELLER_BURST + self.now * TELLER_RATE + 1


BoundsTests = Bounds.TestCase
BoundsTests.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
