"""A LAN of three hosts, each with a pacman and a keyring of its own; one of them has a signer."""

from __future__ import annotations

import atexit
import functools
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.lan.case import LanTestCase
from tests.lan.lan import (
    LOOPBACK_PORT,
    Host,
    Lan,
    Node,
    PacmanRun,
    pacman_7,
    to_toml,
    wait_until,
)
from tests.lan.repository import Package, Recipe, build

#: Seconds until all nodes have what one of them has: they tell each other at once.
SOON = 20


class OwnLab:
    """Three hosts, and no mirror at all."""

    def __init__(self) -> None:
        self.lan = Lan()
        atexit.register(self.lan.close)
        self.maker = self.lan.host("maker", "10.77.0.1")
        self.second = self.lan.host("second", "10.77.0.2")
        self.third = self.lan.host("third", "10.77.0.3")


@functools.cache
def _own_lab() -> OwnLab:
    return OwnLab()


class OwnTestCase(LanTestCase):
    """A test on this LAN, where ``maker`` has the signer of the repository ``home``."""

    def setUp(self) -> None:
        self.need_lan()
        lab = _own_lab()
        self.maker, self.second, self.third = lab.maker, lab.second, lab.third
        self.hosts = (self.maker, self.second, self.third)
        self.use_own(lab.lan)
        self.built = 0

    def use_own(self, lan: Lan) -> None:
        """Begin with no node and no keys on this LAN, which has no mirror; tidy up behind."""
        self.lan = lan
        lan.reset()
        lan.repositories, lan.mirrors = [], []
        lan.pacman_folder = pacman_7() if self.uses_pacman_7 else None
        lan.pacman_options = {"DownloadUser": "nobody"} if self.uses_pacman_7 else {}
        self.addCleanup(lan.reset)
        self.addCleanup(self._end_agents)
        self.addCleanup(self._assert_quiet_logs)

    def _end_agents(self) -> None:
        for host in self.hosts:
            for home in (host.folder / "gnupg", host.folder / "sign/gnupg"):
                command = ["gpgconf", "--homedir", str(home), "--kill", "all"]
                subprocess.run(command, check=False, capture_output=True, timeout=10)

    # Programs

    def conf(self, host: Host) -> Path:
        """Return a pacman.conf of the host's own: no repository, and a keyring that is not made."""
        path = host.folder / "own.conf"
        if not path.exists():
            text = host.pacman_conf(node=False, mirror=False).read_text()
            path.write_text(text.replace(str(self.lan.keyring), str(host.folder / "gnupg")))
        return path

    def settings(self, host: Host) -> dict[str, Any]:
        folders = {"keys": str(host.folder / "keys"), "published": str(host.folder / "published")}
        return {"repo": {**folders, "signer": str(host.folder / "signer")}}

    def config(self, host: Host) -> Path:
        """Return a flocon.toml that says what the host's node is told."""
        path = host.folder / "own.toml"
        path.write_text(to_toml(self.settings(host)))
        return path

    def start_own(self, *hosts: Host, program: Sequence[str] = ()) -> list[Node]:
        nodes = [
            host.start_node(
                beat=5.0,
                settings=self.settings(host),
                arguments=["--pacman-conf", str(self.conf(host))],
                program=program,
            )
            for host in hosts
        ]
        for node in nodes:
            node.wait_ready()
        return nodes

    def flocon(self, host: Host, *words: str, status: int = 0) -> str:
        done = host.flocon(*words)
        self.assertEqual(done.returncode, status, done.stdout)
        return done.stdout

    def repo(self, *words: str, status: int = 0) -> str:
        """Run ``flocon repo`` where the signer is."""
        signer = ["--signer", str(self.maker.folder / "signer")]
        return self.flocon(self.maker, "repo", *words, *signer, status=status)

    def start_signer(self) -> None:
        """Start the signer on the maker's host, with an empty repository ``home``."""
        folder = self.maker.folder
        self.maker.start(
            [
                *(sys.executable, "-m", "flocon.signing", "--listen", str(folder / "signer")),
                *("--home", str(folder / "sign"), "--published", str(folder / "published")),
                *("--keyring", str(folder / "gnupg"), "--node", "root"),
                *("--config", str(self.config(self.maker))),
            ],
            log=folder / "signer.log",
        )
        wait_until((folder / "signer").exists, SOON, "the signer listens")
        self.repo("init", "home")

    def join(self, host: Host, *words: str, status: int = 0) -> str:
        """Run ``flocon repo join home``, with the key by which it is signed now."""
        conf = ["--pacman-conf", str(self.conf(host)), "--config", str(self.config(host))]
        if not words:
            words = ("--fingerprint", wait_until(self.signed_by, SOON, "the maker's node has it"))
        return self.flocon(host, "repo", "join", "home", *conf, *words, status=status)

    def run_pacman(self, host: Host, *words: str) -> PacmanRun:
        quiet = ["--noconfirm", "--noprogressbar"] if words[0] != "-Q" else []
        status, output = host.run(["pacman", "--config", str(self.conf(host)), *quiet, *words])
        return PacmanRun(status, output, 0.0)

    def installed(self, host: Host) -> set[str]:
        run = self.run_pacman(host, "-Q")
        return set(run.output.splitlines()) if not run.returncode else set()

    # Packages

    def make(self, *names: str, version: str = "1-1", size: int = 20_000) -> list[Package]:
        folder = self.maker.folder / "made"
        folder.mkdir(exist_ok=True)
        self.built += 1
        return [build(Recipe(name, version, size), folder, self.built) for name in names]

    def publish(self, packages: Sequence[Package]) -> None:
        self.repo("add", "--yes", *(str(one.path) for one in packages))

    # What nodes say

    def told(self, host: Host) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(host.request("/own.json", port=LOOPBACK_PORT).body)
        return answer

    def home(self, host: Host) -> dict[str, Any]:
        """Return how the repository stands on a host, nothing where it is not known there."""
        rows = self.told(host)["repositories"]
        return next((one for one in rows if one["name"] == "home"), {})

    def signed_by(self) -> str:
        """Return the key by which the maker's node says that it is signed, "" for none yet."""
        return str(self.home(self.maker).get("fingerprint", ""))

    def wait_for_generation(self, *hosts: Host, packages: int) -> None:
        for host in hosts:
            wait_until(
                lambda host=host: self.home(host).get("packages") == packages,  # type: ignore[misc]
                SOON,
                f"{host.name} has the generation with {packages} packages",
            )

    def wait_for_newest(self, maker: Host, *others: Host) -> int:
        """Wait until others have what the maker published last; return when that was signed."""
        published = maker.folder / "published/home/current"
        sequence = int(published.readlink().name)
        for host in (maker, *others):
            wait_until(
                lambda host=host: self.home(host).get("sequence") == sequence,  # type: ignore[misc]
                SOON,
                f"{host.name} has generation {sequence}",
            )
        return int(self.home(maker)["signed"])

    def wait_for_copies(self, *hosts: Host, count: int) -> None:
        def here() -> bool:
            copies = [self.home(host)["copies"].get("here", 0) for host in hosts]
            return bool(sum(copies) >= count)

        wait_until(here, SOON, f"{count} copies are kept")
