"""Disks that are slow, small, or mounted late, and strangers who make use of that."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

from tests.lan.case import LanTestCase
from tests.lan.lan import LAN_PORT, Host, Node
from tests.lan.repository import MIB, Package

SLOW_DISK = Path(__file__).with_name("slow_disk.py")
#: Files up to this size touch no disk in the reactor's thread.
SMALL = MIB


class DiskCase(LanTestCase):
    def report(self, host: Host) -> Path:
        return host.folder / "waited.txt"

    def start_slow(self, host: Host, delay: float, fsync: float) -> Node:
        program = [sys.executable, str(SLOW_DISK), str(self.report(host)), str(delay), str(fsync)]
        return host.node(program=[*program, str(host.store), str(host.cache), "--"])

    def waited(self, host: Host) -> Counter[str]:
        """Return which calls the reactor's thread has made of the disk."""
        lines = self.report(host).read_text().splitlines()
        return Counter(line.partition(" ")[0] for line in lines)


class SlowDisks(DiskCase):
    def small_packages(self) -> list[Package]:
        return [package for package in self.all_packages if package.size <= SMALL]

    def test_small_packages_come_without_a_wait_for_the_disk(self) -> None:
        packages = self.small_packages()
        self.assertGreater(len(packages), 30)
        self.sync(self.first)
        node = self.start_slow(self.first, 0.03, 0.03)
        self.report(self.first).write_bytes(b"")
        began = time.monotonic()
        run = self.download(self.first, packages)
        seconds = time.monotonic() - began
        self.assert_clean(run)
        self.assert_cached(self.first, packages)
        self.assertEqual(self.waited(self.first), Counter())
        self.assertLess(seconds, 4)
        self.wait_for_files(node, len(packages))
        self.assertLess(node.status()["reactor"]["longest_hold_ms"], 100)

    def test_a_slow_sync_of_what_peers_asked_for_does_not_hold_up_pacman(self) -> None:
        packages = self.small_packages()
        relayed, own = packages[:16], packages[16:]
        self.sync(self.first, self.second)
        node = self.start_slow(self.first, 0, 6)
        for package in relayed:
            repository = package.path.parent.parent.parent.name
            path = f"/relay/{repository}/x86_64/{package.file_name}"
            answer = self.second.request(path, address=self.first.address, port=LAN_PORT)
            self.assertEqual(answer.status, 200)
        time.sleep(0.6)
        began = time.monotonic()
        self.assert_clean(self.download(self.first, own))
        self.assertLess(time.monotonic() - began, 3)
        node.kill()
