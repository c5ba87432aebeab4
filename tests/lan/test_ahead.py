"""What pacman would upgrade is here before it asks; and what else a package needs.

Real nodes, a real pacman and an nginx mirror, as in ``test_abilities``. The time for which a node
waits before it asks mirrors is not real.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.lan.lan import Host, Node, hasty, wait_until
from tests.lan.repository import MIB, Package, Recipe, Repository, install
from tests.lan.test_abilities import Link, SmallTestCase, wait_metered

_NUMBERS = itertools.count(1)


class AheadCase(SmallTestCase):
    """Claims about what was fetched ahead."""

    def publish_newer(self) -> list[Package]:
        """Publish newer versions of the first five packages, all of which are installed."""
        newer = self.moving.bump([package.name for package in self.packages[:5]])
        os.utime(self.moving.database)
        return newer

    def wait_fetched(self, node: Node, count: int) -> None:
        """Wait until a node has fetched ahead what it could, and holds so many packages.

        As an owner it may have fetched some for another before it came to fetch its own.
        """

        def is_there() -> bool:
            status = node.status()
            state = status["prefetch"]
            if state["running"]:
                return False
            self.assertEqual(state["fetched"], state["total"])
            return bool(status["inventory"]["files"] == count)

        wait_until(is_there, 30, f"{node.host.name} fetched {count} packages ahead", every=0.1)

    def assert_ready(self, packages: Sequence[Package]) -> None:
        """Claim that these crossed once, and that pacman gets them without a mirror."""
        self.assert_mirror_gave_once(packages)
        self.mirror.reset()
        for host in (self.first, self.second):
            self.assert_clean(host.pacman("-Suw"))
            self.assert_cached(host, packages)
            self.assert_signatures_cached(host, packages)
        self.assert_mirror_gave_no_packages()


class FromEverywhere(AheadCase):
    """``prefetch = "all"``, as it was set at first: ``true``; and ``flocon prefetch``."""

    def setUp(self) -> None:
        super().setUp()
        for host in (self.first, self.second):
            install(host.database_path / "local", [one.recipe for one in self.packages])
        self.sync(self.first, self.second)

    def test_after_a_newer_database_it_is_fetched_unasked_once_for_both(self) -> None:
        nodes = self.start(
            self.first, self.second, settings={"prefetch": True}, program=hasty(self.first, 1.0)
        )
        newer = self.publish_newer()
        for host in (self.first, self.second):
            self.assert_clean(host.pacman("-Sy"))
        for node in nodes:
            self.wait_fetched(node, len(newer))
        self.assert_ready(newer)

    def test_what_a_peer_holds_does_not_cross_again(self) -> None:
        newer = self.publish_newer()
        self.hold(self.first, newer[:3])
        self.sync(self.first, self.second)
        self.start(self.first, settings={"prefetch": False})
        node = self.second.node(settings={"prefetch": True}, program=hasty(self.second, 1.0))
        self.wait_fetched(node, len(newer))
        self.assert_mirror_gave_once(newer[3:])

    def test_two_who_are_told_at_the_same_moment_fetch_once_and_show_how_far_they_are(self) -> None:
        newer = self.publish_newer()
        self.sync(self.first, self.second)
        nodes = self.start(self.first, self.second)
        with ThreadPoolExecutor(2) as pool:
            told = list(pool.map(_prefetch, (self.first, self.second)))
        # A command takes some tenths of a second to begin. What one node has fetched by then for
        # the other, as its owner, it has no need to fetch.
        self.assertGreaterEqual(sum(one["total"] for one in told), len(newer), told)
        for one in told:
            self.assertEqual(one["fetched"], one["total"], told)
            self.assertFalse(one["running"])
        for node in nodes:
            self.wait_for_files(node, len(newer))
        self.assert_ready(newer)

    def test_on_a_metered_link_nothing_is_fetched_unasked(self) -> None:
        newer = self.publish_newer()
        self.sync(self.second)
        link = Link(self.second, metered=True)
        node = self.second.node(
            settings={"prefetch": True}, program=link.program(hasty(self.second, 0.2))
        )
        wait_metered(node)
        time.sleep(1)
        self.assertEqual(self.mirror.packages(), [])
        link.set(metered=False)
        node.send(signal.SIGHUP)
        self.wait_fetched(node, len(newer))


class UpgradeCase(AheadCase):
    """The second host has old packages of a repository of its own; the first has what it gets."""

    def setUp(self) -> None:
        super().setUp()
        self.more = Repository(
            self.mirror.root, f"more{next(_NUMBERS)}", key=self.small.key, seed=7
        )
        old = [Recipe(f"ahead{at}", "1-1", at * 100_000) for at in range(1, 6)]
        self.old = self.more.add([*old, Recipe("former", "1-1", 9_000)])
        self.small.lan.repositories = [self.more.name]
        install(self.second.database_path / "local", [one.recipe for one in self.old])
        self.sync(self.first, self.second)

    def publish(self) -> list[Package]:
        """Publish newer ones of all: one needs a new one, and one takes another's place."""
        newer = [Recipe(f"ahead{at}", "2-1", at * 100_000) for at in range(1, 5)]
        newer += [
            Recipe("ahead5", "2-1", 500_000, depends=("fresh",)),
            Recipe("fresh", "1-1", 3 * MIB),
            Recipe("latter", "1-1", 8_000, replaces=("former",)),
            Recipe("other", "1-1", 7_000),
        ]
        *wanted, _ = self.more.add(newer)
        os.utime(self.more.database)
        return wanted

    def check_at_once(self) -> None:
        """Claim that after a -Sy all that a peer holds comes at once, and from it alone."""
        newer = self.publish()
        self.hold(self.first, newer)
        self.sync(self.first)
        _, node = self.start(self.first, self.second)
        self.assert_clean(self.second.pacman("-Sy"))
        then = time.monotonic()
        wait_until(lambda: node.status()["prefetch"]["total"], 5, "it has begun")
        self.assertLess(time.monotonic() - then, 1.5)
        self.wait_fetched(node, len(newer))
        self.assert_mirror_gave_no_packages()
        self.mirror.host.link("down")
        # All of it comes from here now: nobody else can be reached.
        self.first.link("down")
        self.assert_clean(self.second.pacman("-Suw"))
        self.assert_cached(self.second, newer)
        self.assert_signatures_cached(self.second, newer)


