"""The main job on real input: real nodes, a real pacman, real packages, on a LAN of namespaces.

pacman's configuration has the node's ``Server`` line first and the mirror's second throughout, and
asks for five files at a time.
"""

from __future__ import annotations

import functools
import itertools
import json
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lan.case import LanTestCase
from tests.lan.lan import (
    LAN_PORT,
    LOOPBACK_PORT,
    MIRROR_ADDRESS,
    NOBODY,
    SLOW_MIRROR_PORT,
    Host,
    Node,
    in_namespace,
    wait_until,
)

if TYPE_CHECKING:
    from tests.lan.repository import Package

GROUP = "228.0.2.35"
#: twistd ends itself with the signal that stopped it, once all services have stopped.
CLEAN_ENDS = (0, -signal.SIGTERM)
#: Longer than any test runs: what happens within it, a beat did not do.
NO_BEAT = 600.0


class HeldByAPeerTests(LanTestCase):
    """A host with an empty cache; a peer has what it needs."""

    def test_everything_comes_from_the_peer_and_nothing_from_the_mirror(self) -> None:
        packages = self.all_packages
        self.assertEqual(len(packages), 60)
        self.sync(self.first, self.second)
        self.hold(self.first, packages)
        _, node = self.start_nodes(self.first, self.second)
        run = self.download(self.second, packages)
        self.assert_clean(run)
        self.assert_cached(self.second, packages)
        self.assert_signatures_cached(self.second, packages)
        self.assert_mirror_gave_no_packages()
        traffic = node.status()["traffic"]
        total = sum(package.size for package in packages)
        self.assertGreaterEqual(traffic["from_peers_bytes"], total)
        self.assert_took_nothing_of_mirrors(node)

    def test_so_does_what_is_asked_for_right_after_the_databases_came(self) -> None:
        packages = self.few_packages
        self.sync(self.first)
        self.hold(self.first, packages)
        self.start_nodes(self.first, self.second)
        run = self.second.pacman("-Syw", *(package.name for package in packages))
        self.assert_clean(run)
        self.assert_cached(self.second, packages)
        self.assert_mirror_gave_no_packages()

    def test_signatures_that_no_database_carries_come_from_the_peer_too(self) -> None:
        self.lab.lan.repositories = ["plain"]
        packages = list(self.lab.plain.packages.values())
        self.sync(self.first, self.second)
        self.hold(self.first, packages)
        self.start_nodes(self.first, self.second)
        run = self.download(self.second, packages)
        self.assert_clean(run)
        self.assert_cached(self.second, packages)
        self.assert_signatures_cached(self.second, packages)
        self.assert_mirror_gave_no_packages()

    def test_a_package_that_pacman_just_downloaded_is_there_for_the_next_host(self) -> None:
        packages = self.few_packages
        self.sync(self.first, self.second)
        first, second = self.start_nodes(self.first, self.second)
        self.assert_clean(self.download(self.first, packages))
        self.wait_for_files(first, len(packages))
        self.meet(first, second)
        self.mirror.reset()
        self.assert_clean(self.download(self.second, packages))
        self.assert_cached(self.second, packages)
        self.assert_mirror_gave_no_packages()

    def test_the_answer_says_where_a_file_came_from(self) -> None:
        held, missing = self.few_packages[:2]
        self.sync(self.first, self.second)
        self.hold(self.first, [held])
        node = self.first.node()
        self.wait_for_files(node, 1)
        self._expect(self.first, missing, f"mirror {MIRROR_ADDRESS}")
        self.wait_for_files(node, 2)
        self._expect(self.first, missing, "store")
        self._expect(self.first, held, "cache")
        self.meet(node, self.second.node())
        self._expect(self.second, held, f"peer {self.first.address}")
        self._expect(self.second, missing, f"peer {self.first.address}")

    def _expect(self, host: Host, package: Package, source: str) -> None:
        answer = host.request(f"/multilib/os/x86_64/{package.file_name}")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["flocon-source"], source)
        self.assertEqual(answer.body, package.path.read_bytes())


