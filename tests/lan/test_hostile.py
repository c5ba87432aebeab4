"""What one hostile machine on the LAN can do to pacman: nothing but make it wait a moment.

Real nodes, real pacman; ``hostile`` plays the stranger, on the third host. The same download is
measured in peace first. To run one of them, as root:

    python -m twisted.trial tests.lan.test_hostile.SlowTests.test_a_holder_that_drips

The classes whose names end in 7 do the same with pacman 7, which FLOCON_PACMAN_7 has to name (see
``.ci/pacman-7``). By default one or two of each kind are run with each pacman; all of them by

    FLOCON_TESTS=all python -m twisted.trial tests.lan.test_hostile
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from flocon.datagrams.messages import LARGEST_NUMBER, Announcement, Kind, decode, encode
from flocon.machine.limits import raise_open_files
from tests.lan.case import LanTestCase
from tests.lan.faults import GROUP
from tests.lan.hostile import forge, forging_socket, listening_socket
from tests.lan.lan import LAN_PORT, Host, Node, PacmanRun, in_namespace, twistd, wait_until
from tests.lan.on_request import suite_of
from tests.lan.repository import MIB

if TYPE_CHECKING:
    import unittest

    from tests.lan.repository import Package

#: How long an attack may hold pacman up: so many times the time in peace, and so many seconds.
MOST_SLOWER, MOST_WAIT = 1.5, 3.0
#: Seconds after which pacman is not waited for any longer.
PATIENCE = 40.0
#: Seconds that a node reads what is no inventory, and that strangers sip.
ANSWERING, SIPPING = 10.0, 15.0
#: A store's bound in MiB, and how many sip from it.
SMALL_STORE, SIPPERS = 160, 12
#: Many addresses, and the connections of each.
ADDRESSES, EACH = 40, 32
#: Files that a node holds, of which a long inventory comes.
MADE = 3_000
#: Starts a node that may have as many files open as a shell gives it, and no more.
_FEW_FILES = 'ulimit -n 1024; exec "$0" "$@"'
#: As many files as are fetched for peers at a time.
SIPPED = 16
#: Starts a node that finds no room for files but in its store.
_NO_OTHER_ROOM = """
exec unshare --mount sh -c 'for folder in /tmp /var/tmp; do
    mount -t tmpfs -o size=2m tmpfs $folder || exit
done; exec "$0" "$@"' "$0" "$@"
"""
#: Seconds that a node has to learn of those who announce themselves.
SETTLING = 4.0
#: As many peers as a node knows at one address.
CROWD = 16
#: What is run on request: variants of what is run by default, by the same cause.
ON_REQUEST = (
    "WrongTests.test_a_holder_whose_last_part_comes_late",
    "WrongTests.test_the_same_again_under_another_name",
    "WrongTests.test_sixteen_of_them",
    "WrongTests.test_right_bytes_up_to_the_middle",
    "Wrong7.test_a_holder_that_is_just_fast_enough",
    "Wrong7.test_the_same_again_under_another_name",
    "Wrong7.test_an_owner_of_wrong_bytes_is_soon_not_asked_any_more",
    "Wrong7.test_sixteen_of_them",
    "Wrong7.test_a_holder_whose_last_part_comes_late",
    "SlowTests.test_a_holder_that_drips",
    "SlowTests.test_a_holder_that_drips_from_the_middle_on",
    "SlowTests.test_sixteen_holders_that_drip",
    "Slow7.test_a_holder_that_drips",
    "Slow7.test_sixteen_holders_that_drip",
    "Slow7.test_owners_that_drip",
    "Slow7.test_sixteen_that_drip_beside_a_good_holder",
    "SilentTests.test_sixteen_holders_that_are_silent_for_many_files",
    "SilentTests.test_sixteen_owners_that_are_silent",
    "SilentTests.test_sixteen_holders_that_are_silent_before_the_last_byte",
    "Silent7.test_sixteen_holders_that_are_silent",
    "Silent7.test_sixteen_owners_that_are_silent",
    "Silent7.test_sixteen_holders_that_are_silent_before_the_last_byte",
    "AskingTests.test_a_file_that_a_stranger_asked_for_while_the_mirror_refuses",
    "AskingTests.test_a_file_that_a_stranger_asked_for_while_the_mirror_is_gone",
    "Asking7.test_a_file_that_a_stranger_asked_for_while_the_mirror_refuses",
    "Asking7.test_a_file_that_a_stranger_asked_for_while_the_mirror_is_slow",
    # All of these at once is run by default.
    "AnsweringTests.test_an_inventory_behind_endless_interim_answers",
    "AnsweringTests.test_an_inventory_behind_endless_headers",
    "AnsweringTests.test_an_endless_inventory_in_chunks_of_a_byte",
    # test_disk sips beside it, test_presence speaks beside it, test_askers leaves beside it.
    "SippingTests.test_a_store_with_a_roomy_disk_behind_it",
    "SpeakingTests.test_a_third_machine_is_not_connected_to_time_and_again",
    "SpeakingTests.test_a_peer_whose_id_another_speaks_with_is_there_all_the_same",
    "SpeakingTests.test_so_it_is_where_a_beat_is_forged",
    "ConnectingTests.test_forty_addresses_that_ask_nothing",
    # 5.2 to 5.9 % of a minute there, of which a third is what their own machines take.
    "SteadyTests.test_sixteen_steady_sippers_on_a_slow_link",
    "LeavingTests.test_heads_for_files_that_nobody_waits_for",
)
#: Seconds in peace, by pacman's version, whether there is a holder, and the packages.
_USUAL: dict[tuple[object, ...], float] = {}


@dataclass(frozen=True, slots=True)
class Attack:
    """A download under attack, beside the same one in peace; seconds are pacman's own."""

    run: PacmanRun
    calm: float
    node: Node
    log: Path

    def met(self, words: str) -> int:
        """Count the answers of the stranger's that these words are told of."""
        return sum(words in line for line in _lines(self.log))


