"""Attack the reading of recipes for as long as one likes, with bash to say what passed.

``python -m tests.recipes.fuzz SECONDS [SEED [FOLDER]]``; FOLDER has PKGBUILDs to begin with. What
bash reads otherwise is printed, and is to become a case of the tests.
"""

from __future__ import annotations

import sys
import time
from difflib import unified_diff
from pathlib import Path
from random import Random

from twisted.trial.unittest import FailTest, SynchronousTestCase

from tests.recipes.attacks import edited, soup
from tests.recipes.test_attacks import BEFORE, check_as_bash, is_allowed, passes
from tests.recipes.test_shell import check_beginnings

_EDITS, _SOUPS = 400, 150


def attack(random: Random, texts: list[str], case: SynchronousTestCase) -> tuple[int, int, int]:
    """Return how many edits were tried, how many passed, and how many failures there are."""
    failures = passed = 0
    pairs = []
    for _ in range(_EDITS):
        before = random.choice(texts) if texts and random.random() < 0.5 else BEFORE
        after = edited(before, random)
        if after == before or not passes(before, after):
            continue
        passed += 1
        pairs.append((before, after))
        if before == BEFORE and not is_allowed(after):
            failures += 1
            print("PASSED", *_changed(before, after), flush=True)
    for check in (
        lambda: check_as_bash(case, pairs),
        lambda: check_beginnings(case, [soup(random) for _ in range(_SOUPS)]),
    ):
        try:
            check()
        except (FailTest, KeyError) as error:
            failures += 1
            print("BASH", str(error)[:4_000], flush=True)
    return _EDITS, passed, failures


def _changed(before: str, after: str) -> list[str]:
    return [repr(line) for line in unified_diff(before.split("\n"), after.split("\n"), n=0)][2:]


def main() -> None:
    seconds, seed = float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    files = sorted(Path(sys.argv[3]).iterdir()) if len(sys.argv) > 3 else []
    texts = [file.read_text("utf-8") for file in files]
    end, random, case = time.monotonic() + seconds, Random(seed), SynchronousTestCase()
    counts = [0, 0, 0]
    while time.monotonic() < end:
        counts = [sum(pair) for pair in zip(counts, attack(random, texts, case), strict=True)]
    print("edits {}, passed {}, failures {}".format(*counts))
    sys.exit(1 if counts[2] else 0)


if __name__ == "__main__":
    main()
