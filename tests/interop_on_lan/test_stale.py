"""Stale names: machines that vanish without a goodbye, move, or come back with another address."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

from flocon.foreign.telling import own_id
from tests.interop_on_lan.foreigners import ForeignTestCase
from tests.interop_on_lan.responders import Avahi, Resolved, lacking
from tests.lan.lan import Host, Node, wait_until
from tests.needs import leave_out

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

    from tests.lan.repository import Package

PACSERVE, PORT = "_pacserve._tcp", 7078
#: Seconds for which names may be remembered here; it is two minutes elsewhere.
REMEMBERED = 3
SOON = 30.0


def forgetful(host: Host) -> list[str]:
    """Return what runs a node of which names are remembered for moments, as it looks them up."""
    script = host.folder / "forgetful-twistd"
    script.write_text(
        "from flocon.mdns import directory, services\n"
        f"services.TTL = {REMEMBERED}\n"
        "directory.LOOK_AGAIN = directory.SETTLED = 1.0\n"
        "from twisted.scripts.twistd import run\n"
        "run()\n"
    )
    return [sys.executable, str(script)]


class StaleCase(ForeignTestCase):
    def setUp(self) -> None:
        super().setUp()
        leave_out(lacking())
        self.packages = self.few_packages[:6]

    def holder(self, packages: Sequence[Package]) -> Host:
        """Return a host that runs pacredir's server at whatever address it has."""
        red = self.machine("red", "pacredir", packages)
        red.kill()
        command = [sys.executable, "-m", "tests.foreign.doubles", "pacredir", str(red.host.cache)]
        red.host.start([*command, f"0.0.0.0:{PORT}"])
        return red.host

    def move(self, host: Host, before: str, address: str) -> None:
        """Give a host another address; it has its own one again when the test is over."""
        self.addCleanup(host.unplug)
        host.ip("addr", "del", f"{before}/24", "dev", "eth0")
        host.ip("addr", "add", f"{address}/24", "dev", "eth0")

    def announce(self, host: Host, address: str) -> subprocess.Popen[bytes]:
        """Announce its server by python-zeroconf, under one and the same name."""
        log = host.folder / "announcer.log"
        log.unlink(missing_ok=True)
        module = (sys.executable, "-m", "tests.interop_on_lan.announcer")
        texts = (f"id={own_id()}", "arch=x86_64")
        what = ("pacserve on red", PACSERVE, "red", address, str(PORT), str(REMEMBERED))
        process = host.start([*module, *what, *texts], log=log)
        wait_until(lambda: "announced" in log.read_text(), SOON, "it is announced")
        return process

    def wait_at(self, node: Node, *addresses: str) -> None:
        """Wait until a node asks pacredir's machines at these addresses, and nobody else."""

        def known() -> bool:
            good = {one["address"] for one in self.known(node).values() if one["state"] == "good"}
            return set(self.known(node)) == good == set(addresses)

        wait_until(known, SOON, f"the node knows who is at {addresses}")

    def take(self, begin: int, end: int, *, from_mirror: bool) -> None:
        """Have pacman take packages, and claim whence they came; it is told of nothing amiss."""
        packages = self.packages[begin:end]
        self.mirror.reset()
        run = self.download(self.first, packages)
        self.assert_clean(run)
        self.assert_cached(self.first, self.packages[:end])
        if from_mirror:
            self.assert_mirror_gave_once(packages)
        else:
            self.assert_mirror_gave_no_packages()