class HostileTestCase(LanTestCase):
    """The first host downloads; the second may hold things; the third is a stranger."""

    @property
    def medium(self) -> Package:
        """A package of some 4 MB."""
        return min(self.all_packages, key=lambda one: abs(one.size - 4 * MIB))

    @property
    def large(self) -> Package:
        """A package of some 50 MB."""
        return min(self.all_packages, key=lambda one: abs(one.size - 50 * MIB))

    @property
    def many_packages(self) -> list[Package]:
        """Fifty-odd small packages."""
        return [package for package in self.all_packages if package.size < 8 * MIB]

    # What tests arrange

    def prepare(self, packages: Sequence[Package], holder: bool) -> Node:
        """Start a node on the first host and, as a holder of these packages, on the second."""
        hosts = [self.first, self.second] if holder else [self.first]
        self.sync(*hosts)
        if holder:
            self.hold(self.second, packages)
        return self.start_nodes(*hosts)[0]

    def in_peace(
        self,
        packages: Sequence[Package],
        *,
        holder: bool = False,
        then: Callable[[], None] = lambda: None,
    ) -> float:
        """Return pacman's seconds with nobody hostile, and begin anew."""
        self.prepare(packages, holder)
        then()
        run = self.download(self.first, packages)
        self.assert_clean(run)
        self.lan.reset()
        self.held.clear()
        self.mirror.start()
        return run.seconds

    def usual(self, packages: Sequence[Package], *, holder: bool = False) -> float:
        """Return what ``in_peace`` does where nothing is special: it is measured once for all."""
        key = (self.uses_pacman_7, holder, *(package.name for package in packages))
        if key not in _USUAL:
            _USUAL[key] = self.in_peace(packages, holder=holder)
        return _USUAL[key]

    def play(self, node: Node, packages: Iterable[Package], *roles: str, met: str = "") -> Path:
        """Start the stranger, wait until the node knows all that it announces; return its log.

        Where ``met`` is given, wait until that was asked instead.
        """
        log = self.third.folder / "hostile.log"
        log.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.lan.hostile", "--root", str(self.mirror.root)]
        names = [package.file_name for package in packages]
        for name in names:
            command += ["--only", name]
        self.third.start([*command, *roles], log=log)
        wait_until(lambda: _lines(log)[:1] == ["ready"], 20, "the stranger is there")
        if met:
            wait_until(lambda: any(met in line for line in _lines(log)), 20, f"{met} was asked")
            return log
        ids = sum(int(role.partition("*")[2].partition("=")[0] or 1) for role in roles)
        files = {True: 0, False: len(names)}["=owner:" in roles[0]]

        def known() -> list[str]:
            return [
                name
                for name, one in node.peers().items()
                if name.startswith(self.third.address) and one["files_known"] == files
            ]

        # A node need not believe all of them.
        wait_until(known, 15, f"peers with {files} files are known")
        with contextlib.suppress(AssertionError):
            wait_until(lambda: len(known()) == ids, SETTLING, f"{ids} of them are")
        return log

    def attack(self, packages: Sequence[Package], role: str, *, holder: bool = False) -> Attack:
        """Download in peace, then beside a stranger that plays ``role``."""
        calm = self.usual(packages, holder=holder)
        node = self.prepare(packages, holder)
        log = self.play(node, packages, f"peer@{self.third.address}{role}")
        return Attack(self.download_in_time(packages), calm, node, log)

    def download_in_time(self, packages: Sequence[Package]) -> PacmanRun:
        """Run pacman, which has failed where it has not ended within ``PATIENCE``."""
        names = [package.name for package in packages]
        try:
            return self.first.pacman("-Sw", *names, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            return PacmanRun(-1, f"pacman was still not done after {PATIENCE:g} s", PATIENCE)

    # What tests claim

    def assert_unharmed(self, attack: Attack, packages: Sequence[Package]) -> None:
        """Claim that pacman had nothing to complain about, the right files, and little to wait."""
        self.assert_clean(attack.run)
        self.assert_cached(self.first, packages)
        self.assert_in_time(attack.run.seconds, attack.calm)

    def assert_clean(self, run: PacmanRun) -> None:
        print(f"{self.id()}: {run.seconds:.1f} s, {run.returncode}, {run.complaints}")
        super().assert_clean(run)

    def assert_in_time(self, seconds: float, calm: float) -> None:
        self.assertLessEqual(seconds, MOST_SLOWER * calm + MOST_WAIT, f"in peace {calm:.1f} s")


class WrongTests(HostileTestCase):
    """Wrong bytes that take their time reach nobody."""

    def test_a_holder_whose_last_part_comes_late(self) -> None:
        packages = [self.medium]
        attack = self.attack(packages, "=wrong-late:8000")
        self.assertGreater(attack.met(self.medium.file_name), 0)
        self.assert_unharmed(attack, packages)

    def test_a_holder_that_is_just_fast_enough(self) -> None:
        packages = [self.medium]
        attack = self.attack(packages, "=wrong-slowly:8800")
        self.assertGreater(attack.met(self.medium.file_name), 0)
        self.assert_unharmed(attack, packages)

    def test_the_same_again_under_another_name(self) -> None:
        packages = [self.medium]
        calm = self.usual(packages)
        node = self.prepare(packages, holder=False)
        for number in range(3):
            # Another role is another id.
            role = f"peer@{self.third.address}=wrong-slowly:{8_800 + number}"
            self.play(node, packages, role)
            run = self.download_in_time(packages)
            self.assert_clean(run)
            self.assert_cached(self.first, packages)
            self.assert_in_time(run.seconds, calm)
            self.third.end_processes()
            node.stop()
            self.first.reset()
            self.sync(self.first)
            node = self.first.node()

    def test_sixteen_of_them(self) -> None:
        packages = [self.medium]
        attack = self.attack(packages, f"*{CROWD}=wrong-slowly:8800")
        self.assertGreater(attack.met(self.medium.file_name), 0)
        self.assert_unharmed(attack, packages)

    def test_right_bytes_up_to_the_middle(self) -> None:
        packages = [self.medium]
        attack = self.attack(packages, "=wrong-from:500:8000")
        self.assertGreater(attack.met(self.medium.file_name), 0)
        self.assert_unharmed(attack, packages)

    def test_an_owner_of_wrong_bytes_is_soon_not_asked_any_more(self) -> None:
        packages = self.many_packages
        attack = self.attack(packages, "=owner:wrong-everywhere")
        asked = attack.met("/relay/")
        self.assert_clean(attack.run)
        self.assert_cached(self.first, packages)
        held_off = {one["address"] for one in attack.node.status()["quarantine"]}
        self.assertEqual(held_off, {self.third.address}, f"asked {asked} times")
        # Those that were under way when the first was found out.
        self.assertIn(asked, range(1, 11))


class SlowTests(HostileTestCase):
    """Whoever drips loses its parts to who does not."""

    def test_a_holder_that_drips(self) -> None:
        packages = [self.medium]
        attack = self.attack(packages, "=drips-by:8192:2200")
        self.assertGreater(attack.met(self.medium.file_name), 0)
        self.assert_unharmed(attack, packages)

    def test_a_holder_that_drips_from_the_middle_on(self) -> None:
        packages = [self.medium]
        attack = self.attack(packages, "=drips-from:500:8192:2200")
        self.assertGreater(attack.met(self.medium.file_name), 0)
        self.assert_unharmed(attack, packages)

    def test_sixteen_holders_that_drip(self) -> None:
        packages = [self.medium]
        attack = self.attack(packages, f"*{CROWD}=drips-by:8192:2200")
        self.assertGreater(attack.met(self.medium.file_name), 0)
        self.assert_unharmed(attack, packages)

    def test_owners_that_drip(self) -> None:
        packages = self.few_packages
        attack = self.attack(packages, f"*{CROWD}=owner:drips-by:2048:2400")
        self.assertGreater(attack.met("/relay/"), 0)
        self.assert_unharmed(attack, packages)

    def test_sixteen_that_drip_beside_a_good_holder(self) -> None:
        packages = [self.large]
        attack = self.attack(packages, f"*{CROWD}=drips-by:8192:2200", holder=True)
        self.assert_unharmed(attack, packages)


class SilentTests(HostileTestCase):
    """Whoever accepts and is silent costs all together what one does."""

    def test_sixteen_holders_that_are_silent(self) -> None:
        packages = [self.medium]
        attack = self.attack(packages, f"*{CROWD}=silent:0")
        self.assertGreater(attack.met(self.medium.file_name), 0)
        self.assert_unharmed(attack, packages)

    def test_sixteen_holders_that_are_silent_for_many_files(self) -> None:
        packages = self.many_packages
        attack = self.attack(packages, f"*{CROWD}=silent:0")
        self.assert_unharmed(attack, packages)

    def test_sixteen_owners_that_are_silent(self) -> None:
        packages = self.few_packages
        attack = self.attack(packages, f"*{CROWD}=owner:silent:0")
        self.assertGreater(attack.met("/relay/"), 0)
        self.assert_unharmed(attack, packages)

    def test_sixteen_holders_that_are_silent_before_the_last_byte(self) -> None:
        packages = [self.medium]
        attack = self.attack(packages, f"*{CROWD}=silent:1000")
        self.assert_unharmed(attack, packages)


class SpoilingTests(HostileTestCase):
    """Whoever is helped out by a mirror cannot have the mirror's bytes fetched in vain."""

    def test_wrong_bytes_beside_a_mirrors_cost_neither_its_bytes_nor_their_time(self) -> None:
        packages = [self.large]

        def slow_down() -> None:
            self.mirror.host.limit("60mbit")

        calm = self.in_peace(packages, then=slow_down)
        node = self.prepare(packages, holder=False)
        log = self.play(node, packages, f"peer@{self.third.address}=wrong-drips:8192:100")
        slow_down()
        before = carried(self.mirror.host)
        run = self.download_in_time(packages)
        self.assertIn(self.large.file_name, log.read_text())
        self.assert_clean(run)
        self.assert_cached(self.first, packages)
        self.assert_in_time(run.seconds, calm)
        self.assertLessEqual(carried(self.mirror.host) - before, 1.1 * self.large.size)


class CrowdTests(HostileTestCase):
    """Whoever has many addresses gets no more patience than one that has few."""

    def test_eight_addresses_that_are_each_just_fast_enough(self) -> None:
        self._crowd([self.large], 8, "drips-by:33000:100")

    def test_a_hundred_addresses_that_are_silent(self) -> None:
        self._crowd(self.many_packages, 100, "silent:0")

    def test_a_hundred_addresses_that_take_a_second_for_each_file(self) -> None:
        self._crowd(self.many_packages, 100, "drips-by:33000:100")

    def test_sixty_addresses_that_are_silent_owners(self) -> None:
        self._crowd(self.many_packages, 60, "owner:silent:0")

    def _crowd(self, packages: Sequence[Package], count: int, fault: str) -> None:
        calm = self.usual(packages)
        node = self.prepare(packages, holder=False)
        addresses = [f"10.77.0.{100 + number}" for number in range(count)]
        for address in addresses:
            self.third.ip("address", "add", f"{address}/24", "dev", "eth0")
            self.addCleanup(self.third.ip, "address", "del", f"{address}/24", "dev", "eth0")
        roles = [f"peer@{address}={fault}" for address in addresses]
        self.play(node, packages, *roles, met="/inventory")
        wait_until(lambda: len(node.peers()) == count, 20, f"{count} peers are known")
        run = self.download_in_time(packages)
        self.assert_clean(run)
        self.assert_cached(self.first, packages)
        self.assert_in_time(run.seconds, calm)


class AskingTests(HostileTestCase):
    """Whoever asks for a file does not decide where it comes from."""

    def test_a_file_that_a_stranger_asked_for_while_the_mirror_is_slow(self) -> None:
        self._asked_for(lambda: self.mirror.host.limit("1mbit"))

    def test_a_file_that_a_stranger_asked_for_while_the_mirror_is_gone(self) -> None:
        self._asked_for(lambda: self.mirror.host.link("down"))

    def test_a_file_that_a_stranger_asked_for_while_the_mirror_refuses(self) -> None:
        self._asked_for(self.mirror.stop)

    def _asked_for(self, spoil: Callable[[], None]) -> None:
        package = self.medium
        calm = self.in_peace([package], holder=True, then=spoil)
        node = self.prepare([package], holder=True)
        spoil()
        stranger = ask_to_relay(self.third, self.first, package)
        self.addCleanup(stranger.close)
        # Once it tells its status it has heard the stranger; its mirror need not have failed yet.
        node.status()
        run = self.download_in_time([package])
        self.assert_clean(run)
        self.assert_cached(self.first, [package])
        self.assert_in_time(run.seconds, calm)


class AnsweringTests(HostileTestCase):
    """What is answered to a node is bounded as what is asked of it is."""

    _further = 0

    def test_an_inventory_behind_endless_interim_answers(self) -> None:
        self._answers("interim:100:0")

    def test_an_inventory_behind_endless_headers(self) -> None:
        self._answers("headers:100:0")

    def test_an_endless_inventory_in_chunks_of_a_byte(self) -> None:
        self._answers("chunks:1:0")

    def test_inventories_that_never_end_in_any_of_these_ways(self) -> None:
        self._answers("interim:100:0", "headers:100:0", "chunks:1:0")

    def test_an_inventory_of_thirty_megabytes(self) -> None:
        self._answers("long-names:90000", ids=1)

    def prepare(self, packages: Sequence[Package], holder: bool) -> Node:
        """Start a node whose memory is no other's, which is what is compared."""
        self.assertFalse(holder)
        self.sync(self.first)
        return self.first.node(program=[twistd()])

    def _answers(self, *faults: str, ids: int = 4) -> None:
        packages = self.few_packages
        calm_node = self.prepare(packages, holder=False)
        calm = self.download(self.first, packages)
        memory = settled(calm_node)
        self.lan.reset()
        self.mirror.start()
        node = self.prepare(packages, holder=False)
        lines = len(node.log_text.splitlines())
        # What one address does is no other's fault.
        addresses = [self.third.address, *(self._further_address() for _ in faults[1:])]
        each = zip(addresses, faults, strict=True)
        roles = [f"peer@{address}*{ids}={fault}@inventory" for address, fault in each]
        log = self.play(node, packages, *roles, met="/inventory")
        time.sleep(ANSWERING)
        for address in addresses:
            self.assertTrue(any(f"@{address}" in line for line in _lines(log)[1:]), address)
        run = self.download_in_time(packages)
        self.assert_clean(run)
        self.assert_cached(self.first, packages)
        self.assert_in_time(run.seconds, calm.seconds)
        held, more = node.status()["reactor"]["longest_hold_ms"], (settled(node) - memory) / 1e6
        print(f"{self.id()}: turns of {held:.0f} ms, {more:.1f} MB of memory")
        self.assertLessEqual(held, 100)
        self.assertLess(len(node.log_text.splitlines()) - lines, 100)
        self.assertLessEqual(more, 10)

    def _further_address(self) -> str:
        """Give the stranger one more address."""
        self._further += 1
        address = f"10.77.0.{40 + self._further}/24"
        self.third.ip("addr", "add", address, "dev", "eth0")
        self.addCleanup(self.third.ip, "addr", "del", address, "dev", "eth0")
        return address.partition("/")[0]


class SippingTests(HostileTestCase):
    """Whoever takes a relayed file by sips keeps no more of it alive than there is room for."""

    def test_a_store_with_a_roomy_disk_behind_it(self) -> None:
        on_disk, _ = self._sip(disk="1g")
        self.assertLessEqual(on_disk / MIB, SMALL_STORE + 64)

    def test_a_store_on_a_full_disk(self) -> None:
        _, in_memory = self._sip(disk="60m")
        self.assertLessEqual(in_memory / 1e6, 256)

    def _sip(self, disk: str) -> tuple[int, int]:
        """Return the most bytes on disk and in memory that were seen, open files included."""
        self.sync(self.first)
        store = self.first.store
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={disk}", "tmpfs", str(store)], check=True
        )
        self.addCleanup(subprocess.run, ["umount", str(store)], check=True)
        self.addCleanup(self.first.end_processes)
        settings = {"store": {"max_size": f"{SMALL_STORE} MiB"}}
        node = self.first.node(settings=settings, program=["sh", "-c", _NO_OTHER_ROOM, twistd()])
        small = self.few_packages[0]
        path = f"/relay/multilib/x86_64/{small.file_name}"

        def relays() -> bool:
            answer = self.third.request(path, address=self.first.address, port=LAN_PORT)
            return answer.status == 200

        wait_until(relays, 10, "the node fetches for others")
        largest = sorted(self.all_packages, key=lambda one: -one.size)[:SIPPERS]
        for number, package in enumerate(largest):
            # One asker has at most half of what is fetched for peers.
            stranger = self.third if number % 3 else self.second
            sock = ask_to_relay(stranger, self.first, package)
            self.addCleanup(sock.close)
        on_disk = in_memory = 0
        until = time.monotonic() + SIPPING
        while time.monotonic() < until:
            usage = os.statvfs(store)
            on_disk = max(on_disk, (usage.f_blocks - usage.f_bfree) * usage.f_frsize)
            in_memory = max(in_memory, spare_memory(node))
            time.sleep(0.05)
        self.assertGreater(on_disk, MIB)
        self.assert_clean(self.download_in_time([small]))
        print(f"{self.id()}: {on_disk / 1e6:.0f} MB on disk, {in_memory / 1e6:.0f} MB in memory")
        return on_disk, in_memory


