"""What a machine would install, worked out here, against what real pacmans say of it."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.pacman.relations import describe, describe_installed
from flocon.wanted.dependencies import Databases
from flocon.wanted.transactions import (
    Machine,
    Targets,
    machine_with,
    named,
    resolved,
    transaction,
    upgrades,
)
from tests.needs import leave_out
from tests.wanted import real_pacman
from tests.wanted.real_pacman import ARCHITECTURE, GROUPS, NAMES, REPOSITORIES, Made, Pacman

words = st.lists(
    st.sampled_from([*NAMES, *GROUPS, "sh", "a>=2", "b=1:1"]), min_size=1, max_size=3
).map(lambda some: ["-S", *some])
operations = st.one_of(words, st.just(["-Su"]), st.just(["-Suu"]))


def _databases(made: list[list[Made]]) -> Databases:
    several = ([describe(one.desc()) for one in each] for each in made)
    return Databases([[one for one in each if one is not None] for each in several])


def _machine(made: list[Made], names: list[str], groups: list[str]) -> Machine:
    descriptions = [describe_installed(one.installed()) for one in made]
    known = [one for one in descriptions if one is not None]
    return machine_with(known, names, groups, [ARCHITECTURE])


def _targets(known: Databases, machine: Machine, arguments: list[str]) -> Targets:
    operation, *several = arguments
    if operation == "-S":
        return named(known, machine, several)
    return upgrades(known, machine, back=operation == "-Suu")


class AgainstPacman(SynchronousTestCase):
    def setUp(self) -> None:
        if os.geteuid() != 0:
            leave_out("pacman installs for root only")
        self.pacmans = real_pacman.pacmans()

    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def test_the_same_is_installed_or_nothing(self, data: st.DataObject) -> None:
        repositories = [data.draw(real_pacman.repositories) for _ in REPOSITORIES]
        installed = data.draw(real_pacman.installed)
        names, groups = data.draw(real_pacman.ignored), data.draw(real_pacman.ignored_groups)
        arguments = data.draw(operations)
        program = data.draw(st.sampled_from(self.pacmans))
        pacman = Pacman(Path(self.mktemp()))
        self.addCleanup(pacman.remove)
        for repository, made in zip(REPOSITORIES, repositories, strict=True):
            pacman.write_database(repository, made)
        pacman.install(installed)
        pacman.configure(names, groups)

        known, machine = _databases(repositories), _machine(installed, names, groups)
        targets = _targets(known, machine, arguments)
        needed, found = resolved(known, machine, targets), transaction(known, machine, targets)

        # Nothing can be downloaded; what is said before that is what counts.
        said = real_pacman.would_install(pacman.run(program, *arguments).stdout)
        here = sorted(f"{one.description.name}-{one.description.version}" for one in found.packages)
        self.assertEqual(None if found.problems else here, said)
        # Where it only prints, pacman leaves out who conflicts with whom, and still looks whether
        # everybody has what it needs.
        if not found.problems and len(found.packages) == len(needed.packages):
            operation, *several = arguments
            printed = pacman.run(program, f"{operation}p", "--print-format", "to %r %l", *several)
            files = {
                (REPOSITORIES[one.place], one.description.file_name) for one in needed.packages
            }
            lines = [line.split(" ") for line in printed.stdout.splitlines() if line[:3] == "to "]
            self.assertEqual(printed.returncode, 0, printed.stderr)
            self.assertEqual({(one[1], one[2].rpartition("/")[2]) for one in lines}, files)
