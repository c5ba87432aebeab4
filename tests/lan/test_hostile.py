"""What one hostile machine on the LAN can do to pacman: nothing but make it wait a moment.

Real nodes, real pacman; ``hostile`` plays the stranger, on the third host. Each test measures the
same download in peace first. To run one of them, as root:

    python -m twisted.trial tests.lan.test_hostile.SlowTests.test_a_holder_that_drips

The classes whose names end in 7 do the same with pacman 7, which FLOCON_PACMAN_7 has to name (see
``.ci/pacman-7``).
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lan.case import LanTestCase
from tests.lan.lan import LAN_PORT, Host, Node, PacmanRun, wait_until
from tests.lan.repository import MIB

if TYPE_CHECKING:
    import socket

    from tests.lan.repository import Package

#: How long an attack may hold pacman up: so many times the time in peace, and so many seconds.
MOST_SLOWER, MOST_WAIT = 1.5, 3.0
#: Seconds after which pacman is not waited for any longer.
PATIENCE = 40.0
#: Seconds that a node has to learn of those who announce themselves.
SETTLING = 4.0
#: As many peers as a node knows at one address.
CROWD = 16


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

    def play(self, node: Node, packages: Iterable[Package], *roles: str) -> Path:
        """Start the stranger, wait until the node knows all that it announces; return its log."""
        log = self.third.folder / "hostile.log"
        log.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.lan.hostile", "--root", str(self.mirror.root)]
        names = [package.file_name for package in packages]
        for name in names:
            command += ["--only", name]
        self.third.start([*command, *roles], log=log)
        wait_until(lambda: _lines(log)[:1] == ["ready"], 20, "the stranger is there")
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
        calm = self.in_peace(packages, holder=holder)
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
        calm = self.in_peace(packages)
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


class Wrong7(WrongTests):
    uses_pacman_7 = True


class Slow7(SlowTests):
    uses_pacman_7 = True


class Silent7(SilentTests):
    uses_pacman_7 = True


class Asking7(AskingTests):
    uses_pacman_7 = True


def ask_to_relay(stranger: Host, host: Host, package: Package) -> socket.socket:
    """Ask a host's node to fetch a package, and take nothing of it."""
    repository = package.path.parts[-4]
    sock = stranger.connect(host.address, LAN_PORT)
    path = f"/relay/{repository}/x86_64/{package.file_name}"
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return sock


def _lines(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines() if log.exists() else []
