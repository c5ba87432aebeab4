"""The LAN's state as nodes tell it to each other."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.databases.lan_state import (
    LARGEST_TEXT,
    MOST_FILES,
    LanState,
    StateFile,
    dump,
    load,
)

IDENTITY = "0123456789abcdef"
FILE = StateFile("a" * 64, 7)
STATE = LanState(
    IDENTITY, 1_700_000_000, 1_600_000_000, {("x86_64", "core.db"): FILE, ("any", "a.files"): FILE}
)

files = st.dictionaries(
    st.tuples(
        st.from_regex(r"[a-zA-Z0-9_]{1,32}", fullmatch=True),
        st.from_regex(r"[a-zA-Z0-9@_+][a-zA-Z0-9@._+-]{0,20}\.(db|files)(\.sig)?", fullmatch=True),
    ),
    st.builds(
        StateFile,
        st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
        st.integers(1, 128 << 20),
    ),
    max_size=20,
)
states = st.builds(
    LanState,
    st.from_regex(r"[0-9a-f]{16}", fullmatch=True),
    st.integers(0, 253_402_300_799),
    st.integers(0, 253_402_300_799),
    files,
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


WRONG_NAMES = ("core", "../core.db", "a/b.db", "core.db.sig.sig", "x-1-1-any.pkg.tar.zst", "")
WRONG_FILES: tuple[Any, ...] = (
    *([], ["a" * 64], ["a" * 63, 7], ["A" * 64, 7], ["a" * 64, 0], None),
    *(["a" * 64, True], ["a" * 64, (128 << 20) + 1], ["a" * 64, -1], [7, "a" * 64]),
)


class Telling(SynchronousTestCase):
    @given(states)
    def test_what_was_told_is_understood(self, state: LanState) -> None:
        self.assertEqual(load(dump(state)), state)

    def test_the_largest_state_fits(self) -> None:
        names = [f"{'r' * 60}{at}.files.sig" for at in range(MOST_FILES)]
        state = LanState(IDENTITY, 1, 1, {("x86_64", name): FILE for name in names})
        self.assertLessEqual(len(dump(state)), LARGEST_TEXT)
        self.assertEqual(load(dump(state)), state)

    def test_a_signature_belongs_to_it_where_its_file_does(self) -> None:
        self.assertTrue(STATE.covers("x86_64", "core.db.sig"))
        self.assertFalse(STATE.covers("aarch64", "core.db"))


class Nonsense(SynchronousTestCase):
    def with_value(self, **changed: Any) -> bytes:
        return json.dumps({**json.loads(dump(STATE)), **changed}).encode()

    def test_each_part_must_be_what_it_is(self) -> None:
        files = {"x86_64": {"core.db": ["a" * 64, 7]}}
        self.assertIsNotNone(load(self.with_value(files=files)))
        wrong: dict[str, list[Any]] = {
            "generation": ["", "x" * 16, IDENTITY.upper(), 7, None],
            "since": [-1, 1.5, True, "1", 1 << 60],
            "of": [-1, None, []],
            "files": [
                *([], None, {"x86_64": []}, {"..": {}}, {"": {}}),
                *({"x86_64": {name: ["a" * 64, 7]}} for name in WRONG_NAMES),
                *({"x86_64": {"core.db": value}} for value in WRONG_FILES),
            ],
        }
        for key, value in ((key, value) for key, found in wrong.items() for value in found):
            changed = {key: value}
            self.assertIsNone(load(self.with_value(**changed)), changed)

    def test_too_many_files_are_none(self) -> None:
        named = {f"r{at}.db": ["a" * 64, 7] for at in range(MOST_FILES)}
        self.assertIsNotNone(load(self.with_value(files={"x86_64": named})))
        more = {"x86_64": named, "any": {"core.db": ["a" * 64, 7]}}
        self.assertIsNone(load(self.with_value(files=more)))

    def test_too_long_a_text_is_not_read(self) -> None:
        self.assertIsNone(load(dump(STATE).ljust(LARGEST_TEXT + 1)))

    def test_what_nests_without_end_is_none(self) -> None:
        self.assertIsNone(load(b"[" * LARGEST_TEXT))

    @given(st.binary(max_size=200) | values.map(lambda one: json.dumps(one).encode()))
    def test_whatever_it_is_nothing_is_raised(self, text: bytes) -> None:
        self.assertIsNone(load(text))
