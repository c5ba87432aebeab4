"""Text of files as a terminal can be given it, and how two texts of one file differ."""

from __future__ import annotations

import difflib

from flocon.leading import pacman_conf


def difference(name: str, old: bytes, new: bytes) -> str:
    """Return how the text of the file ``name`` changes, as a unified diff."""
    title = printable(name)
    before, after = _shown_lines(old), _shown_lines(new)
    lines = difflib.unified_diff(before, after, title, title, lineterm="")
    return "".join(line + "\n" for line in lines)


def _shown_lines(text: bytes) -> list[str]:
    return [printable_line(line.rstrip(b"\r\n")) for line in pacman_conf.split_lines(text)]


def printable_line(content: bytes) -> str:
    """Return bytes as a terminal can be given them."""
    return printable(content.decode(errors="replace"))


def printable(text: str) -> str:
    """Return what a terminal can be given."""
    return "".join(
        one if one.isprintable() or one == "\t" else "\N{REPLACEMENT CHARACTER}" for one in text
    )