class HeldByNobodyTests(LanTestCase):
    """The node fetches from the mirror what no peer has."""

    def test_what_a_peer_fetched_for_us_is_not_said_to_be_saved(self) -> None:
        packages = self.all_packages
        self.sync(self.first, self.second)
        first, second = self.start_nodes(self.first, self.second)
        self.meet(first, second)
        self.assert_clean(self.download(self.second, packages))
        whole = sum(package.size for package in packages)
        traffic = second.status()["traffic"]
        self.assertEqual(traffic["from_peers_bytes"], 0)
        self.assertGreater(traffic["from_owners_bytes"], 0)
        came = traffic["from_owners_bytes"] + traffic["from_mirrors_bytes"]
        self.assertGreaterEqual(came, whole)
        day = second.status()["savings"]["days"][-1]
        self.assertEqual((day["lan_bytes"], day["seconds_saved"]), (0, 0))
        # A moment after its last byte has left, the owner knows for whom it was.
        wanted = sum(self.owned_sizes(second))
        self.wait_for_traffic(first, "for_peers_bytes", wanted)

    def wait_for_traffic(self, node: Node, name: str, least: int) -> None:
        wait_until(lambda: node.status()["traffic"][name] >= least, 10, f"{name} are counted")

    def owned_sizes(self, node: Node) -> list[int]:
        """Return the bytes of each package that a peer fetched for a node."""
        recent = json.loads(node.host.request("/recent.json").body)
        return [
            one["bytes"] for one in recent if one["kind"] == "owner" and ".sig" not in one["file"]
        ]

    def test_everything_comes_through_the_node_and_the_mirror_sees_each_file_once(self) -> None:
        packages = self.all_packages
        self.sync(self.first, self.second)
        _, node = self.start_nodes(self.first, self.second)
        run = self.download(self.second, packages)
        self.assert_clean(run)
        self.assert_cached(self.second, packages)
        self.assert_signatures_cached(self.second, packages)
        self.assert_mirror_gave_once(packages)
        traffic = node.status()["traffic"]
        self.assertGreaterEqual(
            traffic["to_pacman_bytes"], sum(package.size for package in packages)
        )

    def test_signatures_that_no_database_carries_are_fetched_once_too(self) -> None:
        self.lab.lan.repositories = ["plain"]
        packages = list(self.lab.plain.packages.values())
        self.sync(self.first)
        self.first.node()
        self.assert_clean(self.download(self.first, packages))
        self.assert_cached(self.first, packages)
        self.assert_signatures_cached(self.first, packages)
        self.assert_mirror_gave_once(packages)
        asked = [one.file_name for one in self.mirror.packages() if one.path.endswith(".sig")]
        self.assertEqual(sorted(asked), sorted(package.signature.name for package in packages))

    def test_a_mirror_slow_with_each_file_gives_as_many_at_once_as_without_a_node(self) -> None:
        """Each takes a second or so, of which pacman is given nothing: it is to begin the next."""
        slow = [f"{MIRROR_ADDRESS}:{SLOW_MIRROR_PORT}"]
        self.patch(self.lan, "mirrors", slow)
        packages = [one for one in self.lab.core.packages.values() if 180_000 < one.size < 700_000]
        self.assertGreaterEqual(len(packages), 10)
        for again in (True, False):
            direct, through = self._seconds(packages)
            # nginx gives by the second: what is asked a moment later may have to wait for the next.
            most = 1.1 * direct + 1.0
            if through <= most or not again:
                break
            # Somebody else may have had the processors; then not a second time.
            self.use(self.lan, self.lan.repositories)
        self.assertLessEqual(through, most, f"{direct:.1f} s direct")

    def _seconds(self, packages: list[Package]) -> tuple[float, float]:
        """Return how long pacman takes for packages without a node, and with one."""
        names = [package.name for package in packages]
        self.sync(self.first, self.second)
        direct = self.first.pacman("-Sw", *names, node=False, parallel=2)
        self.second.node()
        run = self.second.pacman("-Sw", *names, parallel=2)
        self.assert_clean(run)
        self.assert_cached(self.second, packages)
        return direct.seconds, run.seconds


