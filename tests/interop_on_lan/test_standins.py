"""Faces in other tools' places: their clients' lines and their peers' questions are answered.

What is much the same with pacman 7 is run on request:

    FLOCON_TESTS=all python -m twisted.trial tests.interop_on_lan.test_standins
"""

from __future__ import annotations

import json
import shutil
import signal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.interop_on_lan.foreigners import start_double
from tests.lan.case import LanTestCase
from tests.lan.lan import Host, Node, PacmanRun, wait_until
from tests.lan.on_request import suite_of

if TYPE_CHECKING:
    import unittest
    from collections.abc import Sequence
    from pathlib import Path

    from tests.lan.repository import Package

#: Run on request: pacserve's line is a mirror's to each pacman.
ON_REQUEST = ("Switching7.test_pacserves_line_goes_on_working",)
PACSERVE, PACREDIR, PACREDIR_LAN = 15678, 7077, 7078
#: pacman's lines as each tool has them made, and as they stay when a node takes its place.
PACSERVES_LINE = f"Server = http://localhost:{PACSERVE}/pacman/$repo/$arch"
PACREDIRS_LINES = {
    False: f"Server = http://127.0.0.1:{PACREDIR}/",
    # Since pacman 6.1 it is told apart from a mirror.
    True: f"CacheServer = http://127.0.0.1:{PACREDIR}/",
}
STANDINS = {
    "pacserve": [f"tcp:{PACSERVE}"],
    "pacredir": [f"tcp:{PACREDIR}:interface=127.0.0.1"],
    "pacredir_lan": [f"tcp:{PACREDIR_LAN}"],
}
SOON = 10


def test_suite() -> unittest.TestSuite:
    """Return what is run by default."""
    return suite_of(__name__, ON_REQUEST)


