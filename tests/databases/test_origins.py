"""Which databases a peer gave, and that this is neither forgotten nor grows."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.databases.origins import MOST, DatabaseOrigins, Given, load

CORE = Given("core.db", 100)
json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.from_regex(r"\A[0-9a-f]{15,17}\Z"), inner, max_size=3)
    ),
    max_leaves=10,
)


class Origins(SynchronousTestCase):
    def test_a_peers_is_known_by_its_digest_its_name_and_its_size(self) -> None:
        origins = DatabaseOrigins()
        origins.from_peer("0" * 16, CORE)
        self.assertTrue(origins.is_peers("0" * 16))
        self.assertFalse(origins.is_peers("1" * 16))
        self.assertTrue(origins.may_be_peers("core.db", 100))
        self.assertFalse(origins.may_be_peers("core.db", 101))
        self.assertFalse(origins.may_be_peers("extra.db", 100))

    def test_what_a_mirror_sent_as_well_is_the_mirrors(self) -> None:
        origins = DatabaseOrigins()
        origins.from_peer("0" * 16, CORE)
        self.assertTrue(origins.from_mirror("0" * 16))
        self.assertFalse(origins.from_mirror("0" * 16))
        self.assertFalse(origins.is_peers("0" * 16))
        self.assertFalse(origins.may_be_peers("core.db", 100))

    def test_the_newest_are_remembered(self) -> None:
        origins = DatabaseOrigins()
        for number in range(MOST + 10):
            origins.from_peer(f"{number:016x}", CORE)
        self.assertEqual(len(origins.dump()), MOST)
        self.assertFalse(origins.is_peers(f"{9:016x}"))
        self.assertTrue(origins.is_peers(f"{MOST + 9:016x}"))

    def test_what_was_dumped_is_loaded(self) -> None:
        origins = DatabaseOrigins()
        for number in range(5):
            origins.from_peer(f"{number:016x}", Given("core.files", number))
        again = DatabaseOrigins(load(json.loads(json.dumps(origins.dump()))))
        self.assertEqual(again.dump(), origins.dump())

    @settings(max_examples=300, deadline=None)
    @given(json_values)
    def test_whatever_was_remembered_is_loaded_or_left_out(self, value: Any) -> None:
        loaded = load(value)
        self.assertLessEqual(len(loaded), MOST)
        for digest, one in loaded.items():
            self.assertEqual((len(digest), type(one.file_name), type(one.size)), (16, str, int))
            self.assertGreaterEqual(one.size, 0)
