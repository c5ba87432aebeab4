"""The main job with pacman 7: its CacheServer lines, its DownloadUser, and its sandbox.

pacman 7 as it is shipped downloads as another user, in a folder of that user's below CacheDir, and
shuts itself in; what is asked for moves into CacheDir when all of it is there.

What does not depend on pacman's kind is run with this one on request:

    FLOCON_TESTS=all python -m twisted.trial tests.lan.test_pacman_7
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tests.lan import test_main_job
from tests.lan.case import LanTestCase
from tests.lan.lan import LAN_PORT, NOBODY, wait_until
from tests.lan.on_request import suite_of

if TYPE_CHECKING:
    import unittest
    from pathlib import Path

    from tests.lan.repository import Package


#: Run on request: pacman asks in them what it asks in the others, too.
ON_REQUEST = (
    "HeldByAPeer7.test_a_package_that_pacman_just_downloaded_is_there_for_the_next_host",
    "HeldByAPeer7.test_the_answer_says_where_a_file_came_from",
    "HeldByNobody7.test_what_a_peer_fetched_for_us_is_not_said_to_be_saved",
    "HalfHeld7.test_a_holder_that_dies_in_the_middle_costs_pacman_nothing",
    "HalfHeld7.test_a_package_that_just_left_the_holders_disk_is_still_delivered",
    "HalfHeld7.test_held_files_come_from_the_peer_and_the_others_from_the_mirror",
    "AsWithoutFlocon7.test_a_mirror_out_of_reach_holds_up_nothing_that_a_peer_holds",
    "AsWithoutFlocon7.test_a_package_that_the_mirror_lost_fails_as_it_would",
    "AsWithoutFlocon7.test_no_mirror_is_needed_for_what_a_peer_holds",
    "AsWithoutFlocon7.test_with_neither_mirror_nor_peer_pacman_fails_as_it_would",
    "Databases7.test_a_forced_look_transfers_every_database",
)


def test_suite() -> unittest.TestSuite:
    """Return what is run by default."""
    return suite_of(__name__, ON_REQUEST)


class HeldByAPeer7(test_main_job.HeldByAPeerTests):
    uses_pacman_7 = True


class HeldByNobody7(test_main_job.HeldByNobodyTests):
    uses_pacman_7 = True


class HalfHeld7(test_main_job.HalfHeldTests):
    """Without a DownloadUser, whose folders are new each time: pacman 7 has nothing to resume."""

    uses_pacman_7 = True

    def setUp(self) -> None:
        super().setUp()
        self.lan.pacman_options = {}


class Databases7(test_main_job.DatabaseTests):
    uses_pacman_7 = True


class AsWithoutFlocon7(test_main_job.AsWithoutFloconTests):
    uses_pacman_7 = True


class CacheServerTests(LanTestCase):
    """The node as a ``CacheServer``: asked for packages only, and its errors are silent."""

    uses_pacman_7 = True

    def setUp(self) -> None:
        super().setUp()
        self.lan.node_line = "CacheServer"

    def test_what_a_peer_holds_comes_from_it(self) -> None:
        packages = self.few_packages
        self.sync(self.first, self.second)
        self.hold(self.first, packages)
        self.start_nodes(self.first, self.second)
        self.assert_clean(self.download(self.second, packages))
        self.assert_cached(self.second, packages)
        self.assert_signatures_cached(self.second, packages)
        self.assert_mirror_gave_no_packages()

    def test_so_does_what_was_just_listed(self) -> None:
        packages = self.few_packages
        self.sync(self.first)
        self.hold(self.first, packages)
        self.start_nodes(self.first, self.second)
        names = [package.name for package in packages]
        self.assert_clean(self.second.pacman("-Syw", *names))
        self.assert_cached(self.second, packages)
        self.assert_mirror_gave_no_packages()

    def test_what_nobody_holds_crosses_once(self) -> None:
        packages = self.few_packages
        self.sync(self.first)
        node = self.first.node()
        self.assert_clean(self.download(self.first, packages))
        self.assert_cached(self.first, packages)
        self.assert_mirror_gave_once(packages)
        self.assertGreater(node.status()["traffic"]["to_pacman_bytes"], 0)

    def test_databases_never_come_through_the_node(self) -> None:
        node = self.first.node()
        self.assert_clean(self.first.pacman("-Syy"))
        asked = {record.agent.partition("/")[0] for record in self.mirror.records()}
        self.assertEqual(asked, {"pacman"})
        self.assertEqual(node.status()["traffic"]["to_pacman_bytes"], 0)

    def test_a_stopped_node_costs_nothing(self) -> None:
        packages = self.few_packages
        self.sync(self.first)
        self.first.node().stop()
        self.assert_clean(self.download(self.first, packages))
        self.assert_cached(self.first, packages)

    def test_a_node_that_is_killed_on_the_way_costs_nothing(self) -> None:
        package = max(self.all_packages, key=lambda one: one.size)
        self.sync(self.first)
        node = self.first.node()
        self.mirror.host.limit("400mbit")
        process = self.first.start(self.first.pacman_command("-Sw", package.name))
        _wait_for_part(self.first.cache, package)
        node.kill()
        self.assertEqual(process.wait(60), 0)
        self.assert_cached(self.first, [package])


class SandboxTests(LanTestCase):
    """pacman 7 as it is shipped: a user of its own for downloads, and a sandbox."""

    uses_pacman_7 = True

    def test_downloads_are_another_users_and_nothing_of_them_is_offered(self) -> None:
        package = max(self.all_packages, key=lambda one: one.size)
        self.sync(self.first)
        self.first.node(settings={"store": {"max_size": 0}})
        self.mirror.host.limit("400mbit")
        run: list[object] = []
        running = threading.Thread(
            target=lambda: run.append(self.first.pacman("-Sw", package.name).returncode)
        )
        running.start()
        part = _wait_for_part(self.first.cache, package)
        self.assertEqual(part.parent.stat().st_uid, NOBODY)
        self.assertEqual(part.parent.stat().st_mode & 0o777, 0o700)
        self.assertEqual(self._offered(package), 404)
        running.join()
        self.assertEqual(run, [0])
        self.assert_cached(self.first, [package])
        wait_until(lambda: self._offered(package) == 200, 10, "what came is offered")

    def _offered(self, package: Package) -> int:
        path = f"/pkg/{package.file_name}"
        return self.second.request(
            path, method="HEAD", address=self.first.address, port=LAN_PORT
        ).status


def _wait_for_part(cache: Path, package: Package) -> Path:
    """Wait until some of a package lies in the download user's folder; return the file."""

    def part() -> Path | None:
        found = cache.glob(f"download-*/{package.file_name}.part")
        return next((path for path in found if path.stat().st_size > 0), None)

    return wait_until(part, 20, "a part is there")
