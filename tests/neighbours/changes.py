"""Files and changes of them, for tests of inventories."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

from flocon.files import LARGEST_FILE, Content
from flocon.holdings.inventory import Change

NAMES = [f"p{at}-1:1.{at}-1-any.pkg.tar.zst" for at in range(6)]
CONTENTS = [Content(size, bytes([size]) * 32) for size in range(3)]
changes = st.builds(
    Change, st.sampled_from(NAMES), st.sampled_from(CONTENTS), st.sampled_from([True, True, False])
)
contents = st.builds(Content, st.integers(0, LARGEST_FILE), st.binary(min_size=32, max_size=32))


def played(start: dict[str, Content], steps: Iterable[Change]) -> dict[str, Content]:
    """Return what is held after ``steps``."""
    held = dict(start)
    for step in steps:
        if step.held:
            held[step.file_name] = step.content
        else:
            assert held.pop(step.file_name) == step.content
    return held
