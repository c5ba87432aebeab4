"""A LAN on one machine: hosts are network namespaces on a bridge in a namespace of its own.

Here live hosts, their processes (nodes, pacman, an nginx mirror), their links, and the one way of
waiting, ``wait_until``. What is expected of them is said by the tests, not here. Needs root.

Namespaces are named after the process that made them, so that several runs keep apart and what a
killed run left behind can be told and removed. Every process is ended by its own id.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import http.client
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

from tests.lan.forked import Forked, Nursery

T = TypeVar("T")

PROJECT = Path(__file__).resolve().parents[2]
LAN_PORT = 19432
LOOPBACK_PORT = 19433
MIRROR_ADDRESS = "10.77.0.9"
#: Where the mirror gives each of its answers only so many bytes per second, after the first second.
SLOW_MIRROR_PORT, SLOW_MIRROR_RATE = 8_080, 200_000
#: The variable that names a folder with pacman 7: bin/ and lib/, as ``.ci/pacman-7`` makes it.
PACMAN_7 = "FLOCON_PACMAN_7"
#: "nobody" on every distribution.
NOBODY = 65534
TOOLS = ("ip", "tc", "setpriv", "pacman", "pacman-conf", "nginx", "repo-add", "gpg", "bsdtar")
#: Seconds from one look to the next of who waits: at first, and at most.
_OFTEN, _SELDOM = 0.02, 0.1
#: Room that the largest tests take, in bytes.
_ROOM = 3 << 30
_CLONE_NEWNET = 0x40000000
_NAME = re.compile(r"flocon-(?P<pid>\d+)-(?P<start>\d+)-\d+-\w+")
_counter = itertools.count(1)
_libc = ctypes.CDLL(None, use_errno=True)


def unavailable() -> str:
    """Return why no LAN can be made here, or nothing."""
    if os.geteuid():
        return "network namespaces need root"
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    if missing := [tool for tool in TOOLS if not shutil.which(tool, path=path)]:
        return f"not installed: {', '.join(missing)}"
    name = f"{_prefix()}-probe"
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"no network namespace can be made: {done.stderr.strip()}"
    run_command("ip", "netns", "del", name)
    return ""


def pacman_7() -> Path | None:
    """Return the folder of pacman 7, or None where there is none."""
    folder = os.environ.get(PACMAN_7)
    return Path(folder) if folder and Path(folder, "bin", "pacman").exists() else None


def wait_until(
    predicate: Callable[[], T | None], timeout: float, what: str, every: float | None = None
) -> T:
    """Return the first true value of ``predicate``; AssertionError after ``timeout`` seconds.

    Unless it is told how often, it asks ever less often: asking takes time of what is waited for.
    """
    deadline = time.monotonic() + timeout
    pause = every or _OFTEN
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what} (last: {value!r})")
        time.sleep(pause)
        if every is None:
            pause = min(pause * 1.1, _SELDOM)


def working_folder(room: int = _ROOM) -> Path:
    """Make a folder that everyone can enter, on tmpfs where that has ``room`` bytes."""
    shared = Path("/dev/shm")
    fits = shared.is_dir() and os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > room
    _sweep_folders(shared)
    _sweep_folders(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=f"{_prefix()}-", dir=shared if fits else None))
    folder.chmod(0o755)
    return folder


@dataclass(frozen=True, slots=True)
class PacmanRun:
    """How a run of pacman ended; ``output`` is what it said on both streams."""

    returncode: int
    output: str
    seconds: float

    @property
    def error_lines(self) -> list[str]:
        return [line for line in self.output.splitlines() if line.startswith("error:")]

    @property
    def warning_lines(self) -> list[str]:
        return [line for line in self.output.splitlines() if line.startswith("warning:")]

    @property
    def complaints(self) -> list[str]:
        return self.error_lines + self.warning_lines


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class MirrorRecord:
    """A request that the mirror answered; ``path`` is decoded, ``sent`` counts body bytes."""

    client: str
    method: str
    path: str
    status: int
    sent: int
    range: str
    agent: str

    @property
    def file_name(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    @property
    def is_package(self) -> bool:
        """Whether a package or a package's signature was asked for."""
        return ".pkg.tar" in self.file_name

    @property
    def is_database(self) -> bool:
        return self.file_name.endswith((".db", ".files"))


