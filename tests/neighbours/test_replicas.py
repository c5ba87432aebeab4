"""What is held by peers, against dicts and sets."""

from __future__ import annotations

import random
import tracemalloc
from collections import defaultdict
from itertools import chain

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from flocon.files import LARGEST_FILE, Content
from flocon.holdings.inventory import Change
from flocon.neighbours import replicas as module
from flocon.neighbours.inventory_text import InventoryReader, format_inventory
from flocon.neighbours.replicas import Holders, Replica
from flocon.presence.presence import MOST_HOLDERS
from tests.neighbours.changes import CONTENTS, NAMES, changes

PEERS = ["a", "b", "c", "d"]


class HoldersMachine(RuleBasedStateMachine):
    """Holders beside a dict of sets, with fewer bits than peers want and sweeps in between."""

    most_holders = 3

    def __init__(self) -> None:
        super().__init__()
        self.holders = Holders(most_holders=self.most_holders)
        self.model: dict[str, set[tuple[str, Content]]] = {}
        #: What datagrams alone say is gone.
        self.doubts: dict[str, set[tuple[str, Content]]] = defaultdict(set)
        self.generations: dict[str, int] = {}

    def play(self, peer: str, steps: list[Change], *, read: bool) -> None:
        held, doubts = self.model[peer], self.doubts[peer]
        for step in steps:
            file = step.file_name, step.content
            if step.held:
                held.add(file)
                doubts.discard(file)
            elif read:
                held.discard(file)
            elif file in held:
                doubts.add(file)
        if read:
            doubts.clear()

    @rule(peer=st.sampled_from(PEERS), generation=st.integers(0, 9), steps=st.lists(changes))
    def replace(self, peer: str, generation: int, steps: list[Change]) -> None:
        self.holders.replace(peer, generation, iter(steps))
        self.model.pop(peer, None)
        self.doubts.pop(peer, None)
        if len(self.model) < self.most_holders:
            self.model[peer] = set()
            self.generations[peer] = generation
            self.play(peer, steps, read=True)

    @rule(
        peer=st.sampled_from(PEERS),
        generation=st.integers(0, 9),
        steps=st.lists(changes),
        read=st.booleans(),
    )
    def apply(self, peer: str, generation: int, steps: list[Change], read: bool) -> None:
        self.holders.apply(peer, generation, steps, read=read)
        if peer in self.model:
            self.generations[peer] = generation
            self.play(peer, steps, read=read)

    @rule(peer=st.sampled_from(PEERS))
    def forget(self, peer: str) -> None:
        self.holders.forget(peer)
        self.model.pop(peer, None)
        self.doubts.pop(peer, None)

    @rule(entries=st.integers(1, 4))
    def sweep(self, entries: int) -> None:
        self.holders.sweep(entries)

    @rule()
    def sweep_all(self) -> None:
        self.holders.sweep_all()
        held = {(name, content.sha256) for files in self.model.values() for name, content in files}
        assert len(self.holders) == len(held)

    @invariant()
    def everyone_holds_what_the_model_says(self) -> None:
        expected: dict[tuple[str, Content], set[str]] = defaultdict(set)
        doubted: dict[tuple[str, Content], set[str]] = defaultdict(set)
        for peer, files in self.model.items():
            for file in files:
                (doubted if file in self.doubts[peer] else expected)[file].add(peer)
        for name in NAMES:
            for content in CONTENTS:
                found = self.holders.holding(name, content)
                assert len(found) == len(set(found))
                file = name, content
                assert set(found) == expected.get(file, doubted.get(file, set()))
        everything = chain.from_iterable(self.holders.search("", entries=2))
        for name, content, who, count in everything:
            assert len(who) == count
            assert set(who) == expected.pop((name, content))
        assert not expected

    @invariant()
    def replicas_count_right(self) -> None:
        for peer in PEERS:
            files = self.model.get(peer)
            expected = None
            if files is not None:
                files = files - self.doubts[peer]
                size = sum(content.size for _, content in files)
                expected = Replica(self.generations[peer], len(files), size)
            assert self.holders.replica(peer) == expected


