"""Other tools' machines on the LAN, beside nodes: hosts that run their doubles."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from tests.lan.case import LanTestCase
from tests.lan.lan import Host, Node, wait_until
from tests.lan.repository import Package

#: Seconds within which a double listens.
LISTENING = 30
PORTS = {"pacredir": 7_078, "pacserve": 15_678, "paclan": 15_678}


def start_double(host: Host, kind: str, *arguments: str, port: int) -> subprocess.Popen[bytes]:
    """Start another tool's double on a host, and wait until it listens."""
    log = host.folder / f"double-{kind}.log"
    command = [sys.executable, "-m", "tests.foreign.doubles", kind, *arguments]
    process = host.start(command, log=log)

    def listens() -> bool:
        if process.poll() is not None:
            raise AssertionError(log.read_text())
        try:
            host.connect("127.0.0.1", port).close()
        except OSError:
            return False
        return True

    wait_until(listens, LISTENING, f"the {kind} on {host.name} listens")
    return process


class Machine:
    """A host without a node, on which a double of ``kind`` runs."""

    def __init__(self, host: Host, kind: str) -> None:
        self.host, self.kind = host, kind
        self._log = host.folder / f"{kind}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return self.host.address

    @property
    def port(self) -> int:
        return PORTS[self.kind]

    def start(self, *options: str) -> None:
        """Start it, and wait until it listens."""
        place = f"{self.address}:{self.port}"
        command = [sys.executable, "-m", "tests.foreign.doubles", self.kind, str(self.host.cache)]
        command += [place, "--log", str(self._log), *options]
        self._process = self.host.start(command, log=self.host.folder / "doubles.log")
        wait_until(self._listens, 10, f"{self.kind} on {self.host.name} listens")

    def _listens(self) -> bool:
        try:
            self.host.connect(self.address, self.port).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """End it: connections are refused from now on."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(5)

    def freeze(self) -> None:
        """Unplug its machine: nothing answers any more, and nothing refuses."""
        self.host.link("down")

    def asked(self) -> list[dict[str, Any]]:
        """Return what it was asked."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [json.loads(line) for line in lines]

    def questions(self) -> list[str]:
        """Return which files it was asked for, by their paths."""
        found = []
        for one in self.asked():
            said = one.get("said") or {}
            found += [one["path"], *said.get("paths", ())]
        return found

    def gave(self) -> list[str]:
        """Return the names of the packages that it was asked to send."""
        paths = [one["path"] for one in self.asked() if one["method"] == "GET"]
        return [path.rsplit("/", 1)[-1] for path in paths if ".sig" not in path]


class ForeignTestCase(LanTestCase):
    """A LAN of the shared hosts, and further ones that run other tools."""

    def machine(
        self,
        name: str,
        kind: str,
        packages: Iterable[Package],
        *options: str,
        announces: bool = False,
    ) -> Machine:
        """Start a machine of another tool that holds these packages, and tells the group of it."""
        address = f"10.77.0.{20 + len(self.lan.hosts)}"
        host = self.lan.hosts.get(name) or self.lan.host(name, address)
        machine = Machine(host, kind)
        for package in packages:
            for path in (package.path, package.signature):
                shutil.copy2(path, host.cache / path.name)
        if announces:
            # Theirs is five minutes.
            options += ("--announce", host.address, "--interval", "0.5")
        machine.start(*options)
        return machine

    def known(self, node: Node) -> dict[str, dict[str, Any]]:
        """Return what a node tells of other tools' machines, by address."""
        return {one["address"]: one for one in node.status()["foreign"]}

    def wait_for_machines(self, node: Node, *machines: Machine) -> None:
        """Wait until a node would ask these machines."""

        def are_good() -> bool:
            known = self.known(node)
            return all(known.get(one.address, {}).get("state") == "good" for one in machines)

        try:
            wait_until(are_good, 10, "the node knows the machines of other tools")
        except AssertionError:
            self.fail(f"not good within 10 s: {self.known(node)}\n{node.log_text[-3000:]}")

    def look_ups(self, node: Node) -> list[tuple[float, int]]:
        """Return how many look-ups took at most how many seconds, of ``/metrics``."""
        told = node.host.request("/metrics").body.decode()
        found = []
        for line in told.splitlines():
            if line.startswith("flocon_look_up_seconds_bucket{le="):
                bound, count = line.split('"')[1], line.rsplit(" ", 1)[1]
                found.append((float(bound), int(float(count))))
        return found
