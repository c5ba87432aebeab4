"""A mirror for the LAN that is killed at random moments, and what it serves afterwards.

    python -m tests.lan.mirror_kills [--kills 100] [--first 0]

A seed decides what the mirror is doing (reading a new state, giving out another one, clearing,
taking and dropping a snapshot, taking in a folder) and when ``kill -9`` comes. Then everything on
disk is hashed, the node is started again, and a machine without a node is given databases and
packages: those of one whole state, each with its own signature; and nothing is gone that had to
stay.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import random
import socket
import sys
import threading
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flocon.asking.dates import seconds_of
from flocon.states.generation import DatabaseFiles, Generation, Piece, Where
from tests.lan.lan import Answer, Lan, Node, wait_until
from tests.lan.matrix import surprises
from tests.lan.repository import (
    KIB,
    Package,
    PythonDatabase,
    Recipe,
    SigningKey,
    build,
    strip_signatures,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MIRROR_PORT = 19434
REPOSITORIES = ("core", "plain")
#: States that the repositories go through, and packages of each.
STATES, PACKAGES = 6, 8
#: A kill comes within one of these times after something was begun: most of it takes little.
LATEST_KILL = (0.05, 0.15, 0.5)
_COMMAND = (sys.executable, "-m", "flocon.cli")
#: When a new state is given out.
PUBLISH = ("at once", "complete")
#: What is done, as often as each is named.
DEEDS = ("refresh", "refresh", "use", "clean", "clean", "snapshot", "import", "import")
#: Seconds that a command needs before it does anything, and until it has done all.
COMMAND, COMMAND_DONE = 0.8, 3.0


@dataclass(frozen=True)
class State:
    """A mirror's state: what its files are, by their paths below the root."""

    number: int
    files: Mapping[str, bytes]

    @cached_property
    def identity(self) -> str:
        """What the node calls it."""
        databases = {
            Where("x86_64", name): DatabaseFiles(
                self._piece(f"{name}/os/x86_64/{name}.db"),
                self._piece(f"{name}/os/x86_64/{name}.db.sig"),
            )
            for name in REPOSITORIES
        }
        return Generation(0, "", databases).identity

    def _piece(self, path: str) -> Piece:
        return Piece(hashlib.sha256(self.files[path]).hexdigest(), len(self.files[path]))

    @cached_property
    def packages(self) -> dict[str, str]:
        """The paths of its packages, by their names."""
        return {Path(path).name: path for path in self.files if path.endswith(".pkg.tar.zst")}