class StandinCase(LanTestCase):
    """The node on the first host stands in for others; the second has a node, the third none."""

    def conf(self, host: Host, *lines: str) -> Path:
        """Return a pacman.conf with these lines before the mirror's, and none of flocon's."""
        text = host.pacman_conf(node=False).read_text()
        path = host.folder / "switched.conf"
        path.write_text(text.replace("\nInclude = ", "\n" + "\n".join([*lines, "Include = "])))
        return path

    def stand_in(self, *lines: str) -> Node:
        """Start the first host's node; its pacman has the lines that it had before flocon."""
        self.own_conf = self.conf(self.first, *lines)
        return self.first.start_node(
            settings={"standins": STANDINS}, arguments=["--pacman-conf", str(self.own_conf)]
        )

    def together(self, *lines: str) -> list[Node]:
        nodes = [self.stand_in(*lines), self.second.start_node()]
        for node in nodes:
            node.wait_ready()
        self.meet(*nodes)
        return nodes

    def pacman(self, host: Host, conf: Path, *arguments: str) -> PacmanRun:
        command = ["pacman", "--config", str(conf), "--noconfirm", "--noprogressbar", *arguments]
        return PacmanRun(*host.run(command), 0.0)

    def take(self, host: Host, conf: Path, packages: Sequence[Package]) -> None:
        run = self.pacman(host, conf, "-Sw", *(one.name for one in packages))
        self.assert_clean(run)
        self.assert_cached(host, packages)
        self.assert_signatures_cached(host, packages)

    def ask(self, said: object, port: int = PACSERVE) -> tuple[int, bytes]:
        """Ask the first host from the third by POST, as pacserves do."""
        body = f"json={quote(json.dumps(said))}".encode()
        with self.third.connect(self.first.address, port) as connection:
            connection.sendall(
                f"POST / HTTP/1.1\r\nHost: {self.first.address}:{port}\r\nConnection: close\r\n"
                "Content-Type: application/x-www-form-urlencoded\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        head, _, rest = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), rest

    def standins(self) -> dict[str, Any]:
        status = json.loads(self.first.request("/status.json").body)
        return {one["tool"]: one for one in status["standins"]}


class Switching(StandinCase):
    """The lines that another tool had made in pacman.conf lead to the node that took its place."""

    def switch(self, line: str) -> None:
        held, cold = self.few_packages[:5], self.few_packages[5:8]
        self.hold(self.second, held)
        self.sync(self.second)
        self.together(line)
        self.assert_clean(self.pacman(self.first, self.own_conf, "-Sy"))
        self.mirror.reset()
        self.take(self.first, self.own_conf, held)
        self.assert_mirror_gave_no_packages()
        shutil.rmtree(self.first.cache)
        self.first.cache.mkdir()
        # What is here now is given again, and what nobody has comes from the mirror, by the node.
        self.take(self.first, self.own_conf, [*held, *cold])
        self.assert_mirror_gave_once(cold)

    def test_pacredirs_line_goes_on_working(self) -> None:
        self.switch(PACREDIRS_LINES[self.uses_pacman_7])

    def test_pacserves_line_goes_on_working(self) -> None:
        self.switch(PACSERVES_LINE)


class Switching7(Switching):
    uses_pacman_7 = True


class OthersAsk(StandinCase):
    def setUp(self) -> None:
        super().setUp()
        self.here, self.there, self.nowhere = (self.few_packages[at : at + 2] for at in (0, 2, 4))
        self.hold(self.first, self.here)
        self.hold(self.second, self.there)
        self.sync(self.first, self.second, self.third)
        self.nodes = self.together()
        self.mirror.reset()

    def test_a_pacman_without_a_node_asks_as_it_asked_pacserve(self) -> None:
        conf = self.conf(
            self.third, f"Server = http://{self.first.address}:{PACSERVE}/pacman/$repo/$arch"
        )
        self.assert_clean(self.pacman(self.third, conf, "-Sy"))
        self.take(self.third, conf, [*self.here, *self.there, *self.nowhere])
        # It was led to the mirror, from where nothing came to the node.
        self.assert_mirror_gave_once(self.nowhere)
        self.assertEqual(self.nodes[0].status()["traffic"]["from_mirrors_bytes"], 0)
        self.assertGreater(self.standins()["pacserve"]["answers"]["led elsewhere"], 0)

    def test_pacserves_and_pacredirs_machines_ask_as_their_own(self) -> None:
        start_double(
            self.third,
            *("pacserve", str(self.third.cache), f"0.0.0.0:{PACSERVE}"),
            *("--peer", f"http://{self.first.address}:{PACSERVE}/"),
            port=PACSERVE,
        )
        start_double(
            self.third,
            *("redirector", f"127.0.0.1:{PACREDIR}"),
            *("--peer", f"{self.first.address}:{PACREDIR_LAN}"),
            port=PACREDIR,
        )
        # By the double of pacserve, which asks for all that a peer knows of: of the second's, too.
        for package in (*self.here, *self.there):
            answer = self.third.request(f"/pkg/{quote(package.file_name)}", port=PACSERVE)
            self.assertEqual(answer.status, 303, package.file_name)
        conf = self.conf(self.third, PACREDIRS_LINES[False])
        self.take(self.third, conf, self.here)
        self.assert_mirror_gave_no_packages()
        self.assertEqual(self.standins()["pacserve"]["answers"]["nudges"], 1)

    def test_pacserves_find_the_node_and_it_them_by_their_own_multicast(self) -> None:
        start_double(
            self.third,
            *("pacserve", str(self.third.cache), f"0.0.0.0:{PACSERVE}"),
            *("--announce", self.third.address, "--interval", "1"),
            port=PACSERVE,
        )

        def is_led() -> bool:
            path = f"/pkg/{quote(self.here[0].file_name)}"
            answer = self.third.request(path, port=PACSERVE)
            # As it says of its peer's: with the address that it was heard or nudged from.
            return answer.headers.get("location", "").startswith(
                f"http://{self.first.address}:{PACSERVE}/pkg/"
            )

        wait_until(is_led, SOON, "the pacserve has the node for a peer")
        wait_until(self.knows_the_pacserve, SOON, "the node has the pacserve for a holder")

    def test_a_paclan_finds_the_node_and_its_pacman_takes_packages(self) -> None:
        start_double(
            self.third,
            *("paclan", str(self.third.cache), f"0.0.0.0:{PACSERVE}"),
            *("--announce", self.third.address, "--interval", "1"),
            port=PACSERVE,
        )

        def is_led() -> bool:
            answer = self.third.request(f"/{quote(self.here[0].file_name)}", port=PACSERVE)
            return answer.headers.get("location", "").startswith(
                f"http://{self.first.address}:{PACSERVE}/"
            )

        wait_until(is_led, SOON, "the paclan has the node for a peer")
        self.take(
            self.third, self.conf(self.third, f"Server = http://127.0.0.1:{PACSERVE}/"), self.here
        )
        self.assert_mirror_gave_no_packages()

    def knows_the_pacserve(self) -> bool:
        told = json.loads(self.first.request("/status.json").body)["foreign"]
        return (self.third.address, PACSERVE) in {(one["address"], one["port"]) for one in told}

    def test_what_is_held_can_be_read_as_a_listing(self) -> None:
        status, body = self.ask({"type": "directory listing", "path": "pkg", "hops": 0})
        listed = json.loads(body)
        self.assertEqual(status, 200)
        for package in self.here:
            (entry,) = listed[package.file_name]
            self.assertEqual(entry["size"], package.size)
            self.assertIn(f"{package.file_name}.sig", listed)
        self.assertEqual(len(listed), 2 * len(self.here))
        # The face for peers is no place for such questions, and says so without a reset.
        status, _ = self.ask({"type": "directory listing", "path": "pkg"}, 19432)
        self.assertEqual(status, 405)


class Taken(StandinCase):
    def test_a_port_that_the_tool_itself_has_is_told_and_taken_once_it_is_free(self) -> None:
        double = start_double(
            self.first, "pacredir", str(self.first.cache), "0.0.0.0:7078", port=7078
        )
        node = self.stand_in()
        node.wait_ready()
        self.assertEqual(self.standins()["pacredir_lan"]["ports"], [])
        self.assertEqual(self.standins()["pacserve"]["ports"], [PACSERVE])
        told = self.first.request("/doctor.json").body.decode()
        self.assertIn("nobody is answered in the place of pacredir_lan", told)
        self.assertIn("port 7078 is taken", told)
        double.terminate()
        double.wait(SOON)
        node.send(signal.SIGHUP)
        wait_until(lambda: self.standins()["pacredir_lan"]["ports"] == [7078], SOON, "it is taken")