class LeavingTests(HostileTestCase):
    """Whoever asks and leaves has next to nothing fetched."""

    def test_heads_for_files_that_nobody_waits_for(self) -> None:
        self.sync(self.first)
        self.first.node()
        self.mirror.host.limit("200mbit")
        before = carried(self.mirror.host)
        largest = sorted(self.all_packages, key=lambda one: -one.size)[:4]
        until = time.monotonic() + 24
        for number in range(33):
            with contextlib.suppress(OSError):
                ask_to_relay(self.third, self.first, largest[number % 4], "HEAD").close()
            time.sleep(max(0.0, until - time.monotonic()) / (33 - number))
        wasted = carried(self.mirror.host) - before
        print(f"{self.id()}: {wasted / 1e6:.0f} MB for nobody")
        # Of what the link can carry in a minute.
        self.assertLessEqual(wasted * 8 / (200e6 * 60), 0.05)


class ConnectingTests(HostileTestCase):
    """Whoever connects from many addresses takes no descriptor that pacman's face needs."""

    def test_forty_addresses_that_ask_nothing(self) -> None:
        self._connect(b"", holds=False)

    def test_forty_addresses_that_read_nothing_of_what_they_ask_for(self) -> None:
        path = f"/pkg/{self.few_packages[-1].file_name}"
        request = f"GET {path} HTTP/1.1\r\nHost: {self.first.address}\r\n\r\n"
        self._connect(request.encode(), holds=True)

    def _connect(self, request: bytes, *, holds: bool) -> None:
        """Download while a node that may have 1,024 files open is connected to 1,280 times."""
        raise_open_files(4_096)
        wanted = self.many_packages
        held = [self.few_packages[-1]] if holds else []
        wanted = [one for one in wanted if one not in held]

        def start() -> Node:
            self.sync(self.first, self.second)
            self.hold(self.second, wanted[::2])
            self.hold(self.first, held)
            node = self.first.start_node(program=["sh", "-c", _FEW_FILES, twistd()])
            other = self.second.start_node()
            node.wait_ready()
            other.wait_ready()
            self.meet(node, other)
            return node

        start()
        calm = self.download(self.first, wanted)
        self.assert_clean(calm)
        self.lan.reset()
        self.held.clear()
        self.mirror.start()
        node = start()
        addresses = [f"10.77.0.{100 + number}" for number in range(ADDRESSES)]
        for address in addresses:
            self.third.ip("address", "add", f"{address}/24", "dev", "eth0")
            self.addCleanup(self.third.ip, "address", "del", f"{address}/24", "dev", "eth0")
        sockets = in_namespace(
            self.third.namespace, lambda: connections(addresses, self.first.address, request)
        )
        for sock in sockets:
            self.addCleanup(sock.close)
        self.assertGreater(len(sockets), ADDRESSES)
        run = self.download_in_time(wanted)
        most = len(list(Path(f"/proc/{node.pid}/fd").iterdir()))
        print(f"{self.id()}: {len(sockets)} connections, {most} files open")
        self.assert_clean(run)
        self.assert_cached(self.first, [*wanted, *held])
        self.assert_in_time(run.seconds, calm.seconds)


