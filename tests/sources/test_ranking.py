"""Whom to ask first, and that ranking loses nobody."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.source import Origin, Source
from flocon.neighbours.standing import Standing
from flocon.sources.ranking import (
    FRESH,
    NEIGHBOURLY,
    Dated,
    Holder,
    order_for_database,
    rank_holders,
    rank_mirrors,
    sample_databases,
    spread,
    without_delay,
)

NAME = "a-1-1-any.pkg.tar.zst"
nodes = st.text("abcdef0123456789", min_size=1, max_size=4)
holders = st.lists(st.builds(Holder, nodes, st.booleans()), max_size=8, unique_by=lambda h: h.node)
deeds = st.lists(st.tuples(st.sampled_from(["began", "failed", "succeeded"]), nodes), max_size=12)


def standing_after(done: list[tuple[str, str]]) -> Standing:
    standing = Standing()
    for deed, node in done:
        if deed == "began":
            standing.began(node)
        elif deed == "failed":
            standing.failed(node, 0.0)
        else:
            standing.succeeded(node, 1000 * len(node), 1.0)
    return standing


class Holders(SynchronousTestCase):
    def first(self, standing: Standing, *nodes: str, now: float = 0.0) -> str:
        ranked = rank_holders(
            [Holder(node, near=True, key=node) for node in nodes], NAME, standing, now
        )
        return ranked[0].node

    @settings(max_examples=200, deadline=None)
    @given(holders, deeds, st.randoms())
    def test_the_order_told_makes_no_difference_and_none_is_lost(
        self, given_holders: list[Holder], done: list[tuple[str, str]], chance: object
    ) -> None:
        standing = standing_after(done)
        ranked = rank_holders(given_holders, NAME, standing, 1.0)
        shuffled = list(given_holders)
        chance.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random
        self.assertEqual(rank_holders(shuffled, NAME, standing, 1.0), ranked)
        self.assertEqual(Counter(ranked), Counter(given_holders))

    def test_one_that_failed_lately_comes_last_but_comes(self) -> None:
        standing = Standing()
        standing.failed("a", 0.0)
        ranked = rank_holders(
            [Holder("a", near=True, key="a"), Holder("b", near=False, key="b")], NAME, standing, 1
        )
        self.assertEqual([holder.node for holder in ranked], ["b", "a"])

    def test_the_faster_comes_first(self) -> None:
        standing = Standing()
        standing.succeeded("slow", 1_000, 1.0)
        standing.succeeded("fast", 9_000, 1.0)
        self.assertEqual(self.first(standing, "slow", "fast"), "fast")

    def test_an_unmeasured_one_is_tried(self) -> None:
        standing = Standing()
        standing.succeeded("known", 10**9, 1.0)
        self.assertEqual(self.first(standing, "known", "new"), "new")

    def test_a_busy_one_leaves_the_turn_to_an_idle_one(self) -> None:
        for busy, idle in (("a", "b"), ("b", "a")):
            standing = Standing()
            standing.began(busy)
            self.assertEqual(self.first(standing, busy, idle), idle)

    def test_a_near_one_comes_before_a_far_one(self) -> None:
        for near, far in (("a", "b"), ("b", "a")):
            ranked = rank_holders(
                [Holder(far, near=False, key=far), Holder(near, near=True, key=near)],
                NAME,
                Standing(),
                0,
            )
            self.assertEqual(ranked[0].node, near)

    def far(self, standing: Standing, *nodes: str, size: int = 0) -> list[str]:
        """Return the order of nodes: near ones are called so."""
        holders = [Holder(node, near=node.startswith("near"), key=node) for node in nodes]
        return [one.node for one in rank_holders(holders, NAME, standing, 0, size)]

    def test_a_fast_far_one_comes_after_a_slow_near_one(self) -> None:
        standing = Standing()
        standing.succeeded("far", 10**9, 1.0)
        standing.succeeded("near", 10**6, 1.0)
        standing.began("near")
        self.assertEqual(self.far(standing, "far", "near"), ["near", "far"])

    def test_another_network_that_is_as_near_as_this_one_is_no_other(self) -> None:
        standing = Standing()
        standing.succeeded("far", 10**9, 1.0)
        standing.succeeded("near", 10**6, 1.0)
        standing.met("far", NEIGHBOURLY)
        self.assertEqual(self.far(standing, "far", "near"), ["far", "near"])

    def test_of_far_ones_the_one_with_the_shorter_way_comes_first(self) -> None:
        standing = Standing()
        standing.met("far", 0.08)
        standing.met("less far", 0.01)
        self.assertEqual(
            self.far(standing, "far", "unknown", "less far"), ["less far", "far", "unknown"]
        )

    def test_a_long_way_matters_for_what_is_small_and_throughput_for_what_is_large(self) -> None:
        standing = Standing()
        standing.met("a", 0.08)
        standing.succeeded("a", 10**8, 1.0)
        standing.met("b", 0.01)
        standing.succeeded("b", 10**6, 1.0)
        self.assertEqual(self.far(standing, "a", "b", size=10_000), ["b", "a"])
        self.assertEqual(self.far(standing, "a", "b", size=10**7), ["a", "b"])

    def test_files_are_spread_over_equal_holders(self) -> None:
        among = [Holder(node, near=True, key=node) for node in ("a", "b", "c", "d")]
        first = Counter(
            rank_holders(among, f"p{at}-1-1-any.pkg.tar.zst", Standing(), 0)[0].node
            for at in range(400)
        )
        self.assertEqual(set(first), {"a", "b", "c", "d"})
        self.assertTrue(all(60 < count < 140 for count in first.values()), first)

    def test_the_spread_is_the_same_on_every_machine(self) -> None:
        # Another value here would be another owner on half of a LAN that is being updated.
        self.assertEqual(spread("node", NAME), spread("node", NAME))
        self.assertNotEqual(spread("node", NAME), spread("edon", NAME))
        self.assertTrue(0 <= spread("node", NAME) < 2**64)


class Mirrors(SynchronousTestCase):
    def test_the_operators_order_is_kept(self) -> None:
        servers = ["http://c/", "http://a/", "http://b/"]
        self.assertEqual(rank_mirrors(servers, ["c", "a", "b"], Standing(), 0), servers)

    def test_those_that_failed_lately_come_last_in_the_same_order(self) -> None:
        standing = Standing()
        standing.failed("c", 0.0)
        standing.failed("b", 0.0)
        self.assertEqual(
            rank_mirrors(["http://c/", "http://a/", "http://b/"], ["c", "a", "b"], standing, 1.0),
            ["http://a/", "http://c/", "http://b/"],
        )

    def test_a_mirror_that_asked_to_be_left_alone_comes_behind_all_others(self) -> None:
        standing = Standing()
        standing.began("a", 0.0)
        standing.rest("a", 60.0, 0.0)
        standing.failed("b", 0.0)
        servers, keys = ["http://a/", "http://b/", "http://c/"], ["a", "b", "c"]
        self.assertEqual(rank_mirrors(servers, keys, standing, 0.5), ["http://c/", "http://b/"])
        self.assertEqual(
            rank_mirrors(servers, keys, standing, 5.0), ["http://c/", "http://b/", "http://a/"]
        )
        self.assertEqual(rank_mirrors(servers, keys, standing, 60.0), servers)

    def test_a_mirror_that_serves_two_repositories_stays_twice(self) -> None:
        servers = ["http://a/core", "http://a/extra"]
        self.assertEqual(rank_mirrors(servers, ["a", "a"], Standing(), 0), servers)

    def test_a_source_says_what_it_is(self) -> None:
        self.assertEqual(str(Source(Origin.MIRROR, "h:80", "h", "http://h/x")), "mirror h")


class Databases(SynchronousTestCase):
    NOW = 1_000_000.0

    def setUp(self) -> None:
        self.mirrors = [self.source(Origin.MIRROR, "m1"), self.source(Origin.MIRROR, "m2")]

    def source(self, origin: Origin, key: str) -> Source:
        return Source(origin, key, key, f"http://{key}/core.db")

    def order(self, since: float | None, *modified: float) -> list[str]:
        peers = [
            Dated(self.source(Origin.PEER, f"p{at}"), one) for at, one in enumerate(modified, 1)
        ]
        ordered = order_for_database(self.mirrors, peers, since, self.NOW)
        return [source.key for source in ordered]

    def test_without_peers_the_mirrors_are_asked_in_their_order(self) -> None:
        self.assertEqual(self.order(None), ["m1", "m2"])

    def test_the_newest_of_the_peers_comes_first_where_pacman_has_none(self) -> None:
        self.assertEqual(self.order(None, self.NOW - 9, self.NOW - 5), ["p2", "m1", "m2"])

    def test_one_newer_than_pacmans_comes_first(self) -> None:
        self.assertEqual(self.order(self.NOW - 6, self.NOW - 5), ["p1", "m1", "m2"])

    def test_one_as_old_as_pacmans_waits_for_the_mirrors_to_fail(self) -> None:
        self.assertEqual(self.order(self.NOW - 5, self.NOW - 5), ["m1", "m2", "p1"])

    def test_one_of_yesterday_waits_for_the_mirrors_to_fail(self) -> None:
        self.assertEqual(self.order(None, self.NOW - FRESH), ["m1", "m2", "p1"])
        self.assertEqual(self.order(None, self.NOW - FRESH + 1), ["p1", "m1", "m2"])

    def test_one_of_tomorrow_is_not_believed_and_hides_no_other(self) -> None:
        self.assertEqual(self.order(None, self.NOW + 1), ["m1", "m2"])
        self.assertEqual(self.order(None, self.NOW + 1, self.NOW - 5), ["p2", "m1", "m2"])

    def test_mirrors_that_cost_seconds_make_way_for_the_peer(self) -> None:
        order = [*self.mirrors, self.source(Origin.PEER, "p")]
        for waited, expected in ((2.9, ["m1", "m2", "p"]), (3.0, ["p", "m1", "m2"])):
            self.assertEqual([one.key for one in without_delay(order, waited)], expected)

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.sampled_from("abcd"), max_size=12), st.integers(0, 12))
    def test_as_many_different_ones_as_can_be_are_asked_for_their_age(
        self, digests: list[str], most: int
    ) -> None:
        places = sample_databases(digests, most)
        self.assertEqual(len(places), min(most, len(digests)))
        self.assertEqual(len(places), len(set(places)))
        self.assertEqual(len({digests[place] for place in places}), min(most, len(set(digests))))