class Lan:
    """A bridge, its hosts, and a folder for all they write; ``close`` leaves nothing behind."""

    def __init__(self) -> None:
        _sweep()
        self._prefix = _prefix()
        self.folder = working_folder()
        #: Whether nodes come from a process that has imported all they need, which is sooner.
        self.forks = True
        self.hosts: dict[str, Host] = {}
        #: Names of the repositories that every host's pacman.conf lists.
        self.repositories: list[str] = []
        #: Addresses of the mirrors that pacman's configuration has, best first.
        self.mirrors = [MIRROR_ADDRESS]
        #: The folder of another pacman than this machine's: programs in bin/, libraries in lib/.
        self.pacman_folder: Path | None = None
        #: Further lines of every pacman.conf's [options].
        self.pacman_options: dict[str, str] = {}
        #: How pacman.conf names the node: as a "Server", or as a "CacheServer" (pacman 7).
        self.node_line = "Server"
        #: The GPGDir of every host's pacman.
        self.keyring = self.folder / "keyring"
        self.bridge = f"{self._prefix}-bridge"
        run_command("ip", "netns", "add", self.bridge)
        run_command("ip", "-n", self.bridge, "link", "add", "bridge", "type", "bridge")
        run_command("ip", "-n", self.bridge, "link", "set", "bridge", "up")

    def host(self, name: str, address: str, *, plugged: bool = True) -> Host:
        """Add a host; unplugged, it has only ``lo`` until its ``plug`` is called."""
        host = Host(self, name, address, f"{self._prefix}-{name}")
        self.hosts[name] = host
        if plugged:
            host.plug()
        return host

    def mirror(self, *, delay: float = 0.0) -> Mirror:
        """Add a host with nginx, which serves ``Mirror.root``, ``delay`` seconds away."""
        host = self.host("mirror", MIRROR_ADDRESS, plugged=not delay)
        if delay:
            host.plug_far(delay)
        return Mirror(host)

    def reset(self) -> None:
        """End every node and forget every host's files; links are up and unlimited again."""
        for host in self.hosts.values():
            host.reset()

    def close(self) -> None:
        for host in self.hosts.values():
            host.end_processes()
            host.cut_wire()
            remove_namespace(host.namespace)
        remove_namespace(self.bridge)
        shutil.rmtree(self.folder, ignore_errors=True)