class FloodTests(HostileTestCase):
    """Whoever asks for ever something else that changed holds up nobody and fills nothing."""

    def test_five_hundred_connections_of_which_half_read_nothing(self) -> None:
        wanted = self.few_packages[:2]
        calm = self.usual(wanted)
        self.sync(self.first)
        self._make_files(self.few_packages[-1])
        node = self.first.node()
        self.wait_for_files(node, MADE)
        memory, held = resident(node), node.status()["reactor"]["longest_hold_ms"]
        addresses = [f"10.77.0.{100 + number}" for number in range(16)]
        for address in addresses:
            self.third.ip("address", "add", f"{address}/24", "dev", "eth0")
            self.addCleanup(self.third.ip, "address", "del", f"{address}/24", "dev", "eth0")
        sockets = in_namespace(
            self.third.namespace, lambda: connections(addresses, self.first.address, b"")
        )
        for sock in sockets:
            self.addCleanup(sock.close)
        for at, sock in enumerate(sockets):
            sock.setblocking(False)
            sock.sendall(asking_since(self.first.address, at % 200))
        reading = Reading(sockets[::2], lambda at: asking_since(self.first.address, at % 200))
        self.addCleanup(reading.stop)
        time.sleep(4)
        run = self.download_in_time(wanted)
        self.assert_clean(run)
        for package in wanted:
            cached = self.first.cache / package.file_name
            self.assertEqual(cached.read_bytes(), package.path.read_bytes())
        self.assert_in_time(run.seconds, calm)
        held_then = node.status()["reactor"]["longest_hold_ms"]
        more = (resident(node) - memory) / 1e6
        print(f"{self.id()}: {reading.answers} answers, {held} to {held_then} ms, {more:.0f} MB")
        self.assertGreater(reading.answers, 500)
        self.assertLessEqual(held_then, max(300, held))
        self.assertLessEqual(more, 40)

    def _make_files(self, package: Package) -> None:
        """Have the first host hold a package under many names."""
        for path, suffix in ((package.path, ""), (package.signature, ".sig")):
            copy = self.first.cache / f"made0-1-1-x86_64.pkg.tar.zst{suffix}"
            shutil.copy2(path, copy)
            for number in range(1, MADE):
                name = f"made{number}-1-1-x86_64.pkg.tar.zst{suffix}"
                (self.first.cache / name).hardlink_to(copy)


