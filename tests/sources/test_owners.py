"""Nodes agree on a file's owner without a word: what follows from the ranking for a whole LAN."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.sources.ranking import LONGER, NEW_OWNER, earlier_owners, owners_before, rank_owners

MOST = 3
#: The last digit of who owns a, b, c, ... among five nodes.
EXPECTED = "03323422"

file_names = st.builds(
    "{}-{}-1-x86_64.pkg.tar.zst".format,
    st.text("abcdefghijklmnopqrstuvwxyz0123456789+_.-@", min_size=1, max_size=20),
    st.integers(0, 99),
)
nodes = st.text("0123456789abcdef", min_size=16, max_size=16)
lans = st.lists(nodes, min_size=1, max_size=20, unique=True)


def a_lan(size: int, dice: random.Random) -> list[str]:
    return [f"{dice.getrandbits(64):016x}" for _ in range(size)]


def packages(count: int, dice: random.Random) -> list[str]:
    return [f"package{dice.getrandbits(32)}-1-{at}-any.pkg.tar.zst" for at in range(count)]


class Agreement(SynchronousTestCase):
    """Whoever knows the same nodes names the same owner."""

    @settings(max_examples=100, deadline=None)
    @given(lans, file_names, st.randoms())
    def test_the_order_in_which_nodes_were_heard_makes_no_difference(
        self, lan: list[str], name: str, chance: random.Random
    ) -> None:
        heard = list(lan)
        chance.shuffle(heard)
        self.assertEqual(rank_owners(heard, name), rank_owners(lan, name))
        self.assertEqual(sorted(rank_owners(heard, name)), sorted(lan))

    @settings(max_examples=100, deadline=None)
    @given(lans, nodes, file_names)
    def test_when_a_node_leaves_only_its_own_files_change_owner(
        self, lan: list[str], leaving: str, name: str
    ) -> None:
        before = rank_owners({*lan, leaving}, name)
        after = rank_owners([node for node in lan if node != leaving], name)
        self.assertEqual(after, [node for node in before if node != leaving])

    def test_a_node_that_joins_takes_its_share_and_moves_nothing_else(self) -> None:
        dice = random.Random(1)
        lan, names, joining = a_lan(9, dice), packages(2_000, dice), f"{dice.getrandbits(64):016x}"
        before = {name: rank_owners(lan, name)[0] for name in names}
        after = {name: rank_owners([*lan, joining], name)[0] for name in names}
        moved = [name for name in names if before[name] != after[name]]
        self.assertEqual({after[name] for name in moved}, {joining})
        self.assertTrue(140 < len(moved) < 260, len(moved))

    def test_the_owner_is_the_same_on_every_machine_and_in_every_version(self) -> None:
        # Another answer here is another owner on the part of a LAN that was updated already.
        lan = [f"{at:016x}" for at in range(5)]
        self.assertEqual(
            [rank_owners(lan, f"{letter}-1-1-any.pkg.tar.zst")[0][-1] for letter in "abcdefgh"],
            list(EXPECTED),
        )


class Newcomers(SynchronousTestCase):
    """What the owner before is fetching already is looked for there first."""

    def earlier(self, own: str, now: float = 100.0, **since: float) -> list[str]:
        return earlier_owners(["a", "b", "c", "d"], own, {"d": 0.0} | since, now, MOST)

    def test_nobody_is_looked_at_where_the_owner_is_an_old_one(self) -> None:
        now = NEW_OWNER + 51
        self.assertEqual(self.earlier("x", now, a=50, b=0, c=0), [])
        self.assertEqual(self.earlier("x", now - 1, a=50, b=0, c=0), ["b", "c"])

    def test_a_new_owner_looks_at_those_behind_it(self) -> None:
        self.assertEqual(self.earlier("a", a=99, b=99, c=99), ["b", "c"])

    def test_others_look_at_those_who_are_here_longer_than_the_owner(self) -> None:
        self.assertEqual(self.earlier("x", a=50, b=50 - 2 * LONGER, c=50), ["b"])

    def test_who_was_the_owner_itself_knows(self) -> None:
        self.assertEqual(self.earlier("b", a=50, b=0, c=0), ["c"])

    def test_where_all_came_at_the_same_moment_nobody_is_looked_at(self) -> None:
        self.assertEqual(self.earlier("x", a=50.9, b=50.2, c=50), [])

    def test_where_nobody_is_able_nobody_is_looked_at(self) -> None:
        self.assertEqual(earlier_owners([], "x", {}, 0, MOST), [])


class Load(SynchronousTestCase):
    """Files spread over nodes as evenly as chance allows."""

    def test_no_node_owns_more_than_chance_would_give_it(self) -> None:
        for seed, size in enumerate((2, 3, 8, 50)):
            dice = random.Random(seed)
            lan, names = a_lan(size, dice), packages(100 * size, dice)
            counts = Counter(rank_owners(lan, name)[0] for name in names)
            expected = len(names) / size
            chi_square = sum((counts[node] - expected) ** 2 / expected for node in lan)
            # Six standard deviations above the mean of a chi-square distribution.
            free = size - 1
            self.assertLess(chi_square, free + 6 * (2 * free) ** 0.5, (size, counts))

    def test_names_that_differ_in_one_digit_spread_as_well(self) -> None:
        lan = [f"{at:016x}" for at in range(10)]
        names = [f"linux-6.{at}-1-x86_64.pkg.tar.zst" for at in range(1_000)]
        counts = Counter(rank_owners(lan, name)[0] for name in names)
        self.assertTrue(all(60 <= counts[node] <= 140 for node in lan), counts)

    def test_the_files_of_a_node_that_left_spread_over_all_others(self) -> None:
        dice = random.Random(2)
        lan, names = a_lan(10, dice), packages(5_000, dice)
        ranked = [rank_owners(lan, name) for name in names]
        heirs = Counter(order[1] for order in ranked if order[0] == lan[0])
        self.assertEqual(set(heirs), set(lan[1:]))
        self.assertLess(max(heirs.values()), 2 * sum(heirs.values()) / 9)


class Asking(SynchronousTestCase):
    """Whom each node asks before the mirrors."""

    @settings(max_examples=100, deadline=None)
    @given(lans, file_names)
    def test_the_owner_asks_nobody_and_all_others_ask_it_first(
        self, lan: list[str], name: str
    ) -> None:
        ranked = rank_owners(lan, name)
        self.assertEqual(owners_before(ranked, ranked[0], MOST), [])
        for node in ranked[1:]:
            self.assertEqual(owners_before(ranked, node, MOST)[0], ranked[0])

    @settings(max_examples=100, deadline=None)
    @given(lans, file_names)
    def test_no_two_nodes_ever_ask_each_other(self, lan: list[str], name: str) -> None:
        ranked = rank_owners(lan, name)
        asks = {node: owners_before(ranked, node, MOST) for node in lan}
        for node, others in asks.items():
            self.assertLessEqual(len(others), MOST)
            for other in others:
                self.assertNotIn(node, asks[other])

    @settings(max_examples=100, deadline=None)
    @given(lans, nodes, file_names)
    def test_a_node_that_relays_nothing_asks_the_first_ones(
        self, lan: list[str], other: str, name: str
    ) -> None:
        ranked = rank_owners([node for node in lan if node != other], name)
        self.assertEqual(owners_before(ranked, other, MOST), ranked[:MOST])

    @settings(max_examples=100, deadline=None)
    @given(lans, file_names)
    def test_when_the_owner_fails_all_turn_to_the_same_next_one(
        self, lan: list[str], name: str
    ) -> None:
        ranked = rank_owners(lan, name)
        left = ranked[1:]
        first = [owners_before(ranked, node, MOST)[1:2] or [node] for node in left]
        again = [owners_before(left, node, MOST)[:1] or [node] for node in left]
        self.assertEqual(first, again)
        self.assertEqual([one for (one,) in again], left[:1] * len(left))
