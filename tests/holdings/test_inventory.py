"""What is held here, against a dict, and which changes can be."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import InventoryError
from flocon.files import LARGEST_FILE, Content
from flocon.holdings.inventory import Change, Inventory, check_change
from tests.neighbours.changes import CONTENTS, NAMES, played

deeds = st.lists(
    st.tuples(st.sampled_from(NAMES), st.one_of(st.none(), st.sampled_from(CONTENTS))), max_size=30
)


def done(inventory: Inventory, deeds: list[tuple[str, Content | None]]) -> None:
    for name, content in deeds:
        if content is None:
            inventory.remove(name)
        else:
            inventory.put(name, content)


class InventoryTests(SynchronousTestCase):
    @settings(max_examples=150, deadline=None)
    @given(deeds)
    def test_it_holds_what_was_put_last(
        self, given_deeds: list[tuple[str, Content | None]]
    ) -> None:
        inventory = Inventory()
        done(inventory, given_deeds)
        model: dict[str, Content] = {}
        for name, content in given_deeds:
            model.pop(name, None)
            if content is not None:
                model[name] = content
        self.assertEqual({name: inventory.get(name) for name in inventory.names()}, model)
        self.assertEqual(played({}, inventory.whole()), model)
        self.assertEqual(len(inventory), len(model))
        self.assertEqual(inventory.bytes, sum(content.size for content in model.values()))

    @settings(max_examples=150, deadline=None)
    @given(deeds, deeds, st.integers(1, 40))
    def test_what_changed_since_brings_an_old_state_up_to_date(
        self,
        first: list[tuple[str, Content | None]],
        then: list[tuple[str, Content | None]],
        log_length: int,
    ) -> None:
        inventory = Inventory(log_length)
        done(inventory, first)
        before = played({}, inventory.whole())
        generation = inventory.generation
        done(inventory, then)
        since = inventory.since(generation)
        if inventory.generation - generation > log_length:
            self.assertIsNone(since)
        else:
            assert since is not None
            self.assertEqual(len(since), inventory.generation - generation)
            self.assertEqual(played(before, since), played({}, inventory.whole()))

    def test_a_generation_that_never_was_is_answered_by_the_whole(self) -> None:
        inventory = Inventory()
        inventory.put(NAMES[0], CONTENTS[0])
        self.assertIsNone(inventory.since(2))
        self.assertIsNone(inventory.since(-1))
        self.assertEqual(inventory.since(1), [])

    def test_what_is_known_changes_nothing(self) -> None:
        inventory = Inventory()
        inventory.put(NAMES[0], CONTENTS[0])
        self.assertEqual(inventory.put(NAMES[0], CONTENTS[0]), [])
        self.assertEqual(inventory.remove(NAMES[1]), [])
        self.assertEqual(inventory.generation, 1)

    def test_new_content_under_an_old_name_is_two_changes(self) -> None:
        inventory = Inventory()
        inventory.put(NAMES[0], CONTENTS[0])
        self.assertEqual(
            inventory.put(NAMES[0], CONTENTS[1]),
            [Change(NAMES[0], CONTENTS[0], held=False), Change(NAMES[0], CONTENTS[1])],
        )
        self.assertEqual(inventory.generation, 3)


class Checking(SynchronousTestCase):
    def test_a_possible_change_passes(self) -> None:
        change = Change(NAMES[0], Content(LARGEST_FILE, bytes(32)))
        self.assertIs(check_change(change), change)

    def test_impossible_ones_are_refused_by_what_is_wrong(self) -> None:
        for reason, change in {
            "name": Change("core.db", CONTENTS[0]),
            "size": Change(NAMES[0], Content(LARGEST_FILE + 1, bytes(32))),
            "digest": Change(NAMES[0], Content(1, bytes(31))),
        }.items():
            with self.assertRaises(InventoryError) as caught:
                check_change(change)
            self.assertEqual(caught.exception.reason, reason)
        with self.assertRaises(InventoryError):
            check_change(Change(NAMES[0], Content(-1, bytes(32))))