class SteadyTests(HostileTestCase):
    """Whoever has files fetched, and reads next to nothing of them for as long as it may."""

    def test_sixteen_steady_sippers_on_a_fast_link(self) -> None:
        self._sip("200mbit", 25_000_000, 2_048)

    def test_sixteen_steady_sippers_on_a_slow_link(self) -> None:
        self._sip("10mbit", 1_250_000, 256)

    def _sip(self, link: str, rate: int, sip: int) -> None:
        """Have as many files fetched as may be, and read a sip of each every now and then."""
        self.sync(self.first)
        node = self.first.node()
        self.mirror.host.limit(link)
        # What the link is like is learned, by what does not fit into its first burst.
        packages = sorted(self.all_packages, key=lambda one: -one.size)[: SIPPED + 4]
        self.assert_clean(self.download(self.first, [packages.pop() for _ in range(4)]))
        learned = node.status()["savings"]["wan_bytes_per_second"]
        print(f"{self.id()}: taken for {learned} bytes a second")
        before = carried(self.mirror.host)
        taken = 0
        until = time.monotonic() + SIPPING
        sockets: list[socket.socket] = []
        while time.monotonic() < until:
            while len(sockets) < SIPPED:
                asker = (self.second, self.third)[len(sockets) % 2]
                sockets.append(ask_to_relay(asker, self.first, packages[len(sockets)]))
                self.addCleanup(sockets[-1].close)
                sockets[-1].setblocking(False)
            for sock in sockets:
                with contextlib.suppress(OSError):
                    taken += len(sock.recv(sip))
            time.sleep(0.05)
        wasted = carried(self.mirror.host) - before - taken
        spent = node.status()["relays"]
        print(f"{self.id()}: {wasted / 1e6:.1f} MB for nobody, {taken / 1e6:.1f} taken; {spent}")
        self.assertLessEqual(wasted / (rate * 60), 0.05)


