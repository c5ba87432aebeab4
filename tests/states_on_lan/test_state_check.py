"""Whether a state is called complete exactly where an upgrade without any network succeeds."""

from __future__ import annotations

import functools
import json
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tests.lan.lan import wait_until
from tests.lan.repository import KIB, Package, Recipe, Repository
from tests.lan.test_abilities import SmallLab, SmallTestCase, _small_lab

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CASES = 20
NUMBER = 16


def _recipes(dice: random.Random) -> list[Recipe]:
    """Return packages of which most need others, of which some are provided, or too old."""
    made: list[Recipe] = []
    for number in range(NUMBER):
        earlier = [recipe.name for recipe in made]
        depends = dice.sample(earlier, min(len(earlier), dice.choice([0, 0, 1, 2])))
        provides: tuple[str, ...] = ()
        if number % 5 == 0:
            provides = (f"virtual{number}=2",)
        elif number % 5 == 1:
            depends.append(f"virtual{number - 1}>=2")
        if number == 11:
            depends.append("virtual10>=3")
        if number == 13:
            depends.append("nobody-has-this")
        replaces = ("gone",) if number == 7 else ()
        made.append(
            Recipe(
                f"needing{number:02}",
                "2-1",
                4 * KIB,
                provides=provides,
                depends=tuple(depends),
                replaces=replaces,
            )
        )
    return made


@functools.cache
def _repository(lab: SmallLab) -> Repository:
    repository = Repository(lab.mirror.root, "needing", key=lab.key)
    repository.add(_recipes(random.Random(3)))
    return repository


class CheckTests(SmallTestCase):
    """One node, which is the mirror; its packages are most of a repository's."""

    def setUp(self) -> None:
        super().setUp()
        self.repository = _repository(_small_lab())
        self.use(self.lan, ["needing"])
        self.node = self.first.node(settings={"mirror": {"serve": True}})
        packages = list(self.repository.packages.values())
        self.here = random.Random(5).sample(packages, 7 * len(packages) // 8)
        self.hold(self.first, self.here)
        self.wait_for_files(self.node, len(self.here))
        wait_until(self._has_state, 10, "the mirror's state is read")
        self.alone = self.first.folder / "alone"
        self._lay_out(self.here)

    def _has_state(self) -> bool:
        return b"identity" in self.first.request("/generation.json").body

    def _lay_out(self, packages: Iterable[Package]) -> None:
        """Have a folder that has what the LAN has, for a pacman without any network."""
        folder = self.alone / "needing/os/x86_64"
        folder.mkdir(parents=True)
        shutil.copy2(self.repository.database, folder / "needing.db")
        for package in packages:
            for path in (package.path, package.signature):
                shutil.copy2(path, folder / path.name)

    def _machine(self, number: int, dice: random.Random) -> Path:
        """Make a machine with older packages installed; return its pacman.conf."""
        folder = self.first.folder / f"machine{number}"
        for name in ("db/local", "root", "cache"):
            (folder / name).mkdir(parents=True)
        local = folder / "db/local"
        (local / "ALPM_DB_VERSION").write_text("9\n")
        names = sorted(self.repository.packages)
        for name in [*dice.sample(names, dice.randint(1, 3)), *(["gone"] * dice.randint(0, 1))]:
            version = dice.choice(["1-1", "1-1", "2-1", "3-1"])
            at = local / f"{name}-{version}"
            at.mkdir()
            fields = {"NAME": name, "VERSION": version, "ARCH": "x86_64"}
            text = "".join(f"%{key}%\n{value}\n\n" for key, value in fields.items())
            # What is installed needs something of an older one, now and then.
            if dice.random() < 0.15:
                text += f"%DEPENDS%\n{dice.choice(names)}<2\n\n"
            # Of two that conflict pacman says nothing where it only prints.
            if number % 4 == 1:
                text += f"%CONFLICTS%\n{names[number % NUMBER]}\n\n"
            (at / "desc").write_text(text)
            (at / "files").write_text("%FILES%\n")
        self.lan.repositories = []
        conf = self.first.pacman_conf(node=False).read_text()
        for before, after in (
            (self.first.database_path, folder / "db"),
            (self.first.cache, folder / "cache"),
            (self.first.folder / "root", folder / "root"),
        ):
            conf = conf.replace(f"= {before}\n", f"= {after}\n")
        if number % 3 == 2:
            conf = conf.replace("[options]", f"[options]\nIgnorePkg = {dice.choice(names)}", 1)
        path = folder / "pacman.conf"
        path.write_text(f"{conf}[needing]\nServer = file://{self.alone}/$repo/os/$arch\n")
        return path

    def _check(self, conf: Path, *words: str) -> dict[str, Any]:
        command = ["--json", "snapshot", "check", "now", "--machine", "--pacman-conf", str(conf)]
        done = self.first.flocon(*command, *words)
        told: dict[str, Any] = json.loads(done.stdout)
        self.assertEqual(done.returncode, 0 if told["complete"] else 1, done.stdout)
        return told

    def test_complete_exactly_where_the_upgrade_ends_well(self) -> None:
        dice = random.Random(7)
        self.mirror.stop()
        machines = [self._machine(number, dice) for number in range(CASES)]

        def ask(number: int) -> tuple[dict[str, Any], int, str]:
            conf, back = machines[number], number % 2
            told = self._check(conf, *["--downgrade"] * back)
            upgrade = "-Syuu" if back else "-Syu"
            pacman = ["pacman", "--config", str(conf), "--noconfirm", upgrade]
            return told, *self.first.run(pacman)

        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(ask, range(CASES)))

        for told, status, output in outcomes:
            self.assertEqual(told["complete"], status == 0, f"{told}\n{output}")
        seen = {
            (told["complete"], bool(told["needed"]), bool(told["problems"]))
            for told, _, _ in outcomes
        }
        # None of them decided alone.
        kinds = {(True, True, False), (False, True, False), (False, False, True)}
        self.assertLessEqual(kinds, seen)
