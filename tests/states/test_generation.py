"""What a state is, and that only what is one, whole, is taken for one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.states import generation as generations
from flocon.states.generation import DatabaseFiles, Generation, Piece, Where, dump, load

PIECES = st.builds(
    Piece,
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    st.integers(1, generations.LARGEST_DATABASE),
)
NAMES = st.from_regex(r"[a-z0-9@_+][a-z0-9@._+-]{0,20}", fullmatch=True)
GENERATIONS = st.builds(
    Generation,
    st.integers(0, generations.LATEST_SECOND),
    st.text(max_size=generations.LONGEST_SOURCE),
    st.dictionaries(
        st.builds(Where, st.from_regex(r"[a-z0-9_]{1,20}", fullmatch=True), NAMES),
        st.builds(
            DatabaseFiles, PIECES, st.none() | PIECES, st.none() | PIECES, st.none() | PIECES
        ),
        min_size=1,
        max_size=4,
    ),
    st.none() | st.integers(0, generations.LATEST_SECOND),
)
CORE = Where("x86_64", "core")
DATABASE, SIGNATURE, FILES = (Piece(f"{number:064x}", 10) for number in (1, 2, 3))
ONE = Generation(100, "mirror", {CORE: DatabaseFiles(DATABASE, SIGNATURE)})


class Identity(SynchronousTestCase):
    def test_it_is_that_of_what_is_listed_whoever_had_it_and_whenever(self) -> None:
        other = replace(ONE, made=200, source="another", last_update=150)
        self.assertEqual(other.identity, ONE.identity)
        self.assertTrue(generations.is_identity(ONE.identity))

    def test_lists_of_files_that_come_later_change_nothing(self) -> None:
        self.assertEqual(ONE.with_files(CORE, FILES).identity, ONE.identity)

    def test_another_signature_is_another_state(self) -> None:
        other = replace(ONE, databases={CORE: DatabaseFiles(DATABASE)})
        self.assertNotEqual(other.identity, ONE.identity)

    def test_the_same_databases_at_other_places_are_another_state(self) -> None:
        extra = Where("x86_64", "extra")
        one = Generation(1, "", {CORE: DatabaseFiles(DATABASE), extra: DatabaseFiles(FILES)})
        other = Generation(1, "", {CORE: DatabaseFiles(FILES), extra: DatabaseFiles(DATABASE)})
        self.assertNotEqual(one.identity, other.identity)

    @given(GENERATIONS, st.randoms())
    def test_the_order_in_which_they_were_read_counts_for_nothing(
        self, generation: Generation, random: Any
    ) -> None:
        items = list(generation.databases.items())
        random.shuffle(items)
        self.assertEqual(replace(generation, databases=dict(items)).identity, generation.identity)


class Remembering(SynchronousTestCase):
    @given(GENERATIONS)
    def test_what_was_dumped_is_loaded(self, generation: Generation) -> None:
        loaded = load(json.loads(json.dumps(dump(generation), allow_nan=False)))
        self.assertEqual(loaded, generation)
        self.assertEqual(None if loaded is None else loaded.identity, generation.identity)

    def test_what_is_no_state_is_none(self) -> None:
        value = dump(ONE)
        (database,) = value["databases"]
        damages: tuple[dict[str, Any], ...] = (
            {"made": "yesterday"},
            {"made": -1},
            {"made": 1 << 60},
            {"made": None},
            {"last_update": "x"},
            {"last_update": -1},
            {"source": "x" * 201},
            {"source": None},
            {"databases": []},
            {"databases": [database, database]},
            {"databases": [{**database, "repository": "../x"}]},
            {"databases": [{**database, "architecture": "x/y"}]},
            {"databases": [{**database, "db": None}]},
            {"databases": [{**database, "db": ["x" * 64, 10]}]},
            {"databases": [{**database, "db": ["0" * 63, 10]}]},
            {"databases": [{**database, "db": ["0" * 64, 0]}]},
            {"databases": [{**database, "db": ["0" * 64, generations.LARGEST_DATABASE + 1]}]},
            {"databases": [{**database, "files": ["0" * 64]}]},
            {"databases": [{**database, "db.sig": "0" * 64}]},
            {"databases": [database] * (generations.MOST_DATABASES + 1)},
        )
        for damage in damages:
            self.assertIsNone(load({**value, **damage}), damage)
        nothing: tuple[Any, ...] = (None, [], "x", 1, {})
        for one in nothing:
            self.assertIsNone(load(one))

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
            max_leaves=9,
        ),
        st.sampled_from(["made", "source", "last_update", "databases"]),
    )
    def test_whatever_stands_there_is_a_state_or_none(self, value: Any, name: str) -> None:
        loaded = load({**dump(ONE), name: value})
        if loaded is not None:
            self.assertEqual(load(dump(loaded)), loaded)


class Age(SynchronousTestCase):
    def test_a_state_is_of_when_its_mirror_changed_or_of_when_it_was_read(self) -> None:
        self.assertEqual(ONE.age_from, 100)
        self.assertEqual(replace(ONE, last_update=50).age_from, 50)