class HalfHeldTests(LanTestCase):
    """Each file takes the way that is right for it."""

    def test_held_files_come_from_the_peer_and_the_others_from_the_mirror(self) -> None:
        packages = self.all_packages
        held, missing = packages[::2], packages[1::2]
        self.sync(self.first, self.second)
        self.hold(self.first, held)
        self.start_nodes(self.first, self.second)
        run = self.download(self.second, packages)
        self.assert_clean(run)
        self.assert_cached(self.second, packages)
        self.assert_mirror_gave_once(missing)

    def test_an_old_partial_file_is_resumed_from_a_peer(self) -> None:
        self._resume(held=True)
        self.assert_mirror_gave_no_packages()

    def test_an_old_partial_file_is_resumed_from_the_mirror(self) -> None:
        self._resume(held=False)

    def _resume(self, *, held: bool) -> None:
        packages = self.few_packages
        self.sync(self.first, self.second)
        if held:
            self.hold(self.first, packages)
        self.start_nodes(self.first, self.second)
        for package in packages:
            content = package.path.read_bytes()
            partial = self.second.cache / f"{package.file_name}.part"
            partial.write_bytes(content[: len(content) // 2])
        run = self.download(self.second, packages)
        self.assert_clean(run)
        self.assert_cached(self.second, packages)

    def test_a_package_that_just_left_the_holders_disk_is_still_delivered(self) -> None:
        packages = self.few_packages
        self.sync(self.first, self.second)
        self.hold(self.first, packages)
        self.start_nodes(self.first, self.second)
        gone = packages[::3]
        for package in gone:
            (self.first.cache / package.file_name).unlink()
        run = self.download(self.second, packages)
        self.assert_clean(run)
        self.assert_cached(self.second, packages)
        asked = {record.file_name.removesuffix(".sig") for record in self.mirror.packages()}
        self.assertLessEqual(asked, {package.file_name for package in gone})

    def test_a_holder_that_dies_in_the_middle_costs_pacman_nothing(self) -> None:
        package = max(self.all_packages, key=lambda one: one.size)
        self.sync(self.first, self.second)
        self.hold(self.first, [package])
        holder, _ = self.start_nodes(self.first, self.second)
        self.first.limit("100mbit")
        process = self.second.start(self.second.pacman_command("-Sw", package.name))
        _wait_for_part(self.second, package)
        holder.kill()
        self.assertEqual(process.wait(60), 0)
        self.assert_cached(self.second, [package])


class DatabaseTests(LanTestCase):
    """Databases are relayed as if pacman had asked the mirror itself."""

    def test_databases_come_without_complaint_and_with_the_mirrors_dates(self) -> None:
        self.first.node()
        for option, kind in (("-Sy", "db"), ("-Syy", "db"), ("-Fy", "files"), ("-Fyy", "files")):
            self.assert_clean(self.first.pacman(option))
            for repository in (self.lab.core, self.lab.extra, self.lab.multilib):
                origin = repository.folder / f"{repository.name}.{kind}"
                copy = self.first.database_path / "sync" / origin.name
                self.assertEqual(copy.read_bytes(), origin.read_bytes())
                self.assertEqual(int(copy.stat().st_mtime), int(origin.stat().st_mtime), option)

    def test_a_second_look_transfers_no_database(self) -> None:
        self.first.node()
        for option in ("-Sy", "-Fy"):
            self.assert_clean(self.first.pacman(option))
            self.mirror.reset()
            self.assert_clean(self.first.pacman(option))
            asked = [record for record in self.mirror.records() if record.is_database]
            self.assertEqual(len(asked), 3)
            self.assertEqual({(record.status, record.sent) for record in asked}, {(304, 0)})

    def test_a_forced_look_transfers_every_database(self) -> None:
        self.first.node()
        self.assert_clean(self.first.pacman("-Sy"))
        self.mirror.reset()
        self.assert_clean(self.first.pacman("-Syy"))
        asked = [record.status for record in self.mirror.records() if record.is_database]
        self.assertEqual(asked, [200, 200, 200])
        for repository in (self.lab.core, self.lab.extra, self.lab.multilib):
            copy = self.first.database_path / "sync" / f"{repository.name}.db"
            self.assertEqual(copy.read_bytes(), repository.database.read_bytes())

    def test_a_new_database_and_what_it_lists_arrive_at_once(self) -> None:
        self.lab.lan.repositories = ["plain"]
        repository = self.lab.plain
        self.sync(self.first, self.second)
        self.hold(self.first, repository.packages.values())
        self.start_nodes(self.first, self.second)
        name = next(iter(repository.packages))
        [newer] = repository.bump([name])
        run = self.second.pacman("-Syw", name)
        self.assert_clean(run)
        self.assert_cached(self.second, [newer])
        copy = self.second.database_path / "sync" / "plain.db"
        self.assertEqual(copy.read_bytes(), repository.database.read_bytes())


class PresenceTests(LanTestCase):
    """Nodes find each other, and notice when one leaves."""

    def test_nodes_started_in_any_order_know_each_other_within_two_seconds(self) -> None:
        hosts = (self.first, self.second, self.third)
        for order in itertools.permutations(hosts):
            nodes = [host.node(beat=NO_BEAT) for host in order]
            meeting = functools.partial(_all_known, nodes)
            wait_until(meeting, 2, f"{[host.name for host in order]} have met")
            for host in order:
                host.end_processes()

    def test_nodes_started_at_the_same_time_know_each_other_within_two_seconds(self) -> None:
        hosts = (self.first, self.second, self.third)
        nodes = [host.start_node(beat=NO_BEAT) for host in hosts]
        for node in nodes:
            node.wait_ready()
        wait_until(lambda: _all_known(nodes), 2, "all three have met")

    def test_a_peer_is_described_as_it_is(self) -> None:
        self.hold(self.first, self.few_packages)
        self.sync(self.first, self.second)
        _, second = self.start_nodes(self.first, self.second)
        [peer] = second.status()["peers"]
        self.assertEqual((peer["name"], peer["address"]), ("first", self.first.address))
        self.assertEqual((peer["port"], peer["files"]), (LAN_PORT, len(self.few_packages)))
        self.assertLess(peer["last_heard_seconds"], 60)

    def test_a_stopped_node_is_gone_at_once_from_the_others(self) -> None:
        first, second, third = self.start_nodes(self.first, self.second, self.third, beat=NO_BEAT)
        first.stop()
        for node in (second, third):
            wait_until(functools.partial(_lacks, node, "first"), 1, "its peers forget it")

    def test_a_killed_node_is_gone_within_three_beats(self) -> None:
        first, second, third = self.start_nodes(self.first, self.second, self.third, beat=1)
        first.kill()
        wait_until(lambda: not _knows(second, "first"), 4, "silence of three beats is noticed")
        wait_until(lambda: not _knows(third, "first"), 1, "by the other one too")
        self.assertTrue(_knows(second, "third"))

    def test_a_node_that_was_killed_and_started_again_is_known_again(self) -> None:
        first, second = self.start_nodes(self.first, self.second, beat=NO_BEAT)
        first.kill()
        again = self.first.node(beat=NO_BEAT)
        wait_until(lambda: _all_known([again, second]), 2, "they know each other again")

    def test_an_interface_that_appears_later_is_joined_by_itself(self) -> None:
        self.third.unplug()
        third = self.third.node(beat=NO_BEAT)
        first = self.first.node(beat=NO_BEAT)
        self.assertEqual(third.peers(), {})
        self.third.plug()
        wait_until(lambda: _all_known([first, third]), 10, "the new interface is used")

    def test_a_link_that_went_and_returned_needs_nobody(self) -> None:
        first, second = self.start_nodes(self.first, self.second, beat=1)
        self.second.link("down")
        wait_until(lambda: not _knows(first, "second"), 6, "the silence is noticed")
        self.second.link("up")
        wait_until(lambda: _all_known([first, second]), 10, "they know each other again")


class SignalTests(LanTestCase):
    """SIGUSR1 writes down the peers, SIGUSR2 rejoins; also where twistd wants SIGUSR1 itself."""

    def test_usr1_writes_the_peers_to_the_log(self) -> None:
        self._usr1(daemon=False)

    def test_usr1_writes_the_peers_to_the_log_of_a_daemon_and_does_not_rotate_it(self) -> None:
        node = self._usr1(daemon=True)
        rotated = list(node.log.parent.glob(f"{node.log.name}.*"))
        self.assertEqual(rotated, [])

    def _usr1(self, *, daemon: bool) -> Node:
        self.sync(self.second)
        self.hold(self.second, self.few_packages)
        node = self.first.node(daemon=daemon)
        others = self.start_nodes(self.second, self.third)
        self.meet(node, *others)
        before = len(node.log_text)
        node.send(signal.SIGUSR1)

        def told() -> bool:
            text = node.log_text[before:]
            return self.second.address in text and self.third.address in text

        wait_until(told, 2, "the peers stand in the log")
        lines = node.log_text[before:].splitlines()
        [second] = [line for line in lines if self.second.address in line]
        [third] = [line for line in lines if self.third.address in line]
        head = lines[min(lines.index(second), lines.index(third)) - 1]
        self.assertRegex(head, r"\b2\b")
        self.assertRegex(second, rf"second.*{LAN_PORT}.*x86_64.*\b{len(self.few_packages)}\b")
        self.assertRegex(third, rf"third.*{LAN_PORT}.*x86_64.*\b0\b")
        self.assertEqual(node.check(), b"OK")
        return node

    def test_usr2_rejoins_the_group_and_says_hello(self) -> None:
        self._usr2(daemon=False)

    def test_usr2_rejoins_the_group_and_says_hello_as_a_daemon(self) -> None:
        self._usr2(daemon=True)

    def _usr2(self, *, daemon: bool) -> None:
        node = self.first.node(beat=NO_BEAT, daemon=daemon)
        listener = in_namespace(self.third.namespace, lambda: _group_socket(self.third))
        self.addCleanup(listener.close)
        wire = in_namespace(self.lab.lan.bridge, lambda: _packet_socket("p-first"))
        self.addCleanup(wire.close)
        # What belongs to its start is over when nothing came for a while.
        wait_until(lambda: not _received(listener, 1.5), 10, "the start's datagrams are through")
        _received(wire, 0)
        node.send(signal.SIGUSR2)
        wait_until(
            lambda: self.first.address in _received(listener, 0.1), 2, "a hello reached the group"
        )
        wait_until(lambda: _reports_group(wire), 3, "the kernel reported the group joined")
        self.assertEqual(node.check(), b"OK")


class AsWithoutFloconTests(LanTestCase):
    """Where the node cannot help, pacman ends as it would without it."""

    def test_a_stopped_node_loses_nothing(self) -> None:
        packages = self.few_packages
        self.sync(self.first)
        self.first.node().stop()
        run = self.download(self.first, packages)
        self.assertEqual(run.returncode, 0, run.output)
        self.assert_cached(self.first, packages)
        self.assertLess(run.seconds, 10)
        for line in run.error_lines:
            self.assertIn(f"localhost:{LOOPBACK_PORT}", line)

    def test_a_node_without_peers_does_all_that_the_mirror_does(self) -> None:
        packages = self.few_packages
        self.first.node()
        self.assert_clean(self.first.pacman("-Syw", *(package.name for package in packages)))
        self.assert_cached(self.first, packages)
        self.assert_mirror_gave_once(packages)

    def test_with_neither_mirror_nor_peer_pacman_fails_as_it_would(self) -> None:
        packages = self.few_packages
        self.sync(self.first, self.third)
        self.first.node()
        self.mirror.stop()
        names = [package.name for package in packages]
        run, control = (
            self.first.pacman("-Sw", *names),
            self.third.pacman("-Sw", *names, node=False),
        )
        self.assertNotEqual(control.returncode, 0)
        self.assertEqual(run.returncode, control.returncode, run.output)
        self.assertLess(run.seconds, control.seconds + 10)

    def test_a_package_that_the_mirror_lost_fails_as_it_would(self) -> None:
        package = self.few_packages[0]
        self.sync(self.first, self.third)
        self.first.node()
        hidden = package.path.with_name("hidden")
        package.path.rename(hidden)
        self.addCleanup(hidden.rename, package.path)
        run = self.download(self.first, [package])
        control = self.third.pacman("-Sw", package.name, node=False)
        self.assertNotEqual(control.returncode, 0)
        self.assertEqual(run.returncode, control.returncode, run.output)

    def test_no_mirror_is_needed_for_what_a_peer_holds(self) -> None:
        self._without_mirror(self.mirror.stop)

    def test_a_mirror_out_of_reach_holds_up_nothing_that_a_peer_holds(self) -> None:
        self._without_mirror(lambda: self.mirror.host.link("down"))

    def _without_mirror(self, take_away: Callable[[], None]) -> None:
        packages = self.few_packages
        self.sync(self.first, self.second)
        self.hold(self.first, packages)
        self.start_nodes(self.first, self.second)
        take_away()
        run = self.download(self.second, packages)
        self.assert_clean(run)
        self.assert_cached(self.second, packages)
        self.assertLess(run.seconds, 5)


class StrangerTests(LanTestCase):
    """What another host can reach."""

    def test_nothing_answers_on_the_loopback_port_from_another_host(self) -> None:
        self.first.node()
        for address in (self.first.address, f"{_link_local(self.first)}%eth0"):
            # The control: this address is right, and the LAN face is there.
            self.second.connect(address, LAN_PORT).close()
            with self.assertRaises(ConnectionRefusedError):
                self.second.connect(address, LOOPBACK_PORT)

    def test_no_path_reaches_a_file_outside(self) -> None:
        # A store of this node's own making: a foreign folder with files in it is none.
        self.first.node().stop()
        secret = b"not for the LAN"
        outside = self.first.folder / "outside"
        outside.mkdir()
        package = self.few_packages[0]
        stem = package.file_name.rsplit("-", 3)[0]
        for name in ("secret", f"{stem}-9-9-x86_64.pkg.tar.zst", package.file_name):
            (outside / name).write_bytes(secret)
            (outside / f"{name}.sig").write_bytes(secret)
        self.sync(self.first)
        self.hold(self.first, self.few_packages[1:])
        (self.first.cache / "secret").write_bytes(secret)
        (self.first.store / "secret").write_bytes(secret)
        (self.first.cache / f"{stem}-9-9-x86_64.pkg.tar.zst.part").write_bytes(secret)
        links = (f"{stem}-9-9-x86_64.pkg.tar.zst", package.file_name)
        folders = (self.first.cache, self.first.store, self.first.store / "packages")
        for folder, name in itertools.product(folders, links):
            for linked in (name, f"{name}.sig"):
                (folder / linked).symlink_to(outside / linked)
        (self.first.cache / "folder").symlink_to(outside, target_is_directory=True)
        node = self.first.node()
        self.wait_for_files(node, len(self.few_packages) - 1)
        for path in _attacks(outside, self.first, links):
            answer = self.second.request(
                path, address=self.first.address, port=LAN_PORT, timeout=10
            )
            self.assertGreaterEqual(answer.status, 400, path)
            self.assertEqual(answer.body, b"", path)
            self.assertEqual(answer.headers.get("content-length"), "0", path)
        held = self.few_packages[1]
        control = self.second.request(
            f"/pkg/{held.file_name}", address=self.first.address, port=LAN_PORT
        )
        self.assertEqual((control.status, control.body), (200, held.path.read_bytes()))

    def test_a_foreign_host_header_is_refused(self) -> None:
        self.sync(self.first)
        self.hold(self.first, self.few_packages)
        node = self.first.node()
        self.wait_for_files(node, len(self.few_packages))
        paths = ("/", "/status.json", "/check", f"/{self.few_packages[0].file_name}")
        foreign = ("attacker.example", "attacker.example:19433", "localhost.attacker.example", "")
        for path, host in itertools.product(paths, foreign):
            answer = self.first.request(path, headers={"Host": host})
            self.assertIn(answer.status, range(400, 500), (path, host))
            self.assertEqual(answer.body, b"", (path, host))
        own = ("localhost", "localhost:19433", "127.0.0.1:19433", "[::1]:19433", "LOCALHOST:19433")
        for host in own:
            answer = self.first.request("/check", headers={"Host": host})
            self.assertEqual((answer.status, answer.body.strip()), (200, b"OK"), host)


class DaemonTests(LanTestCase):
    """A node is a well-behaved service of an unprivileged user."""

    def test_an_unprivileged_node_serves_from_a_cache_it_cannot_write(self) -> None:
        packages = self.few_packages
        self.sync(self.first, self.second)
        self.hold(self.first, packages[:5])
        before = _listing(self.first.cache)
        nodes = self.start_nodes(self.first, self.second, user=NOBODY)
        for node in nodes:
            self.assertEqual(Path(f"/proc/{node.pid}").stat().st_uid, NOBODY)
        self.assert_clean(self.download(self.second, packages))
        self.assert_cached(self.second, packages)
        self.assert_mirror_gave_once(packages[5:])
        self.assertEqual(_listing(self.first.cache), before)

    def test_a_restarted_node_holds_what_it_held(self) -> None:
        packages = self.few_packages
        self.sync(self.first, self.second)
        first, second = self.start_nodes(self.first, self.second)
        self.assert_clean(self.download(self.first, packages))
        self.wait_for_files(first, len(packages))
        first.stop()
        again = self.first.node()
        self.wait_for_files(again, len(packages))
        self.meet(again, second)

    def test_sigterm_ends_it_within_two_seconds(self) -> None:
        node = self.first.node()
        self.assertLess(node.stop(), 2)
        self.assertIn(node.process.returncode, CLEAN_ENDS)

    def test_sigterm_ends_a_daemon_within_two_seconds(self) -> None:
        node = self.first.node(daemon=True)
        self.assertLess(node.stop(), 2)

    def test_sigterm_in_the_middle_of_a_transfer_ends_it_too_and_pacman_goes_on(self) -> None:
        package = max(self.all_packages, key=lambda one: one.size)
        self.sync(self.first)
        node = self.first.node()
        self.mirror.host.limit("100mbit")
        process = self.first.start(self.first.pacman_command("-Sw", package.name))
        _wait_for_part(self.first, package)
        self.assertLess(node.stop(), 2)
        self.assertIn(node.process.returncode, CLEAN_ENDS)
        self.mirror.host.unlimit()
        self.assertEqual(process.wait(60), 0)
        self.assert_cached(self.first, [package])

    def test_a_node_killed_in_the_middle_of_a_transfer_never_offers_the_part(self) -> None:
        package = max(self.all_packages, key=lambda one: one.size)
        self.sync(self.first, self.second)
        node = self.first.node()
        self.mirror.host.limit("100mbit")
        process = self.first.start(self.first.pacman_command("-Sw", package.name, mirror=False))
        _wait_for_part(self.first, package)
        node.kill()
        self.assertNotEqual(process.wait(30), 0)
        self.mirror.host.unlimit()
        again = self.first.node()
        self.assertEqual(again.status()["inventory"]["files"], 0)
        self.assertTrue((self.first.cache / f"{package.file_name}.part").exists())
        answer = self.second.request(
            f"/pkg/{package.file_name}", address=self.first.address, port=LAN_PORT
        )
        self.assertEqual((answer.status, answer.body), (404, b""))
        self.assert_clean(self.download(self.first, [package]))
        self.assert_cached(self.first, [package])


def _knows(node: Node, name: str) -> bool:
    return name in node.peers()


def _lacks(node: Node, name: str) -> bool:
    return not _knows(node, name)


def _all_known(nodes: list[Node]) -> bool:
    names = {node.host.name for node in nodes}
    return all(set(node.peers()) == names - {node.host.name} for node in nodes)


def _wait_for_part(host: Host, package: Package) -> None:
    """Wait until pacman has got some megabytes of a large package, but not all."""
    part = host.cache / f"{package.file_name}.part"
    wait_until(lambda: part.exists() and part.stat().st_size > 4 << 20, 20, "a transfer runs")


def _listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.iterdir()}


def _link_local(host: Host) -> str:
    words = host.ip("-6", "-o", "addr", "show", "dev", "eth0", "scope", "link").split()
    return words[words.index("inet6") + 1].split("/")[0]


def _attacks(outside: Path, host: Host, links: tuple[str, ...]) -> list[str]:
    """Return request targets that would reach a file if any part of the check were missing."""
    climbs = []
    for target in (f"{outside}/secret", "/etc/passwd", f"{host.folder}/flocon-1.toml"):
        for step in ("..", "%2e%2e", ".%2e", "%2E%2E", "%252e%252e", "..%c0%af"):
            climbs += [f"/pkg/{f'{step}/' * 12}{target[1:]}", f"/{f'{step}/' * 12}{target[1:]}"]
            climbs.append(f"/pkg/{f'{step}%2f' * 12}{target[1:].replace('/', '%2F')}")
            climbs.append(f"/pkg/{f'{step}%5c' * 12}{target[1:].replace('/', '%5c')}")
        climbs += [
            f"/pkg/{target}",
            f"//{target}",
            target,
            f"/pkg/%2f{target[1:]}",
            f"/db/{target}",
        ]
    near = [
        "/pkg/secret",
        "/pkg/../store/secret",
        "/pkg/folder/secret",
        f"/pkg/folder/{links[0]}",
        f"/pkg/folder%2f{links[0]}",
        f"/pkg/../outside/{links[0]}",
        f"/pkg/..%2foutside%2f{links[0]}",
        f"/pkg/{links[0]}.part",
        f"/pkg/{links[0]}%00",
        "/pkg/secret%00.pkg.tar.zst",
        "/pkg/",
        "/pkg",
        "/db/core.db",
        "/db/../cache/secret",
        "/status.json",
    ]
    linked = [f"/pkg/{name}{suffix}" for name in links for suffix in ("", ".sig")]
    return climbs + near + linked


def _group_socket(host: Host) -> socket.socket:
    """Return a socket that hears the group on a host where no node runs."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("", LAN_PORT))
    request = socket.inet_aton(GROUP) + socket.inet_aton(host.address)
    listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
    return listener


def _packet_socket(interface: str) -> socket.socket:
    """Return a socket that sees every frame on an interface."""
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    wire.bind((interface, 0))
    return wire


def _received(listener: socket.socket, seconds: float) -> list[str]:
    """Return who sent what arrives within ``seconds``, and what had already arrived."""
    deadline = time.monotonic() + seconds
    senders = []
    while True:
        listener.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            senders.append(str(listener.recvfrom(2048)[1][0]))
        except TimeoutError:
            return senders


def _reports_group(wire: socket.socket) -> bool:
    """Tell whether an IGMPv3 report about the group is among the frames that arrived."""
    wire.settimeout(0.001)
    while True:
        try:
            frame = wire.recv(2048)
        except TimeoutError:
            return False
        is_igmp = len(frame) > 34 and frame[12:14] == b"\x08\x00" and frame[23] == 2
        header = 14 + (frame[14] & 15) * 4 if is_igmp else 0
        is_report = is_igmp and frame[header] == 0x22
        if is_report and socket.inet_aton(GROUP) in frame[header:]:
            return True