class Upstream:
    """A mirror that goes from state to state; of each only its own files are there."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder = folder / "states"
        self._current = root / "current"
        self.key = SigningKey(folder / "key")
        for repository in REPOSITORIES:
            (root / repository).symlink_to(f"current/{repository}")
        self._pool: dict[str, Package] = {}
        self.states = [self._make(number) for number in range(STATES)]
        self.become(self.states[0])

    def _make(self, number: int) -> State:
        root = self._folder / str(number)
        for repository in REPOSITORIES:
            folder = root / repository / "os" / "x86_64"
            folder.mkdir(parents=True)
            packages = [self._package(recipe, folder) for recipe in _recipes(repository, number)]
            PythonDatabase().add(folder, repository, packages)
            database = folder / f"{repository}.db"
            if repository == "plain":
                strip_signatures(database.resolve())
            self.key.sign(database)
        paths = [path for path in root.rglob("*") if path.is_file()]
        return State(number, {str(one.relative_to(root)): one.read_bytes() for one in paths})

    def _package(self, recipe: Recipe, folder: Path) -> Package:
        """Return a package in a folder; what several states have is made and signed once."""
        if recipe.file_name not in self._pool:
            made = build(recipe, self._folder, 1)
            self.key.sign(made.path)
            self._pool[recipe.file_name] = made
        made = self._pool[recipe.file_name]
        here = replace(made, path=folder / made.file_name)
        os.link(made.path, here.path)
        os.link(made.signature, here.signature)
        return here

    def become(self, state: State) -> None:
        """Have this state on the mirror, in one step."""
        new = self._current.with_name("next")
        new.symlink_to(self._folder / str(state.number))
        new.replace(self._current)

    def state(self, identity: str) -> State | None:
        return next((one for one in self.states if one.identity == identity), None)


def _recipes(repository: str, number: int) -> Iterator[Recipe]:
    """Yield what a state has: some packages change with each, some with every other, one never."""
    for at in range(PACKAGES):
        version = number // max(1, at % 3) if at else 0
        yield Recipe(f"{repository}-{at}", f"{version}-1", (2 + 9 * at) * KIB)


class Place:
    """A mirror on the Internet, a node that serves its states, and a machine without a node."""

    def __init__(self) -> None:
        self.lan = Lan()
        self.lan.repositories = list(REPOSITORIES)
        mirror = self.lan.mirror()
        self.upstream = Upstream(self.lan.folder, mirror.root)
        self.upstream.key.make_keyring(self.lan.keyring)
        mirror.start()
        self.server = self.lan.host("server", "10.77.0.1")
        self.client = self.lan.host("client", "10.77.0.2")
        #: The latest second of a state that was given.
        self._since = 0.0
        self._start()
        self._exported = self.server.folder / "exported"
        self._export()

    def close(self) -> None:
        self.upstream.key.close()
        self.lan.close()

    def _start(self, publish: str = PUBLISH[0]) -> None:
        mirror = {"serve": True, "publish": publish, "keep": 1, "refresh": "off"}
        self._node: Node = self.server.node(settings={"mirror": mirror})
        wait_until(lambda: self.told()["published"], 20, "a state is given out")

    def _export(self) -> None:
        """Have the first state in a folder, with all its packages."""
        for path in self.upstream.states[0].packages.values():
            self.get(path)
        status, said = self.server.run([*_COMMAND, "snapshot", "export", str(self._exported)])
        if status:
            raise RuntimeError(said)

    def told(self) -> dict[str, Any]:
        """Return ``/mirror.json``."""
        told: dict[str, Any] = json.loads(self.server.request("/mirror.json").body)
        return told

    def get(self, path: str) -> Answer:
        """Ask as the machine without a node does."""
        address = self.server.address
        host = {"Host": f"{address}:{MIRROR_PORT}"}
        return self.client.request(f"/{path}", address=address, port=MIRROR_PORT, headers=host)

    @property
    def stored(self) -> dict[str, bytes]:
        """What is in the store, packages and signatures, by name."""
        folder = self.server.store / "packages"
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    # One kill

    def run(self, seed: int) -> list[str]:
        """Kill once; return what went wrong."""
        dice = random.Random(f"mirror kill {seed}")
        problems = self._fill(dice)
        deed, told = dice.choice(DEEDS), self.told()
        snapshots = {one["name"] for one in told["snapshots"]}
        words = self._words(deed, dice, snapshots)
        dropped = {one[-1] for one in words if "drop" in one}
        had = set(self.stored) & self._protected(told, snapshots - dropped)
        doing = threading.Thread(target=_tell, args=(str(self._node.status()["control"]), words))
        doing.start()
        if deed == "import":
            doing.join()
            take_in = ["snapshot", "import", str(self._exported), "--name", words[0][-1]]
            self.server.start([*_COMMAND, *take_in])
            time.sleep(dice.uniform(COMMAND, COMMAND_DONE))
        time.sleep(dice.uniform(0, dice.choice(LATEST_KILL)))
        self._node.kill()
        doing.join()
        problems += self._wrong_on_disk()
        problems += [f"{name} had to stay, and went" for name in had - set(self.stored)]
        half = list((self.server.store / "mirror").rglob("*.new"))
        self._start(dice.choice(PUBLISH))
        problems += [f"{path.name} was left behind" for path in half if path.exists()]
        problems += self._wrong_answers()
        left = {one["name"] for one in self.told()["snapshots"]}
        problems += [f"the snapshot {name} went" for name in snapshots - left - dropped]
        problems += surprises(self._node.log_text)
        return [f"{deed}: {one}" for one in problems]

    def _fill(self, dice: random.Random) -> list[str]:
        """Fetch some packages of the state that is given out, as pacman does."""
        state = self.upstream.state(self.told()["published"]["generation"])
        if state is None:
            return ["a state is given out that no mirror had"]
        wrong = []
        for path in dice.sample(sorted(state.packages.values()), 6):
            for one in (path, f"{path}.sig"):
                answer = self.get(one)
                # What has left the mirror before anybody fetched it cannot be had.
                if answer.status == 200 and answer.body != state.files[one]:
                    wrong.append(f"{one} was answered with other bytes")
        return wrong

    def _words(self, deed: str, dice: random.Random, snapshots: set[str]) -> list[list[str]]:
        """Return what the node is told, by the words of its control socket."""
        if deed == "refresh":
            self.upstream.become(dice.choice(self.upstream.states))
            return [["mirror", "refresh"]]
        if deed == "use":
            names = sorted(snapshots)
            return [["snapshot", "use", dice.choice([*names, "latest"])] for _ in range(8)]
        if deed == "snapshot":
            name = f"s{dice.randrange(4)}"
            return [["snapshot", "drop", name], ["snapshot", "take", name]]
        if deed == "import":
            # Some of its packages go, and come again.
            return [["snapshot", "drop", f"i{dice.randrange(2)}"], ["mirror", "clean"]]
        return [["mirror", "clean"]]

    # What is right

    def _protected(self, told: Mapping[str, Any], names: set[str]) -> set[str]:
        """Return the packages that must stay: of the state that is given, and of snapshots."""
        snapshots = [one for one in told["snapshots"] if one["name"] in names]
        identities = {one["generation"] for one in (told["published"], *snapshots)}
        states = [self.upstream.state(identity) for identity in identities]
        return {name for state in states if state is not None for name in state.packages}

    def _wrong_on_disk(self) -> Iterator[str]:
        """Tell of packages in the store that are not right, and of what is not what it is called.

        A signature without its package is what a kill may leave.
        """
        states = self.upstream.states
        right = {Path(path).name: data for one in states for path, data in one.files.items()}
        stored = self.stored
        for name, data in stored.items():
            if data != right[name]:
                yield f"{name} lies in the store and is another"
            if not name.endswith(".sig") and f"{name}.sig" not in stored:
                yield f"{name} lies in the store without its signature"
        folder = self.server.store / "mirror"
        for path in (folder / "content").iterdir():
            if path.suffix != ".new" and hashlib.sha256(path.read_bytes()).hexdigest() != path.name:
                yield f"{path.name} is not what it is called"
        for path in folder.rglob("*.json"):
            try:
                json.loads(path.read_bytes())
            except ValueError as error:
                yield f"{path.name} is not whole: {error}"

    def _wrong_answers(self) -> list[str]:
        """Return what is wrong with what a machine without a node is given.

        All of it is of one state; where another one was published meanwhile it is asked again.
        """
        while True:
            before = self.told()["published"]
            problems = self._compare(self.upstream.state(before["generation"]), before["since"])
            if self.told()["published"]["since"] == before["since"]:
                return problems

    def _compare(self, state: State | None, since: float) -> list[str]:
        if state is None:
            return ["a state is given out that no mirror had"]
        problems = []
        if since < self._since:
            problems.append("a state is given out as of an earlier second than one before")
        self._since = since
        stored = self.stored
        # A database before its signature, as pacman asks.
        for path, right in sorted(state.files.items()):
            name = Path(path).name
            is_database = name.endswith((".db", ".db.sig"))
            if not is_database and name not in stored:
                continue
            try:
                answer = self.get(path)
            except (OSError, http.client.HTTPException) as error:
                problems.append(f"{path} was answered, and broke off: {error}")
                continue
            if answer.status != 200 or answer.body != right:
                problems.append(f"{path} was answered with {answer.status} and other bytes")
            if name.endswith(".db") and seconds_of(answer.headers["last-modified"]) != since:
                problems.append(f"{path} is of another second than its state")
        return problems


def _tell(control: str, words: Iterable[Sequence[str]]) -> None:
    """Have the node do things, until it is gone."""
    for some in words:
        connection = http.client.HTTPConnection("localhost", timeout=20)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(control)
            connection.request("POST", "/" + "/".join(quote(word, safe="") for word in some))
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()


def main(arguments: list[str]) -> int:
    """Kill, and tell how many times something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.lan.mirror_kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args(arguments)
    place = Place()
    began, failed = time.monotonic(), []
    try:
        for seed in range(given.first, given.first + given.kills):
            problems = place.run(seed)
            failed += [seed] * bool(problems)
            for problem in problems:
                print(f"kill {seed}: {problem}", flush=True)
    finally:
        place.close()
    print(f"{given.kills} kills in {time.monotonic() - began:.0f} s, {len(failed)} failed {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
