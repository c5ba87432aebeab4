"""Whatever a client has, it takes what it is given, and is not sent it twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.clients.given import Given, Lists
from flocon.states.generation import Where

CORE = Where("x86_64", "core")
NOW = 1_000_000.0


def date(
    table: Given,
    has: float | None,
    *,
    since: int = 1_000,
    identity: str = "a",
    client: str = "c",
    now: float = NOW,
) -> int | None:
    return table.date(client, CORE, "db", identity=identity, since=since, has=has, now=now)


class Dates(SynchronousTestCase):
    def setUp(self) -> None:
        self.table = Given()

    def test_it_is_that_of_the_state_for_who_has_nothing_or_something_older(self) -> None:
        for has in (None, 0.0, 999.0, 1_000.0):
            self.assertEqual(date(self.table, has), 1_000)
        self.assertEqual(len(self.table), 0)

    def test_who_has_something_later_gets_what_is_later_still(self) -> None:
        self.assertEqual(date(self.table, 5_000.0), 5_001)

    def test_and_not_once_more(self) -> None:
        date(self.table, 5_000.0)
        self.assertEqual(date(self.table, 5_001.0), 5_001)

    def test_but_another_state_is_later_again(self) -> None:
        date(self.table, 5_000.0)
        self.assertEqual(date(self.table, 5_001.0, since=1_001, identity="b"), 5_002)

    def test_so_it_is_for_another_machine_with_a_copy_of_that_date(self) -> None:
        date(self.table, 5_000.0)
        self.assertEqual(date(self.table, 5_001.0, client="other"), 5_002)

    def test_no_date_to_come_is_made(self) -> None:
        for has in (NOW, NOW + 86_400):
            self.assertIsNone(date(Given(), has))

    def test_none_is_told_either_where_the_clock_was_ahead_when_it_was_published(self) -> None:
        later = int(NOW) + 10**8
        for has in (None, 900.0, NOW - 3_600):
            self.assertIsNone(date(Given(), has, since=later))
        # Who took it then keeps it until there is another.
        self.assertEqual(date(self.table, float(later), since=later), later)
        self.assertIsNone(date(self.table, float(later), since=later + 1, identity="b"))

    def test_what_was_sent_without_a_date_is_not_sent_again(self) -> None:
        self.assertIsNone(date(self.table, NOW + 86_400))
        for now in (NOW + 5, NOW + 86_400):
            self.assertEqual(date(self.table, NOW + 1, now=now), int(NOW) + 1)

    def test_who_asks_two_mirrors_in_turn_is_not_taken_for_having_ours(self) -> None:
        self.assertIsNone(date(self.table, NOW))
        self.assertIsNone(date(self.table, NOW + 1, now=NOW + 1))
        self.assertEqual(len(self.table), 0)

    def test_but_it_is_to_who_has_something_else(self) -> None:
        date(self.table, NOW + 86_400)
        self.assertIsNone(date(self.table, NOW + 86_400))
        self.assertIsNone(date(self.table, NOW + 2, client="other"))
        date(self.table, NOW + 86_400)
        told = date(self.table, NOW + 2, since=int(NOW) + 9, identity="b", now=NOW + 10)
        self.assertEqual(told, int(NOW) + 9)

    def test_no_more_than_so_many_are_remembered(self) -> None:
        table = Given(most=3)
        for number in range(9):
            date(table, 5_000.0, client=f"c{number}")
        self.assertEqual(len(table), 3)

    @given(
        st.lists(
            st.tuples(
                st.sampled_from("ab"),
                st.integers(0, 9),
                st.none() | st.integers(0, 60),
                st.sampled_from("xy"),
            )
        )
    )
    def test_a_client_has_what_is_published_after_every_look(
        self, looks: list[tuple[str, int, int | None, str]]
    ) -> None:
        """Each client follows pacman's rule: it takes what is later than its own or undated."""
        table, has = Given(), dict[str, tuple[str, float] | None]()
        gave: set[tuple[str, float]] = set()
        since, identity = 10, "0"
        for number, (client, step, foreign, state) in enumerate(looks):
            if step:
                since, identity = since + step, f"{number}{state}"
            if foreign is not None:
                # It was given something by another mirror meanwhile.
                has[client] = "elsewhere", float(foreign)
            mine = has.get(client)
            told = date(
                table,
                mine[1] if mine else None,
                since=since,
                identity=identity,
                client=client,
                now=10_000.0,
            )
            if mine is None or told is None or told > mine[1]:
                has[client] = identity, float(told or 0)
            else:
                self.assertEqual(told, mine[1])
            now = has[client]
            assert now is not None
            # Only who happens to have another mirror's of the very second of ours keeps that.
            same = now[1] == since or (client, now[1]) in gave
            self.assertTrue(now[0] == identity or (now[0] == "elsewhere" and same))
            if told is not None:
                gave.add((client, float(told)))


class ListsOfFiles(SynchronousTestCase):
    def test_the_last_one_that_each_client_was_given(self) -> None:
        lists = Lists()
        lists.note("a", CORE, "1")
        lists.note("b", CORE, "2")
        lists.note("a", CORE, "3")
        self.assertEqual([lists.of(client, CORE) for client in "abc"], ["3", "2", ""])

    def test_no_more_than_so_many(self) -> None:
        lists = Lists(most=2)
        for client in "abac":
            lists.note(client, CORE, client)
        self.assertEqual([lists.of(client, CORE) for client in "abc"], ["a", "", "c"])
        self.assertEqual(len(lists), 2)
