"""The verdict on a file is of all its bytes, in whatever portions they were hashed."""

from __future__ import annotations

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.files import Content
from flocon.writing.verify import Verifier


def content(data: bytes) -> Content:
    return Content(len(data), hashlib.sha256(data).digest())


class VerifierTests(SynchronousTestCase):
    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.binary(max_size=20), max_size=8))
    def test_portions_make_no_difference(self, portions: list[bytes]) -> None:
        whole = b"".join(portions)
        verifier = Verifier()
        for at, portion in enumerate(portions):
            verifier.update(memoryview(portion) if at % 2 else portion)
        self.assertEqual(verifier.position, len(whole))
        self.assertEqual(verifier.digest(), hashlib.sha256(whole).digest())
        self.assertTrue(verifier.matches(content(whole)))

    def test_a_wrong_byte_is_found(self) -> None:
        verifier = Verifier()
        verifier.update(b"abc")
        self.assertFalse(verifier.matches(content(b"abd")))

    def test_a_right_beginning_is_not_the_file(self) -> None:
        verifier = Verifier()
        verifier.update(b"ab")
        self.assertFalse(verifier.matches(content(b"abc")))

    def test_a_wrong_size_is_refused_with_the_right_hash(self) -> None:
        verifier = Verifier()
        verifier.update(b"abc")
        self.assertFalse(verifier.matches(Content(4, hashlib.sha256(b"abc").digest())))

    def test_an_empty_file_can_be_right(self) -> None:
        self.assertTrue(Verifier().matches(content(b"")))
