"""A LAN with a stand-in for the AUR, and a host that builds: node, builder and signer, all real."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.aur.recipes import recipe
from tests.aur.standin import StandIn
from tests.lan.lan import Host, Lan, Node, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.lan.forked import Forked

AUR_ADDRESS, AUR_PORT = "10.77.0.9", 8_080
#: Seconds that new commits wait; a rule does not approve any sooner.
WAIT = 2 * 86_400
#: Who builds: anybody but root.
BUILDER = "nobody"


class BuildingHost:
    """A host of the LAN on which packages are built, and signed as ``name``."""

    def __init__(self, lan: Lan, host: Host, name: str = "home") -> None:
        self.lan, self.host, self.name = lan, host, name
        #: The programs that run, by what they are.
        self.programs: dict[str, subprocess.Popen[bytes] | Forked] = {}
        self.folder = host.folder
        shutil.rmtree(lan.folder / "aur", ignore_errors=True)
        self.aur = StandIn(lan.folder / "aur")
        self._aur_host = lan.hosts.get("aur") or lan.host("aur", AUR_ADDRESS)
        self._aur_host.start(
            [sys.executable, "-m", "tests.aur.standin", str(self.aur.folder), AUR_ADDRESS,
             str(AUR_PORT)],
            log=lan.folder / "aur.log",
        )  # fmt: skip
        wait_until(self._aur_answers, 20, "the stand-in for the AUR answers")
        self.start_signer()
        self.start_builder()
        self.flocon("repo", "init", name, "--signer", str(self.signer))

    def _aur_answers(self) -> bool:
        try:
            path = "/rpc/v5/info?arg[]=nothing"
            address, port = AUR_ADDRESS, AUR_PORT
            return self._aur_host.request(path, address=address, port=port).status == 200
        except OSError:
            return False

    @property
    def signer(self) -> Path:
        return self.folder / "signer"

    @property
    def builder(self) -> Path:
        return self.folder / "builder"

    @property
    def published(self) -> Path:
        return self.folder / "published"

    @property
    def state(self) -> Path:
        return self.folder / "builds"

    def settings(self, **build: Any) -> dict[str, Any]:
        """Return the tables of a node's settings."""
        return {
            "repo": {
                "keys": str(self.folder / "keys"),
                "published": str(self.published),
                "signer": str(self.signer),
                "copies": 0,
            },
            "build": {
                "state": str(self.state),
                "builder": str(self.builder),
                "aur": f"http://{AUR_ADDRESS}:{AUR_PORT}",
                "aur_copy": "",
                "poll": 0,
                "root": "machine",
                "processes": 512,
                **build,
            },
        }

    def start_signer(self) -> None:
        """Start the signer, and wait until it listens."""
        self._start(
            "signer",
            [sys.executable, "-m", "flocon.signing", "--listen", str(self.signer),
             "--home", str(self.folder / "sign"), "--published", str(self.published),
             "--keyring", str(self.folder / "gnupg"), "--node", "root"],
            self.signer,
        )  # fmt: skip

    def start_builder(self) -> None:
        self._start(
            "builder",
            [sys.executable, "-m", "flocon.building", "--listen", str(self.builder),
             "--work", str(self.folder / "work"), "--user", BUILDER,
             "--pacman", str(self.host.pacman_conf(node=False))],
            self.builder,
        )  # fmt: skip

    def start_node(self, **build: Any) -> Node:
        node = self.host.node(settings=self.settings(**build))
        self.programs["keeper"] = node.process
        self.wait_until_begun()
        return node

    def wait_until_begun(self) -> None:
        wait_until(self._begun, 20, "the keeper has begun")

    def _begun(self) -> bool:
        return bool(self.told()["problem"] != "builds have not begun yet")

    def _start(self, name: str, command: list[str], path: Path) -> None:
        path.unlink(missing_ok=True)
        # What another one left would be no socket of anybody.
        path.with_name(path.name + ".lock").unlink(missing_ok=True)
        self.programs[name] = self.host.start(command, log=self.folder / f"{name}.log")
        wait_until(lambda: self._listens(name, path), 20, f"the {name} listens")

    def _listens(self, name: str, path: Path) -> bool:
        status = self.programs[name].poll()
        if status is not None:
            text = (self.folder / f"{name}.log").read_text(errors="replace")
            raise AssertionError(f"the {name} ended with {status}:\n{text}")
        with socket.socket(socket.AF_UNIX) as one:
            return one.connect_ex(str(path)) == 0

    # What a person does

    def flocon(self, *words: str, status: int = 0) -> str:
        """Run the command; return what it said."""
        done = self.host.flocon(*words)
        if done.returncode != status:
            ended = f"flocon {' '.join(words)} ended with {done.returncode}"
            raise AssertionError(f"{ended}:\n{done.stdout}")
        return done.stdout

    def told(self) -> dict[str, Any]:
        """Return ``/builds.json``."""
        told: dict[str, Any] = json.loads(self.host.request("/builds.json").body)
        return told

    def one(self, base: str) -> dict[str, Any]:
        found = [one for one in self.told()["watched"] if one["base"] == base]
        return found[0] if found else {}

    def stages(self) -> dict[str, str]:
        return {one["base"]: one["stage"] for one in self.told()["watched"]}

    def say(self, *words: str, body: bytes = b"") -> str:
        """Tell the keeper something by its socket."""
        control = json.loads(self.host.request("/status.json").body)["control"]
        connection = http.client.HTTPConnection("localhost", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(control)
            path = "/build/" + "/".join(quote(word, safe="") for word in words)
            connection.request("POST", path, body=body)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status != 200:
            raise AssertionError(f"{words}: {answer.status} {text}")
        return text

    def push(self, base: str, version: str, *, old: bool = False, **more: Any) -> str:
        """Push a recipe to the AUR; an ``old`` one lies there longer than new ones wait."""
        when = int(time.time()) - (3 * WAIT if old else 0)
        return self.aur.push(base, recipe(base, version, **more), when=when)

    def approve(self, *bases: str) -> None:
        """Approve what was shown."""
        for base in bases:
            self.say("approve", base, self.one(base)["commit"])

    def wait_for(self, stages: Mapping[str, str], seconds: float = 60) -> None:
        """Wait until recipes are in these stages."""

        def there() -> bool:
            now = self.stages()
            return all(now.get(base) == stage for base, stage in stages.items())

        try:
            wait_until(there, seconds, f"{stages} are so")
        except AssertionError as error:
            logs = {base: self.log(base)[-1_500:] for base in stages}
            raise AssertionError(f"{error}: {self.told()} {logs}") from None

    def log(self, base: str) -> str:
        try:
            return self.say("log", base).partition("\n")[2]
        except AssertionError as error:
            return str(error)

    def database(self) -> dict[str, str]:
        """Return the packages that are published, with their versions, as pacman reads them."""
        name, current = self.name, self.published / self.name / "current"
        listed = subprocess.run(
            ["bsdtar", "-tf", str(current / f"{name}.db")],
            capture_output=True, check=True, text=True,
        ).stdout.split()  # fmt: skip
        found = {}
        for path in listed:
            folder = path.partition("/")[0]
            package, version, release = folder.rsplit("-", 2)
            found[package] = f"{version}-{release}"
        return found


def is_root() -> bool:
    return os.geteuid() == 0
