"""How long things took, counted in a few steps, so that a thousand of them cost no memory."""

from __future__ import annotations

from bisect import bisect_left


class Spans:
    """Counts of seconds by upper bound, with their sum; the last count is for all above."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += max(0.0, seconds)

    def cumulative(self) -> list[tuple[float, int]]:
        """Return how many took at most each bound, infinity last."""
        total = 0
        rows = []
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            total += count
            rows.append((bound, total))
        return rows