class Others(StaleCase):
    """Other tools' machines, as a node knows them."""

    def test_one_that_vanished_is_forgotten_and_found_where_it_comes_back(self) -> None:
        self.sync(self.first)
        red = self.holder(self.packages)
        process = self.announce(red, red.address)
        node = self.first.node(settings={"mdns": True}, program=forgetful(self.first))
        self.wait_at(node, red.address)
        # Its power fails.
        red.link("down")
        process.kill()
        process.wait(5)
        self.take(0, 2, from_mirror=True)
        slowest = max(one["seconds"] for one in self.recent(node))
        self.assertLess(slowest, 2.0)
        self.wait_at(node)
        red.link("up")
        self.move(red, red.address, "10.77.0.91")
        self.announce(red, "10.77.0.91")
        self.wait_at(node, "10.77.0.91")
        self.take(2, 4, from_mirror=False)

    def test_one_whose_address_changes_is_asked_where_it_is_now(self) -> None:
        """Avahi tells of it; the name is the same all the time."""
        self.sync(self.first)
        red = self.holder(self.packages)
        avahi = Avahi(red, "red")
        avahi.start()
        self.addCleanup(avahi.end)
        avahi.publish("pacserve on red", PACSERVE, PORT, f"id={own_id()}", "arch=x86_64")
        node = self.first.node(settings={"mdns": True}, program=forgetful(self.first))
        self.wait_at(node, red.address)
        self.move(red, red.address, "10.77.0.92")
        # Wherever it comes from meanwhile.
        self.assert_clean(self.download(self.first, self.packages[:2]))
        self.wait_at(node, "10.77.0.92")
        self.take(2, 4, from_mirror=False)

    def recent(self, node: Node) -> list[dict[str, float]]:
        names = {package.file_name for package in self.packages}
        told = json.loads(node.host.request("/recent.json").body)
        return [one for one in told if one["file"] in names]


class Nodes(StaleCase):
    """A node, as Avahi and systemd-resolved know it."""

    def test_one_that_is_killed_is_forgotten_and_found_where_it_comes_back(self) -> None:
        avahi, resolved = Avahi(self.second, "grace"), Resolved(self.third, "ada")
        for responder in (avahi, resolved):
            responder.start()
            self.addCleanup(responder.end)
        node = self.start()
        self.wait_listed(avahi, resolved, self.first.address)
        node.kill()
        wait_until(lambda: not _by_avahi(avahi), SOON, "Avahi has forgotten it")
        wait_until(lambda: not _by_resolved(resolved), SOON, "resolved has forgotten it")
        self.move(self.first, self.first.address, "10.77.0.93")
        self.start()
        self.wait_listed(avahi, resolved, "10.77.0.93")

    def test_one_whose_address_changes_is_listed_where_it_is_now(self) -> None:
        avahi, resolved = Avahi(self.second, "grace"), Resolved(self.third, "ada")
        for responder in (avahi, resolved):
            responder.start()
            self.addCleanup(responder.end)
        self.start()
        self.wait_listed(avahi, resolved, self.first.address)
        self.move(self.first, self.first.address, "10.77.0.94")
        self.wait_listed(avahi, resolved, "10.77.0.94")

    def start(self) -> Node:
        node = self.first.node(settings={"mdns": True}, program=forgetful(self.first))
        wait_until(lambda: node.status()["mdns"]["announced"], SOON, "it is announced")
        return node

    def wait_listed(self, avahi: Avahi, resolved: Resolved, address: str) -> None:
        """Wait until both say that the node is at this address alone."""
        wait_until(lambda: _by_avahi(avahi) == {address}, SOON, f"Avahi lists {address}")
        wait_until(lambda: _by_resolved(resolved) == {address}, SOON, f"resolved lists {address}")


def _by_avahi(avahi: Avahi) -> set[str]:
    """Return the IPv4 addresses at which Avahi says that the node is."""
    rows = [list(row) for row in avahi.browse(PACSERVE)]
    return {row[7] for row in rows if row[6] == "first-flocon.local" and ":" not in row[7]}


def _by_resolved(resolved: Resolved) -> set[str]:
    """Return the same of systemd-resolved; none where it lists no such service."""
    if b"flocon on first".hex() not in _hex(resolved.instances(PACSERVE)):
        return set()
    said = resolved.service("flocon on first", PACSERVE)
    found = re.findall(r"\b2 4 (\d+) (\d+) (\d+) (\d+)\b", said)
    return {".".join(one) for one in found}


def _hex(said: str) -> str:
    """Return the bytes that busctl printed as numbers."""
    return bytes(int(one) for one in re.findall(r"\b\d{1,3}\b", said) if int(one) < 256).hex()
