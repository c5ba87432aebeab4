"""Folders that do not answer any more, as of an NFS server that has gone, and all else goes on."""

from __future__ import annotations

import shutil
import time
from http.client import IncompleteRead
from pathlib import Path
from urllib.parse import quote

from tests.lan.case import LanTestCase
from tests.lan.hanging_folder import VALID, HangingFolder, unavailable
from tests.lan.lan import LAN_PORT, Node, wait_until
from tests.lan.repository import MIB, Package
from tests.needs import leave_out

#: Seconds within which something is answered that need not wait for the folder.
SOON = 1.0
#: Seconds for which a folder is waited for where something else can be had, and some to spare.
PATIENCE = 5.0


class HungCase(LanTestCase):
    def setUp(self) -> None:
        leave_out(unavailable())
        super().setUp()
        self.sync(self.first, self.second)

    def share(self, packages: list[Package]) -> HangingFolder:
        """Return what shows a folder with these packages, as a server would."""
        source = self.first.folder / "served"
        source.mkdir()
        for package in packages:
            for path in (package.path, package.signature):
                shutil.copy2(path, source / path.name)
        folder = HangingFolder(source, self.first.folder / "mounted")
        self.addCleanup(folder.close)
        return folder

    def adopting(self, folder: HangingFolder, **settings: object) -> Node:
        return self.first.node(settings={"store": {"adopt": [str(folder.place)]}, **settings})

    def put_into_cache(self, package: Package) -> None:
        for path in (package.signature, package.path):
            shutil.copy2(path, self.first.cache / path.name)

    def assert_well(self, node: Node, package: Package) -> None:
        """Check that a node answers at once, sees a new package of its own, and gives it."""
        self.assert_answers(node)
        self.put_into_cache(package)
        path = f"/pkg/{package.file_name}"
        wait_until(
            lambda: (
                self.first.request(path, address=self.first.address, port=LAN_PORT).status == 200
            ),
            8,
            "what came into the own cache is given",
        )
        self.assert_answers(node)

    def assert_answers(self, node: Node) -> None:
        began = time.monotonic()
        self.assertEqual(node.check(), b"OK")
        self.assertLess(time.monotonic() - began, SOON)

    def command(self, *words: str) -> str:
        """Return what ``flocon`` says on the first host, which has to end soon."""
        return self.first.flocon(*words, timeout=20).stdout

    def assert_told(self, node: Node, folder: Path) -> None:
        """Check that whoever asks learns that a folder hangs."""
        wait_until(lambda: node.status()["silent"], 20, "it is told that the folder hangs")
        said = f"{folder} has not answered for "
        self.assertIn(said, self.command("status"))
        self.assertIn(said, self.command("doctor"))
        page = self.first.request("/").body.decode()
        self.assertIn(f"<code>{folder}</code>", page)
        self.assertIn("has not answered for", page)
        metrics = self.first.request("/metrics").body.decode()
        self.assertIn(f'flocon_silent_folder_seconds{{folder="{folder}"}} ', metrics)

    def threads(self, node: Node) -> int:
        return len(list(Path(f"/proc/{node.pid}/task").iterdir()))

    def ask(self, package: Package, timeout: float = 30) -> int:
        """Ask the first host for a package as a peer does; return the status."""
        path = f"/pkg/{quote(package.file_name)}"
        return self.second.request(
            path, address=self.first.address, port=LAN_PORT, timeout=timeout
        ).status

    def pieces(self) -> tuple[list[Package], list[Package]]:
        small = [one for one in self.all_packages if one.size <= MIB]
        return small[:5], small[5:15]


class Adopted(HungCase):
    def hangs(self, *kinds: str) -> None:
        shared, own = self.pieces()
        folder = self.share(shared)
        folder.hang(*kinds)
        node = self.adopting(folder)
        wait_until(folder.waiting, 5, "the folder is asked")
        self.assert_well(node, own[0])
        self.assertLess(node.stop(20), 3)

    def test_nothing_at_all_answers(self) -> None:
        self.hangs()

    def test_listing_it(self) -> None:
        self.hangs("scandir")

    def test_looking_at_its_files(self) -> None:
        self.hangs("stat")

    def test_opening_a_file(self) -> None:
        self.hangs("open")

    def test_reading_a_file(self) -> None:
        self.hangs("read")