class HoldersTests(SynchronousTestCase):
    def test_whatever_peers_do_the_table_is_that_of_a_dict_of_sets(self) -> None:
        run_state_machine_as_test(
            HoldersMachine,
            settings=settings(max_examples=120, stateful_step_count=25, deadline=None),
        )

    def test_the_bit_of_one_that_left_is_given_on(self) -> None:
        holders = Holders(most_holders=1)
        for at in range(20):
            holders.replace(f"n{at}", 1, [Change(NAMES[0], CONTENTS[0])])
            self.assertEqual(holders.holding(NAMES[0], CONTENTS[0]), [f"n{at}"])
            holders.forget(f"n{at}")
            self.assertEqual(holders.holding(NAMES[0], CONTENTS[0]), [])
        self.assertEqual(holders.overflowed, 0)

    def test_whether_anybody_has_it_is_known_by_the_first_who_may_be_asked(self) -> None:
        holders = Holders()
        for at in range(60):
            holders.replace(f"n{at}", 1, [Change(NAMES[0], CONTENTS[0])])
        asked: list[str] = []

        def may(peer: str) -> bool:
            asked.append(peer)
            return True

        self.assertTrue(holders.is_held(NAMES[0], CONTENTS[0], may))
        self.assertEqual(len(asked), 1)
        self.assertFalse(holders.is_held(NAMES[0], CONTENTS[0], lambda _: False))
        self.assertFalse(holders.is_held(NAMES[1], CONTENTS[0], may))

    def test_a_new_bearer_of_a_bit_inherits_nothing(self) -> None:
        holders = Holders(most_holders=1)
        holders.replace("old", 1, [Change(NAMES[0], CONTENTS[0])])
        holders.forget("old")
        holders.replace("new", 1, [])
        self.assertEqual(holders.holding(NAMES[0], CONTENTS[0]), [])

    def test_more_peers_than_bits_are_counted_and_left_out(self) -> None:
        holders = Holders(most_holders=1)
        holders.replace("a", 1, [Change(NAMES[0], CONTENTS[0])])
        holders.replace("b", 1, [Change(NAMES[0], CONTENTS[0])])
        self.assertEqual(holders.holding(NAMES[0], CONTENTS[0]), ["a"])
        self.assertIsNone(holders.replica("b"))
        self.assertEqual(holders.overflowed, 1)

    def test_one_more_peer_than_are_kept_is_left_out_until_another_leaves(self) -> None:
        holders = Holders()
        for at in range(MOST_HOLDERS + 1):
            holders.replace(f"n{at}", 1, [Change(NAMES[0], CONTENTS[0])])
        last = f"n{MOST_HOLDERS}"
        holders.apply(last, 2, [Change(NAMES[1], CONTENTS[0])])
        self.assertEqual(len(holders.holding(NAMES[0], CONTENTS[0])), MOST_HOLDERS)
        self.assertEqual(holders.holding(NAMES[1], CONTENTS[0]), [])
        self.assertEqual((holders.replica(last), holders.overflowed), (None, 1))
        holders.forget("n0")
        holders.replace(last, 2, [Change(NAMES[1], CONTENTS[0])])
        self.assertEqual(holders.holding(NAMES[1], CONTENTS[0]), [last])

    def test_who_is_read_anew_again_and_again_takes_no_bits_away(self) -> None:
        self.patch(module, "SPARE_BITS", 2)
        holders = Holders(most_holders=2)
        holders.replace("a", 1, [Change(NAMES[0], CONTENTS[0])])
        for generation in range(50):
            holders.replace("b", generation, [Change(NAMES[0], CONTENTS[0])])
        self.assertEqual(set(holders.holding(NAMES[0], CONTENTS[0])), {"a", "b"})
        self.assertEqual(holders.overflowed, 0)

    def test_the_table_is_bounded(self) -> None:
        holders = Holders(most_files=2)
        holders.replace("a", 1, [Change(name, CONTENTS[0]) for name in NAMES])
        self.assertEqual(len(holders), 2)
        holders.replace("b", 1, [Change(NAMES[0], CONTENTS[0])])
        self.assertEqual(set(holders.holding(NAMES[0], CONTENTS[0])), {"a", "b"})

    def test_in_bytes_too(self) -> None:
        self.patch(module, "MOST_BYTES", 2 * module.ROW)
        holders = Holders()
        for at, name in enumerate(NAMES):
            holders.replace(f"n{at}", 1, [Change(name, CONTENTS[0])], account=f"10.0.0.{at}")
        self.assertEqual((len(holders), holders.full), (2, True))
        holders.forget("n0")
        holders.sweep_all()
        self.assertFalse(holders.full)

    def test_so_is_what_one_address_takes_by_however_many_names(self) -> None:
        self.patch(module, "MOST_BYTES_OF_AN_ADDRESS", 2 * module.ROW)
        holders = Holders()
        for at, name in enumerate(NAMES):
            holders.replace(f"n{at}", 1, [Change(name, CONTENTS[0])], account="10.0.0.1")
        self.assertEqual(len(holders), 2)
        holders.replace("other", 1, [Change(NAMES[-1], CONTENTS[0])], account="10.0.0.2")
        self.assertEqual(len(holders), 3)
        for at in range(len(NAMES)):
            holders.forget(f"n{at}")
        holders.sweep_all()
        holders.replace("n0", 1, [Change(NAMES[0], CONTENTS[0])], account="10.0.0.1")
        self.assertEqual(len(holders), 2)

    @settings(max_examples=150, deadline=None)
    @given(st.lists(changes), st.lists(changes), st.sets(st.sampled_from(NAMES)))
    def test_what_has_no_row_any_more_is_found_by_name_and_content(
        self, first: list[Change], then: list[Change], listed: set[str]
    ) -> None:
        self.patch(module, "MOST_BYTES_OF_AN_ADDRESS", 1)
        holders = Holders(listed=lambda name, _: name in listed)
        holders.replace("a", 1, first)
        holders.apply("a", 2, then, read=True)
        held: set[tuple[str, Content]] = set()
        for step in [*first, *then]:
            file = step.file_name, step.content
            (held.add if step.held else held.discard)(file)
        for name in NAMES:
            for content in CONTENTS:
                expected = ["a"] if (name, content) in held else []
                self.assertEqual(holders.holding(name, content), expected)
                self.assertEqual(holders.is_held(name, content, lambda _: True), bool(expected))
        replica = holders.replica("a")
        assert replica is not None
        self.assertEqual(replica.files, len(held))
        self.assertLessEqual(len(holders), 1 + len(listed) * len(CONTENTS))
        holders.forget("a")
        self.assertEqual(holders.holding(NAMES[0], CONTENTS[0]), [])

    def test_what_has_no_row_is_bounded_for_one_address_and_for_all(self) -> None:
        self.patch(module, "MOST_BYTES_OF_AN_ADDRESS", 0)
        self.patch(module, "MOST_FILES_OF_A_PEER", 3)
        self.patch(module, "MOST_MARKS", 5)
        holders = Holders()
        files = [Change(name, CONTENTS[0]) for name in NAMES]
        known = []
        for at, address in enumerate(["10.0.0.1", "10.0.0.1", "10.0.0.2"]):
            holders.replace(f"n{at}", 1, files, account=address)
            replica = holders.replica(f"n{at}")
            known.append(replica.files if replica else None)
        self.assertEqual(known, [3, 0, 2])
        self.assertEqual(holders.overflowed, 3 * len(NAMES) - 5)

    def test_a_large_inventory_takes_little_until_it_is_taken(self) -> None:
        names = (f"package{at}-1-1-any.pkg.tar.zst" for at in range(20_000))
        dice = random.Random(1)
        made = (Change(name, Content(5, dice.randbytes(32))) for name in names)
        text = b"".join(format_inventory("e", 7, made, whole=True))
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        reader = InventoryReader()
        for start in range(0, len(text), 1 << 16):
            reader.feed(text[start : start + (1 << 16)])
        # 20,000 changes take 6 MB.
        self.assertLess(tracemalloc.get_traced_memory()[0], 0.6 * len(text))
        self.assertEqual((reader.count, reader.ended), (20_000, True))

    def test_made_up_files_keep_out_no_file_that_is_listed_here(self) -> None:
        wanted = NAMES[-1], CONTENTS[0]
        holders = Holders(most_files=1, listed=lambda *file: file == wanted)
        holders.replace("liar", 1, [Change(NAMES[0], CONTENTS[0])])
        holders.replace("a", 1, [Change(name, CONTENTS[0]) for name in NAMES])
        holders.apply("a", 2, [Change(NAMES[-1], CONTENTS[1])])
        self.assertEqual(holders.holding(*wanted), ["a"])
        self.assertEqual(len(holders), 2)

    def test_one_peer_is_bounded(self) -> None:
        self.patch(module, "MOST_FILES_OF_A_PEER", 2)
        holders = Holders()
        holders.replace("a", 1, [Change(name, CONTENTS[0]) for name in NAMES])
        replica = holders.replica("a")
        assert replica is not None
        self.assertEqual(replica.files, 2)

    def test_one_that_was_never_read_cannot_be_changed(self) -> None:
        holders = Holders()
        holders.apply("stranger", 5, [Change(NAMES[0], CONTENTS[0])])
        self.assertIsNone(holders.replica("stranger"))
        self.assertEqual(len(holders), 0)

    def test_a_sweep_takes_slices(self) -> None:
        holders = Holders()
        holders.replace("a", 1, [Change(name, CONTENTS[0]) for name in NAMES])
        holders.forget("a")
        lengths = []
        while holders.sweep(2):
            lengths.append(len(holders))
        self.assertEqual(lengths[:3], [4, 2, 0])
        self.assertFalse(holders.sweep(2))

    def test_a_size_told_two_ways_cannot_spoil_the_count(self) -> None:
        holders = Holders()
        digest = bytes(32)
        holders.replace("liar", 1, [Change(NAMES[0], Content(1, digest))])
        holders.apply("liar", 2, [Change(NAMES[0], Content(LARGEST_FILE, digest), held=False)])
        self.assertEqual(holders.replica("liar"), Replica(2, 0, 0))

    def test_search_finds_parts_of_names(self) -> None:
        holders = Holders()
        holders.replace("a", 1, [Change(name, CONTENTS[1]) for name in NAMES])
        self.assertEqual(list(holders.search("p3-")), [[(NAMES[3], CONTENTS[1], ["a"], 1)]])
        self.assertEqual(list(holders.search("\N{SNOWMAN}")), [[]])

    def test_a_search_names_some_of_many_holders_and_counts_all(self) -> None:
        holders = Holders()
        for number in range(9):
            holders.replace(f"p{number}", 1, [Change(NAMES[0], CONTENTS[1])])
        holders.apply("p0", 2, [Change(NAMES[0], CONTENTS[1], held=False)])
        ((found,),) = holders.search("", named=3)
        self.assertEqual((len(found.holders), found.number), (3, 8))
        self.assertNotIn("p0", found.holders)

    def test_a_search_pauses_once_it_found_much(self) -> None:
        holders = Holders()
        for peer in "abc":
            holders.replace(peer, 1, [Change(name, CONTENTS[1]) for name in NAMES])
        lengths = [len(part) for part in holders.search("", batch=6)]
        self.assertEqual(max(lengths), 2)
        self.assertEqual(sum(lengths), len(NAMES))

    def test_a_search_pauses_and_bears_what_changes_meanwhile(self) -> None:
        holders = Holders()
        holders.replace("a", 1, [Change(name, CONTENTS[1]) for name in NAMES])
        search = holders.search("", entries=1)
        self.assertEqual(len(next(search)), 1)
        holders.forget("a")
        holders.sweep_all()
        self.assertEqual([found for part in search for found in part], [])
