"""Versions in pacman's order: known cases, and ``vercmp`` itself where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.pacman.versions import compare_versions, version_key

#: Each older than the next.
RISING = (
    "1.0a",
    "1.0alpha",
    "1.0b",
    "1.0beta",
    "1.0pre1",
    "1.0rc2",
    "1.0",
    "1.0.a",
    "1.0.1",
    "1.1-1",
    "1.1-1.1",
    "1.1-2",
    "1.10-1",
    "1:0.1-1",
)
PIECES = st.sampled_from(["0", "1", "2", "10", "01", "a", "b", "rc", ".", "..", "_", "+", "~"])


@st.composite
def versions(draw: st.DrawFn) -> str:
    epoch = draw(st.sampled_from(["", "", "0:", "1:", "02:"]))
    release = draw(st.sampled_from(["", "-1", "-2", "-1.1", "-10"]))
    return epoch + "".join(draw(st.lists(PIECES, min_size=1, max_size=6))) + release


class Comparing(SynchronousTestCase):
    def test_known_versions_rise(self) -> None:
        for older, newer in pairwise(RISING):
            self.assertEqual(compare_versions(older, newer), -1, (older, newer))
            self.assertEqual(compare_versions(newer, older), 1, (older, newer))

    def test_they_can_be_sorted(self) -> None:
        falling = RISING[::-1]
        self.assertEqual(sorted(falling, key=version_key), list(RISING))

    def test_a_release_counts_only_where_both_have_one(self) -> None:
        self.assertEqual(compare_versions("1.0-2", "1.0"), 0)

    @settings(max_examples=600, deadline=None)
    @given(versions(), versions())
    def test_exchanged_the_answer_is_the_opposite(self, one: str, two: str) -> None:
        self.assertEqual(compare_versions(one, two), -compare_versions(two, one))
        self.assertEqual(compare_versions(one, one), 0)

    @settings(max_examples=80, deadline=None)
    @given(versions(), versions())
    def test_the_answer_is_pacmans_own(self, one: str, two: str) -> None:
        tool = shutil.which("vercmp")
        if tool is None:
            self.skipTest("vercmp is not installed")
        done = subprocess.run([tool, one, two], capture_output=True, text=True, check=True)
        self.assertEqual(compare_versions(one, two), int(done.stdout))