class SpeakingTests(HostileTestCase):
    """Datagrams in the name of others."""

    def test_a_third_machine_is_not_connected_to_time_and_again(self) -> None:
        connections: list[socket.socket] = []
        printer = in_namespace(
            self.second.namespace, lambda: socket.create_server((self.second.address, 9_100))
        )
        self.addCleanup(printer.close)
        printer.settimeout(0.05)
        self.first.node()
        sock = in_namespace(self.third.namespace, lambda: forging_socket(self.third.address))
        self.addCleanup(sock.close)
        for number in range(232):
            node = f"{number:016x}"
            data = encode(announcement(node, node[:8], 1, 9_100))
            sock.sendto(forge(self.second.address, LAN_PORT, data), (GROUP, 0))
            with contextlib.suppress(TimeoutError):
                connections.append(printer.accept()[0])
            time.sleep(0.02)
        with contextlib.suppress(TimeoutError):
            while True:
                connections.append(printer.accept()[0])
        for connection in connections:
            connection.close()
        print(f"{self.id()}: {len(connections)} connections")
        self.assertLessEqual(len(connections), 10)

    def test_a_peer_whose_id_another_speaks_with_is_there_all_the_same(self) -> None:
        self._spoken_for(self.third.address, Kind.BYE)

    def test_so_it_is_where_the_address_is_forged_too(self) -> None:
        self._spoken_for(self.second.address, Kind.BYE)

    def test_so_it_is_where_a_beat_is_forged(self) -> None:
        self._spoken_for(self.second.address, Kind.BEAT)

    def test_a_peer_in_whose_name_another_speaks_and_answers_gives_its_files(self) -> None:
        """The stranger does all that it can at once, and goes on until pacman has ended."""
        packages = self.few_packages
        calm = self.usual(packages, holder=True)
        hearing = in_namespace(self.third.namespace, lambda: listening_socket(self.third.address))
        self.addCleanup(hearing.close)
        self.sync(self.first, self.second)
        self.hold(self.second, packages)
        node, _ = self.start_nodes(self.first, self.second)
        said = self._heard(hearing, self.second.address)
        self.mirror.reset()
        listener = in_namespace(
            self.third.namespace, lambda: socket.create_server((self.third.address, LAN_PORT))
        )
        sock = in_namespace(self.third.namespace, lambda: forging_socket(self.third.address))
        with Impostor(said, self.second.address, self.third.address, listener, sock) as impostor:
            for _ in range(2):
                time.sleep(SETTLING)
                self.assertIn(self.second.name, node.peers())
            run = self.download_in_time(packages)
        self.assertGreater(impostor.answered, 0)
        self.assert_clean(run)
        self.assert_in_time(run.seconds, calm)
        self.assert_cached(self.first, packages)
        self.assert_mirror_gave_no_packages()

    def _spoken_for(self, source: str, kind: Kind) -> None:
        packages = self.few_packages
        hearing = in_namespace(self.third.namespace, lambda: listening_socket(self.third.address))
        self.addCleanup(hearing.close)
        self.sync(self.first, self.second)
        self.hold(self.second, packages)
        node, _ = self.start_nodes(self.first, self.second, beat=1.0)
        said = self._heard(hearing, self.second.address)
        sock = in_namespace(self.third.namespace, lambda: forging_socket(self.third.address))
        self.addCleanup(sock.close)
        for sequence in (LARGEST_NUMBER - 1, LARGEST_NUMBER):
            data = encode(replace(said, kind=kind, sequence=sequence))
            sock.sendto(forge(source, LAN_PORT, data), (GROUP, 0))
        # Whatever came of it is over after some beats, and stays so.
        time.sleep(5)
        wait_until(lambda: self.second.name in node.peers(), 5, "the peer is known again")
        self.meet(node)
        wait_until(
            lambda: node.peers()[self.second.name]["files_known"] == len(packages),
            5,
            "its files are known",
        )
        self.mirror.reset()
        self.assert_clean(self.download_in_time(packages))
        self.assert_cached(self.first, packages)
        self.assert_mirror_gave_no_packages()

    def _heard(self, hearing: socket.socket, address: str) -> Announcement:
        hearing.settimeout(10)
        while True:
            data, sender = hearing.recvfrom(2_000)
            if sender[0] == address:
                return decode(data)


