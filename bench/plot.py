"""``python -m bench.plot``: draws ``docs/performance.svg`` and ``docs/ahead.svg``.

The first has the figures of ``bench/figures.toml``, which ``python -m bench.pacman_download``
printed, seconds of pacman's download phase, as bars. The second has those of ``bench/ahead.toml``,
which ``python -m bench.ahead`` printed, as curves over the seconds that a person takes to answer
pacman. Measured anew, they are written there by hand and drawn again; a test compares them.
Standard library only.
"""

from __future__ import annotations

import tomllib
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Figures = Mapping[str, Mapping[str, float]]

FIGURES = Path(__file__).with_name("figures.toml")
PLOT = Path(__file__).parents[1] / "docs/performance.svg"
AHEAD_FIGURES = Path(__file__).with_name("ahead.toml")
AHEAD_PLOT = Path(__file__).parents[1] / "docs/ahead.svg"

#: Pixels: where bars begin, the longest one, a bar's height and its distance to the next.
LEFT, LONGEST, BAR, STEP, GAP = 240, 320, 16, 22, 44
WIDTH = LEFT + LONGEST + 80
#: A colour for what is flocon's and one for what is not, told apart in grey too.
OURS, OTHERS, INK = "#1565c0", "#b0b8c4", "#1c2430"
#: Of a curve: its height, the room above it for the title and below for the axis.
CURVE, ABOVE, BELOW = 130, 44, 46
#: What a curve is compared with: a line across, as ``bench.ahead`` calls it.
LEVELS = ("pacman to nginx", "not ahead")


def draw(figures: Figures) -> str:
    """Return the plot as SVG: a group of bars for each table, as long as its seconds."""
    height = sum(GAP + STEP * len(table) for table in figures.values()) + 10
    return _picture(_groups(figures), height)


def _groups(figures: Figures) -> Iterator[str]:
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


def draw_ahead(figures: Figures) -> str:
    """Return the curves as SVG, one below the other: seconds of download over those of a pause."""
    parts = [
        part
        for at, (title, table) in enumerate(figures.items())
        for part in _curve(title, table, at * (ABOVE + CURVE + BELOW))
    ]
    return _picture(parts, len(figures) * (ABOVE + CURVE + BELOW))


def _curve(title: str, table: Mapping[str, float], top: int) -> Iterator[str]:
    """Yield one curve; seconds at which pacman was answered are keys like "2 s"."""
    points = {
        float(name.removesuffix(" s")): seconds
        for name, seconds in table.items()
        if name.endswith(" s")
    }
    left, base, latest = 60, top + ABOVE + CURVE, max(points)
    highest = max(*points.values(), *(table[name] for name in LEVELS))
    wide = (LEFT + LONGEST - left) / latest

    def height(seconds: float) -> float:
        return round(base - CURVE * seconds / highest, 1)

    yield f'<text x="10" y="{top + 28}" font-weight="bold">{escape(title)}</text>'
    yield f'<path d="M{left} {top + ABOVE}V{base}H{LEFT + LONGEST}" fill="none" stroke="{INK}"/>'
    for name, above in zip(sorted(LEVELS, key=lambda one: -table[one]), (-4, 14), strict=True):
        at = height(table[name])
        line = f'x1="{left}" x2="{LEFT + LONGEST}" y1="{at}" y2="{at}"'
        yield f'<line {line} stroke="{OTHERS}" stroke-width="2" stroke-dasharray="6 4"/>'
        words = f"{escape(name)}, {table[name]:g} s"
        yield f'<text x="{LEFT + LONGEST}" y="{at + above}" text-anchor="end">{words}</text>'
    marks = [(round(left + wide * pause, 1), height(points[pause])) for pause in sorted(points)]
    line = " ".join(f"{x},{y}" for x, y in marks)
    yield f'<polyline points="{line}" fill="none" stroke="{OURS}" stroke-width="2"/>'
    for (x, y), pause in zip(marks, sorted(points), strict=True):
        yield f'<circle cx="{x}" cy="{y}" r="4" fill="{OURS}"/>'
        yield f'<text x="{x + 6}" y="{y - 6}">{points[pause]:g} s</text>'
        yield f'<text x="{x}" y="{base + 18}" text-anchor="middle">{pause:g}</text>'
    words = "seconds until pacman was answered"
    yield f'<text x="{LEFT + LONGEST}" y="{base + 36}" text-anchor="end">{words}</text>'


def _picture(parts: Iterable[str], height: int) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13" fill="{INK}">'
    )
    return "\n".join(
        [head, '<rect width="100%" height="100%" fill="#ffffff"/>', *parts, "</svg>\n"]
    )


def read(figures: Path = FIGURES) -> dict[str, dict[str, float]]:
    """Return the figures: for each download the seconds by who delivers it, or when."""
    return tomllib.loads(figures.read_text())


if __name__ == "__main__":
    PLOT.write_text(draw(read()))
    if AHEAD_FIGURES.exists():
        AHEAD_PLOT.write_text(draw_ahead(read(AHEAD_FIGURES)))
