"""What is forked from a process that has imported all is as if it had been started."""

from __future__ import annotations

import signal
from pathlib import Path

from flocon import __version__
from tests.lan.case import LanTestCase
from tests.lan.lan import Node


class ForkedTests(LanTestCase):
    def test_a_command_says_and_ends_as_it_does(self) -> None:
        told = self.first.flocon("--version", apart=True)
        self.assertEqual(
            (told.returncode, told.stdout, told.stderr), (0, f"flocon {__version__}\n", "")
        )
        refused = self.first.flocon("brew", apart=True)
        self.assertEqual((refused.returncode, refused.stdout), (2, ""))
        self.assertIn("there is no command 'brew'", refused.stderr)
        self.assertEqual(self.first.flocon("brew").stdout, refused.stderr)

    def test_nodes_have_nothing_in_common_and_are_on_their_own_hosts(self) -> None:
        first, second = self.start_nodes(self.first, self.second)
        self.assertNotEqual(first.status()["node"], second.status()["node"])
        for node in (first, second):
            self.assertEqual(self._links(node), {"eth0", "lo"})
            self.assertEqual(Path(f"/proc/{node.pid}/cwd").readlink(), node.host.folder)
        networks = {
            Path(f"/proc/{one}/ns/net").readlink() for one in (first.pid, second.pid, "self")
        }
        self.assertEqual(len(networks), 3)
        self.assertTrue(self._files(first))
        self.assertEqual(self._files(first) & self._files(second), set())

    def test_how_a_node_ended_is_told(self) -> None:
        first, second = self.start_nodes(self.first, self.second)
        self.assertEqual((first.process.poll(), second.process.poll()), (None, None))
        first.kill()
        self.assertEqual(first.process.returncode, -signal.SIGKILL)
        second.stop()
        self.assertIn(second.process.returncode, {0, -signal.SIGTERM})

    def _links(self, node: Node) -> set[str]:
        """Return the names of what a process finds in its /sys."""
        return {path.name for path in Path(f"/proc/{node.pid}/root/sys/class/net").iterdir()}

    def _files(self, node: Node) -> set[tuple[int, int]]:
        """Return the files, pipes and sockets that a process has open."""
        paths = [path for path in Path(f"/proc/{node.pid}/fd").iterdir() if not _is_anyones(path)]
        return {(one.st_dev, one.st_ino) for one in (path.stat() for path in paths)}


def _is_anyones(path: Path) -> bool:
    return str(path.readlink()).startswith(("anon_inode:", "/dev/"))
