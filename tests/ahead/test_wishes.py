"""What of the wanted is due, in which order, how often; and how much of it is here."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.ahead import wishes as module
from flocon.ahead.wishes import (
    MOST_LOOKS,
    MOST_ONCE,
    MOST_TRIES,
    RETRY,
    SLICE,
    Once,
    Readiness,
    Wish,
    Wishes,
)
from flocon.pacman.entries import Entry
from tests.ahead.wanting import FakeAround, entry

MOST = 1_000


class WishesCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.around = FakeAround()
        self.wishes = Wishes(MOST, Once())

    def want(self, **sizes: int) -> None:
        """Want packages of these sizes, which peers hold."""
        self.wishes.want((entry(name, size), False) for name, size in sizes.items())
        self.around.at_peers.update(sizes)

    def due(self, now: float = 0.0, **options: bool) -> list[Wish]:
        options = {"unasked": True, "mirrors": False, **options}
        return [wish for wish, _ in self.look(now, **options)]

    def look(self, now: float, **options: bool) -> list[tuple[Wish, bool]]:
        return list(filter(None, self.wishes.look(now, self.around, **options)))

    def names(self, now: float = 0.0, **options: bool) -> list[str]:
        return [wish.entry.name for wish in self.due(now, **options)]


class Due(WishesCase):
    def test_the_largest_comes_first(self) -> None:
        self.want(a=1, b=30, c=2)
        self.assertEqual(self.names(), ["b", "c", "a"])

    def test_what_is_here_is_not_due(self) -> None:
        self.wishes.want([(entry("a"), True), (entry("b"), False), (entry("c"), False)])
        self.around.at_peers = {"a", "b", "c"}
        self.around.here = {"b"}
        self.assertEqual(self.names(), ["c"])

    def test_what_nobody_holds_is_due_only_once_mirrors_may_be_asked(self) -> None:
        self.wishes.want([(entry("a"), False)])
        self.assertEqual(self.names(), [])
        self.assertEqual(self.names(mirrors=True), ["a"])
        self.around.at_peers = {"a"}
        self.assertEqual(self.names(), ["a"])

    def test_owners_are_asked_once_whether_they_have_it_on_its_way(self) -> None:
        self.wishes.want([(entry("a"), False)])
        self.around.owners = True
        ((wish, mirrors),) = self.look(0.0, unasked=True, mirrors=False)
        self.assertFalse(mirrors)
        self.wishes.looked(wish)
        self.assertEqual(self.names(), [])

    def test_owners_are_not_asked_for_any_number_of_packages(self) -> None:
        self.wishes.want((entry(f"a{at}", 1), False) for at in range(MOST_LOOKS + 5))
        self.around.owners = True
        self.assertEqual(len(self.names()), MOST_LOOKS)
        for wish in self.due()[:6]:
            self.wishes.looked(wish)
        self.assertEqual(len(self.names()), MOST_LOOKS - 6)

    def test_no_more_is_fetched_than_there_is_room_for(self) -> None:
        self.want(a=600, huge=1 << 40, b=500, c=400)
        self.assertEqual(self.names(), ["a", "c"])
        self.assertEqual(self.wishes.left_out, 2)

    def test_what_the_store_has_no_room_for_waits_until_it_has(self) -> None:
        self.want(a=3, b=2)
        self.around.full = {"a"}
        self.assertEqual(self.names(), ["b"])
        self.assertEqual(self.wishes.left_out, 1)
        self.around.full = set()
        self.assertEqual(self.names(), ["a", "b"])

    def test_no_more_packages_are_wanted_than_a_machine_has(self) -> None:
        self.patch(module, "MOST_WISHES", 3)
        self.patch(module, "MOST_COMPANIONS", 2)
        self.want(**dict.fromkeys("abcdef", 1))
        self.assertEqual(len(self.names()), 3)
        self.wishes.want_beside(entry(name) for name in "abcdef")
        self.assertEqual(self.names(), ["a", "b", "c"])
        self.wishes.want_beside(entry(name) for name in "xyz")
        self.around.at_peers = set("xyz")
        self.assertEqual(self.names(), ["x", "y"])

    def test_what_somebody_else_has_brought_now_is_left_to_it(self) -> None:
        self.want(a=3, b=2)
        self.around.coming = {"a": 1}
        self.assertEqual(self.names(), ["b"])

    def test_what_pacman_needs_now_comes_first_and_never_from_mirrors(self) -> None:
        self.want(a=100)
        self.wishes.want_beside([entry("x", 1), entry("y", 2), entry("z", 3)])
        self.around.at_peers |= {"x", "y"}
        self.assertEqual(self.names(mirrors=True), ["y", "x", "a"])

    def test_an_upgrade_that_pacman_needs_now_may_come_from_mirrors_as_before(self) -> None:
        self.wishes.want([(entry("a"), False)])
        self.wishes.want_beside([entry("a")])
        self.assertEqual(self.names(mirrors=True), ["a"])

    def test_what_was_fetched_once_is_never_again(self) -> None:
        self.want(a=3)
        (wish,) = self.due()
        self.wishes.came(wish)
        self.assertEqual(self.names(), [])
        self.want(a=3, b=2)
        self.assertEqual(self.names(), ["b"])

    def test_unless_a_person_asks_for_it(self) -> None:
        self.want(a=3)
        self.wishes.came(self.due()[0])
        (asked,) = self.wishes.ask(self.around)
        self.assertEqual(self.names(unasked=False), ["a"])
        self.wishes.came(asked)
        self.assertEqual(self.names(), [])

    def test_what_a_person_asks_for_comes_from_mirrors_too_and_at_once(self) -> None:
        self.wishes.want([(entry("a"), False), (entry("b"), True)])
        self.wishes.ask(self.around)
        found = [
            (wish.entry.name, mirrors)
            for wish, mirrors in self.look(0.0, unasked=False, mirrors=False)
        ]
        self.assertEqual(found, [("a", True)])

    def test_one_that_failed_is_tried_again_later_and_not_for_ever(self) -> None:
        self.want(a=3)
        now, pauses = 0.0, []
        for _ in range(MOST_TRIES):
            (wish,) = self.due(now)
            self.wishes.failed(wish, now)
            later = self.wishes.next_try(now)
            assert later is not None
            self.assertEqual(self.names(later - 0.1), [])
            pauses.append(later - now)
            now = later
        self.assertEqual(pauses, [RETRY * 2**at for at in range(MOST_TRIES)])
        self.assertEqual(self.names(now), [])

    def test_that_it_failed_is_remembered_when_it_is_wanted_again(self) -> None:
        self.want(a=3)
        self.wishes.failed(self.due()[0], 0.0)
        self.want(a=3)
        self.assertEqual(self.names(1.0), [])
        self.assertIsNone(self.wishes.next_try(RETRY))


class Slices(WishesCase):
    def test_others_have_their_turn_in_a_look_and_in_a_count(self) -> None:
        self.want(**{f"a{at}": 1 for at in range(4 * SLICE)})
        asked = 0
        is_at_peers = self.around.is_at_peers

        def count(one: Entry) -> bool:
            nonlocal asked
            asked += 1
            return is_at_peers(one)

        self.patch(self.around, "is_at_peers", count)
        passes = (
            self.wishes.look(0.0, self.around, unasked=True, mirrors=False),
            self.wishes.count(self.around, ()),
        )
        for steps in passes:
            asked, slices = 0, []
            for step in steps:
                if step is None:
                    slices.append(asked)
                    asked = 0
            self.assertEqual([*slices, asked], [SLICE] * 4)

    def test_when_the_next_one_is_tried_is_known_without_a_look_at_all(self) -> None:
        self.want(a=3, b=2)
        a, b = self.due()
        self.wishes.failed(a, 0.0)
        self.wishes.failed(b, 5.0)
        self.assertEqual(self.wishes.next_try(5.0), RETRY)
        self.want(b=2)
        self.assertEqual(self.wishes.next_try(5.0), 5.0 + RETRY)
        self.wishes.ask(self.around)
        self.assertIsNone(self.wishes.next_try(5.0))


class Ready(WishesCase):
    def readiness(self, *about: str) -> Readiness:
        keys = {(entry(one).file_name, entry(one).sha256) for one in about}
        (whole,) = filter(None, self.wishes.count(self.around, keys))
        return whole

    def test_nothing_wanted_is_nothing_lacking(self) -> None:
        self.assertEqual(self.readiness(), Readiness())

    def test_each_package_is_counted_once_by_how_it_stands(self) -> None:
        self.wishes.want(
            (entry(name, size), name == "cached")
            for name, size in {
                "held": 1,
                "cached": 2,
                "moving": 4,
                "queued": 8,
                "beyond": 5_000,
                "once": 16,
                "peers": 32,
                "mirrors": 64,
            }.items()
        )
        self.wishes.once.add(entry("once", 16))
        self.around.here = {"held"}
        self.around.coming = {"moving": 3}
        self.around.at_peers = {"peers", "queued", "once"}
        self.assertEqual(
            self.readiness("queued"),
            Readiness(
                wanted=8,
                ready=2,
                coming=2,
                only_at_mirrors=1,
                left_out=2,
                wanted_bytes=5_127,
                ready_bytes=3,
                arrived_bytes=3,
            ),
        )

    def test_what_came_once_and_is_here_is_ready(self) -> None:
        self.want(a=3)
        self.wishes.once.add(entry("a", 3))
        self.around.here = {"a"}
        self.assertEqual((self.readiness().ready, self.readiness().left_out), (1, 0))


class OnceTests(SynchronousTestCase):
    def test_it_is_remembered_by_the_next_start(self) -> None:
        once = Once()
        once.add(entry("a"))
        again = Once(json.loads(json.dumps(once.dump())))
        self.assertIn(entry("a"), again)
        self.assertNotIn(entry("b"), again)

    def test_another_build_of_a_version_is_another_one(self) -> None:
        once = Once()
        once.add(entry("a"))
        rebuilt = entry("a").__class__("core", entry("a").file_name, "a", "1-1", 9, bytes(32))
        self.assertNotIn(rebuilt, once)

    def test_the_oldest_is_forgotten_where_there_are_too_many(self) -> None:
        once = Once()
        for at in range(MOST_ONCE + 1):
            once.add(entry(f"a{at}"))
        self.assertEqual(len(once), MOST_ONCE)
        self.assertNotIn(entry("a0"), once)
        self.assertIn(entry("a1"), once)

    @settings(max_examples=100, deadline=None)
    @given(
        st.recursive(
            st.none() | st.integers() | st.text() | st.just("a-1-1-any.pkg.tar.zst 00"),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        )
    )
    def test_what_is_damaged_is_left_out(self, remembered: object) -> None:
        for row in Once(remembered).dump():
            self.assertTrue(row.startswith("a-1-1-any.pkg.tar.zst"), row)
