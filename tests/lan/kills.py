"""A node that is killed at random moments of its transfers, and what it offers afterwards.

    python -m tests.lan.kills [--lanes 2] [--kills 200] [--first 0]

A seed decides when ``kill -9`` comes while a client downloads by way of a mirror's slow link. Then
everything in the store is hashed; the node is started again; everything that its ``/inventory``
lists is fetched, and must be whole, right, with the right signature, and all that is whole on disk.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import random
import shutil
import sys
import threading
import time
from typing import TYPE_CHECKING

from tests.lan.client import PacmanLike
from tests.lan.lan import LAN_PORT, wait_until, working_folder
from tests.lan.matrix import ASKER, Goods, Lane, on_lanes

if TYPE_CHECKING:
    from collections.abc import Iterator

#: 6 MB take about two seconds, and the machine may be busy.
RATE = "30mbit"
LATEST_KILL = 4.0


def run_kill(lane: Lane, seed: int) -> tuple[list[str], int]:
    """Kill once; return what went wrong, and how many files the node offered afterwards."""
    dice = random.Random(f"kill {seed}")
    lane.clear()
    node = lane.asker.node()
    client = PacmanLike(lane.asker, dice)
    downloading = threading.Thread(target=client.download, args=(lane.goods.repositories,))
    downloading.start()
    time.sleep(dice.uniform(0, LATEST_KILL))
    node.kill()
    downloading.join()
    # What the client was cut off from is no complaint; wrong bytes are.
    problems = [one for one in client.complaints if "wrong bytes" in one]
    problems += _wrong_files(lane)
    whole = set(_whole_files(lane))
    node = lane.asker.node()
    try:
        wait_until(lambda: set(_offered(lane)) >= whole, 10, "all that is whole is offered")
    except AssertionError as error:
        problems.append(str(error))
    offered = _offered(lane)
    for name in offered:
        problems += _wrong_answer(lane, name)
    left = [path.name for path in lane.asker.store.rglob("*") if path.name.endswith((".part", "~"))]
    problems += [f"{name} was left behind" for name in left]
    problems += lane.node_problems(node)
    return problems, len(offered)


def _packages(lane: Lane) -> dict[str, str]:
    return {package.file_name: package.sha256 for package in lane.goods.packages}


def _wrong_files(lane: Lane) -> Iterator[str]:
    """Tell of packages in the store, under a name that would be offered, that are not right."""
    right = _packages(lane)
    for path in lane.asker.store.rglob("*.pkg.tar.zst"):
        if hashlib.sha256(path.read_bytes()).hexdigest() != right[path.name]:
            yield f"{path.name} lies in the store and is another, of {path.stat().st_size} bytes"


def _whole_files(lane: Lane) -> Iterator[str]:
    for path in lane.asker.store.rglob("*.pkg.tar.zst"):
        if path.with_name(path.name + ".sig").exists():
            yield path.name


def _offered(lane: Lane) -> list[str]:
    answer = lane.asker.request("/inventory", address=ASKER, port=LAN_PORT)
    lines = answer.body.decode("ascii").splitlines()[1:-1]
    return [line.split(" ")[3] for line in lines if line.startswith("+")]


def _wrong_answer(lane: Lane, name: str) -> Iterator[str]:
    package = next(one for one in lane.goods.packages if one.file_name == name)
    for path in (package.path, package.signature):
        try:
            answer = lane.asker.request(f"/pkg/{path.name}", address=ASKER, port=LAN_PORT)
        except (OSError, http.client.HTTPException) as error:
            yield f"{path.name} was offered and broke off: {error}"
            continue
        if answer.status != 200 or answer.body != path.read_bytes():
            size = len(answer.body)
            yield f"{path.name} was offered and is another: {answer.status}, {size} bytes"


def run_kills(goods: Goods, seeds: range, lanes: int) -> dict[int, tuple[list[str], int]]:
    """Kill as often as there are seeds, on several lanes; return what came of each."""
    results: dict[int, tuple[list[str], int]] = {}

    def one(lane: Lane, seed: int) -> None:
        lane.lan.hosts["mirror"].limit(RATE)
        try:
            results[seed] = run_kill(lane, seed)
        except Exception as error:  # noqa: BLE001 - a kill that breaks has failed
            results[seed] = ([f"{type(error).__name__}: {error}"], 0)
        for problem in results[seed][0]:
            print(f"kill {seed}: {problem}", flush=True)

    on_lanes(goods, seeds, lanes, one)
    return results


def main(arguments: list[str]) -> int:
    """Kill, and tell how many times something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.lan.kills", description=__doc__)
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args(arguments)
    folder = working_folder()
    began = time.monotonic()
    goods = Goods(folder)
    try:
        results = run_kills(goods, range(given.first, given.first + given.kills), given.lanes)
    finally:
        goods.close()
        shutil.rmtree(folder, ignore_errors=True)
    failed = sorted(seed for seed, (problems, _) in results.items() if problems)
    offered = sum(count for _, count in results.values())
    seconds = time.monotonic() - began
    print(
        f"{len(results)} kills, {offered} files offered after them, {len(failed)} failed {failed}"
    )
    print(f"{seconds:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
