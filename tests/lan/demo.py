"""``make demo``: two nodes on this machine, of which one gets packages that the other holds.

Everything is real but small, and lies in a temporary folder: a repository, a mirror that counts
what it is asked, two nodes with ports and a multicast group of their own, and pacman where it is
installed. Neither root nor pacman is needed: without pacman a small client asks what pacman would.
Ends with status 0 only if every step proved what it is meant to. With ``--keep`` the nodes stay
until Enter is pressed, with pages to look at.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.lan.lan import environment, to_toml, twistd, wait_until, working_folder
from tests.lan.repository import (
    MIB,
    Package,
    PythonDatabase,
    RepoAdd,
    Repository,
    SigningKey,
    recipes,
    tools_missing,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

HOST = "127.0.0.1"
REPOSITORY = "demo"
PATH = f"/{REPOSITORY}/os/x86_64"
#: The status of what was ended by Ctrl-C, as shells have it.
INTERRUPTED = 130
#: Room for all the demo writes, in bytes.
ROOM = 256 * MIB


class StepFailed(Exception):  # noqa: N818 - what happened, as a sentence
    """A step did not prove what it is meant to."""


def say(text: str = "") -> None:
    print(text, flush=True)


def step(number: int, text: str) -> None:
    say(f"\n{number}. {text}")


def proves(fact: bool, claim: str) -> None:
    """Print what was just proved, or raise StepFailed."""
    if not fact:
        raise StepFailed(claim)
    say(f"   [ok] {claim}")


class _QuietServer(ThreadingHTTPServer):
    """Says nothing of a client that went away: nodes do, when they have what they asked for."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Mirror:
    """A web server over the repository; ``asked`` are the paths it was asked for."""

    def __init__(self, root: Path) -> None:
        self.asked: list[str] = []
        mirror = self

        class Handler(SimpleHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                mirror.asked.append(self.path)
                super().do_GET()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Keep the terminal for the demo."""

        self._server = _QuietServer((HOST, 0), partial(Handler, directory=str(root)))
        self._server.daemon_threads = True
        self.address = f"http://{HOST}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def packages(self) -> list[str]:
        """Return the packages and signatures it was asked for, by file name."""
        names = [path.rsplit("/", 1)[-1] for path in self.asked]
        return [name for name in names if ".pkg.tar" in name]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Machine:
    """What stands for one Arch machine: a node, and pacman's folders."""

    name: str
    folder: Path
    lan_port: int
    loopback_port: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def databases(self) -> Path:
        return self.folder / "db" / "sync"

    @property
    def pacman_conf(self) -> Path:
        return self.folder / "pacman.conf"

    @property
    def log(self) -> Path:
        return self.folder / "node.log"

    def prepare(self, mirror: Mirror, keyring: Path | None) -> None:
        """Make pacman's folders and its configuration, the node first and the mirror second.

        It is written the way pacman-conf prints it: every line with one value.
        """
        for name in ("cache", "store", "db/sync", "db/local", "root/var", "hooks"):
            (self.folder / name).mkdir(parents=True)
        levels = ("PackageRequired", "DatabaseOptional") if keyring else ("PackageNever",)
        servers = (f"http://{HOST}:{self.loopback_port}", mirror.address)
        lines = [
            "[options]",
            f"RootDir = {self.folder}/root/",
            f"DBPath = {self.folder}/db/",
            f"CacheDir = {self.cache}/",
            f"HookDir = {self.folder}/hooks/",
            f"GPGDir = {keyring or self.folder}/",
            f"LogFile = {self.folder}/pacman.log",
            "Architecture = x86_64",
            "ParallelDownloads = 5",
            *(f"SigLevel = {level}" for level in levels),
            f"[{REPOSITORY}]",
            *(f"Server = {server}{PATH}" for server in servers),
        ]
        self.pacman_conf.write_text("\n".join([*lines, ""]))

    def start(self, presence: dict[str, Any], tools: Path) -> None:
        """Start the node, with the programs in ``tools`` found before this machine's."""
        config = self.folder / "flocon.toml"
        config.write_text(to_toml({"name": self.name, "presence": presence}))
        command = [twistd(), "-n", "--pidfile=", "flocon", "--config", str(config)]
        command += ["--pacman-conf", str(self.pacman_conf), "--store", f"{self.folder}/store"]
        command += ["--interface", HOST]
        command += ["--lan", f"tcp:{self.lan_port}:interface={HOST}"]
        command += ["--loopback", f"tcp:{self.loopback_port}:interface={HOST}"]
        variables = environment()
        variables["PATH"] = f"{variables['PATH']}:{tools}"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=variables
            )

    def stop(self) -> float:
        """End the node; return the seconds that took."""
        started = time.monotonic()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        return time.monotonic() - started

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        """Ask this machine's node as pacman on it would."""
        return get(f"{HOST}:{self.loopback_port}", path, headers)

    def ready(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise StepFailed(f"the node {self.name} ended at once")
        try:
            return self.get("/check").body.strip() == b"OK"
        except (OSError, http.client.HTTPException):
            return False

    def status(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(self.get("/status.json").body)
        return result


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read whole."""

    status: int
    headers: dict[str, str]
    body: bytes


def get(server: str, path: str, headers: dict[str, str] | None = None) -> Answer:
    connection = http.client.HTTPConnection(server, timeout=10)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        names = {key.lower(): value for key, value in response.getheaders()}
        return Answer(response.status, names, response.read())
    finally:
        connection.close()


class Pacman:
    """Real pacman, as root or made to believe so: with folders of its own it needs no more."""

    def __init__(self, prefix: Sequence[str]) -> None:
        self._prefix = prefix
        how = f", by way of {prefix[0]}" if prefix else ""
        version = subprocess.run(["pacman", "-V"], capture_output=True, text=True, check=False)
        number = next((word for word in version.stdout.split() if word.startswith("v")), "")
        self.description = f"real pacman {number}{how}"

    def sync(self, machine: Machine) -> None:
        self._run(machine, "-Sy")

    def download(self, machine: Machine, packages: Sequence[Package]) -> None:
        self._run(machine, "-Sw", *(package.name for package in packages))

    def _run(self, machine: Machine, *arguments: str) -> None:
        command = ["pacman", "--config", str(machine.pacman_conf), "--noconfirm"]
        say(f"   $ pacman {' '.join(arguments)}")
        done = subprocess.run(
            [*self._prefix, *command, "--noprogressbar", *arguments],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        complaints = [
            line for line in done.stdout.splitlines() if line.startswith(("error:", "warning:"))
        ]
        for line in complaints:
            say(f"     {line}")
        proves(done.returncode == 0 and not complaints, "pacman ended well and did not complain")


class SmallClient:
    """Asks what pacman asks, in its order: the node first, the mirror if that fails."""

    description = "a small client in pacman's place, as pacman is not installed"

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror.address.removeprefix("http://")

    def sync(self, machine: Machine) -> None:
        say(f"   GET {PATH}/{REPOSITORY}.db")
        self._fetch(machine, f"{REPOSITORY}.db", machine.databases)

    def download(self, machine: Machine, packages: Sequence[Package]) -> None:
        for package in packages:
            say(f"   GET {PATH}/{package.file_name}")
            self._fetch(machine, package.file_name, machine.cache)

    def _fetch(self, machine: Machine, name: str, folder: Path) -> None:
        for server in (f"{HOST}:{machine.loopback_port}", self._mirror):
            try:
                answer = get(server, f"{PATH}/{name}")
            except (OSError, http.client.HTTPException):
                continue
            if answer.status == http.HTTPStatus.OK:
                part = folder / f"{name}.part"
                part.write_bytes(answer.body)
                part.rename(folder / name)
                return
        raise StepFailed(f"nobody delivered {name}")


def find_pacman() -> Pacman | None:
    """Return a pacman that can be run by this user, or None."""
    if not shutil.which("pacman") or not shutil.which("pacman-conf"):
        return None
    if os.geteuid() == 0:
        return Pacman(())
    for prefix in (("fakeroot",), ("unshare", "--map-root-user")):
        if shutil.which(prefix[0]):
            probe = subprocess.run([*prefix, "id", "-u"], capture_output=True, check=False)
            if probe.stdout.strip() == b"0":
                return Pacman(prefix)
    return None


def free_ports(kind: socket.SocketKind, count: int) -> list[int]:
    """Return ports that nobody has at this moment."""
    sockets = [socket.socket(socket.AF_INET, kind) for _ in range(count)]
    try:
        for one in sockets:
            one.bind((HOST, 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def install_stand_in(folder: Path) -> None:
    """Put a pacman-conf there for machines without one; the configuration is already resolved."""
    folder.mkdir()
    program = folder / "pacman-conf"
    program.write_text('#!/bin/sh\n# pacman-conf --config FILE\nexec cat "$2"\n')
    program.chmod(0o755)


def same_bytes(package: Package, folder: Path) -> bool:
    path = folder / package.file_name
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == package.sha256


class Demo:
    """The steps, in order."""

    def __init__(self, folder: Path, *, keep: bool = False) -> None:
        self.folder = folder
        self.keep = keep
        self.pacman = find_pacman()
        signed = self.pacman is not None and not tools_missing()
        self.key = SigningKey(folder / "key") if signed else None
        lan_one, lan_two, loopback_one, loopback_two = free_ports(socket.SOCK_STREAM, 4)
        self.one = Machine("one", folder / "one", lan_one, loopback_one)
        self.two = Machine("two", folder / "two", lan_two, loopback_two)
        self.machines = (self.one, self.two)
        (folder / "mirror").mkdir()
        self.mirror = Mirror(folder / "mirror")

    def run(self) -> None:
        started = time.monotonic()
        held, unheld = self.make_repository()
        client = self.pacman or SmallClient(self.mirror)
        self.start_nodes(held)
        self.sync(client)
        self.ask_for_one(held[0])
        self.download_held(client, held)
        self.download_unheld(client, unheld)
        took = time.monotonic() - started
        self.sum_up()
        if self.keep:
            self.show_nodes()
        self.stop_nodes()
        say(f"\nThe demo proved all of it in {took:.1f} s.")
        if not self.keep:
            say("make demo KEEP=1 keeps the two nodes up, with pages to look at.")

    def make_repository(self) -> tuple[list[Package], Package]:
        step(1, "A repository, and a mirror that counts what it is asked")
        writer = RepoAdd() if self.key else PythonDatabase()
        repository = Repository(
            self.folder / "mirror", REPOSITORY, key=self.key, writer=writer, seed=2
        )
        packages = repository.add(recipes(8, seed=2, large=(6 * MIB, 12 * MIB)))
        keyring = None
        if self.key:
            keyring = self.folder / "keyring"
            self.key.make_keyring(keyring)
        for machine in self.machines:
            machine.prepare(self.mirror, keyring)
        size = sum(package.size for package in packages) / MIB
        kind = "signed, made with repo-add" if self.key else "unsigned, made without pacman's tools"
        say(f"   {len(packages)} packages, {size:.1f} MiB, {kind}")
        say(f"   the mirror is {self.mirror.address}; the client is {self.client_description}")
        return packages[:-1], packages[-1]

    @property
    def client_description(self) -> str:
        return self.pacman.description if self.pacman else SmallClient.description

    def start_nodes(self, held: Sequence[Package]) -> None:
        step(2, f"Two nodes; the CacheDir of node one holds {len(held)} packages, that of two none")
        for package in held:
            for path in (package.path, package.signature):
                if path.exists():
                    shutil.copy2(path, self.one.cache)
        tools = self.folder / "tools"
        install_stand_in(tools)
        dice = random.Random()
        [port] = free_ports(socket.SOCK_DGRAM, 1)
        group = f"239.255.{dice.randrange(256)}.{dice.randrange(1, 255)}"
        presence = {"group": group, "port": port, "beat": 1.0}
        for machine in self.machines:
            machine.start(presence, tools)
        for machine in self.machines:
            wait_until(machine.ready, 15, f"node {machine.name} answers /check")
        say(f"   both run; their multicast group is {group}:{port}, on {HOST} only")
        wait_until(lambda: self.count_known(self.two) == len(held), 15, "node two knows node one")
        wait_until(lambda: self.one.status()["peers"], 5, "node one knows node two")
        for machine in self.machines:
            for peer in machine.status()["peers"]:
                say(
                    f"   node {machine.name} knows {peer['name']} at "
                    f"{peer['address']}:{peer['port']}, which holds {peer['files']} packages"
                )
        proves(True, "they found each other by multicast, without being told an address")

    def count_known(self, machine: Machine) -> int:
        return sum(int(peer["files"]) for peer in machine.status()["peers"])

    def sync(self, client: Pacman | SmallClient) -> None:
        step(3, "Both get the repository's database through their own node")
        for machine in self.machines:
            client.sync(machine)
            copy = machine.databases / f"{REPOSITORY}.db"
            original = self.folder / "mirror" / PATH[1:] / f"{REPOSITORY}.db"
            same = copy.read_bytes() == original.read_bytes()
            proves(same, f"machine {machine.name} has the mirror's database, byte by byte")

    def ask_for_one(self, package: Package) -> None:
        step(4, "One request to node two, to see where it has the answer from")
        say(f"   GET {PATH}/{package.file_name}")

        def from_peer() -> Answer | None:
            answer = self.two.get(f"{PATH}/{package.file_name}")
            return answer if "flocon-source" in answer.headers else None

        answer = wait_until(from_peer, 5, "node two answers")
        say(f"   {answer.status}, Flocon-Source: {answer.headers['flocon-source']}")
        right = hashlib.sha256(answer.body).hexdigest() == package.sha256
        proves(right, "the bytes are those that the database promises")
        from_one = answer.headers["flocon-source"] == f"peer {HOST}"
        proves(from_one, "they came from node one")

    def download_held(self, client: Pacman | SmallClient, held: Sequence[Package]) -> None:
        step(5, "Machine two downloads everything that node one holds")
        client.download(self.two, held)
        right = all(same_bytes(package, self.two.cache) for package in held)
        proves(right, f"all {len(held)} files are there, each with the SHA-256 of the database")
        asked = self.mirror.packages()
        if self.key:
            proves(not asked, "the mirror was asked for no package and no signature")
        else:
            # There are no signatures; a node may look for them where the database tells of none.
            packages = [name for name in asked if not name.endswith(".sig")]
            proves(not packages, "the mirror was asked for no package")
        traffic = self.two.status()["traffic"]
        size = sum(package.size for package in held)
        say(f"   node two got {traffic['from_peers_bytes'] / MIB:.1f} MiB from its peer")
        proves(traffic["from_peers_bytes"] >= size, "everything crossed the LAN, nothing the WAN")

    def download_unheld(self, client: Pacman | SmallClient, package: Package) -> None:
        step(6, "Machine two downloads a package that nobody holds; then machine one does")
        client.download(self.two, [package])
        proves(same_bytes(package, self.two.cache), "machine two has it: a miss loses nothing")
        asked = self.mirror.packages().count(package.file_name)
        by_one = self.two.status()["traffic"]["from_owners_bytes"] > 0
        who = "node one asked it, and handed the package over" if by_one else "node two asked it"
        proves(asked == 1, f"the mirror was asked for it once: {who}")
        wait_until(lambda: self.count_known(self.one) > 0, 10, "node one hears what two holds now")
        wait_until(
            lambda: self.count_known(self.one) >= self.two.status()["inventory"]["files"],
            10,
            "node one knows all that node two holds",
        )
        client.download(self.one, [package])
        proves(same_bytes(package, self.one.cache), "machine one has it too")
        asked = self.mirror.packages().count(package.file_name)
        proves(asked == 1, "and the mirror was not asked again: once for the whole LAN")

    def sum_up(self) -> None:
        """Say what crossed the WAN and what the LAN, all in MiB."""
        traffic = [machine.status()["traffic"] for machine in self.machines]
        wan = sum(one["from_mirrors_bytes"] for one in traffic) / MIB
        # What one fetched from the mirror because the other asked crossed the LAN too.
        lan = sum(one["from_peers_bytes"] + one["from_owners_bytes"] for one in traffic) / MIB
        say(f"\n   In all, {lan:.1f} MiB crossed the LAN and {wan:.1f} MiB the WAN.")

    def show_nodes(self) -> None:
        step(7, "The nodes stay up, and can be looked at")
        command = Path(sys.prefix, "bin", "flocon")
        for machine in self.machines:
            say(f"   node {machine.name}: http://{HOST}:{machine.loopback_port}/")
        say(f"   on a terminal: {shlex.quote(str(command))} --port {self.two.loopback_port} status")
        say("   Enter ends them.")
        with suppress(EOFError, KeyboardInterrupt):
            input()

    def stop_nodes(self) -> None:
        step(8 if self.keep else 7, "The nodes are stopped")
        for machine in self.machines:
            proves(machine.stop() < 2, f"node {machine.name} ended within two seconds")

    def close(self) -> None:
        for machine in self.machines:
            machine.stop()
        self.mirror.close()
        if self.key:
            self.key.close()

    def tell_logs(self) -> None:
        for machine in self.machines:
            if machine.log.exists():
                say(f"\nThe end of the log of node {machine.name}:")
                say(machine.log.read_text(errors="replace")[-3000:])


def main(arguments: Sequence[str] = ()) -> int:
    """Run the demo and return its exit status."""
    say("flocon's demo: two nodes on this machine, and nothing left behind")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = working_folder(ROOM)
    try:
        demo = Demo(folder, keep="--keep" in arguments)
        try:
            demo.run()
        except BrokenPipeError:
            raise
        except (StepFailed, AssertionError, subprocess.TimeoutExpired, OSError) as failure:
            say(f"\nFAILED: {failure}")
            demo.tell_logs()
            return 1
        finally:
            demo.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        say("\nStopped, and nothing left behind.")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Who reads has gone, as behind "| head": nothing is left to be said, at the end neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
