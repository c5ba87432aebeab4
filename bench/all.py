"""Runs every benchmark, one after the other, and prints one table."""

from __future__ import annotations

from bench import (
    ahead,
    ahead_together,
    beside_ahead,
    footprint,
    lookup,
    mirror_face,
    mirror_states,
    pacman_download,
    receiving,
    serving,
    several_holders,
)
from bench.common import Laboratory, Row, main

EVERY = (
    serving,
    mirror_face,
    pacman_download,
    ahead,
    ahead_together,
    beside_ahead,
    several_holders,
    lookup,
    footprint,
    mirror_states,
    receiving,
)


def run(laboratory: Laboratory) -> list[Row]:
    """Run all; the hosts are made anew for each."""
    rows = []
    for benchmark in EVERY:
        laboratory.lan.reset()
        rows += benchmark.run(laboratory)
    return rows


if __name__ == "__main__":
    main(run, __doc__)
