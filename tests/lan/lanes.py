"""Many seeds on several lanes at once, and the command line of those who run them.

    python -m tests.lan.MODULE [--lanes N] [--seeds 500] [--first 0] [--minutes 0]

What fails is told with the lines that replay it.
"""

from __future__ import annotations

import argparse
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.lan.lan import working_folder
from tests.lan.matrix import Goods, Lane, on_lanes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class Seeds:
    """What is run for each seed: ``run_seed`` returns what went wrong, ``roles`` who takes part.

    ``module`` is whose command line this is, ``lanes`` how many it has unless told otherwise.
    """

    module: str
    lanes: int
    run_seed: Callable[[Lane, int], list[str]]
    roles: Callable[[int], Sequence[str]]

    def run(
        self, goods: Goods, seeds: range, lanes: int, minutes: float = 0.0
    ) -> dict[int, list[str]]:
        """Run seeds, no longer than ``minutes`` (0: all); return what went wrong with each."""
        deadline = time.monotonic() + minutes * 60 if minutes else float("inf")
        results: dict[int, list[str]] = {}

        def one(lane: Lane, seed: int) -> None:
            if time.monotonic() > deadline:
                return
            try:
                results[seed] = self.run_seed(lane, seed)
            except Exception as error:  # noqa: BLE001 - a seed that breaks has failed
                results[seed] = [f"{type(error).__name__}: {error}"]
            self._tell(lane, seed, results)

        on_lanes(goods, seeds, lanes, one)
        return results

    def _tell(self, lane: Lane, seed: int, results: dict[int, list[str]]) -> None:
        if len(results) % 50 == 0:
            print(f"{len(results)} seeds so far", flush=True)
        for problem in results[seed]:
            print(f"seed {seed}: {problem}", flush=True)
        if results[seed]:
            print(f"  again: python -m tests.lan.{self.module} --first {seed} --seeds 1")
            print(f"  who takes part: {lane.replay(self.roles(seed))}", flush=True)

    def main(self, arguments: list[str], description: str | None) -> int:
        """Run the seeds that the command line names and tell how many failed."""
        program = f"python -m tests.lan.{self.module}"
        parser = argparse.ArgumentParser(prog=program, description=description)
        parser.add_argument("--lanes", type=int, default=self.lanes)
        parser.add_argument("--seeds", type=int, default=500)
        parser.add_argument("--first", type=int, default=0)
        parser.add_argument("--minutes", type=float, default=0.0)
        given = parser.parse_args(arguments)
        folder = working_folder()
        began = time.monotonic()
        goods = Goods(folder)
        try:
            seeds = range(given.first, given.first + given.seeds)
            results = self.run(goods, seeds, given.lanes, given.minutes)
        finally:
            goods.close()
            shutil.rmtree(folder, ignore_errors=True)
        failed = sorted(seed for seed, problems in results.items() if problems)
        seconds = time.monotonic() - began
        print(f"{len(results)} seeds, {len(failed)} failed {failed}, {seconds:.0f} s")
        return 1 if failed else 0
