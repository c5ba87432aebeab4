"""How long wrong bytes keep a peer from being asked, and what ends that."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.neighbours.quarantine import (
    FORGOTTEN_AFTER,
    LONGEST_WHY,
    MOST_RECORDS,
    TERMS,
    Quarantine,
    Record,
    is_sound,
    load,
)

NOW = 1_700_000_000.0
times = st.floats(0, NOW, allow_nan=False)
words = st.text(max_size=LONGEST_WHY)


@st.composite
def records(draw: st.DrawFn) -> Record:
    since = draw(times)
    until = since + draw(st.floats(-since, TERMS[-1] - 1))
    strikes = draw(st.integers(0, 10**6))
    return Record(draw(words), draw(words), strikes, since, until, draw(words), draw(st.booleans()))


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["node", "address", "strikes", "since", "until", "why", "banned"]),
            inner,
        )
    ),
    max_leaves=20,
)


class Terms(SynchronousTestCase):
    def setUp(self) -> None:
        self.quarantine = Quarantine()

    def held(self, node: str, address: str, now: float = NOW) -> bool:
        return self.quarantine.record(node, address, now) is not None

    def test_who_did_nothing_is_asked(self) -> None:
        self.assertFalse(self.held("a", "10.0.0.1"))

    def test_a_first_offence_keeps_a_peer_out_for_its_term_and_no_longer(self) -> None:
        self.quarantine.offence("a", "10.0.0.1", NOW, "wrong bytes")
        self.assertTrue(self.held("a", "10.0.0.1", NOW + TERMS[0] - 1))
        self.assertFalse(self.held("a", "10.0.0.1", NOW + TERMS[0]))

    def test_each_further_offence_has_the_next_term_and_the_last_one_stays(self) -> None:
        terms = []
        now = NOW
        for _ in range(len(TERMS) + 2):
            record = self.quarantine.offence("a", "10.0.0.1", now, "wrong bytes")
            terms.append(record.until - record.since)
            now = record.until
        self.assertEqual(terms, [*TERMS, TERMS[-1], TERMS[-1]])

    def test_several_wrong_files_at_once_are_one_offence_by_whatever_id(self) -> None:
        first = self.quarantine.offence("a", "10.0.0.1", NOW, "wrong bytes for a file")
        for node, at in (("a", 1.0), ("b", 2.0), ("a", TERMS[0] - 1)):
            again = self.quarantine.offence(node, "10.0.0.1", NOW + at, "wrong bytes for another")
            self.assertEqual((again.strikes, again.since, again.until), (1, NOW, first.until))
        self.assertFalse(self.held("a", "10.0.0.1", first.until))
        self.assertFalse(self.held("b", "10.0.0.1", first.until))

    def test_nor_does_who_goes_on_afterwards_gain_by_it(self) -> None:
        now = NOW
        for strikes in range(1, len(TERMS) + 1):
            for _ in range(5):
                record = self.quarantine.offence("a", "10.0.0.1", now, "wrong bytes")
            self.assertEqual((record.strikes, record.until - now), (strikes, TERMS[strikes - 1]))
            now = record.until

    def test_the_same_id_elsewhere_commits_an_offence_of_its_own(self) -> None:
        self.quarantine.offence("a", "10.0.0.1", NOW, "wrong bytes")
        again = self.quarantine.offence("a", "10.0.0.2", NOW, "wrong bytes")
        self.assertEqual(again.strikes, 2)

    def test_a_ban_beside_it_stays_one(self) -> None:
        self.quarantine.ban("a", "10.0.0.1", NOW, "by hand")
        self.quarantine.offence("b", "10.0.0.1", NOW, "wrong bytes")
        self.quarantine.pardon("b")
        self.quarantine.ban("a", "10.0.0.1", NOW, "by hand")
        self.quarantine.offence("other", "10.0.0.1", NOW, "wrong bytes")
        self.quarantine.offence("a", "10.0.0.1", NOW, "wrong bytes")
        self.assertTrue(self.held("a", "10.0.0.1", NOW + 100 * TERMS[-1]))

    def test_an_offence_long_ago_is_forgotten(self) -> None:
        self.quarantine.offence("a", "10.0.0.1", NOW, "wrong bytes")
        later = self.quarantine.offence("a", "10.0.0.1", NOW + FORGOTTEN_AFTER, "wrong bytes")
        self.assertEqual(later.strikes, 1)

    def test_a_new_id_does_not_let_an_address_off(self) -> None:
        self.quarantine.offence("a", "10.0.0.1", NOW, "wrong bytes")
        self.assertTrue(self.held("b", "10.0.0.1"))
        again = self.quarantine.offence("b", "10.0.0.1", NOW + TERMS[0], "wrong bytes")
        self.assertEqual(again.strikes, 2)

    def test_a_new_address_does_not_let_an_id_off(self) -> None:
        self.quarantine.offence("a", "10.0.0.1", NOW, "wrong bytes")
        self.assertTrue(self.held("a", "10.0.0.2"))
        self.assertFalse(self.held("b", "10.0.0.2"))

    def test_an_old_id_does_not_let_off_an_address_that_is_held(self) -> None:
        self.quarantine.offence("a", "10.0.0.1", NOW, "wrong bytes")
        later = NOW + TERMS[0] + 1
        self.quarantine.offence("b", "10.0.0.1", later, "wrong bytes")
        self.assertTrue(self.held("a", "10.0.0.1", later))
        again = self.quarantine.offence("a", "10.0.0.1", later + TERMS[1], "wrong bytes")
        self.assertEqual(again.strikes, 3)

    def test_what_is_held_is_listed_with_its_reason(self) -> None:
        record = self.quarantine.offence("a", "10.0.0.1", NOW, "x" * 1_000)
        self.quarantine.offence("b", "10.0.0.2", NOW - TERMS[0], "over")
        self.assertEqual(self.quarantine.all(NOW), [record])
        self.assertEqual(record.why, "x" * LONGEST_WHY)


class Operator(SynchronousTestCase):
    def setUp(self) -> None:
        self.quarantine = Quarantine()

    def held(self, node: str, address: str, now: float = NOW) -> bool:
        return self.quarantine.record(node, address, now) is not None

    def test_a_ban_has_no_end(self) -> None:
        self.quarantine.ban("a", "10.0.0.1", NOW, "by hand")
        self.assertTrue(self.held("a", "10.0.0.1", NOW + 100 * TERMS[-1]))

    def test_a_ban_outlasts_an_offence(self) -> None:
        self.quarantine.ban("a", "10.0.0.1", NOW, "by hand")
        self.quarantine.offence("a", "10.0.0.1", NOW, "wrong bytes")
        self.assertTrue(self.held("a", "10.0.0.1", NOW + 100 * TERMS[-1]))

    def test_a_ban_is_of_who_is_there_now_and_not_of_who_was(self) -> None:
        self.quarantine.offence("former", "10.0.0.1", NOW, "wrong bytes")
        self.quarantine.ban("a", "10.0.0.1", NOW, "by hand")
        self.assertTrue(self.held("a", "10.0.0.9"))
        self.assertFalse(self.held("former", "10.0.0.8", NOW + TERMS[0]))

    def test_a_ban_knows_the_newest_address(self) -> None:
        self.quarantine.offence("a", "10.0.0.1", NOW, "wrong bytes")
        self.quarantine.ban("a", "10.0.0.2", NOW, "by hand")
        self.assertTrue(self.held("other", "10.0.0.2"))

    def test_a_pardon_by_id_or_by_address_ends_both(self) -> None:
        for word in ("a", "10.0.0.1"):
            self.quarantine.offence("a", "10.0.0.1", NOW, "wrong bytes")
            self.quarantine.ban("a", "10.0.0.1", NOW, "by hand")
            self.assertTrue(self.quarantine.pardon(word))
            self.assertFalse(self.held("a", "10.0.0.1"))
            self.assertFalse(self.quarantine.pardon(word))

    def test_a_pardon_ends_every_id_of_an_address(self) -> None:
        for node in ("a", "b"):
            self.quarantine.offence(node, "10.0.0.1", NOW, "wrong bytes")
        self.quarantine.pardon("10.0.0.1")
        self.assertEqual(self.quarantine.all(NOW), [])


class Bounds(SynchronousTestCase):
    def test_who_is_free_the_soonest_is_forgotten_first_and_no_ban_is(self) -> None:
        quarantine = Quarantine()
        quarantine.ban("banned", "::1", NOW - 1, "by hand")
        for at in range(MOST_RECORDS):
            quarantine.offence(f"n{at}", f"10.0.{at // 250}.{at % 250}", NOW + at, "wrong bytes")
        self.assertEqual(len(quarantine.dump()), MOST_RECORDS)
        self.assertIsNone(quarantine.record("n0", "10.0.0.0", NOW))
        self.assertIsNotNone(quarantine.record("n1", "10.0.0.1", NOW))
        self.assertIsNotNone(quarantine.record("banned", "::1", NOW))


class Files(SynchronousTestCase):
    @settings(max_examples=200, deadline=None)
    @given(st.lists(records(), max_size=6, unique_by=lambda one: one.node))
    def test_what_was_dumped_is_loaded(self, given_records: list[Record]) -> None:
        dumped = json.loads(json.dumps(Quarantine(given_records).dump()))
        self.assertEqual(load(dumped, NOW), given_records)
        self.assertTrue(is_sound(dumped))

    @settings(max_examples=300, deadline=None)
    @given(anything)
    def test_a_damaged_file_gives_only_possible_records(self, value: object) -> None:
        for record in load(value, NOW):
            self.assertLessEqual(len(record.node), LONGEST_WHY)
            self.assertLessEqual(record.until, NOW + TERMS[-1])
            for date in (record.since, record.until):
                datetime.fromtimestamp(date, UTC).isoformat()

    def test_a_damaged_record_does_not_lose_the_others(self) -> None:
        whole = Quarantine()
        whole.offence("a", "10.0.0.1", NOW, "wrong bytes")
        rows = whole.dump()
        damaged = [{**rows[0], name: float("nan")} for name in rows[0] if name != "banned"]
        values = [*damaged, "x", *rows]
        self.assertEqual([one.node for one in load(values, NOW)], ["a"])
        self.assertFalse(is_sound(values))

    def test_numbers_that_are_no_dates_are_no_record(self) -> None:
        whole = Quarantine()
        whole.offence("a", "10.0.0.1", NOW, "wrong bytes")
        (row,) = whole.dump()
        year_30489 = 9e11
        for wrong in (
            {"until": float("inf")},
            {"until": year_30489},
            {"since": year_30489, "until": year_30489},
            {"until": NOW + 2 * TERMS[-1]},
            {"since": True},
            {"strikes": float("inf")},
        ):
            self.assertEqual(load([row | wrong], NOW), [], wrong)
            self.assertFalse(is_sound([row | wrong]))

    def test_a_term_from_a_clock_that_was_ahead_begins_now(self) -> None:
        whole = Quarantine()
        whole.offence("a", "10.0.0.1", NOW + 10 * TERMS[-1], "wrong bytes")
        (record,) = load(whole.dump(), NOW)
        self.assertEqual((record.since, record.until), (NOW, NOW + TERMS[0]))
