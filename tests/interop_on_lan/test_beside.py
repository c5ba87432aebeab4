"""All beside each other on one machine: a node, Avahi, systemd-resolved, and each other tool."""

from __future__ import annotations

import json
import re
import shutil
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flocon.foreign.telling import own_id
from tests.interop_on_lan.foreigners import ForeignTestCase, start_double
from tests.interop_on_lan.responders import Avahi, Resolved, lacking
from tests.lan.lan import LAN_PORT, Host, Node, PacmanRun, wait_until
from tests.needs import leave_out

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

    from tests.lan.repository import Package

PACSERVE = "_pacserve._tcp"
SERVER, REDIRECTOR, PACSERVES, PACLANS = 7078, 7077, 15_678, 15_680
SOON = 30.0
#: What a node's log has where something is amiss with a port or a name.
AMISS = re.compile(r"(?i)in use|taken|to itself|cannot|clash|another machine")


class BesideCase(ForeignTestCase):
    def tools(self, host: Host, *peers: str) -> None:
        """Have a host run pacredir, its server, pacserve and paclan, all with pacman's cache."""
        cache = str(host.cache)
        heard = ("--announce", host.address, "--interval", "1")
        redirected = [word for peer in peers for word in ("--peer", peer)]
        redirector = f"127.0.0.1:{REDIRECTOR}"
        start_double(host, "pacredir", cache, f"0.0.0.0:{SERVER}", port=SERVER)
        start_double(host, "redirector", redirector, *redirected, port=REDIRECTOR)
        start_double(host, "pacserve", cache, f"0.0.0.0:{PACSERVES}", *heard, port=PACSERVES)
        start_double(host, "paclan", cache, f"0.0.0.0:{PACLANS}", *heard, port=PACLANS)

    def doctor(self, host: Host) -> list[dict[str, Any]]:
        """Return what the doctor tells of mDNS, other tools, stand-ins and the group."""
        told = json.loads(host.request("/doctor.json").body)
        checks = {"mdns", "foreign", "standins", "multicast"}
        return [one for one in told["problems"] if one["check"] in checks]


class OneMachine(BesideCase):
    """On the first machine runs all there is; on the second a node, on the third no node."""

    def setUp(self) -> None:
        super().setUp()
        leave_out(lacking())

    def test_everybody_finds_and_gets_and_nobody_fights_for_a_port(self) -> None:
        here, there, elsewhere, nowhere = (self.few_packages[at : at + 2] for at in (0, 2, 4, 6))
        self.sync(self.first, self.second, self.third)
        self.hold(self.first, here)
        self.hold(self.second, there)
        _give(self.third, elsewhere)
        self.tools(
            self.first, f"{self.second.address}:{LAN_PORT}", f"{self.third.address}:{SERVER}"
        )
        self.tools(self.third, f"{self.first.address}:{LAN_PORT}")
        texts = (f"id={own_id()}", "arch=x86_64")
        avahi, resolved = Avahi(self.first, "first"), Resolved(self.first, "first")
        far = Avahi(self.third, "third")
        for one in (avahi, resolved, far):
            one.start()
            self.addCleanup(one.end)
        for one in (avahi, far):
            one.publish(f"pacserve on {one.name}", PACSERVE, SERVER, *texts)
        nodes = [
            host.start_node(settings={"mdns": True, "standins": {}})
            for host in (self.first, self.second)
        ]
        for node in nodes:
            node.wait_ready()
        self.meet(*nodes)
        self.wait_for_tools(nodes[0])
        # The node's pacman.
        self.mirror.reset()
        packages = [*here, *there, *elsewhere, *nowhere]
        self.assert_clean(self.download(self.first, packages))
        self.assert_cached(self.first, packages)
        self.assert_signatures_cached(self.first, packages)
        self.assert_mirror_gave_once(nowhere)
        # pacredir's pacman on the third machine, and on the node's own.
        self.take_by_redirector(self.third, here)
        _give(self.third, elsewhere)
        self.take_by_redirector(self.first, [*there, *elsewhere])
        self.assert_led_by_pacserve(here)
        # By mDNS each is listed by the others under its own name.
        services = {"pacserve on first", "pacserve on third", "flocon on first", "flocon on second"}
        wait_until(lambda: _listed(far) == services, SOON, "Avahi lists all four")
        wait_until(lambda: self.is_listed(resolved), SOON, "resolved lists the other machines'")
        for node in nodes:
            self.assertEqual(self.doctor(node.host), [])
            self.assertEqual(AMISS.findall(node.log_text), [])
            self.assertFalse(node.status()["mdns"]["clashed"])

    def wait_for_tools(self, node: Node) -> None:
        """Wait until a node knows each tool on the third machine, and none on its own."""
        ports = {SERVER, PACSERVES, PACLANS}

        def known() -> bool:
            told = node.status()["foreign"]
            good = {(one["address"], one["port"]) for one in told if one["state"] == "good"}
            return good == {(self.third.address, port) for port in ports}

        wait_until(known, SOON, "the node knows the third machine's tools")
        wait_until(lambda: node.status()["mdns"]["announced"], SOON, "it is announced")

    def take_by_redirector(self, host: Host, packages: Sequence[Package]) -> None:
        """Have a host's pacman take packages by pacredir's line, before the mirror's."""
        shutil.rmtree(host.cache, ignore_errors=True)
        host.cache.mkdir()
        text = host.pacman_conf(node=False).read_text()
        path = host.folder / "redirected.conf"
        line = f"Server = http://127.0.0.1:{REDIRECTOR}/"
        path.write_text(text.replace("\nInclude = ", f"\n{line}\nInclude = "))
        self.mirror.reset()
        command = ["pacman", "--config", str(path), "--noconfirm", "--noprogressbar", "-Sw"]
        run = PacmanRun(*host.run([*command, *(one.name for one in packages)]), 0.0)
        self.assert_clean(run)
        self.assert_cached(host, packages)
        self.assert_mirror_gave_no_packages()

    def assert_led_by_pacserve(self, packages: Sequence[Package]) -> None:
        """Claim that the third machine's pacserve has the first one's for a peer."""
        for package in packages:
            (self.third.cache / package.file_name).unlink(missing_ok=True)
        path = f"/pkg/{quote(packages[0].file_name)}"
        _give(self.first, packages[:1])

        def is_led() -> bool:
            where = self.third.request(path, port=PACSERVES).headers.get("location", "")
            return where.startswith(f"http://{self.first.address}:{PACSERVES}/")

        wait_until(is_led, SOON, "pacserve leads to pacserve")

    def is_listed(self, resolved: Resolved) -> bool:
        said = resolved.instances(PACSERVE)
        data = bytes(int(one) for one in re.findall(r"\b\d{1,3}\b", said) if int(one) < 256)
        return b"flocon on second" in data and b"pacserve on third" in data


