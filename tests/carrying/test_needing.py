"""What packages need of a state, found here, against what a real pacman would install."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.carrying.needing import Needed, _Looking, bare_configuration
from flocon.carrying.states import State
from flocon.pacman.database_files import load_sent
from flocon.states.generation import DatabaseFiles, Generation, Piece, Where
from flocon.terminal.asking import Node
from tests.needs import leave_out

CORE, EXTRA = Where("x86_64", "core"), Where("x86_64", "extra")
NAMES = tuple("abcdefgh")
VIRTUAL = ("virtual", "sh")


def piece(number: int) -> Piece:
    return Piece(f"{number:064x}", 1)


def state(*wheres: Where) -> State:
    databases = {where: DatabaseFiles(piece(at)) for at, where in enumerate(wheres)}
    repositories = tuple(dict.fromkeys(where.repository for where in wheres))
    return State("now", 0, Generation(0, "", databases), repositories)


def desc(name: str, version: str, **relations: list[str]) -> bytes:
    fields = {
        "FILENAME": [f"{name}-{version}-x86_64.pkg.tar.zst"],
        "NAME": [name],
        "VERSION": [version],
        "CSIZE": ["10"],
        "ISIZE": ["10"],
        "SHA256SUM": ["00" * 32],
        "ARCH": ["x86_64"],
        **relations,
    }
    blocks = (f"%{key}%\n" + "\n".join(lines) + "\n" for key, lines in fields.items() if lines)
    return "\n".join(blocks).encode() + b"\n"


def write_database(path: Path, packages: dict[str, bytes]) -> None:
    """Write descriptions, each by name and version."""
    with tarfile.open(path, "w") as tar:
        for name, text in sorted(packages.items()):
            member = tarfile.TarInfo(f"{name}/desc")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))


versions = st.sampled_from(["1-1", "2-1", "1:1-1"])
tests = st.sampled_from(["", ">=1", ">1", "=2-1", "<2", "=1:1"])
relations = st.builds(str.__add__, st.sampled_from([*NAMES, *VIRTUAL]), tests)
provided = st.builds(
    str.__add__, st.sampled_from([*NAMES, *VIRTUAL]), st.sampled_from(["", "=1", "=2-1"])
)
package = st.fixed_dictionaries(
    {
        "version": versions,
        "DEPENDS": st.lists(relations, max_size=3, unique=True),
        "PROVIDES": st.lists(provided, max_size=2, unique=True),
        "GROUPS": st.lists(st.just("group"), max_size=1),
    }
)
databases = st.dictionaries(st.sampled_from(NAMES), package, max_size=7)


class AgainstPacman(SynchronousTestCase):
    def setUp(self) -> None:
        if shutil.which("pacman") is None:
            leave_out("there is no pacman")

    @settings(
        derandomize=True,
        max_examples=100,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(databases, databases, st.lists(st.sampled_from(NAMES), min_size=1, max_size=3))
    def test_complete_and_the_same_packages_where_pacman_says_so(
        self, core: dict[str, Any], extra: dict[str, Any], names: list[str]
    ) -> None:
        # Known to differ, seldom: of several that provide something pacman's own order of looking
        # may choose another; where two repositories have one name, tests of versions part them.
        extra = {name: one for name, one in extra.items() if name not in core}
        folder = Path(self.mktemp())
        (folder / "sync").mkdir(parents=True)
        (folder / "local").mkdir()
        needed = Needed()
        looking = _Looking(None, Node(Clock(), 0), state(CORE, EXTRA), needed)
        for where, packages in ((CORE, core), (EXTRA, extra)):
            path = folder / "sync" / f"{where.repository}.db"
            texts = {}
            for name, one in packages.items():
                fields = {key: value for key, value in one.items() if key.isupper()}
                texts[f"{name}-{one['version']}"] = desc(name, one["version"], **fields)
            write_database(path, texts)
            descriptor = os.open(path, os.O_RDONLY)
            try:
                looking._databases[where] = load_sent(where.repository, descriptor, "")
            finally:
                os.close(descriptor)
        conf = folder / "pacman.conf"
        conf.write_text(bare_configuration("x86_64", ["core", "extra"], folder.absolute()))

        looking._follow(names, folder)

        command = ["pacman", "--config", str(conf), "--dbpath", str(folder), "-Sp", "--noconfirm"]
        run = subprocess.run(
            [*command, "--print-format", "%r %l", "--", *names],
            capture_output=True,
            text=True,
            check=False,
        )
        shutil.rmtree(folder)
        self.assertEqual(not needed.problems, run.returncode == 0, (needed.problems, run.stderr))
        if not run.returncode:
            found = {
                f"{where.repository} {entry.file_name}" for entry, where in needed.packages.items()
            }
            told = (line.split(" ") for line in run.stdout.splitlines())
            self.assertEqual(found, {f"{one} {url.rpartition('/')[2]}" for one, url in told})