class Host:
    """A machine on the LAN, with pacman's folders and its own flocon.toml."""

    def __init__(self, lan: Lan, name: str, address: str, namespace: str) -> None:
        self.lan = lan
        self.name = name
        self.address = address
        self.namespace = namespace
        self.folder = lan.folder / name
        self.cache = self.folder / "cache"
        self.store = self.folder / "store"
        self.database_path = self.folder / "db"
        self.nodes: list[Node] = []
        self._processes: list[subprocess.Popen[bytes] | Forked] = []
        self._runs = itertools.count(1)
        self._port = f"p-{name}"
        self._plugged = False
        self._limited = False
        self._wire: subprocess.Popen[bytes] | None = None
        run_command("ip", "netns", "add", namespace)
        self.ip("link", "set", "lo", "up")
        self._make_folders()

    # Links

    def ip(self, *arguments: str) -> str:
        """Run ``ip`` in this host's namespace and return what it printed."""
        return run_command("ip", "-n", self.namespace, *arguments)

    def plug(self) -> None:
        """Bring up a new ``eth0`` with this host's address, joined to the bridge."""
        bridge = self.lan.bridge
        peer = ("peer", "name", "eth0", "netns", self.namespace)
        run_command("ip", "-n", bridge, "link", "add", self._port, "type", "veth", *peer)
        run_command("ip", "-n", bridge, "link", "set", self._port, "master", "bridge", "up")
        self.ip("addr", "add", f"{self.address}/24", "dev", "eth0")
        self.ip("link", "set", "eth0", "up")
        self._plugged = True

    def plug_far(self, delay: float) -> None:
        """Plug in as ``plug`` does, by a wire on which everything takes ``delay`` seconds."""
        ends = (self.lan.bridge, self._port, self.namespace, "eth0")
        self._wire = subprocess.Popen(
            [
                "setpriv",
                "--pdeathsig",
                "KILL",
                "--",
                sys.executable,
                "-m",
                "tests.lan.wire",
                str(delay),
                *ends,
            ],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert self._wire.stdout is not None
        if self._wire.stdout.readline() != b"ready\n":
            raise RuntimeError("no TAP devices can be made here")
        run_command(
            "ip", "-n", self.lan.bridge, "link", "set", self._port, "master", "bridge", "up"
        )
        self.ip("addr", "add", f"{self.address}/24", "dev", "eth0")
        self.ip("link", "set", "eth0", "up")
        self._plugged = True

    def cut_wire(self) -> None:
        """End the process that ``plug_far`` started, and its devices with it."""
        if self._wire is not None:
            self._wire.kill()
            self._wire.communicate(timeout=5)
            self._wire = None

    def unplug(self) -> None:
        """Take ``eth0`` away, as a pulled USB adapter does."""
        self.ip("link", "del", "eth0")
        self._plugged = self._limited = False

    def link(self, state: str) -> None:
        """Set ``eth0`` "up" or "down"."""
        self.ip("link", "set", "eth0", state)

    def limit(self, rate: str) -> None:
        """Let this host send no faster than ``rate``, like "50mbit"."""
        tbf = ("tbf", "rate", rate, "burst", "64kb", "latency", "100ms")
        run_command("tc", "-n", self.namespace, "qdisc", "replace", "dev", "eth0", "root", *tbf)
        self._limited = True

    def unlimit(self) -> None:
        if self._limited:
            run_command("tc", "-n", self.namespace, "qdisc", "del", "dev", "eth0", "root")
            self._limited = False

    # Processes

    def command(self, arguments: Sequence[str], *, user: int | None = None) -> list[str]:
        """Return the command line that runs this one here; it dies with the tests."""
        prefix = ["ip", "netns", "exec", self.namespace, "setpriv", "--pdeathsig", "KILL"]
        if user is not None:
            prefix += ["--reuid", str(user), "--regid", str(user), "--clear-groups"]
            prefix += _reading_rights(user)
        return [*prefix, "--", *arguments]

    def run(self, arguments: Sequence[str], *, timeout: float = 120) -> tuple[int, str]:
        """Run a program to its end; return its status and both its streams."""
        done = subprocess.run(
            self.command(arguments),
            env=environment(self.lan.pacman_folder),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
        return done.returncode, done.stdout.decode(errors="replace")

    def start(
        self, arguments: Sequence[str], *, log: Path | None = None, user: int | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a program, both its streams appended to ``log``; ``reset`` ends it."""
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(log.open("ab")) if log else subprocess.DEVNULL
            process = subprocess.Popen(
                self.command(arguments, user=user),
                env=environment(self.lan.pacman_folder),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)
        return process

    def end_processes(self) -> None:
        """End all that runs in this namespace, and reap what was started from here."""
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(3)
            if process.poll() is None:
                process.kill()
                process.wait(5)
        self._processes.clear()
        self.nodes.clear()
        _end_all_in(self.namespace)

    def reset(self) -> None:
        self.end_processes()
        if not self._plugged:
            self.plug()
        self.link("up")
        self.unlimit()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._make_folders()

    def _make_folders(self) -> None:
        for name in ("cache", "store", "db/sync", "db/local", "root/var/lib", "hooks"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    # flocon

    def start_node(
        self,
        *,
        beat: float = 30.0,
        user: int | None = None,
        daemon: bool = False,
        settings: Mapping[str, Any] | None = None,
        arguments: Sequence[str] = (),
        program: Sequence[str] = (),
    ) -> Node:
        """Start a node and return at once; ``settings`` are further tables of flocon.toml.

        Endpoints and interfaces are flocon's defaults unless ``arguments`` say otherwise.
        ``user`` is the id it runs as, ``daemon`` lets twistd go to the background. ``program`` is
        what is started instead of twistd, with its arguments.
        """
        number = next(self._runs)
        config = self.folder / f"flocon-{number}.toml"
        tables: dict[str, Any] = {"name": self.name, "mdns": False, **(settings or {})}
        tables["presence"] = {"beat": beat, **tables.get("presence", {})}
        config.write_text(to_toml(tables))
        log = self.folder / f"node-{number}.log"
        pid_file = self.folder / f"node-{number}.pid" if daemon else None
        if user is not None:
            os.chown(self.store, user, user)
        mode = (
            ["--logfile", str(log), "--pidfile", str(pid_file)] if daemon else ["-n", "--pidfile="]
        )
        command = [*(program or [twistd()]), *mode, "flocon", "--config", str(config)]
        command += ["--pacman-conf", str(self.pacman_conf()), "--store", str(self.store)]
        command += arguments
        process: subprocess.Popen[bytes] | Forked
        if self.lan.forks and not program and not daemon and user is None:
            process = self._fork(command, log)
        else:
            process = self.start(command, log=None if daemon else log, user=user)
        node = Node(self, process, log, pid_file)
        self.nodes.append(node)
        return node

    def _fork(self, command: Sequence[str], log: Path) -> Forked:
        with log.open("ab") as output:
            process = _nursery("twistd").start(
                command,
                environment=environment(self.lan.pacman_folder),
                folder=self.folder,
                namespace=self.namespace,
                streams=(output.fileno(), output.fileno()),
            )
        self._processes.append(process)
        return process

    def flocon(
        self,
        *words: str,
        folder: Path | None = None,
        variables: Mapping[str, str] | None = None,
        apart: bool = False,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run ``flocon`` to its end; its errors are in its output, unless they are kept apart."""
        with contextlib.ExitStack() as stack:
            output, errors = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(2))
            command = ["flocon", *words]
            process = _nursery("flocon").start(
                command,
                environment={**environment(self.lan.pacman_folder), **(variables or {})},
                folder=folder or self.folder,
                namespace=self.namespace,
                streams=(output.fileno(), (errors if apart else output).fileno()),
            )
            try:
                status = process.wait(timeout)
            finally:
                process.kill()
            said = [_all_of(stream) for stream in (output, errors)]
        return subprocess.CompletedProcess(command, status, *said)

    def node(self, **options: Any) -> Node:
        """Start a node as ``start_node`` does, and wait until it answers."""
        node = self.start_node(**options)
        node.wait_ready()
        return node

    # pacman

    def pacman_conf(self, *, node: bool = True, mirror: bool = True, parallel: int = 5) -> Path:
        """Write pacman's configuration: the node's ``Server`` line first, then the mirrors'."""
        suffix = f"{'-node' * node}{'-mirror' * mirror}-{parallel}"
        lines = [f"{self.lan.node_line} = http://localhost:{LOOPBACK_PORT}"] * node
        lines += [f"Server = http://{address}" for address in self.lan.mirrors if mirror]
        mirrors = self.folder / f"mirrorlist{suffix}"
        _write(mirrors, "".join(f"{line}/$repo/os/$arch\n" for line in lines))
        options = {
            "RootDir": self.folder / "root",
            "DBPath": self.database_path,
            "CacheDir": self.cache,
            "GPGDir": self.lan.keyring,
            "LogFile": self.folder / "pacman.log",
            "HookDir": self.folder / "hooks",
            "Architecture": "x86_64",
            "SigLevel": "Required DatabaseOptional",
            "ParallelDownloads": parallel,
            **self.lan.pacman_options,
        }
        lines = ["[options]", *(f"{key} = {value}" for key, value in options.items())]
        for repository in self.lan.repositories:
            lines += ["", f"[{repository}]", f"Include = {mirrors}"]
        path = self.folder / f"pacman{suffix}.conf"
        _write(path, "\n".join([*lines, ""]))
        return path

    def pacman_command(self, *arguments: str, **configuration: Any) -> list[str]:
        conf = self.pacman_conf(**configuration)
        return ["pacman", "--config", str(conf), "--noconfirm", "--noprogressbar", *arguments]

    def pacman(self, *arguments: str, timeout: float = 120, **configuration: Any) -> PacmanRun:
        """Run real pacman; ``configuration`` is what ``pacman_conf`` takes."""
        started = time.monotonic()
        command = self.pacman_command(*arguments, **configuration)
        status, output = self.run(command, timeout=timeout)
        return PacmanRun(status, output, time.monotonic() - started)

    # The network, from here

    def connect(self, address: str, port: int, *, timeout: float = 10) -> socket.socket:
        """Return a TCP connection made from this host; OSError where there is none."""
        return in_namespace(
            self.namespace, lambda: socket.create_connection((address, port), timeout)
        )

    def request(
        self,
        path: str,
        *,
        method: str = "GET",
        address: str = "127.0.0.1",
        port: int = LOOPBACK_PORT,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30,
    ) -> Answer:
        """Ask for ``path`` exactly as written; ``headers`` may replace ``Host``."""
        connection = http.client.HTTPConnection(address, port, timeout=timeout)
        connection.sock = self.connect(address, port, timeout=timeout)
        given = {"Host": f"localhost:{port}", "Connection": "close", **(headers or {})}
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for key, value in given.items():
                connection.putheader(key, value)
            connection.endheaders()
            response = connection.getresponse()
            names = {key.lower(): value for key, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()


@dataclass(eq=False)
class Node:
    """A running flocon."""

    host: Host
    process: subprocess.Popen[bytes] | Forked
    log: Path
    pid_file: Path | None = None
    _ended: float | None = field(default=None, init=False)

    @property
    def pid(self) -> int:
        return int(self.pid_file.read_text()) if self.pid_file else self.process.pid

    @property
    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_ready(self, timeout: float = 20) -> None:
        """Wait until ``/check`` answers OK; AssertionError with the log if it ends before."""
        wait_until(self._is_ready, timeout, f"node on {self.host.name} answers /check")

    def check(self) -> bytes:
        """Return what ``/check`` answers."""
        return self.host.request("/check", timeout=5).body.strip()

    def _is_ready(self) -> bool:
        status = self.process.poll()
        if status is not None and (status or self.pid_file is None):
            raise AssertionError(f"the node ended with status {status}:\n{self.log_text}")
        try:
            return self.check() == b"OK"
        except (OSError, http.client.HTTPException):
            return False

    def status(self) -> dict[str, Any]:
        """Return ``/status.json``."""
        answer = self.host.request("/status.json")
        if answer.status != http.HTTPStatus.OK:
            raise AssertionError(f"/status.json answered {answer.status}")
        result: dict[str, Any] = json.loads(answer.body)
        return result

    def peers(self) -> dict[str, dict[str, Any]]:
        """Return the peers that ``/status.json`` lists, by name."""
        return {peer["name"]: peer for peer in self.status()["peers"]}

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def stop(self, timeout: float = 10) -> float:
        """Send SIGTERM, wait for the end and return the seconds that took."""
        pid = self.pid
        started = time.monotonic()
        os.kill(pid, signal.SIGTERM)
        self._wait_gone(pid, timeout)
        return time.monotonic() - started

    def kill(self) -> None:
        """End it with SIGKILL."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        self._wait_gone(pid, 5)

    def _wait_gone(self, pid: int, timeout: float) -> None:
        wait_until(lambda: self._is_gone(pid), timeout, f"the node on {self.host.name} ended")
        if pid == self.process.pid:
            self.process.wait(5)

    def _is_gone(self, pid: int) -> bool:
        self.process.poll()
        return _state_of(pid) in {"", "Z"}


class Mirror:
    """nginx on a host of its own, and what it was asked for."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.root = host.lan.folder / "mirror-root"
        self.root.mkdir(exist_ok=True)
        self._log = host.lan.folder / "mirror-access.log"
        self._offset = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start nginx and wait until it answers."""
        if self._process and self._process.poll() is None:
            return
        config = self.host.folder / "nginx.conf"
        config.write_text(self._config())
        log = self.host.folder / "nginx-output.log"
        self._process = self.host.start(["nginx", "-c", str(config)], log=log)
        wait_until(self._answers, 10, "nginx answers")

    def stop(self) -> None:
        """End nginx: connections are refused from now on."""
        if self._process:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def reset(self) -> None:
        """Forget what was asked so far."""
        self._settle()
        self._offset = self._log.stat().st_size if self._log.exists() else 0

    def records(self) -> list[MirrorRecord]:
        """Return what was asked since ``reset``, after waiting for running answers to end."""
        self._settle()
        with self._log.open("rb") as file:
            file.seek(self._offset)
            lines = file.read().decode().splitlines()
        fields = (line.split("\t") for line in lines)
        return [
            MirrorRecord(client, method, path, int(status), int(sent), wanted, agent)
            for client, method, path, status, sent, wanted, agent in fields
        ]

    def packages(self) -> list[MirrorRecord]:
        """Return the records of packages and their signatures."""
        return [record for record in self.records() if record.is_package]

    def _answers(self) -> bool:
        try:
            return bool(self._busy())
        except OSError:
            return False

    def _busy(self) -> int:
        """Return how many requests nginx is answering, this one among them."""
        answer = self.host.request("/-/status", port=80, timeout=5)
        match = re.search(rb"Writing: (\d+)", answer.body)
        return int(match[1]) if match else 0

    def _settle(self) -> None:
        if self._process and self._process.poll() is None:
            wait_until(lambda: self._busy() <= 1, 10, "the mirror has ended its answers")

    def _config(self) -> str:
        folder = self.host.folder
        variables = (
            "remote_addr request_method uri status body_bytes_sent http_range http_user_agent"
        )
        columns = r"\t".join(f"${variable}" for variable in variables.split())
        temporary = "".join(
            f"{kind}_temp_path {folder}/nginx-{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return f"""
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 512; }}
http {{
    {temporary}
    log_format record "{columns}";
    access_log {self._log} record;
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    # Whoever fell off the network is not waited for by those who read the log.
    send_timeout 5s;
    server {{
        listen 80;
        root {self.root};
        location = /-/status {{ stub_status; access_log off; }}
    }}
    server {{
        listen {SLOW_MIRROR_PORT};
        root {self.root};
        limit_rate {SLOW_MIRROR_RATE};
    }}
}}
"""


def in_namespace(namespace: str, function: Callable[[], T]) -> T:
    """Call ``function`` in a thread that has entered the namespace; its sockets stay there."""
    results: list[T] = []
    errors: list[BaseException] = []

    def enter_and_call() -> None:
        try:
            _enter(namespace)
            results.append(function())
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            errors.append(error)

    thread = threading.Thread(target=enter_and_call)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _enter(namespace: str) -> None:
    with Path("/run/netns", namespace).open("rb") as file:
        if _libc.setns(file.fileno(), _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), namespace)


def to_toml(table: Mapping[str, Any]) -> str:
    """Return a table, and tables in it, as TOML; JSON's scalars and lists are TOML's too."""
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in plain.items())
    for key, value in table.items():
        if isinstance(value, Mapping):
            text += f"[{key}]\n{to_toml(value)}"
    return text


def _write(path: Path, text: str) -> None:
    """Write a file unless it says so already: nodes follow it and would read all anew."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def run_command(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=30, env=environment()
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def hasty(host: Host, seconds: float) -> list[str]:
    """Return what runs a node that asks mirrors so many seconds after a change, not 20."""
    script = host.folder / "hasty-twistd"
    script.write_text(
        "from flocon.ahead import prefetch\n"
        f"prefetch.DELAY = {seconds}\n"
        "from twisted.scripts.twistd import run\n"
        "run()\n"
    )
    return [sys.executable, str(script)]


def environment(pacman_folder: Path | None = None) -> dict[str, str]:
    """Return the environment of what is started: this Python and this checkout first, no proxy.

    Where a pacman of its own is to be found first, ``pacman_folder`` is its.
    """
    kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    path = f"{Path(sys.executable).parent}:{kept.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    if pacman_folder is not None:
        path = f"{pacman_folder}/bin:{path}"
        kept["LD_LIBRARY_PATH"] = f"{pacman_folder}/lib"
    return {**kept, "PATH": path, "PYTHONPATH": str(PROJECT), "LC_ALL": "C", "TZ": "UTC"}


@functools.cache
def _nursery(program: str) -> Nursery:
    return Nursery(program, environment())


def _all_of(stream: IO[bytes]) -> str:
    """Return what was written to a file from its beginning, as a pipe's reader has it."""
    stream.seek(0)
    return stream.read().decode(errors="replace")


def twistd() -> str:
    """Return the twistd that belongs to this Python."""
    beside = Path(sys.executable).with_name("twistd")
    return str(beside) if beside.exists() else "twistd"


@functools.cache
def _reading_rights(user: int) -> Sequence[str]:
    """Return what setpriv needs to let ``user`` read this Python, where it lies in a closed folder.

    A checkout or an interpreter under /root is closed to others. The right to read everything
    leaves what the tests are about as it is: this user can still write to nothing of root's.
    """
    identity = ["--reuid", str(user), "--regid", str(user), "--clear-groups"]
    # By way of a shell: setpriv itself still has root's rights when it starts a program.
    script = 'exec "$0" -c "import twisted, flocon.settings.options"'
    probe = ["setpriv", *identity, "sh", "-c", script, sys.executable]
    try:
        status = subprocess.run(
            probe, cwd="/", env=environment(), capture_output=True, check=False, timeout=30
        ).returncode
    except OSError:
        status = 1
    if not status:
        return ()
    return ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")


def _state_of(pid: int) -> str:
    """Return the state letter of a process, or nothing if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[0]


def _start_of(pid: int) -> str:
    """Return when a process started, in the kernel's ticks, or nothing if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def _prefix() -> str:
    pid = os.getpid()
    return f"flocon-{pid}-{_start_of(pid)}-{next(_counter)}"


def _namespaces() -> Iterator[str]:
    for line in run_command("ip", "netns", "list").splitlines():
        yield line.split()[0]


def _is_orphan(name: str) -> bool:
    """Tell whether a namespace or folder is of a test run that ended without removing it."""
    match = _NAME.fullmatch(name)
    return match is not None and _start_of(int(match["pid"])) != match["start"]


def _sweep() -> None:
    """Remove the namespaces, and what runs in them, of test runs that were killed."""
    for name in list(_namespaces()):
        if _is_orphan(name):
            _end_all_in(name)
            remove_namespace(name)


def _sweep_folders(parent: Path) -> None:
    """Remove the folders of test runs that were killed, as far as this user may."""
    for folder in parent.glob("flocon-*"):
        if _is_orphan(folder.name):
            shutil.rmtree(folder, ignore_errors=True)


def _pids_in(namespace: str) -> list[int]:
    return [int(line) for line in run_command("ip", "netns", "pids", namespace).split()]


def _end_all_in(namespace: str) -> None:
    """Kill what still runs in a namespace of our own making."""
    for pid in _pids_in(namespace):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(
        lambda: all(_state_of(pid) in {"", "Z"} for pid in _pids_in(namespace)),
        5,
        f"processes in {namespace} ended",
    )


def remove_namespace(name: str) -> None:
    with contextlib.suppress(RuntimeError):
        run_command("ip", "netns", "del", name)