class Held(HungCase):
    """A folder that hangs once all of it is verified and offered."""

    def setUp(self) -> None:
        super().setUp()
        small, self.own = self.pieces()
        self.large = max(self.lab.core.packages.values(), key=lambda one: one.size)
        self.shared = [*small, self.large]
        self.folder = self.share(self.shared)
        self.node = self.adopting(self.folder)
        self.wait_for_files(self.node, len(self.shared))
        # What the kernel need not ask for is not asked for.
        time.sleep(VALID + 0.5)

    def assert_elsewhere(self, package: Package) -> None:
        began = time.monotonic()
        run = self.download(self.first, [package])
        self.assert_clean(run)
        self.assertLess(time.monotonic() - began, PATIENCE)
        self.assert_cached(self.first, [package])
        self.assertGreater(len(self.mirror.packages()), 0)

    def test_pacman_gets_it_elsewhere(self) -> None:
        self.folder.hang()
        self.assert_elsewhere(self.shared[0])

    def test_pacman_gets_it_elsewhere_where_it_can_be_seen_and_not_opened(self) -> None:
        self.folder.hang("open")
        self.assert_elsewhere(self.shared[0])

    def test_pacman_gets_it_elsewhere_where_it_can_be_opened_and_not_read(self) -> None:
        self.folder.hang("read")
        self.assert_elsewhere(self.large)

    def test_pacman_gets_the_rest_elsewhere_where_it_hangs_in_the_middle(self) -> None:
        self.folder.hang(f"read+{20 * MIB}")
        began = time.monotonic()
        run = self.download(self.first, [self.large])
        self.assert_clean(run)
        self.assertLess(time.monotonic() - began, 2 * PATIENCE)
        self.assert_cached(self.first, [self.large])
        self.assert_answers(self.node)
        # What was there is not fetched again.
        self.assertLess(sum(one.sent for one in self.mirror.packages()), 35 * MIB)

    def test_a_peer_is_told_soon_and_others_hear_of_it_and_all_is_as_it_was(self) -> None:
        second = self.second.node()
        wait_until(
            lambda: [one["files"] for one in second.peers().values()] == [len(self.shared)],
            10,
            "the peer knows what is held",
        )
        self.folder.hang()
        threads = self.threads(self.node)
        began = time.monotonic()
        self.assertEqual(self.ask(self.shared[0]), 404)
        self.assertLess(time.monotonic() - began, PATIENCE)
        for package in self.shared * 5:
            began = time.monotonic()
            self.assertEqual(self.ask(package), 404)
            self.assertLess(time.monotonic() - began, SOON)
        self.assert_told(self.node, self.folder.place)
        wait_until(
            lambda: [one["files"] for one in second.peers().values()] == [0],
            10,
            "the peer knows that it is not to be had",
        )
        # One that opens, and what the status and the doctor had to do.
        self.assertLessEqual(self.threads(self.node), threads + 5)
        self.assert_well(self.node, self.own[0])
        self.folder.free()
        self.wait_for_files(self.node, len(self.shared) + 1)
        self.assertEqual(self.node.status()["silent"], [])
        for package in self.shared:
            self.assertEqual(self.ask(package), 200)
        self.assertLess(self.node.stop(20), 3)

    def test_a_peer_that_is_sent_it_is_cut_off_in_time(self) -> None:
        self.folder.hang(f"read+{20 * MIB}")
        began = time.monotonic()
        with self.assertRaises((IncompleteRead, ConnectionResetError)):
            self.ask(self.large)
        self.assertLess(time.monotonic() - began, PATIENCE)
        self.assert_well(self.node, self.own[0])
        self.assertLess(self.node.stop(20), 3)

    def test_closing_a_file_that_was_sent_holds_up_nobody(self) -> None:
        self.folder.hang("close")
        self.assertEqual(self.ask(self.shared[0]), 200)
        wait_until(self.folder.waiting, 5, "the file is closed")
        self.assert_well(self.node, self.own[0])
        self.assertLess(self.node.stop(20), 3)


class OwnCache(HungCase):
    """pacman's CacheDir is on a server that stops answering."""

    def test_what_lies_elsewhere_is_given_and_told(self) -> None:
        small, others = self.pieces()
        source, adopted = self.first.folder / "served", self.first.folder / "adopted"
        for place, packages in ((source, small), (adopted, others)):
            place.mkdir()
            for package in packages:
                for path in (package.path, package.signature):
                    shutil.copy2(path, place / path.name)
        folder = HangingFolder(source, self.first.cache)
        self.addCleanup(folder.close)
        node = self.first.node(settings={"store": {"adopt": [str(adopted)]}})
        self.wait_for_files(node, len(small) + len(others))
        self.assertEqual(self.ask(small[0]), 200)
        time.sleep(VALID + 0.5)
        folder.hang()
        self.assertEqual(self.ask(small[0]), 404)
        for package in others:
            self.assertEqual(self.ask(package), 200)
        self.assert_told(node, folder.place)
        self.wait_for_files(node, len(others))
        folder.free()
        self.wait_for_files(node, len(small) + len(others))
        self.assertEqual(self.ask(small[0]), 200)
        folder.hang()
        self.assertLess(node.stop(20), 3)
