"""Whether a state is called complete where a real pacman without any network then ends well."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.carrying import needing
from flocon.carrying.needing import Needed, Wanted, find_needed
from flocon.carrying.states import State, read_database
from flocon.errors import ToolMissing
from flocon.machine.process import Outcome
from flocon.pacman import answers, upgrades
from flocon.pacman.configuration import PacmanConfiguration, Repository
from flocon.pacman.listing import Database
from flocon.states.generation import DatabaseFiles, Generation, Piece, Where
from flocon.terminal.asking import Node
from tests.needs import leave_out
from tests.wanted import real_pacman
from tests.wanted.real_pacman import ARCHITECTURE, GROUPS, NAMES, REPOSITORIES, Made, Pacman

WHERES = tuple(Where(ARCHITECTURE, repository) for repository in REPOSITORIES)
STATE = State(
    "now",
    0,
    Generation(0, "", {one: DatabaseFiles(Piece("0" * 64, 1)) for one in WHERES}),
    REPOSITORIES,
)

words = st.lists(st.sampled_from([*NAMES, *GROUPS, "sh"]), min_size=1, max_size=3, unique=True)
operations = st.one_of(st.just(["-Syu"]), st.just(["-Syuu"]), words.map(lambda some: ["-S", *some]))


class CompleteTests(SynchronousTestCase):
    """The databases of the state are given here; pacman is a real one, which may be left out."""

    def setUp(self) -> None:
        self.pacmans = real_pacman.pacmans()
        if os.geteuid() != 0:
            leave_out("pacman installs for root only")

    def begin(self, data: st.DataObject) -> Pacman:
        """Have a mirror with random packages, of which some files are there."""
        pacman = Pacman(Path(self.mktemp()))
        several = [data.draw(real_pacman.repositories) for _ in REPOSITORIES]
        lacking = data.draw(st.one_of(st.just([]), st.lists(st.sampled_from(NAMES), max_size=2)))
        self.program = data.draw(st.sampled_from(self.pacmans))
        self.use(pacman, several, lacking)
        return pacman

    def use(
        self, pacman: Pacman, several: Sequence[Sequence[Made]], lacking: Collection[str] = ()
    ) -> None:
        """Have a mirror with packages, without the files of those that are lacking."""
        self.addCleanup(pacman.remove)
        self.held: set[tuple[str, str]] = set()
        for repository, made in zip(REPOSITORIES, several, strict=True):
            folder = pacman.mirror / repository / "os" / ARCHITECTURE
            folder.mkdir(parents=True)
            shutil.copy2(pacman.write_database(repository, made), folder)
            for one in made:
                if one.name not in lacking:
                    (folder / one.file_name).write_bytes(one.file())
                    self.held.add((repository, one.file_name))
        self._stand_in(pacman)

    def _stand_in(self, pacman: Pacman) -> None:
        """Have processes run at once, and databases come from the mirror's folder."""

        async def run(_: Any, command: Sequence[str], **__: Any) -> Outcome:
            if command[0] == "pacman" and not self.program:
                raise ToolMissing("pacman")
            program = self.program if command[0] == "pacman" else command[0]
            outcome = real_pacman.run([program, *command[1:]])
            return Outcome(outcome.returncode, outcome.stdout.encode(), outcome.stderr.encode())

        async def in_thread(_: Any, function: Any, *arguments: Any) -> Any:
            return function(*arguments)

        async def fetch(_: Node, databases: Mapping[Where, Any], folder: Path) -> dict[Where, Any]:
            found: dict[Where, Database] = {}
            for where in databases:
                name = f"{where.repository}.db"
                path = pacman.mirror / where.repository / "os" / where.architecture / name
                shutil.copy2(path, folder / name)
                found[where] = read_database(folder / name, where)
            return found

        self.patch(answers, "run", run)
        self.patch(answers, "in_thread", in_thread)
        self.patch(upgrades, "run", run)
        self.patch(needing, "fetch_databases", fetch)

    def needed(self, wanted: Wanted) -> Needed:
        coroutine = find_needed(None, Node(Clock(), 0), STATE, wanted)
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def is_complete(self, needed: Needed) -> bool:
        files = {(where.repository, one.file_name) for one, where in needed.packages.items()}
        return not needed.problems and files <= self.held

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def test_complete_for_a_machine_exactly_where_its_pacman_ends_well(
        self, data: st.DataObject
    ) -> None:
        pacman = self.begin(data)
        pacman.install(data.draw(real_pacman.installed))
        pacman.configure(data.draw(real_pacman.ignored), data.draw(real_pacman.ignored_groups))
        arguments = data.draw(operations)
        names = tuple(arguments[1:])
        back = arguments[0] == "-Syuu"

        needed = self.needed(
            Wanted(names, machine=True, back=back, pacman_conf=pacman.configuration)
        )

        outcome = pacman.run(self.program, *arguments)
        said = f"{needed}\n{outcome.stdout}\n{outcome.stderr}"
        self.assertEqual(self.is_complete(needed), outcome.returncode == 0, said)

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def test_complete_for_packages_exactly_where_they_install_on_a_bare_machine(
        self, data: st.DataObject
    ) -> None:
        pacman = self.begin(data)
        pacman.configure()
        names = data.draw(words)

        with_pacman = self.needed(Wanted(tuple(names)))
        program, self.program = self.program, ""
        without = self.needed(Wanted(tuple(names)))

        # The node of whom it is asked has one, or not.
        self.assertEqual(bool(with_pacman.problems), bool(without.problems), (with_pacman, without))
        if not without.problems:
            self.assertEqual(with_pacman.packages, without.packages)
        outcome = pacman.run(program, "-Sy", *names)
        said = f"{without}\n{outcome.stdout}\n{outcome.stderr}"
        self.assertEqual(self.is_complete(without), outcome.returncode == 0, said)

    def test_packages_that_nobody_has_side_by_side_may_conflict(self) -> None:
        pacman = Pacman(Path(self.mktemp()))
        self.use(pacman, [[Made("a", "1-1", {"CONFLICTS": ["b"]}), Made("b", "1-1", {})], []])
        for program in ("", *self.pacmans):
            self.program = program
            apart = self.needed(Wanted(("a", "b"), apart=True))
            self.assertEqual([], apart.problems)
            self.assertEqual({one.name for one in apart.packages}, {"a", "b"})
            together = self.needed(Wanted(("a", "b")))
            self.assertEqual(together.problems, ["a and b are in conflict"])


class Lacking(SynchronousTestCase):
    def test_an_own_repository_is_taken_as_it_is_here(self) -> None:
        folder = Path(self.mktemp())
        for name in ("sync", "looked/sync"):
            (folder / name).mkdir(parents=True)
        for name in ("home.db", "home.db.sig"):
            (folder / "sync" / name).write_bytes(b"")
        repositories = [
            Repository("home", ()),
            Repository("fresh", ()),
            Repository("other", ("http://one/other",)),
        ]
        configuration = PacmanConfiguration(tuple(repositories), database_path=folder)
        looking = needing._Looking(None, Node(Clock(), 0), STATE, Needed())
        lacking = [*looking._lacking(configuration, folder / "looked")]
        self.assertEqual(
            lacking,
            [f"[{name}] of pacman.conf is not in this state" for name in ("fresh", "other")],
        )
        # pacman wants the signature of one that has to be signed beside it.
        found = sorted(path.name for path in (folder / "looked/sync").iterdir())
        self.assertEqual(found, ["home.db", "home.db.sig"])
