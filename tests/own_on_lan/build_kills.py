"""A host that builds, of which a part is killed at random moments, and what it offers afterwards.

    python -m tests.own_on_lan.build_kills [--kills 100] [--first 0]

A seed decides what is built, which of keeper, builder and signer ``kill -9`` meets, and when: while
it is looked at, fetched, built, kept, examined or signed. What lies published is looked at as soon
as it is killed, and once it was started again and all is done: every package is listed, whole and
signed, and so are both databases. The build itself is taken up again, or said to have failed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from flocon.pacman.database_files import load
from tests.lan.lan import Lan, wait_until
from tests.lan.matrix import surprises
from tests.own_on_lan.built import BuildingHost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VICTIMS = ("keeper", "builder", "signer")
#: Recipes; the second needs the first, and makes two packages.
BASES = ("base", "tool")
#: A kill comes within one of these times after a commit was approved, whatever is done by then.
LATEST_KILL = (0.3, 1.5, 5.0)
#: Seconds for all to be done afterwards, on a machine that does other things as well.
DONE = 60
_ENDS = frozenset({"published", "failed"})


class Place:
    """A host with keeper, builder and signer, on which two recipes were built once."""

    def __init__(self) -> None:
        self.lan = Lan()
        self.host = self.lan.host("maker", "10.77.0.1")
        self._versions = dict.fromkeys(BASES, 1)
        try:
            self.builder = BuildingHost(self.lan, self.host)
            self._node = self.builder.start_node()
            for base in BASES:
                self._push(base)
            self.builder.say("add", "tool")
            self.builder.approve(*BASES)
            self.builder.wait_for(dict.fromkeys(BASES, "published"), DONE)
        except BaseException:
            self.lan.close()
            raise

    def close(self) -> None:
        home = str(self.builder.folder / "sign/gnupg")
        command = ["gpgconf", "--homedir", home, "--kill", "all"]
        subprocess.run(command, check=False, capture_output=True, timeout=10)
        self.lan.close()

    def _push(self, base: str) -> str:
        version = f"{self._versions[base]}.0-1"
        if base == "tool":
            names = ["tool", "tool-data"]
            self.builder.push("tool", version, names=names, depends=["base"])
        else:
            self.builder.push(base, version)
        return version

    # One kill

    def run(self, seed: int) -> list[str]:
        """Kill once; return what went wrong."""
        dice = random.Random(f"build kill {seed}")
        base, victim = dice.choice(BASES), dice.choice(VICTIMS)
        self._versions[base] += 1
        version = self._push(base)
        self.builder.say("check", base)
        self.builder.approve(base)
        time.sleep(dice.uniform(0, dice.choice(LATEST_KILL)))
        self._kill(victim)
        problems = [*self._wrong(), *self._half()]
        self._start(victim)
        try:
            wait_until(lambda: self.builder.stages().get(base) in _ENDS, DONE, "it has ended")
        except AssertionError:
            problems.append(f"{base} is neither built nor said to have failed: {self._told(base)}")
            return [f"{victim}, {base}: {one}" for one in problems]
        if self.builder.stages()[base] == "failed":
            if not self.builder.one(base)["reasons"]:
                problems.append(f"{base} failed, and nobody says why")
            self.builder.say("rebuild", base)
            self.builder.wait_for({base: "published"}, DONE)
        offered = self.builder.database()
        if offered.get(base) != version or self.builder.one(base)["version"] != version:
            problems.append(f"{base} {version} was approved, and {offered.get(base)} is offered")
        problems += self._wrong()
        left = [path.name for path in (self.builder.state / "jobs").iterdir()]
        problems += [f"the job {name} was left behind" for name in left]
        problems += surprises(self._node.log_text)
        return [f"{victim}, {base}: {one}" for one in problems]

    def _told(self, base: str) -> str:
        return f"{self.builder.one(base)}, {self.builder.told()['problem']}"

    def _kill(self, victim: str) -> None:
        program = self.builder.programs[victim]
        program.kill()
        program.wait(10)

    def _start(self, victim: str) -> None:
        if victim == "keeper":
            self._node = self.builder.start_node()
        elif victim == "builder":
            self.builder.start_builder()
        else:
            self.builder.start_signer()

    # What is right

    def _half(self) -> Iterator[str]:
        """Tell of what the keeper has written by half."""
        try:
            json.loads((self.builder.state / "watched.json").read_bytes())
        except ValueError as error:
            yield f"watched.json is not whole: {error}"

    def _wrong(self) -> Iterator[str]:
        """Tell of what is published and is not whole, not signed, or not what is listed."""
        folder = self.builder.published / self.builder.name
        current = folder / "current"
        generation = current.resolve()
        for kind in ("db", "files"):
            database = generation / f"{self.builder.name}.{kind}"
            yield from self._unsigned(folder, database)
        loaded = load(self.builder.name, generation / f"{self.builder.name}.db")
        if loaded.database is None:
            yield f"the database cannot be read: {loaded.problem}"
            return
        for name, entry in loaded.database.entries.items():
            package = folder / "packages" / name
            if not package.exists():
                yield f"{name} is listed, and not there"
                continue
            data = package.read_bytes()
            if (len(data), hashlib.sha256(data).digest()) != (entry.size, entry.sha256):
                yield f"{name} is another than what is listed"
            yield from self._unsigned(folder, package)

    def _unsigned(self, folder: Path, path: Path) -> Iterator[str]:
        command = ["gpgv", "--keyring", str(folder / "key.gpg"), f"{path}.sig", str(path)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            yield f"{path.name} is not signed: {done.stderr.decode(errors='replace')}"


def main(arguments: list[str]) -> int:
    """Kill, and tell how many times something was wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.own_on_lan.build_kills", description=__doc__
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args(arguments)
    place = Place()
    began, failed = time.monotonic(), []
    try:
        for seed in range(given.first, given.first + given.kills):
            problems = place.run(seed)
            print(f"kill {seed} after {time.monotonic() - began:.0f} s", flush=True)
            failed += [seed] * bool(problems)
            for problem in problems:
                print(f"kill {seed}: {problem}", flush=True)
    finally:
        place.close()
    print(f"{given.kills} kills in {time.monotonic() - began:.0f} s, {len(failed)} failed {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
