"""One state of all databases for a whole LAN: real pacman, forth and back, and without mirrors."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.lan.case import LanTestCase
from tests.lan.lan import Host, Node, PacmanRun, wait_until

MIRROR_PORT = 19434


class OneStateCase(LanTestCase):
    """The first host gives a state and follows it, as the second and third do; two have no node.

    ``plain`` is the repository: it moves on, and what it had before is on no mirror any more.
    """

    #: Where each of the hosts with a node has its databases from.
    databases: Mapping[str, str] = {
        "first": "node:first",
        "second": "node:first",
        "third": "lan",
    }

    def setUp(self) -> None:
        super().setUp()
        self.lan.repositories = ["plain"]
        hosts = self.lan.hosts
        self.fourth = hosts.get("fourth") or self.lan.host("fourth", "10.77.0.4")
        self.fifth = hosts.get("fifth") or self.lan.host("fifth", "10.77.0.5")
        self.machines = [self.first, self.second, self.third, self.fourth, self.fifth]
        self.nodes = {name: self.start(hosts[name]) for name in self.databases}
        for node in self.nodes.values():
            node.wait_ready()
        wait_until(self.is_followed, 20, "the others know who gives a state")

    def start(self, host: Host, **more: Any) -> Node:
        settings: dict[str, Any] = {"databases": self.databases[host.name]}
        if host is self.first:
            settings["mirror"] = {"serve": True, "publish": "at once", "refresh": "off"}
        return host.start_node(settings={**settings, **more})

    def is_followed(self) -> bool:
        """Whether all have their databases from the first."""
        return all(
            node.host.request("/plain/os/x86_64/plain.db").headers.get("flocon-source") == source
            for node, source in zip(
                self.nodes.values(), ("state", *[f"peer {self.first.address}"] * 2), strict=True
            )
        )

    # Machines

    def pacman(self, host: Host, *arguments: str) -> PacmanRun:
        """Run pacman; where there is no node it asks the face for machines without one."""
        if host.name in self.databases:
            return host.pacman(*arguments)
        conf = host.pacman_conf(node=False)
        server = f"Server = http://{self.first.address}:{MIRROR_PORT}/$repo/os/$arch"
        text = re.sub(r"Include = .*", server.replace("\\", r"\\"), conf.read_text())
        own = conf.with_name("client.conf")
        own.write_text(text)
        command = ["pacman", "--config", str(own), "--noconfirm", "--noprogressbar", *arguments]
        status, output = host.run(command)
        return PacmanRun(status, output, 0.0)

    def everywhere(self, what: Callable[[Host], Any]) -> dict[str, Any]:
        """Have something done on all machines, two at a time; return what came of it."""
        names = [one.name for one in self.machines]
        with ThreadPoolExecutor(2) as pool:
            return dict(zip(names, pool.map(what, self.machines), strict=True))

    def run_everywhere(self, *arguments: str) -> None:
        for name, run in self.everywhere(lambda host: self.pacman(host, *arguments)).items():
            self.assertEqual((run.returncode, run.error_lines), (0, []), f"{name}: {run.output}")

    def assert_installed_everywhere(self, versions: Mapping[str, str]) -> None:
        """Claim that exactly these versions are installed on each machine."""
        for host in self.machines:
            local = host.database_path / "local"
            found = {path.name for path in local.iterdir() if path.is_dir()}
            self.assertEqual(found, {f"{name}-{one}" for name, one in versions.items()}, host.name)

    def versions(self) -> dict[str, str]:
        """Return what the mirror has now."""
        return {name: package.recipe.version for name, package in self.lab.plain.packages.items()}

    # The state

    def say(self, *arguments: str) -> str:
        """Run ``flocon`` on the host that gives the state."""
        done = self.first.flocon(*arguments, apart=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def forget_packages(self, *hosts: Host) -> None:
        """Have these machines keep no package: what they install comes from the LAN."""
        for host in hosts:
            for path in host.cache.iterdir():
                path.unlink() if path.is_file() else shutil.rmtree(path)


class OneStateTests(OneStateCase):
    def test_all_go_forward_and_back_together_also_without_mirrors(self) -> None:
        names = list(self.lab.plain.packages)
        old = self.versions()
        self.run_everywhere("-Sy", *names)
        self.assert_installed_everywhere(old)
        self.say("snapshot", "take", "old")
        self.lab.plain.bump(names)
        new = self.versions()
        # What the mirror has is not the LAN's yet.
        self.assertIn("there is nothing to do", self.pacman(self.second, "-Syu").output)
        self.say("mirror", "refresh")
        self.run_everywhere("-Syu")
        self.assert_installed_everywhere(new)
        self.say("snapshot", "take", "new")
        self.mirror.reset()
        self.go_to("old", old)
        self.assertEqual(self.mirror.records(), [])
        self.mirror.stop()
        self.go_to("new", new)
        self.go_to("old", old)

    def go_to(self, name: str, versions: Mapping[str, str]) -> None:
        """Have all machines go to a snapshot, of whose packages two have none any more."""
        self.say("snapshot", "use", name)
        self.forget_packages(self.second, self.fourth)
        self.run_everywhere("-Syuu")
        self.assert_installed_everywhere(versions)


class AwayTests(OneStateCase):
    def test_while_its_node_is_away_the_state_stands(self) -> None:
        database = self.second.database_path / "sync/plain.db"
        self.sync_from_node()
        before = database.read_bytes()
        self.nodes["first"].stop()
        self.lab.plain.bump(self.versions())
        self.mirror.reset()
        self.sync_from_node()
        self.assertEqual(database.read_bytes(), before)
        self.assertEqual(self.mirror.records(), [])

    def sync_from_node(self) -> None:
        run = self.pacman(self.second, "-Sy")
        self.assertEqual((run.returncode, run.error_lines), (0, []), run.output)
