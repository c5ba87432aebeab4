"""What is ready before pacman asks: fetched ahead from peers that fail, and by eight at once.

The LAN is that of ``test_one_crossing``, with its far and slow mirror. One thing is not real: how
long a node waits before it asks mirrors for what nobody holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.lan.lan import Host, Node, hasty, wait_until
from tests.lan.repository import Package, install
from tests.lan.test_one_crossing import ONCE, CrossingTestCase

OFF, LAN, ALL = ({"prefetch": word} for word in ("off", "lan", "all"))


class AheadTestCase(CrossingTestCase):
    """Every third package of ``moving`` is installed; a test publishes newer ones."""

    def setUp(self) -> None:
        super().setUp()
        self.far.lan.repositories = ["moving"]
        self.installed = list(self.far.moving.packages.values())[::3]

    def prepare(self, *hosts: Host) -> None:
        """Have all of it installed on hosts, of which pacman knows nothing newer."""
        for host in hosts:
            install(host.database_path / "local", [one.recipe for one in self.installed])
        self.sync(*hosts)

    def publish(self) -> list[Package]:
        """Publish newer packages of all that is installed."""
        return self.far.moving.bump([one.name for one in self.installed])

    def learn(self, *hosts: Host) -> None:
        """Run ``pacman -Sy`` on all these hosts at once."""
        with ThreadPoolExecutor(len(hosts)) as pool:
            for run in pool.map(lambda host: host.pacman("-Sy"), hosts):
                self.assert_clean(run)

    def wait_ready(self, node: Node, count: int, seconds: float = 60) -> None:
        """Wait until so many packages are ready, and no more are wanted."""

        def is_ready() -> bool:
            told = node.status()["ahead"]
            return bool(told["wanted"] == told["ready"] == count)

        what = f"{count} packages are ready on {node.host.name}"
        try:
            wait_until(is_ready, seconds, what, every=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}: {node.status()['ahead']}") from None

    def assert_all_ready(self, node: Node, packages: Sequence[Package]) -> None:
        """Claim that pacman gets these, all of them from what is here, and none of a mirror.

        What the node fetched for a peer, as an owner, did not come ahead, but is here as well.
        """
        self.mirror.reset()
        self.assert_clean(node.host.pacman("-Suw"))
        self.assert_cached(node.host, packages)
        self.assert_signatures_cached(node.host, packages)
        self.assert_mirror_gave_no_packages()
        told = node.status()
        traffic, whole = told["traffic"], sum(package.size for package in packages)
        here = traffic["ready_ahead_bytes"] + traffic["held_here_bytes"]
        self.assertGreaterEqual(here, whole)
        self.assertEqual((told["ahead"]["unused_bytes"], told["ahead"]["waiting_bytes"]), (0, 0))


class HoldersTests(AheadTestCase):
    """Three peers hold all of the upgrade."""

    def test_one_that_is_slow_and_one_that_dies_are_no_reason_to_be_unready(self) -> None:
        client, slow, steady, dying = self.hosts[:4]
        holders = [slow, steady, dying]
        self.prepare(client)
        newer = self.publish()
        for host in holders:
            self.hold(host, newer)
        self.sync(*holders)
        for host, rate in ((slow, "4mbit"), (steady, "30mbit"), (dying, "30mbit")):
            host.limit(rate)
        nodes = [host.start_node(settings=OFF) for host in holders]
        node = client.start_node(settings=LAN)
        for one in (node, *nodes):
            one.wait_ready()
        self.meet(node, *nodes)
        self.learn(client)
        wait_until(lambda: node.status()["ahead"]["ready"], 30, "some of it is ready", every=0.01)
        nodes[-1].kill()
        self.wait_ready(node, len(newer))
        self.assert_mirror_gave_no_packages()
        self.assert_all_ready(node, newer)
        used = node.status()["ahead"]["used_bytes"]
        self.assertEqual(used, sum(package.size for package in newer))


class EightAheadTests(AheadTestCase):
    """Nobody holds anything, and ``prefetch`` is "all"."""

    def test_eight_that_sync_at_once_are_ready_and_the_mirror_gave_each_package_once(self) -> None:
        self.prepare(*self.hosts)
        nodes = [host.start_node(settings=ALL, program=hasty(host, 1.0)) for host in self.hosts]
        for node in nodes:
            node.wait_ready()
        self.meet(*nodes)
        newer = self.publish()
        self.learn(*self.hosts)
        for node in nodes:
            self.wait_ready(node, len(newer), 120)
        self.assert_crossed(newer, ONCE)
        for node in nodes:
            self.assert_all_ready(node, newer)
