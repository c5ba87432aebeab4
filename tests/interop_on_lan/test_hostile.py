"""Hosts of the LAN that answer in the worst ways: as proxies, and as other tools' machines."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.interop_on_lan.hostile import WAYS
from tests.lan.case import LanTestCase
from tests.lan.lan import Node, wait_until

FIRST_PORT = 9_200
#: Seconds that pacman may take for ten packages, and MiB that a node may grow by meanwhile.
PATIENCE = 20.0
GROWTH = 24


class HostileTestCase(LanTestCase):
    def serve(self) -> dict[str, int]:
        """Have the third host answer in all ways; return the port of each."""
        ports = {way: FIRST_PORT + at for at, way in enumerate(WAYS)}
        words = [f"{port}={way}" for way, port in ports.items()]
        command = [sys.executable, "-m", "tests.interop_on_lan.hostile", self.third.address, *words]
        self.third.start(command, log=self.third.folder / "hostile.log")

        def answers() -> bool:
            try:
                for port in ports.values():
                    self.third.connect(self.third.address, port).close()
            except OSError:
                return False
            return True

        wait_until(answers, 10, "the third host listens")
        return ports

    def assert_gets_all(self, node: Node) -> None:
        """Claim that pacman gets its packages in time, and that the node does not grow for it."""
        before = _most_mib(node)
        packages = self.few_packages
        run = self.download(self.first, packages)
        self.assert_clean(run)
        self.assert_cached(self.first, packages)
        self.assertLess(run.seconds, PATIENCE)
        self.assertLess(_most_mib(node) - before, GROWTH)
        self.assertNotIn("Traceback", node.log_text)


class Parents(HostileTestCase):
    def test_whatever_they_send_pacman_gets_its_packages(self) -> None:
        self.sync(self.first)
        place = self.third.address
        urls = [f"http://{place}:{port}/$repo/os/$arch" for port in self.serve().values()]
        node = self.first.node(settings={"parents": urls})
        self.assert_gets_all(node)
        self.assertGreater(sum(one["wrong"] for one in node.status()["parents"]), 0)


class OtherTools(HostileTestCase):
    def test_whatever_they_send_pacman_gets_its_packages(self) -> None:
        self.sync(self.first)
        places = [f"{self.third.address}:{port}" for port in self.serve().values()]
        hosts = [*places, *(f"http://{place}/" for place in places)]
        node = self.first.node(settings={"foreign": {"hosts": hosts}})
        self.assert_gets_all(node)
        self.assertEqual(sum(one["bytes"] for one in node.status()["foreign"]), 0)


def _most_mib(node: Node) -> int:
    """Return how much memory a node had at most, in MiB."""
    status = Path(f"/proc/{node.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+([0-9]+) kB", status)
    assert found is not None
    return int(found[1]) >> 10