#: Has each UDP port to itself, until it is ended.
_SELFISH = """
import socket, sys, threading
taken = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in sys.argv[1:]]
for one, port in zip(taken, sys.argv[1:]):
    one.bind(("", int(port)))
print("taken", flush=True)
threading.Event().wait()
"""


class Selfish(BesideCase):
    """Another program has ports of multicast to itself: said once, gone without, had later."""

    def take_ports(self, *ports: int) -> subprocess.Popen[bytes]:
        log = self.first.folder / "selfish.log"
        command = [sys.executable, "-c", _SELFISH, *map(str, ports)]
        process = self.first.start(command, log=log)
        wait_until(lambda: "taken" in log.read_text(), SOON, "it has the ports")
        return process

    def test_the_node_says_so_in_a_sentence_and_goes_on_and_has_them_later(self) -> None:
        packages = self.few_packages[:2]
        self.sync(self.first)
        selfish = self.take_ports(5353, 15_679)
        node = self.first.start_node(settings={"mdns": True}, program=self.hasty())
        node.wait_ready()
        wait_until(lambda: node.status()["mdns"]["failing"], SOON, "mDNS has failed")
        self.assert_clean(self.download(self.first, packages))
        self.assert_cached(self.first, packages)
        told = sorted(one["reason"] for one in self.doctor(self.first))
        sentences = [
            "mDNS does not work: a program has UDP port 5353 to itself",
            "machines with pacserve are not heard: a program has UDP port 15679 to itself",
        ]
        self.assertEqual(told, sorted(sentences))
        for port in ("5353", "15679"):
            lines = [line for line in node.log_text.splitlines() if f"UDP port {port}" in line]
            self.assertEqual(len(lines), 1, node.log_text[-3000:])
        selfish.kill()
        selfish.wait(5)
        wait_until(lambda: node.status()["mdns"]["announced"], SOON, "it is announced after all")
        wait_until(lambda: self.doctor(self.first) == [], SOON, "nothing is amiss any more")

    def hasty(self) -> list[str]:
        """Return what runs a node that tries soon again to hear pacserve's group."""
        script = self.first.folder / "hasty-twistd"
        script.write_text(
            "from flocon.foreign import group\n"
            "group.AGAIN = 2.0\n"
            "from twisted.scripts.twistd import run\n"
            "run()\n"
        )
        return [sys.executable, str(script)]


def _give(host: Host, packages: Sequence[Package]) -> None:
    """Have a host hold packages and their signatures."""
    for package in packages:
        for path in (package.path, package.signature):
            shutil.copy2(path, host.cache / path.name)


def _listed(avahi: Avahi) -> set[str]:
    """Return the names of the services that Avahi knows."""
    return {re.sub(r"\\(\d{3})", _unescaped, row[3]) for row in avahi.browse(PACSERVE)}


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1]))
