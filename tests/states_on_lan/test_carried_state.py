"""A state that is carried from one LAN to another in a folder, and installed with no network."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from tests.lan.lan import wait_until
from tests.lan.test_abilities import SmallTestCase

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lan.lan import Host, Node

MIRROR = {"mirror": {"serve": True}}


class CarriedTests(SmallTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = self.lan.folder / "carried"
        self.addCleanup(self._tidy)

    def _tidy(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def flocon(self, host: Host, *words: str, status: int = 0) -> str:
        done = host.flocon(*words)
        self.assertEqual(done.returncode, status, done.stdout)
        return done.stdout

    def state(self, host: Host, name: str = "now") -> dict[str, Any]:
        told: dict[str, Any] = json.loads(host.request(f"/generation.json?name={name}").body)
        return told

    def mirror_node(self, host: Host, *, reads: bool = True) -> Node:
        """Start a node that is the mirror of its LAN, and wait until it has what it can have."""
        node = host.node(settings=MIRROR)
        sign = '"identity"' if reads else "no state has been read"
        wait_until(lambda: sign in json.dumps(self.state(host)), 10, "the mirror has begun")
        return node

    def export(self) -> dict[str, Any]:
        """Have the first host export all that it holds, and take the network away."""
        node = self.mirror_node(self.first)
        self.hold(self.first, self.packages)
        self.wait_for_files(node, len(self.packages))
        check = ["snapshot", "check", "now", *self.names]
        self.flocon(self.first, *check, "--architecture", "x86_64")
        export = ["snapshot", "export", str(self.folder)]
        told: dict[str, Any] = json.loads(
            self.flocon(self.first, "--json", *export, "--architecture", "x86_64")
        )
        node.stop()
        self.mirror.stop()
        self.second.unplug()
        return told

    @property
    def names(self) -> list[str]:
        return [package.name for package in self.packages]

    def folder_conf(self, host: Host) -> Path:
        """Return a pacman.conf that has what was exported, and nothing else."""
        self.lan.repositories = []
        own = host.pacman_conf(node=False)
        path = host.folder / "carried.conf"
        path.write_text(f"{own.read_text()}Include = {self.folder}/pacman.conf\n")
        return path

    def test_pacman_installs_from_the_exported_folder_with_the_network_gone(self) -> None:
        self.export()
        pacman = ["pacman", "--config", str(self.folder_conf(self.second)), "--noconfirm"]

        status, output = self.second.run([*pacman, "-Sy", *self.names])

        self.assertEqual(status, 0, output)
        status, output = self.second.run([*pacman, "-Q"])
        expected = {f"{one.name} {one.recipe.version}" for one in self.packages}
        self.assertEqual(set(output.splitlines()), expected)

    def test_imported_state_is_complete_and_used_on_a_lan_without_the_internet(self) -> None:
        exported = self.export()
        node = self.mirror_node(self.second, reads=False)

        said = self.flocon(self.second, "snapshot", "import", str(self.folder), "--name", "stick")

        self.assertIn(f"{len(self.packages)} packages came in as snapshot stick", said)
        self.assertEqual(self.state(self.second, "stick")["identity"], exported["generation"])
        self.flocon(self.second, "snapshot", "check", "stick", *self.names)
        self.flocon(self.second, "snapshot", "use", "stick", "--longer")
        self.assertEqual(self.state(self.second)["identity"], exported["generation"])
        self.assertEqual(node.status()["inventory"]["files"], len(self.packages))
        for package in self.packages:
            kept = self.second.store / "packages" / package.file_name
            self.assertEqual(kept.read_bytes(), package.path.read_bytes())
            signature = kept.with_name(kept.name + ".sig")
            self.assertEqual(signature.read_bytes(), package.signature.read_bytes())

    def test_wrong_file_is_named_and_nothing_else_lost(self) -> None:
        self.export()
        self.mirror_node(self.second, reads=False)
        first, second = self.packages[:2]
        spoilt = self.folder / "moving/os/x86_64" / first.file_name
        data = bytearray(spoilt.read_bytes())
        data[len(data) // 2] ^= 1
        spoilt.write_bytes(data)

        said = self.flocon(
            self.second, "snapshot", "import", str(self.folder), "--name", "stick", status=1
        )

        self.assertIn(f"1 left out: moving/os/x86_64/{first.file_name}", said)
        self.flocon(self.second, "snapshot", "check", "stick", second.name)
        said = self.flocon(self.second, "snapshot", "check", "stick", first.name, status=1)
        self.assertIn(first.recipe.version, said)
        spoilt.write_bytes(first.path.read_bytes())
        self.flocon(self.second, "snapshot", "import", str(self.folder), "--name", "stick")
        self.flocon(self.second, "snapshot", "check", "stick", *self.names)