class Wrong7(WrongTests):
    uses_pacman_7 = True


class Slow7(SlowTests):
    uses_pacman_7 = True


class Silent7(SilentTests):
    uses_pacman_7 = True


class Asking7(AskingTests):
    uses_pacman_7 = True


class Impostor:
    """Speaks in a peer's name from its address and from another, and answers there in its name.

    What it tells is that the peer holds nothing of what it holds. It runs in a thread of its own.
    """

    #: Seconds between two rounds.
    PAUSE = 0.2

    def __init__(
        self,
        said: Announcement,
        its: str,
        own: str,
        listener: socket.socket,
        sock: socket.socket,
    ) -> None:
        self._said = said
        self._addresses = its, own
        self._listener, self._sock = listener, sock
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._speak),
            threading.Thread(target=self._answer),
        ]
        #: How many asked it for an inventory, and were answered in that peer's name.
        self.answered = 0

    def __enter__(self) -> Self:
        self._listener.settimeout(self.PAUSE)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()
        self._sock.close()

    def _speak(self) -> None:
        ahead = self._said.sequence
        gone = tuple(replace(one, held=False) for one in self._said.changes)
        while not self._ended.wait(self.PAUSE):
            ahead += 1
            generation = self._said.generation
            for one in (
                replace(self._said, sequence=ahead, beat=0.2, generation=0, changes=()),
                replace(self._said, sequence=ahead + 1, beat=3_600.0, files=0, changes=gone),
                replace(
                    self._said, sequence=ahead + 2, generation=generation + len(gone), changes=gone
                ),
                replace(self._said, sequence=LARGEST_NUMBER, generation=LARGEST_NUMBER),
                replace(self._said, sequence=ahead + 3, epoch="0" * 8),
                replace(self._said, sequence=ahead + 4, port=9_100),
                replace(self._said, sequence=ahead + 5, node=f"{ahead:016x}"),
                replace(self._said, sequence=ahead + 6, node=f"{ahead + 1:016x}", epoch="1" * 8),
            ):
                for address in self._addresses:
                    self._sock.sendto(forge(address, LAN_PORT, encode(one)), (GROUP, 0))

    def _answer(self) -> None:
        text = f"flocon-inventory 1 {self._said.epoch} 900 whole\nend\n".encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
        while not self._ended.is_set():
            with contextlib.suppress(OSError):
                connection, _ = self._listener.accept()
                with connection:
                    connection.settimeout(1)
                    asked = connection.recv(4_096)
                    if b"/inventory" in asked:
                        self.answered += 1
                    connection.sendall(head.encode() + text)


