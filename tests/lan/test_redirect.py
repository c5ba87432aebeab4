"""``transfer = "redirect"``: pacman takes packages from their holders itself.

Real nodes and a real pacman, as in ``test_main_job``; holders that misbehave are ``faults``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.lan.case import LanTestCase
from tests.lan.lan import LAN_PORT, Node, wait_until
from tests.lan.repository import Package

REDIRECT = {"transfer": "redirect"}


class RedirectTests(LanTestCase):
    """What pacman sees, and what the node has to do with it."""

    def ask_by_redirect(self) -> Node:
        node = self.first.start_node(settings=REDIRECT, arguments=["--debug"])
        node.wait_ready()
        return node

    def start_both(self, packages: Sequence[Package]) -> tuple[Node, Node]:
        """Start the node that sends pacman on and one that holds ``packages``; they have met."""
        self.sync(self.first, self.second)
        self.hold(self.second, packages)
        holder = self.second.start_node()
        node = self.ask_by_redirect()
        holder.wait_ready()
        self.meet(node, holder)
        return node, holder

    def misbehave(self, node: Node, fault: str) -> None:
        """Have the second host announce everything, and answer as ``fault`` says."""
        log = self.second.folder / "faults.log"
        command = [sys.executable, "-m", "tests.lan.faults", "--root", str(self.mirror.root)]
        self.second.start([*command, f"peer@{self.second.address}={fault}"], log=log)

        def known() -> bool:
            peers = node.peers().values()
            return any(peer["files_known"] for peer in peers)

        if fault not in {"refused", "blackholed"}:
            wait_until(known, 20, "the files of the peer that misbehaves are known")

    def asked_of_the_fault(self) -> str:
        return (self.second.folder / "faults.log").read_text()

    def test_pacman_takes_packages_from_the_holder_itself(self) -> None:
        packages = self.all_packages
        node, holder = self.start_both(packages)
        self.assert_clean(self.download(self.first, packages))
        self.assert_cached(self.first, packages)
        self.assert_signatures_cached(self.first, packages)
        self.assert_mirror_gave_no_packages()
        told = node.status()
        answers = told["answers"]
        self.assertEqual(answers.pop("peer"), len(packages))
        # The signature of one that came by the node may lie in its store by then.
        self.assertLessEqual(answers.keys(), {"database", "store"})
        self.assertEqual(sum(answers.values()), len(packages))
        # No more than two at a time that have not arrived yet; the others come by the node.
        relayed = told["traffic"]["from_peers_bytes"]
        self.assertLess(relayed, 0.8 * sum(package.size for package in packages))
        size = sum(package.size for package in packages)
        self.assertEqual(holder.status()["traffic"]["to_peers_bytes"], size)
        wait_until(lambda: node.status()["receipts"], 20, "the receipt is written")
        receipt = node.status()["receipts"][0]
        self.assertEqual((receipt["packages"], receipt["lan_bytes"]), (len(packages), size))

    def test_what_pacman_took_is_there_for_the_next_host(self) -> None:
        packages = self.few_packages
        node, _holder = self.start_both(packages)
        self.assert_clean(self.download(self.first, packages))
        self.wait_for_files(node, len(packages))

    def test_an_old_partial_file_is_resumed_from_the_holder(self) -> None:
        package = self.few_packages[0]
        _node, holder = self.start_both([package])
        part = self.first.cache / f"{package.file_name}.part"
        part.write_bytes(package.path.read_bytes()[:1_000])
        self.assert_clean(self.download(self.first, [package]))
        self.assert_cached(self.first, [package])
        given = holder.status()["traffic"]["to_peers_bytes"]
        self.assertEqual(given, package.size - 1_000)

    def test_signatures_that_no_database_carries_come_by_the_node(self) -> None:
        self.lan.repositories = ["plain"]
        packages = list(self.lab.plain.packages.values())
        node, _holder = self.start_both(packages)
        self.assert_clean(self.download(self.first, packages))
        self.assert_signatures_cached(self.first, packages)
        self.assert_mirror_gave_no_packages()
        self.assertGreater(node.status()["traffic"]["from_peers_bytes"], 0)

    def test_wrong_bytes_fail_once_and_come_verified_the_next_time(self) -> None:
        self.sync(self.first)
        node = self.ask_by_redirect()
        self.misbehave(node, "wrong-middle-byte")
        packages = self.few_packages
        run = self.download(self.first, packages)
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("wrong-middle-byte /content/", self.asked_of_the_fault())
        self.assert_clean(self.download(self.first, packages))
        self.assert_cached(self.first, packages)
        self.assertEqual(len(node.status()["quarantine"]), 1)

    def test_one_that_stalls_is_sent_two_files_and_then_none(self) -> None:
        self.sync(self.first)
        node = self.ask_by_redirect()
        self.misbehave(node, "stalls-in-body")
        packages = self.few_packages
        run = self.download(self.first, packages)
        sent = self.asked_of_the_fault().count("/content/")
        self.assertLessEqual(sent, 2, run.output)
        self.assert_clean(self.download(self.first, packages))
        self.assert_cached(self.first, packages)
        self.assertEqual(self.asked_of_the_fault().count("/content/"), sent)

    def test_a_holder_that_dies_in_the_middle_leaves_the_rest_to_the_mirror(self) -> None:
        self.sync(self.first)
        node = self.ask_by_redirect()
        self.misbehave(node, "dies-in-body")
        packages = self.few_packages
        run = self.download(self.first, packages)
        self.assertEqual(run.returncode, 0, run.output)
        self.assert_cached(self.first, packages)

    def test_a_holder_that_is_gone_is_not_what_pacman_is_sent_to(self) -> None:
        packages = self.few_packages
        node, _holder = self.start_both(packages)
        self.second.link("down")
        run = self.download(self.first, packages)
        self.assert_clean(run)
        self.assert_cached(self.first, packages)
        self.assertEqual(node.status()["answers"].get("peer", 0), 0)

    def test_who_is_not_pacman_gets_it_verified_from_the_node(self) -> None:
        package = self.few_packages[0]
        _node, _holder = self.start_both([package])
        answer = self.first.request(f"/multilib/os/x86_64/{package.file_name}")
        self.assertEqual((answer.status, answer.body), (200, package.path.read_bytes()))

    def test_the_lan_face_gives_nothing_else_by_this_path(self) -> None:
        self.sync(self.first)
        package = self.few_packages[0]
        self.hold(self.first, [package])
        node = self.ask_by_redirect()
        self.meet(node)
        name = package.file_name.replace(".pkg", "")
        for path, status in {
            f"/content/{package.sha256}/{name}": 200,
            f"/content/{'0' * 64}/{name}": 404,
            f"/content/{package.sha256}/{package.file_name}": 404,
            f"/content/{package.sha256}/..%2f..%2f{name}": 404,
        }.items():
            found = self.third.request(path, address=self.first.address, port=LAN_PORT)
            self.assertEqual(found.status, status, path)