class WithPacman7(UpgradeCase):
    uses_pacman_7 = True

    def test_it_begins_within_a_second_and_mirrors_are_asked_for_nothing(self) -> None:
        self.check_at_once()


class FromPeers(UpgradeCase):
    """``prefetch = "lan"``, the default: what peers hold of the next upgrade comes at once."""

    def test_it_begins_within_a_second_and_mirrors_are_asked_for_nothing(self) -> None:
        self.check_at_once()

    def test_what_nobody_has_is_left_to_pacman_until_a_peer_gets_it(self) -> None:
        newer = self.publish()
        self.hold(self.first, newer[:2])
        self.sync(self.first)
        _, node = self.start(self.first, self.second)
        self.assert_clean(self.second.pacman("-Sy"))
        self.wait_fetched(node, 2)
        time.sleep(1)
        self.assert_mirror_gave_no_packages()
        self.assert_clean(self.download(self.first, newer[2:]))
        self.wait_fetched(node, len(newer))
        self.assert_mirror_gave_once(newer[2:])

    def test_what_is_ignored_or_here_already_is_not_fetched(self) -> None:
        newer = self.publish()
        self.hold(self.first, newer)
        self.hold(self.second, newer[1:2])
        self.small.lan.pacman_options = {"IgnorePkg": newer[0].name}
        self.sync(self.first)
        _, node = self.start(self.first, self.second)
        self.assert_clean(self.second.pacman("-Sy"))
        self.wait_fetched(node, len(newer) - 1)
        self.assertEqual(node.status()["prefetch"]["total"], len(newer) - 2)
        time.sleep(1)
        self.assertEqual(node.status()["inventory"]["files"], len(newer) - 1)

    def test_each_version_comes_once_whatever_became_of_it(self) -> None:
        newer = self.publish()
        self.hold(self.first, newer)
        self.sync(self.first)
        _, node = self.start(self.first, self.second)
        self.assert_clean(self.second.pacman("-Sy"))
        self.wait_fetched(node, len(newer))
        node.stop()
        gone = [self.second.store / "packages" / one.file_name for one in newer[:3]]
        for path in gone:
            path.unlink()
        node = self.second.node()
        self.meet(self.first.nodes[-1], node)
        # Another database, as a timer finds one each hour.
        self.more.add([Recipe("stranger", "1-1", 5_000)])
        os.utime(self.more.database)
        self.assert_clean(self.second.pacman("-Sy"))
        time.sleep(3)
        self.assertEqual([path.exists() for path in gone], [False] * 3)
        self.assertEqual(node.status()["inventory"]["files"], len(newer) - 3)
        # A person may want it all the same.
        self.assertEqual(_prefetch(self.second)["fetched"], 3)

    def test_what_a_package_needs_comes_while_pacman_fetches_it(self) -> None:
        parts = [Recipe(f"part{at}", "1-1", 200_000 + at) for at in range(4)]
        whole = Recipe("whole", "1-1", 6 * MIB, depends=tuple(one.name for one in parts))
        packages = self.more.add([*parts, whole])
        os.utime(self.more.database)
        self.hold(self.first, packages)
        self.sync(self.first, self.second)
        _, node = self.start(self.first, self.second)
        self.first.limit("30mbit")
        run = self.second.pacman("-Sw", "whole", parallel=1)
        self.assert_clean(run)
        self.assert_cached(self.second, packages)
        self.assert_mirror_gave_no_packages()
        self.assertIn("ready for the next upgrade: 4 of 4", node.log_text)


def _prefetch(host: Host) -> dict[str, Any]:
    """Run ``flocon prefetch`` to its end; return what it told."""
    done = host.flocon("--json", "prefetch", apart=True, timeout=60)
    if done.returncode or done.stderr:
        raise AssertionError(f"flocon prefetch: {done.returncode} {done.stderr}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told
