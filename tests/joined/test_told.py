"""What a node tells of an own repository is taken whole, within bounds, or not at all."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.joined.told import (
    LARGEST_SIGNATURE,
    LARGEST_TEXT,
    Generation,
    Piece,
    dump,
    file_names,
    load,
    most_of,
)

NAMES = st.from_regex(r"[a-z0-9@_+][a-z0-9@._+-]{0,127}", fullmatch=True)
HEX = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)


def generation(name: str = "home", **changed: Any) -> Generation:
    files = {one: Piece("ab" * 32, 100) for one in file_names(name)}
    given_ = {"signed": 5, "sequence": 2, "fingerprint": "AB" * 20, "files": files, **changed}
    return Generation(name, **given_)


class TextTests(SynchronousTestCase):
    @given(NAMES, st.integers(1, 1 << 37), HEX, st.integers(1, LARGEST_SIGNATURE))
    def test_what_is_told_is_read_again(
        self, name: str, signed: int, sha256: str, size: int
    ) -> None:
        files = {one: Piece(sha256, size) for one in file_names(name)}
        told = generation(name, signed=signed, files=files)
        text = dump(told)
        self.assertLessEqual(len(text), LARGEST_TEXT)
        self.assertEqual(load(text, name), told)

    def test_of_another_repository_nothing_is_taken(self) -> None:
        self.assertIsNone(load(dump(generation()), "other"))

    def test_what_is_missing_or_beyond_its_bounds_spoils_all(self) -> None:
        whole = json.loads(dump(generation()))
        spoilt: list[Any] = [
            {**whole, "signed": value} for value in (0, -1, True, 1.0, "5", 1 << 50)
        ]
        spoilt += [{**whole, "sequence": value} for value in (0, True, 1 << 60)]
        spoilt += [{**whole, "fingerprint": value} for value in ("ab", "x" * 40, None)]
        for one in ("home.db.sig", "home.files"):
            files = dict(whole["files"])
            del files[one]
            spoilt.append({**whole, "files": files})
        for value in (["ab" * 32, 0], ["AB" * 32, 5], ["ab" * 32], ["ab" * 32, True]):
            spoilt.append({**whole, "files": {**whole["files"], "home.db": value}})
        large = ["ab" * 32, LARGEST_SIGNATURE + 1]
        spoilt.append({**whole, "files": {**whole["files"], "home.db.sig": large}})
        spoilt.append({**whole, "files": {**whole["files"], "../home.db": ["ab" * 32, 1]}})
        for one in spoilt:
            self.assertIsNone(load(json.dumps(one).encode(), "home"), one)

    def test_more_in_it_than_is_known_is_for_later_versions(self) -> None:
        whole = {**json.loads(dump(generation())), "further": [1]}
        self.assertEqual(load(json.dumps(whole).encode(), "home"), generation())

    @given(st.binary(max_size=200))
    def test_no_bytes_raise(self, data: bytes) -> None:
        load(data, "home")

    def test_a_text_without_end_is_not_read(self) -> None:
        self.assertIsNone(load(b"[" * (LARGEST_TEXT + 1), "home"))
        self.assertIsNone(load(b"[" * LARGEST_TEXT, "home"))

    def test_no_other_file_has_room(self) -> None:
        self.assertEqual(most_of("home", "other.db"), 0)