def test_suite() -> unittest.TestSuite:
    """Return what is run by default."""
    return suite_of(__name__, ON_REQUEST)


def ask_to_relay(
    stranger: Host, host: Host, package: Package, method: str = "GET"
) -> socket.socket:
    """Ask a host's node to fetch a package, and take nothing of it."""
    repository = package.path.parts[-4]
    sock = stranger.connect(host.address, LAN_PORT)
    path = f"/relay/{repository}/x86_64/{package.file_name}"
    sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return sock


def connections(addresses: Iterable[str], to: str, request: bytes) -> list[socket.socket]:
    """Return thirty-two connections of each of these addresses that were made; each has asked."""
    made: list[socket.socket] = []
    for address in addresses:
        for _ in range(EACH):
            with contextlib.suppress(OSError):
                sock = socket.create_connection((to, LAN_PORT), 2, (address, 0))
                made.append(sock)
                sock.sendall(request)
    return made


def asking_since(host: str, generation: int) -> bytes:
    return f"GET /inventory?since={generation} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


class Reading:
    """Reads answers in a thread, and asks anew on each connection once one has begun."""

    def __init__(self, sockets: Iterable[socket.socket], asking: Callable[[int], bytes]) -> None:
        self.answers = 0
        self._asking = asking
        self._selector = selectors.DefaultSelector()
        for sock in sockets:
            self._selector.register(sock, selectors.EVENT_READ)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            for key, _ in self._selector.select(0.1):
                sock: Any = key.fileobj
                try:
                    data = sock.recv(1 << 20)
                    for _ in range(data.count(b"HTTP/1.1 200")):
                        self.answers += 1
                        sock.sendall(self._asking(self.answers))
                except BlockingIOError:
                    continue
                except OSError:
                    data = b""
                if not data:
                    self._selector.unregister(sock)

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._selector.close()


def announcement(node: str, epoch: str, sequence: int, port: int) -> Announcement:
    """Return a hello that promises a hundred files at a port."""
    return Announcement(
        Kind.HELLO, node, epoch, sequence, "printer", port, "arch", ("x86_64",), 30.0, 100, 100
    )


def carried(host: Host) -> int:
    """Return how many bytes a host's interface has sent since it was made."""
    [link] = json.loads(host.ip("-j", "-s", "link", "show", "eth0"))
    return int(link["stats64"]["tx"]["bytes"])


def resident(node: Node) -> int:
    """Return the bytes of memory that a node takes."""
    pages = int(Path(f"/proc/{node.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def settled(node: Node) -> int:
    """Return the bytes of memory that a node keeps: the least of some seconds after a download."""
    found = []
    for _ in range(12):
        found.append(resident(node))
        time.sleep(0.25)
    return min(found)


def spare_memory(node: Node) -> int:
    """Return the bytes of the files in memory that a node has open."""
    total = 0
    for path in Path(f"/proc/{node.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(path.readlink()).startswith("/memfd:"):
                total += path.stat().st_blocks * 512
    return total


def _lines(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines() if log.exists() else []
