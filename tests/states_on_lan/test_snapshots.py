"""``flocon snapshot`` on a real node that is its LAN's mirror, of a repository that moves on."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.lan.case import sha256
from tests.lan.lan import Node, PacmanRun, wait_until
from tests.lan.repository import install
from tests.lan.test_commands import CommandTestCase

MIRROR_PORT = 19434
#: Longer ago than a state is held by default.
DAY = (datetime.now(UTC) - timedelta(days=60)).date().isoformat()


class Snapshots(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.use(self.lab.lan, ["plain", "multilib"])
        self.here.mkdir()
        self.archived = self.mirror.root / "archive"
        shutil.rmtree(self.archived, ignore_errors=True)
        self.addCleanup(shutil.rmtree, self.archived, ignore_errors=True)
        self.node = self.start()

    def start(self) -> Node:
        archive = f"http://{self.mirror.host.address}/archive/$date/$repo/os/$arch"
        settings = {"serve": True, "refresh": "off", "publish": "at once", "archive": archive}
        node = self.first.node(settings={"mirror": settings})
        wait_until(lambda: self.told()["published"], 20, "the first state is given")
        return node

    def told(self) -> Any:
        return json.loads(self.first.request("/mirror.json").body)

    def snapshot(self, *words: str) -> str:
        return self.say(self.first, "snapshot", *words)

    @property
    def given(self) -> Any:
        return self.told()["published"]

    def pacman(self, *arguments: str) -> PacmanRun:
        """Run pacman on the second host, which has no node and no other server than the mirror."""
        mirrors = self.lan.mirrors
        self.lan.mirrors = [f"{self.first.address}:{MIRROR_PORT}"]
        try:
            run = self.second.pacman(*arguments, node=False)
        finally:
            self.lan.mirrors = mirrors
        return run

    def assert_goes_on(self, run: PacmanRun) -> None:
        """Claim that pacman ended well; that a version is older it may say."""
        self.assertEqual((run.returncode, run.error_lines), (0, []), run.output)

    def move_on(self) -> str:
        """Have the repository move on, and the mirror read it; return the package's name."""
        name = next(iter(self.lab.plain.packages))
        self.lab.plain.bump([name])
        self.say(self.first, "mirror", "refresh")
        return name

    def test_the_state_goes_back_and_forward_by_command_and_stays_over_a_restart(self) -> None:
        before = self.given
        self.assertIn("'before' is the state of", self.snapshot("take", "before"))
        name = self.move_on()
        after = self.given
        self.assertNotEqual(after["generation"], before["generation"])
        row = self.snapshot("diff", "before", "latest").splitlines()[0]
        self.assertRegex(row, rf"plain +x86_64 +{re.escape(name)} +\S+ -> \S+")
        self.snapshot("take", "--of", "latest", "after")
        said = self.snapshot("use", "before")
        self.assertIn("1 older, 0 newer than before: 'pacman -Syuu'", said)
        self.assertEqual(self.given["generation"], before["generation"])
        self.assertGreater(self.given["since"], after["since"])
        self.assertRegex(self.snapshot("list"), r"in use +before, until ")
        since = self.given["since"]
        self.move_on()
        self.assertEqual(self.given["since"], since)
        self.node.stop()
        self.node = self.start()
        self.assertEqual(self.given["since"], since)
        self.assertEqual(self.given["generation"], before["generation"])
        self.assertIn("no snapshot", self.refuse(self.first, "snapshot", "use", "x"))
        self.assertIn("is the state that", self.refuse(self.first, "snapshot", "drop", "before"))
        self.assertIn("become newer", self.snapshot("use", "latest").replace("becomes", "become"))
        self.assertIn("is dropped", self.snapshot("drop", "before"))
        left = self.say_json(self.first, "snapshot", "list")["snapshots"]
        self.assertEqual([one["name"] for one in left], ["after"])

    def test_the_state_of_a_day_comes_from_an_archive(self) -> None:
        folder = self.archived / DAY.replace("-", "/") / "plain" / "os" / "x86_64"
        shutil.copytree(self.lab.plain.folder, folder)
        name = next(iter(self.lab.plain.packages))
        old = self.lab.plain.packages[name]
        self.move_on()
        given = self.given
        install(self.second.database_path / "local", [self.lab.plain.packages[name].recipe])
        self.assert_clean(self.pacman("-Sy"))
        said = self.snapshot("take", "--date", DAY)
        self.assertIn("does not have multilib (x86_64): as in the newest state", said)
        self.assertEqual(self.given["generation"], given["generation"])
        row = self.snapshot("diff", DAY, "now").splitlines()[0]
        self.assertRegex(row, rf"plain +x86_64 +{re.escape(name)} ")
        self.assertIn("say --longer", self.refuse(self.first, "snapshot", "use", DAY))
        self.assertNotIn("held until", self.snapshot("use", DAY, "--longer"))
        self.assertNotEqual(self.given["generation"], given["generation"])
        self.assert_clean(self.pacman("-Sy"))
        # No mirror has it any more.
        self.assertFalse(old.path.exists())
        self.assert_goes_on(self.pacman("-Syu", "--downloadonly"))
        self.assertFalse((self.second.cache / old.file_name).exists())
        self.assert_goes_on(self.pacman("-Syuu", "--downloadonly"))
        self.assertEqual(sha256(self.second.cache / old.file_name), old.sha256)
