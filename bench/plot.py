"""``python -m bench.plot``: draws ``docs/performance.svg`` from ``bench/figures.toml``.

The figures are those that ``python -m bench.pacman_download`` printed, seconds of pacman's download
phase. Measured anew, they are written there by hand and the plot is drawn again; a test compares
them. Standard library only: the plot is bars and text.
"""

from __future__ import annotations

import tomllib
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FIGURES = Path(__file__).with_name("figures.toml")
PLOT = Path(__file__).parents[1] / "docs/performance.svg"

#: Pixels: where bars begin, the longest one, a bar's height and its distance to the next.
LEFT, LONGEST, BAR, STEP, GAP = 240, 320, 16, 22, 44
WIDTH = LEFT + LONGEST + 80
#: A colour for what is flocon's and one for what is not, told apart in grey too.
OURS, OTHERS, INK = "#1565c0", "#b0b8c4", "#1c2430"


def draw(figures: Mapping[str, Mapping[str, float]]) -> str:
    """Return the plot as SVG: a group of bars for each table, as long as its seconds."""
    parts = list(_groups(figures))
    height = sum(GAP + STEP * len(table) for table in figures.values()) + 10
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13" fill="{INK}">'
    )
    return "\n".join(
        [head, '<rect width="100%" height="100%" fill="#ffffff"/>', *parts, "</svg>\n"]
    )


def _groups(figures: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    top = 0
    for title, table in figures.items():
        yield f'<text x="10" y="{top + 28}" font-weight="bold">{escape(title)}</text>'
        top += GAP
        longest = max(table.values())
        for name, seconds in table.items():
            width = max(1, round(LONGEST * seconds / longest))
            colour = OURS if name.startswith("flocon") else OTHERS
            base = top + BAR - 4
            yield f'<text x="{LEFT - 8}" y="{base}" text-anchor="end">{escape(name)}</text>'
            yield f'<rect x="{LEFT}" y="{top}" width="{width}" height="{BAR}" fill="{colour}"/>'
            yield f'<text x="{LEFT + width + 6}" y="{base}">{seconds:g} s</text>'
            top += STEP


def read() -> dict[str, dict[str, float]]:
    """Return the figures: for each download the seconds by who delivers it."""
    return tomllib.loads(FIGURES.read_text())


if __name__ == "__main__":
    PLOT.write_text(draw(read()))
